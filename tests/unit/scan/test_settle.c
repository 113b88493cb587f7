/* decide and settle: every row of the table in decide.h, and the property that company changes nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "policyd/auth/auth.h"
#include "policyd/scan/decide.h"

static struct policy
plain(void)
{
	return (struct policy){ .tag = 4, .quarantine = 7, .discard = 15, .filter = 1, .top_action = OUT_DISCARD,
	    .reject_fallback = OUT_QUARANTINE, .virus = OUT_QUARANTINE, .phish = OUT_TAG, .banned = OUT_QUARANTINE,
	    .bulk = OUT_DELIVER, .blocked = OUT_REJECT, .unscannable = OUT_QUARANTINE, .scan_failed = OUT_DEFER };
}

static void
decides_by_points_and_class(void **state)
{
	struct policy off = plain(), reject = plain(), no_quarantine = plain(), p = plain(), tag_unscanned = plain(), strict = plain();

	tag_unscanned.scan_failed = OUT_TAG;
	strict.dmarc_reject = OUT_REJECT;
	strict.dmarc_quarantine = OUT_TAG;
	off.filter = 0;
	reject.top_action = OUT_REJECT;
	no_quarantine.quarantine = THRESHOLD_OFF;
	const struct { const char *label; const struct policy *policy; struct judgement found; enum outcome want; } cases[] = {
		{ "below all", &p, { 3.99, 0, false, LISTED_NOT, 0 }, OUT_DELIVER },
		{ "at tag", &p, { 4, 0, false, LISTED_NOT, 0 }, OUT_TAG },
		{ "below quarantine", &p, { 6.99, 0, false, LISTED_NOT, 0 }, OUT_TAG },
		{ "at quarantine", &p, { 7, 0, false, LISTED_NOT, 0 }, OUT_QUARANTINE },
		{ "at discard", &p, { 15, 0, false, LISTED_NOT, 0 }, OUT_DISCARD },
		{ "at discard, rejecting", &reject, { 15, 0, false, LISTED_NOT, 0 }, OUT_REJECT },
		{ "quarantine off", &no_quarantine, { 14, 0, false, LISTED_NOT, 0 }, OUT_TAG },
		{ "virus with few points", &p, { 0, CLASS_VIRUS, false, LISTED_NOT, 0 }, OUT_QUARANTINE },
		{ "virus with many points", &p, { 20, CLASS_VIRUS, false, LISTED_NOT, 0 }, OUT_DISCARD },
		{ "phish", &p, { 0, CLASS_PHISH, false, LISTED_NOT, 0 }, OUT_TAG },
		{ "phish keeps the quarantine of its points", &p, { 8, CLASS_PHISH, false, LISTED_NOT, 0 }, OUT_QUARANTINE },
		{ "banned", &p, { 0, CLASS_BANNED, false, LISTED_NOT, 0 }, OUT_QUARANTINE },
		{ "bulk without action", &p, { 0, CLASS_BULK, false, LISTED_NOT, 0 }, OUT_DELIVER },
		{ "unscannable", &p, { 0, CLASS_UNSCANNABLE, false, LISTED_NOT, 0 }, OUT_QUARANTINE },
		{ "cannot tell", &p, { 0, 0, true, LISTED_NOT, 0 }, OUT_DEFER },
		{ "cannot tell, he waits for nothing", &tag_unscanned, { 0, 0, true, LISTED_NOT, 0 }, OUT_TAG },
		{ "cannot tell, but it is a virus", &tag_unscanned, { 0, CLASS_VIRUS, true, LISTED_NOT, 0 }, OUT_QUARANTINE },
		{ "cannot tell, but he wants no filter", &off, { 20, CLASS_VIRUS, true, LISTED_NOT, 0 }, OUT_DELIVER },
		{ "blocked by his list", &p, { 0, 0, false, LISTED_BLOCK, 0 }, OUT_REJECT },
		{ "blocked, and he wants no filter", &off, { 0, 0, false, LISTED_BLOCK, 0 }, OUT_DELIVER },
		{ "allowed: points do not matter", &p, { 20, 0, false, LISTED_ALLOW, 0 }, OUT_DELIVER },
		{ "allowed: a virus does", &p, { 20, CLASS_VIRUS, false, LISTED_ALLOW, 0 }, OUT_QUARANTINE },
		{ "fails DMARC, its domain wants nothing done", &strict, { 0, 0, false, LISTED_NOT, DMARC_P_NONE }, OUT_DELIVER },
		{ "fails DMARC, its domain wants a reject", &strict, { 0, 0, false, LISTED_NOT, DMARC_P_REJECT }, OUT_REJECT },
		{ "fails DMARC, its domain wants a quarantine", &strict, { 0, 0, false, LISTED_NOT, DMARC_P_QUARANTINE }, OUT_TAG },
		{ "fails DMARC, and its points want more", &strict, { 8, 0, false, LISTED_NOT, DMARC_P_QUARANTINE }, OUT_QUARANTINE },
		{ "fails DMARC, but he lets it in", &strict, { 20, 0, false, LISTED_ALLOW, DMARC_P_REJECT }, OUT_DELIVER },
		{ "fails DMARC, and he blocks it", &strict, { 0, 0, false, LISTED_BLOCK, DMARC_P_QUARANTINE }, OUT_REJECT },
		{ "fails DMARC, and he does not mind", &p, { 0, 0, false, LISTED_NOT, DMARC_P_REJECT }, OUT_DELIVER },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		if (decide(cases[i].policy, &cases[i].found) != cases[i].want)
			fail_msg("%s: %d", cases[i].label, decide(cases[i].policy, &cases[i].found));
}

static void
settle_list(const struct policy *const *policies, const enum outcome *wanted, size_t n, bool relayed, bool route, struct fate *fates,
    struct settlement *got)
{
	const struct company company = { relayed, route };
	struct fate *list = calloc(n, sizeof *list);         /* no room behind the last: a sanitizer sees who looks there */
	uint32_t *order = calloc(n, sizeof *order);

	assert_true(list && order);
	for (size_t k = 0; k < n; k++)
		list[k] = (struct fate){ .policy = policies[k], .wanted = wanted[k] };
	settle(list, n, &company, order, got);
	memcpy(fates, list, n * sizeof *list);
	free(list);
	free(order);
}

static void
settles_mixed_outcomes(void **state)
{
	struct policy p = plain(), tagging = plain(), off = plain(), other = plain(), eager = plain();

	(void)state;
	strcpy(tagging.subject_tag, "[SPAM] ");
	strcpy(other.subject_tag, "[JUNK] ");
	eager.tag = 3;
	off.filter = 0;
	const struct {
		const char *label;
		size_t n;
		const struct policy *policies[6];
		enum outcome wanted[6];
		struct settlement want;      /* without a route */
		const char *fates;           /* per recipient: d t q x r w; upper case: removed */
		const char *routed;          /* with one: R goes by a token, else as above */
		struct settlement best;      /* what is said of those who stay then */
	} cases[] = {
		{ "one clean", 1, { &p }, { OUT_DELIVER }, { REPLY_ACCEPT, true, false, false, false, 0, 1 }, "d", "d",
		    { REPLY_ACCEPT, true, false, false, false, 0, 1 } },
		{ "one unfiltered", 1, { &off }, { OUT_DELIVER }, { REPLY_ACCEPT, false, false, false, false, 0, 1 }, "d", "d",
		    { REPLY_ACCEPT, false, false, false, false, 0, 1 } },
		{ "one tagged", 1, { &tagging }, { OUT_TAG }, { REPLY_ACCEPT, true, true, true, false, 0, 1 }, "t", "t",
		    { REPLY_ACCEPT, true, true, true, false, 0, 1 } },
		{ "tagged and clean", 2, { &p, &tagging }, { OUT_DELIVER, OUT_TAG },
		    { REPLY_ACCEPT, true, true, false, true, 1, 2 }, "dt", "dR", { REPLY_ACCEPT, true, false, false, false, 0, 2 } },
		{ "two tagged and clean", 3, { &p, &tagging, &tagging }, { OUT_DELIVER, OUT_TAG, OUT_TAG },
		    { REPLY_ACCEPT, true, true, false, true, 1, 2 }, "dtt", "Rtt", { REPLY_ACCEPT, true, true, true, false, 1, 2 } },
		{ "tagged and unfiltered", 2, { &tagging, &off }, { OUT_TAG, OUT_DELIVER },
		    { REPLY_ACCEPT, true, true, false, true, 0, 2 }, "td", "tR", { REPLY_ACCEPT, true, true, true, false, 0, 2 } },
		{ "unfiltered and clean", 2, { &off, &p }, { OUT_DELIVER, OUT_DELIVER },
		    { REPLY_ACCEPT, true, false, false, true, 1, 2 }, "dd", "Rd", { REPLY_ACCEPT, true, false, false, false, 1, 2 } },
		{ "three unfiltered and clean", 4, { &off, &off, &p, &off }, { OUT_DELIVER, OUT_DELIVER, OUT_DELIVER, OUT_DELIVER },
		    { REPLY_ACCEPT, true, false, false, true, 2, 2 }, "dddd", "RRdR", { REPLY_ACCEPT, true, false, false, false, 2, 2 } },
		{ "two tagged alike", 2, { &tagging, &tagging }, { OUT_TAG, OUT_TAG },
		    { REPLY_ACCEPT, true, true, true, false, 0, 1 }, "tt", "tt", { REPLY_ACCEPT, true, true, true, false, 0, 1 } },
		{ "two tagged, one subject", 2, { &tagging, &p }, { OUT_TAG, OUT_TAG },
		    { REPLY_ACCEPT, true, true, false, true, 0, 2 }, "tt", "tR", { REPLY_ACCEPT, true, true, true, false, 0, 2 } },
		{ "two tagged, two subjects", 2, { &tagging, &other }, { OUT_TAG, OUT_TAG },
		    { REPLY_ACCEPT, true, true, true, true, 0, 2 }, "tt", "tR", { REPLY_ACCEPT, true, true, true, false, 0, 2 } },
		{ "two clean, two subjects", 2, { &tagging, &other }, { OUT_DELIVER, OUT_DELIVER },
		    { REPLY_ACCEPT, true, false, false, false, 0, 1 }, "dd", "dd", { REPLY_ACCEPT, true, false, false, false, 0, 1 } },
		{ "clean, two thresholds", 2, { &p, &eager }, { OUT_DELIVER, OUT_DELIVER },
		    { REPLY_ACCEPT, true, false, false, false, 0, 2 }, "dd", "dR", { REPLY_ACCEPT, true, false, false, false, 0, 2 } },
		{ "quarantine for one", 2, { &p, &p }, { OUT_QUARANTINE, OUT_DELIVER },
		    { REPLY_ACCEPT, true, false, false, false, 1, 1 }, "Qd", "Qd", { REPLY_ACCEPT, true, false, false, false, 1, 1 } },
		{ "nobody left", 2, { &p, &p }, { OUT_QUARANTINE, OUT_DISCARD },
		    { REPLY_DISCARD, false, false, false, false, 0, 0 }, "QX", "QX", { REPLY_DISCARD, false, false, false, false, 0, 0 } },
		{ "all reject", 2, { &p, &p }, { OUT_REJECT, OUT_REJECT },
		    { REPLY_REJECT, false, false, false, false, 0, 0 }, "rr", "rr", { REPLY_REJECT, false, false, false, false, 0, 0 } },
		{ "some reject", 2, { &p, &p }, { OUT_REJECT, OUT_DELIVER },
		    { REPLY_ACCEPT, true, false, false, false, 1, 1 }, "Qd", "Qd", { REPLY_ACCEPT, true, false, false, false, 1, 1 } },
		{ "one must wait", 3, { &p, &p, &p }, { OUT_QUARANTINE, OUT_DEFER, OUT_DELIVER },
		    { REPLY_DEFER, false, false, false, false, 0, 0 }, "www", "www", { REPLY_DEFER, false, false, false, false, 0, 0 } },
		{ "six kinds", 6, { &off, &p, &tagging, &p, &p, &other }, { OUT_DELIVER, OUT_DELIVER, OUT_TAG, OUT_QUARANTINE, OUT_DISCARD, OUT_TAG },
		    { REPLY_ACCEPT, true, true, false, true, 2, 4 }, "ddtQXt", "RdRQXR", { REPLY_ACCEPT, true, false, false, false, 1, 4 } },
	};
	static const char letter[OUT__COUNT] = { 'd', 't', 'q', 'x', 'r', 'w' };

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		for (int route = 0; route < 2; route++) {
			struct fate fates[6] = { 0 };
			struct settlement got;
			char shown[8] = "";

			settle_list(cases[i].policies, cases[i].wanted, cases[i].n, false, route, fates, &got);
			for (size_t k = 0; k < cases[i].n; k++) {
				shown[k] = fates[k].route ? 'R' : letter[fates[k].outcome];
				if (fates[k].remove && !fates[k].route)
					shown[k] = (char)(shown[k] - 32);
				assert_int_equal(fates[k].store, shown[k] == 'Q');
			}
			if (strcmp(shown, route ? cases[i].routed : cases[i].fates) != 0)
				fail_msg("%s, route %d: fates %s", cases[i].label, route, shown);
			const struct settlement *w = route ? &cases[i].best : &cases[i].want;

			if (got.reply != w->reply || got.score_headers != w->score_headers || got.flag != w->flag ||
			    got.tag_subject != w->tag_subject || got.fallback != w->fallback || got.best != w->best || got.variants != w->variants)
				fail_msg("%s, route %d: reply %d headers %d flag %d subject %d fallback %d best %zu variants %u", cases[i].label, route,
				    got.reply, got.score_headers, got.flag, got.tag_subject, got.fallback, got.best, got.variants);
		}
}

/* Whom no token can carry stays, and who is like him; of two such groups one is folded, and it is said. */
static void
who_has_no_token_stays(void **state)
{
	struct policy p = plain(), tagging = plain();
	const struct company company = { .route = true };
	struct settlement got;
	uint32_t order[4];

	(void)state;
	strcpy(tagging.subject_tag, "[SPAM] ");
	struct fate fates[4] = {
		{ .policy = &p, .wanted = OUT_DELIVER }, { .policy = &p, .wanted = OUT_DELIVER },
		{ .policy = &tagging, .wanted = OUT_TAG, .no_route = true }, { .policy = &tagging, .wanted = OUT_TAG },
	};

	settle(fates, 4, &company, order, &got);
	assert_true(fates[0].route && fates[1].route && !fates[2].route && !fates[3].route);
	assert_true(got.best == 2 && got.tag_subject && !got.fallback);
	fates[1].no_route = true;            /* one and one: the first stays */
	settle(fates, 4, &company, order, &got);
	assert_true(!fates[0].route && !fates[1].route && !fates[2].route && fates[3].route);
	assert_true(got.best == 0 && !got.flag && got.fallback);
}

/* Scores are part of the bytes: who has another one has another variant. */
static void
scores_make_variants(void **state)
{
	struct policy p = plain();
	const struct company company = { .route = true };
	struct fate fates[3] = { { .policy = &p, .score = 7 }, { .policy = &p, .score = 2 }, { .policy = &p, .score = 2 } };
	struct settlement got;
	uint32_t order[3];

	(void)state;
	settle(fates, 3, &company, order, &got);
	assert_true(got.variants == 2 && got.best == 1 && fates[0].route && !fates[1].route && !fates[2].route);
	assert_true(fates[0].variant != fates[1].variant && fates[1].variant == fates[2].variant);
}

/* His copy without the banned files is made for him alone, whoever he is with, and the mail as it came is kept. */
static void
files_are_taken_out(void **state)
{
	struct policy p = plain(), off = plain();
	const struct company company = { .route = true };
	struct settlement got;
	uint32_t order[5];

	(void)state;
	off.filter = 0;
	struct fate alone = { .policy = &p, .wanted = OUT_TAG, .strip = true };

	settle(&alone, 1, &company, order, &got);
	assert_true(alone.route && alone.remove && alone.store && got.reply == REPLY_ACCEPT && got.score_headers && got.flag);

	/* With one who wants no filter: the headers are still there, for his copy is made of them. */
	for (int first = 0; first < 2; first++) {
		struct fate two[2] = { 0 };

		two[first] = (struct fate){ .policy = &p, .wanted = OUT_DELIVER, .strip = true };
		two[!first] = (struct fate){ .policy = &off, .wanted = OUT_DELIVER };
		settle(two, 2, &company, order, &got);
		assert_true(two[first].route && two[first].store && two[!first].route && !two[!first].store);
		assert_true(got.score_headers && got.best == (size_t)first && got.variants == 2);
	}
	/* Who keeps his files stays, though fewer. */
	struct fate five[5] = { { .policy = &p, .strip = true }, { .policy = &p, .strip = true }, { .policy = &p }, { .policy = &off }, { .policy = &p, .strip = true } };

	settle(five, 5, &company, order, &got);
	assert_true(five[0].route && five[1].route && !five[2].route && five[3].route && five[4].route && got.best == 2);
	assert_true(five[0].variant == five[1].variant && five[0].variant != five[2].variant && !five[2].store && five[4].store);
}

/* Whom a relay of ours has accepted it from would get a bounce, and the sender may be anybody. */
static void
relayed_mail_is_not_rejected(void **state)
{
	struct policy hold = plain(), drop = plain();
	const struct policy *policies[] = { &hold, &drop };
	const enum outcome wanted[] = { OUT_REJECT, OUT_REJECT };
	struct fate fates[2];
	struct settlement got;

	(void)state;
	drop.reject_fallback = OUT_DISCARD;
	settle_list(policies, wanted, 2, true, false, fates, &got);
	assert_int_equal(got.reply, REPLY_DISCARD);
	assert_true(fates[0].outcome == OUT_QUARANTINE && fates[0].store);
	assert_true(fates[1].outcome == OUT_DISCARD && !fates[1].store);
}

/* Who is told that his mail is refused, and whose recipient keeps a copy all the same: stored, not deleted from the transaction. */
static void
copies_of_rejected_mail(void **state)
{
	struct policy keeps = plain(), tells = plain();
	const struct policy *policies[] = { &keeps, &tells };
	const enum outcome rejected[] = { OUT_REJECT, OUT_REJECT }, mixed[] = { OUT_REJECT, OUT_DELIVER };
	struct fate fates[2];
	struct settlement got;

	(void)state;
	keeps.keep_rejected = 1;
	settle_list(policies, rejected, 2, false, false, fates, &got);
	assert_int_equal(got.reply, REPLY_REJECT);
	assert_true(fates[0].store && !fates[0].remove && !fates[1].store && !fates[1].remove);
	keeps.reject_fallback = OUT_DISCARD; /* what was not rejected is no rejected mail */
	settle_list(policies, mixed, 2, false, false, fates, &got);
	assert_true(fates[0].outcome == OUT_DISCARD && !fates[0].store && fates[0].remove);
}

static unsigned
dice(unsigned *seed, unsigned sides)
{
	return (*seed = *seed * 1103515245 + 12345) / 65536 % sides;
}

static struct policy
any_policy(unsigned *seed)
{
	static const char *const tags[] = { "", "[SPAM] ", "[JUNK] " };
	struct policy p = plain();

	p.filter = dice(seed, 5) > 0;
	p.tag = dice(seed, 4) ? 2 + dice(seed, 3) : THRESHOLD_OFF;
	p.quarantine = dice(seed, 4) ? 6 + dice(seed, 3) : THRESHOLD_OFF;
	p.discard = dice(seed, 4) ? 10 + dice(seed, 3) : THRESHOLD_OFF;
	p.top_action = dice(seed, 2) ? OUT_DISCARD : OUT_REJECT;
	p.reject_fallback = dice(seed, 2) ? OUT_DISCARD : OUT_QUARANTINE;
	p.virus = (uint8_t)dice(seed, OUT_REJECT + 1);
	p.bulk = (uint8_t)dice(seed, OUT_REJECT + 1);
	p.banned = (uint8_t)dice(seed, OUT_REJECT + 1);
	strcpy(p.subject_tag, tags[dice(seed, 3)]);
	return p;
}

/* What one recipient sees of a transaction: his outcome, and of a delivered copy whether it is flagged and tagged. */
struct seen {
	enum outcome outcome;
	bool headers, flag, subject, strip;
};

static struct seen
seen_by(const struct fate *fate, const struct settlement *s)
{
	struct seen seen = { .outcome = fate->outcome };

	if (fate->outcome != OUT_DELIVER && fate->outcome != OUT_TAG)
		return seen;
	seen.strip = fate->route && fate->strip;
	if (fate->route) {                   /* a variant is made for him alone */
		seen.headers = fate->policy->filter;
		seen.flag = fate->outcome == OUT_TAG;
		seen.subject = seen.flag && fate->policy->subject_tag[0];
	} else {
		seen.headers = s->score_headers;
		seen.flag = s->flag;
		seen.subject = s->tag_subject;
	}
	return seen;
}

/* For any policies, findings and company: with the route up everybody gets and sees what he would alone, but for a
 * deferral (of all) and a reject that not all share (his own fallback). Nobody is lost, nobody has two fates. */
static void
company_changes_nothing(void **state)
{
	unsigned seed = 1;

	(void)state;
	for (int round = 0; round < 60000; round++) {
		struct company company = { .relayed = dice(&seed, 3) == 0, .route = dice(&seed, 4) > 0 };
		struct policy policies[8];
		struct fate fates[8] = { 0 };
		struct judgement found = { dice(&seed, 16), dice(&seed, 3) ? 0 : 1u << dice(&seed, 6), dice(&seed, 40) == 0, (enum listed)dice(&seed, 3), (uint8_t)dice(&seed, 3) };
		struct settlement got;
		uint32_t order[8];
		size_t n = 1 + dice(&seed, 8), rejects = 0, defers = 0, gone = 0, stay = 0, routed = 0;

		for (size_t i = 0; i < n; i++) {
			policies[i] = any_policy(&seed);
			fates[i] = (struct fate){ .policy = &policies[i], .score = dice(&seed, 2), .wanted = decide(&policies[i], &found) };
			rejects += fates[i].wanted == OUT_REJECT;
			defers += fates[i].wanted == OUT_DEFER;
			fates[i].strip = company.route && policies[i].filter && fates[i].wanted <= OUT_TAG && dice(&seed, 4) == 0;
		}
		settle(fates, n, &company, order, &got);
		for (size_t i = 0; i < n; i++) {
			struct fate alone = { .policy = &policies[i], .score = fates[i].score, .wanted = fates[i].wanted,
			    .strip = fates[i].strip };
			const struct company nobody = { .relayed = company.relayed, .route = company.route };
			struct settlement single;
			uint32_t one;

			settle(&alone, 1, &nobody, &one, &single);
			gone += fates[i].remove && !fates[i].route;
			stay += !fates[i].remove;
			routed += fates[i].route;
			assert_true(!fates[i].route || !policies[i].filter || got.score_headers);     /* his variant is made of them */
			assert_true(!fates[i].store || fates[i].remove);
			assert_true(!fates[i].route || (fates[i].remove && fates[i].store == fates[i].strip && company.route));
			if (defers) {
				assert_int_equal(fates[i].outcome, OUT_DEFER);
				continue;
			}
			if (fates[i].wanted == OUT_REJECT && (company.relayed || rejects < n)) {
				assert_int_equal(fates[i].outcome, policies[i].reject_fallback);
				continue;
			}
			struct seen with = seen_by(&fates[i], &got), without = seen_by(&alone, &single);

			assert_int_equal(with.outcome, without.outcome);
			assert_int_equal(with.strip, fates[i].strip);
			if (company.route && (with.headers != without.headers || with.flag != without.flag || with.subject != without.subject))
				fail_msg("round %d, recipient %zu: headers %d/%d flag %d/%d subject %d/%d", round, i, with.headers, without.headers,
				    with.flag, without.flag, with.subject, without.subject);
			if (with.headers && got.best < n && !fates[i].route && company.route) {
				assert_int_equal(fates[i].score, fates[got.best].score);
				assert_true(policies[i].tag == policies[got.best].tag);
				assert_true(!with.subject || strcmp(policies[i].subject_tag, policies[got.best].subject_tag) == 0);
			}
		}
		assert_int_equal(got.reply == REPLY_DEFER, defers > 0);
		assert_int_equal(got.reply == REPLY_REJECT, defers == 0 && rejects == n && !company.relayed);
		assert_int_equal(got.reply == REPLY_DISCARD, defers == 0 && gone == n);
		assert_true(got.reply != REPLY_ACCEPT || stay + routed > 0);         /* never all deleted: the MTA would not log it */
		assert_true(!company.route || !got.fallback);
		bool noticed = false;

		for (size_t i = 0; i < n; i++)
			for (size_t k = 0; k < i; k++) {
				const struct fate *a = &fates[i], *b = &fates[k];

				noticed |= !a->remove && !b->remove && (a->policy->filter != b->policy->filter || a->outcome != b->outcome ||
				    (a->outcome == OUT_TAG && strcmp(a->policy->subject_tag, b->policy->subject_tag) != 0));
			}
		assert_int_equal(got.fallback, !company.route && got.reply == REPLY_ACCEPT && noticed);
	}
}

/* Every pair of outcomes. */
static void
all_pairs(void **state)
{
	struct policy p = plain(), q = plain();

	(void)state;
	strcpy(p.subject_tag, "[SPAM] ");
	q.reject_fallback = OUT_DISCARD;
	for (int a = 0; a < OUT__COUNT; a++)
		for (int b = 0; b < OUT__COUNT; b++) {
			const struct policy *policies[] = { &p, &q };
			const enum outcome wanted[] = { (enum outcome)a, (enum outcome)b };
			struct fate fates[2];
			struct settlement got;
			bool defer = a == OUT_DEFER || b == OUT_DEFER, reject = a == OUT_REJECT && b == OUT_REJECT;
			enum outcome want_a = defer ? OUT_DEFER : a == OUT_REJECT && !reject ? OUT_QUARANTINE : (enum outcome)a;
			enum outcome want_b = defer ? OUT_DEFER : b == OUT_REJECT && !reject ? OUT_DISCARD : (enum outcome)b;

			settle_list(policies, wanted, 2, false, true, fates, &got);
			assert_int_equal(fates[0].outcome, want_a);
			assert_int_equal(fates[1].outcome, want_b);
			assert_int_equal(fates[0].route + fates[1].route, (a <= OUT_TAG && b <= OUT_TAG && (a == OUT_TAG || b == OUT_TAG)) ? 1 : 0);
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decides_by_points_and_class),
		cmocka_unit_test(settles_mixed_outcomes),
		cmocka_unit_test(who_has_no_token_stays),
		cmocka_unit_test(scores_make_variants),
		cmocka_unit_test(files_are_taken_out),
		cmocka_unit_test(relayed_mail_is_not_rejected),
		cmocka_unit_test(copies_of_rejected_mail),
		cmocka_unit_test(company_changes_nothing),
		cmocka_unit_test(all_pairs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
