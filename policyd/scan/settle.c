#include <string.h>

#include "policyd/scan/decide.h"

static bool
stays(const struct fate *fate)
{
	return fate->outcome == OUT_DELIVER || fate->outcome == OUT_TAG;
}

/* Two recipients get the same bytes: neither is filtered, or both see the same flag and subject. */
static bool
same_variant(const struct policy *p, const struct fate *a, const struct policy *q, const struct fate *b)
{
	if (p->filter != q->filter || a->outcome != b->outcome)
		return false;
	return a->outcome != OUT_TAG || strcmp(p->subject_tag, q->subject_tag) == 0;
}

/* The edits of a milter hold for all who remain (design.md, "Several recipients, one message"). Where they
 * want different variants: score headers for all, and the subject tag only if every one of them wants one. */
static void
settle_variants(const struct policy *const *policies, const struct fate *fates, size_t count, struct settlement *out)
{
	size_t first = count;
	bool all_tag_subject = true;

	for (size_t i = 0; i < count; i++) {
		if (!stays(&fates[i]))
			continue;
		if (first == count)
			first = out->best = i;
		bool tagged = fates[i].outcome == OUT_TAG;

		out->fallback |= !same_variant(policies[first], &fates[first], policies[i], &fates[i]);
		out->score_headers |= policies[i]->filter != 0;
		all_tag_subject &= tagged && policies[i]->subject_tag[0] != '\0';
		if ((tagged && !out->flag) || (policies[i]->filter && !policies[out->best]->filter))
			out->best = i;       /* the headers speak for the first tagged one, else the first filtered */
		out->flag |= tagged;
	}
	out->tag_subject = first < count && all_tag_subject;
}

void
settle(const struct policy *const *policies, struct fate *fates, size_t count, bool relayed, struct settlement *out)
{
	size_t rejects = 0, defers = 0, gone = 0;

	*out = (struct settlement){ .reply = REPLY_ACCEPT };
	for (size_t i = 0; i < count; i++) {
		rejects += fates[i].wanted == OUT_REJECT;
		defers += fates[i].wanted == OUT_DEFER;
	}
	/* One reply for all: who must wait makes all wait, or some would get the mail again with every retry. */
	for (size_t i = 0; i < count; i++) {
		fates[i].outcome = defers ? OUT_DEFER : fates[i].wanted;
		if (!defers && fates[i].wanted == OUT_REJECT && (relayed || rejects < count))
			fates[i].outcome = policies[i]->reject_fallback;
		fates[i].store = fates[i].outcome == OUT_QUARANTINE;
		fates[i].remove = fates[i].store || fates[i].outcome == OUT_DISCARD;
		gone += fates[i].remove;
	}
	if (defers)
		out->reply = REPLY_DEFER;
	else if (rejects == count && !relayed)
		out->reply = REPLY_REJECT;
	else if (gone == count)
		out->reply = REPLY_DISCARD;
	else
		settle_variants(policies, fates, count, out);
}
