/* decide and settle: every row of the table in decide.h, and the property that company changes nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "policyd/scan/decide.h"

static struct policy
plain(void)
{
	return (struct policy){ .tag = 4, .quarantine = 7, .discard = 15, .filter = 1, .top_action = OUT_DISCARD,
	    .reject_fallback = OUT_QUARANTINE, .virus = OUT_QUARANTINE, .phish = OUT_TAG, .banned = OUT_QUARANTINE,
	    .bulk = OUT_DELIVER, .blocked = OUT_REJECT, .unscannable = OUT_QUARANTINE };
}

static void
decides_by_points_and_class(void **state)
{
	struct policy off = plain(), reject = plain(), no_quarantine = plain(), p = plain();

	off.filter = 0;
	reject.top_action = OUT_REJECT;
	no_quarantine.quarantine = THRESHOLD_OFF;
	const struct { const char *label; const struct policy *policy; struct judgement found; enum outcome want; } cases[] = {
		{ "below all", &p, { 3.99, 0, false, LISTED_NOT }, OUT_DELIVER },
		{ "at tag", &p, { 4, 0, false, LISTED_NOT }, OUT_TAG },
		{ "below quarantine", &p, { 6.99, 0, false, LISTED_NOT }, OUT_TAG },
		{ "at quarantine", &p, { 7, 0, false, LISTED_NOT }, OUT_QUARANTINE },
		{ "at discard", &p, { 15, 0, false, LISTED_NOT }, OUT_DISCARD },
		{ "at discard, rejecting", &reject, { 15, 0, false, LISTED_NOT }, OUT_REJECT },
		{ "quarantine off", &no_quarantine, { 14, 0, false, LISTED_NOT }, OUT_TAG },
		{ "virus with few points", &p, { 0, CLASS_VIRUS, false, LISTED_NOT }, OUT_QUARANTINE },
		{ "virus with many points", &p, { 20, CLASS_VIRUS, false, LISTED_NOT }, OUT_DISCARD },
		{ "phish", &p, { 0, CLASS_PHISH, false, LISTED_NOT }, OUT_TAG },
		{ "phish keeps the quarantine of its points", &p, { 8, CLASS_PHISH, false, LISTED_NOT }, OUT_QUARANTINE },
		{ "banned", &p, { 0, CLASS_BANNED, false, LISTED_NOT }, OUT_QUARANTINE },
		{ "bulk without action", &p, { 0, CLASS_BULK, false, LISTED_NOT }, OUT_DELIVER },
		{ "unscannable", &p, { 0, CLASS_UNSCANNABLE, false, LISTED_NOT }, OUT_QUARANTINE },
		{ "cannot tell", &p, { 0, 0, true, LISTED_NOT }, OUT_DEFER },
		{ "cannot tell, but he wants no filter", &off, { 20, CLASS_VIRUS, true, LISTED_NOT }, OUT_DELIVER },
		{ "blocked by his list", &p, { 0, 0, false, LISTED_BLOCK }, OUT_REJECT },
		{ "blocked, and he wants no filter", &off, { 0, 0, false, LISTED_BLOCK }, OUT_DELIVER },
		{ "allowed: points do not matter", &p, { 20, 0, false, LISTED_ALLOW }, OUT_DELIVER },
		{ "allowed: a virus does", &p, { 20, CLASS_VIRUS, false, LISTED_ALLOW }, OUT_QUARANTINE },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		if (decide(cases[i].policy, &cases[i].found) != cases[i].want)
			fail_msg("%s: %d", cases[i].label, decide(cases[i].policy, &cases[i].found));
}

static void
settles_mixed_outcomes(void **state)
{
	struct policy p = plain(), tagging = plain(), off = plain();

	(void)state;
	strcpy(tagging.subject_tag, "[SPAM] ");
	off.filter = 0;
	const struct {
		const char *label;
		size_t n;
		const struct policy *policies[4];
		enum outcome wanted[4];
		struct settlement want;
		const char *fates;           /* per recipient: d t q x r w; upper case: removed */
	} cases[] = {
		{ "one clean", 1, { &p }, { OUT_DELIVER }, { REPLY_ACCEPT, true, false, false, false, 0 }, "d" },
		{ "one unfiltered", 1, { &off }, { OUT_DELIVER }, { REPLY_ACCEPT, false, false, false, false, 0 }, "d" },
		{ "one tagged", 1, { &tagging }, { OUT_TAG }, { REPLY_ACCEPT, true, true, true, false, 0 }, "t" },
		{ "tagged and clean", 2, { &p, &tagging }, { OUT_DELIVER, OUT_TAG },
		    { REPLY_ACCEPT, true, true, false, true, 1 }, "dt" },
		{ "tagged and unfiltered", 2, { &tagging, &off }, { OUT_TAG, OUT_DELIVER },
		    { REPLY_ACCEPT, true, true, false, true, 0 }, "td" },
		{ "unfiltered and clean", 2, { &off, &p }, { OUT_DELIVER, OUT_DELIVER },
		    { REPLY_ACCEPT, true, false, false, true, 1 }, "dd" },
		{ "two tagged alike", 2, { &tagging, &tagging }, { OUT_TAG, OUT_TAG },
		    { REPLY_ACCEPT, true, true, true, false, 0 }, "tt" },
		{ "two tagged, one subject", 2, { &tagging, &p }, { OUT_TAG, OUT_TAG },
		    { REPLY_ACCEPT, true, true, false, true, 0 }, "tt" },
		{ "quarantine for one", 2, { &p, &p }, { OUT_QUARANTINE, OUT_DELIVER },
		    { REPLY_ACCEPT, true, false, false, false, 1 }, "Qd" },
		{ "nobody left", 2, { &p, &p }, { OUT_QUARANTINE, OUT_DISCARD },
		    { REPLY_DISCARD, false, false, false, false, 0 }, "QX" },
		{ "all reject", 2, { &p, &p }, { OUT_REJECT, OUT_REJECT },
		    { REPLY_REJECT, false, false, false, false, 0 }, "rr" },
		{ "some reject", 2, { &p, &p }, { OUT_REJECT, OUT_DELIVER },
		    { REPLY_ACCEPT, true, false, false, false, 1 }, "Qd" },
		{ "one must wait", 3, { &p, &p, &p }, { OUT_QUARANTINE, OUT_DEFER, OUT_DELIVER },
		    { REPLY_DEFER, false, false, false, false, 0 }, "www" },
	};
	static const char letter[OUT__COUNT] = { 'd', 't', 'q', 'x', 'r', 'w' };

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct fate fates[4] = { 0 };
		struct settlement got;
		char shown[5] = "";

		for (size_t k = 0; k < cases[i].n; k++)
			fates[k].wanted = cases[i].wanted[k];
		settle(cases[i].policies, fates, cases[i].n, false, &got);
		for (size_t k = 0; k < cases[i].n; k++) {
			shown[k] = letter[fates[k].outcome];
			if (fates[k].remove)
				shown[k] = (char)(shown[k] - 32);
			assert_int_equal(fates[k].store, shown[k] == 'Q');
		}
		if (strcmp(shown, cases[i].fates) != 0)
			fail_msg("%s: fates %s, want %s", cases[i].label, shown, cases[i].fates);
		const struct settlement *w = &cases[i].want;

		if (got.reply != w->reply || got.score_headers != w->score_headers || got.flag != w->flag ||
		    got.tag_subject != w->tag_subject || got.fallback != w->fallback || got.best != w->best)
			fail_msg("%s: reply %d headers %d flag %d subject %d fallback %d best %zu", cases[i].label,
			    got.reply, got.score_headers, got.flag, got.tag_subject, got.fallback, got.best);
	}
}

/* Whom a relay of ours has accepted it from would get a bounce, and the sender may be anybody. */
static void
relayed_mail_is_not_rejected(void **state)
{
	struct policy hold = plain(), drop = plain();
	const struct policy *policies[] = { &hold, &drop };
	struct fate fates[2] = { { .wanted = OUT_REJECT }, { .wanted = OUT_REJECT } };
	struct settlement got;

	(void)state;
	drop.reject_fallback = OUT_DISCARD;
	settle(policies, fates, 2, true, &got);
	assert_int_equal(got.reply, REPLY_DISCARD);
	assert_true(fates[0].outcome == OUT_QUARANTINE && fates[0].store);
	assert_true(fates[1].outcome == OUT_DISCARD && !fates[1].store);
}

/* Nobody is lost, nobody gets two fates, and without a deferral or a lone reject each gets what he wanted. */
static void
company_changes_nothing(void **state)
{
	unsigned seed = 1;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		bool relayed = round % 3 == 0;
		struct policy policies[6];
		const struct policy *list[6];
		struct fate fates[6] = { 0 };
		struct settlement got;
		size_t n = 1 + (seed = seed * 1103515245 + 12345) / 65536 % 6, rejects = 0, defers = 0, gone = 0;

		for (size_t i = 0; i < n; i++) {
			policies[i] = plain();
			policies[i].reject_fallback = (seed >> 7) % 2 ? OUT_DISCARD : OUT_QUARANTINE;
			list[i] = &policies[i];
			seed = seed * 1103515245 + 12345;
			fates[i].wanted = (seed / 65536) % OUT__COUNT;
			rejects += fates[i].wanted == OUT_REJECT;
			defers += fates[i].wanted == OUT_DEFER;
		}
		settle(list, fates, n, relayed, &got);
		for (size_t i = 0; i < n; i++) {
			gone += fates[i].remove;
			if (defers)
				assert_int_equal(fates[i].outcome, OUT_DEFER);
			else if (fates[i].wanted == OUT_REJECT && (relayed || rejects < n))
				assert_int_equal(fates[i].outcome, policies[i].reject_fallback);
			else
				assert_int_equal(fates[i].outcome, fates[i].wanted);
			assert_true(!fates[i].store || fates[i].remove);
		}
		assert_int_equal(got.reply == REPLY_DEFER, defers > 0);
		assert_int_equal(got.reply == REPLY_REJECT, defers == 0 && rejects == n && !relayed);
		assert_int_equal(got.reply == REPLY_DISCARD, defers == 0 && gone == n);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decides_by_points_and_class),
		cmocka_unit_test(settles_mixed_outcomes),
		cmocka_unit_test(relayed_mail_is_not_rejected),
		cmocka_unit_test(company_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
