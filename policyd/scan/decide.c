#include "policyd/scan/decide.h"

#include "policyd/auth/auth.h"

static enum outcome
stronger(enum outcome a, enum outcome b)
{
	return outcome_rank(a) > outcome_rank(b) ? a : b;
}

static enum outcome
by_points(const struct policy *policy, double points)
{
	if (points >= policy->discard)
		return policy->top_action;
	if (points >= policy->quarantine)
		return OUT_QUARANTINE;
	return points >= policy->tag ? OUT_TAG : OUT_DELIVER;
}

enum outcome
decide(const struct policy *policy, const struct judgement *found)
{
	if (!policy->filter)
		return OUT_DELIVER;

	const struct { enum mail_class class; uint8_t action; } by_class[] = {
		{ CLASS_VIRUS, policy->virus }, { CLASS_PHISH, policy->phish }, { CLASS_BANNED, policy->banned },
		{ CLASS_BULK, policy->bulk }, { CLASS_UNSCANNABLE, policy->unscannable },
	};
	enum outcome outcome = found->listed == LISTED_ALLOW ? OUT_DELIVER : by_points(policy, found->points);

	if (found->defer)                    /* not fully scanned: what was found holds, and this beside it */
		outcome = policy->scan_failed == OUT_DEFER ? OUT_DEFER : stronger(outcome, policy->scan_failed);
	if (found->dmarc != DMARC_P_NONE && found->listed != LISTED_ALLOW)
		outcome = stronger(outcome, found->dmarc == DMARC_P_REJECT ? policy->dmarc_reject : policy->dmarc_quarantine);
	if (found->listed == LISTED_BLOCK)
		outcome = stronger(outcome, policy->blocked);
	for (size_t i = 0; i < sizeof by_class / sizeof *by_class; i++)
		if (found->classes & by_class[i].class)
			outcome = stronger(outcome, by_class[i].action);
	return outcome;
}
