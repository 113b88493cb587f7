#include <stdlib.h>
#include <string.h>

#include "policyd/scan/decide.h"

#define ORDER(a, b) (((a) > (b)) - ((a) < (b)))

static bool
stays(const struct fate *fate)
{
	return fate->outcome == OUT_DELIVER || fate->outcome == OUT_TAG;
}

/* Orders recipients by what their copy says, 0 for the same bytes: neither is filtered, or both see the same headers
 * (points, threshold, flag) and subject. Unfiltered ones come first. */
static int
variant_order(const struct fate *a, const struct fate *b)
{
	const struct policy *p = a->policy, *q = b->policy;

	if (a->strip != b->strip)            /* first: those never stay */
		return ORDER(b->strip, a->strip);
	if (p->filter != q->filter || !p->filter)
		return ORDER(p->filter, q->filter);
	if (a->outcome != b->outcome)
		return ORDER(a->outcome, b->outcome);
	if (a->score != b->score)
		return ORDER(a->score, b->score);
	if (p->tag != q->tag)
		return ORDER(p->tag, q->tag);
	return a->outcome == OUT_TAG ? strcmp(p->subject_tag, q->subject_tag) : 0;
}

static int
by_variant(const void *a, const void *b, void *arg)
{
	const uint32_t *i = a, *k = b;
	const struct fate *fates = arg;
	int order = variant_order(&fates[*i], &fates[*k]);

	return order ? order : ORDER(*i, *k);
}

/* Numbers the variants and answers the one that stays in the transaction: whose members no token can carry, or the
 * biggest of those that are filtered (their headers say what a variant is made of), or the first of them. */
static uint32_t
number_variants(struct fate *fates, const uint32_t *order, size_t n, struct settlement *out)
{
	size_t most = 0;
	uint32_t stay = 0;

	for (size_t from = 0, to; from < n; from = to, out->variants++) {
		bool bound = false;

		for (to = from; to < n && variant_order(&fates[order[from]], &fates[order[to]]) == 0; to++) {
			fates[order[to]].variant = out->variants;
			bound |= fates[order[to]].no_route;
		}
		/* Those whose files are taken out never stay, but headers may speak of them; unfiltered ones stay only where all are. */
		const struct fate *one = &fates[order[from]];
		size_t weight = !one->policy->filter ? 0 : one->strip ? 1 : 1 + to - from + (bound ? n : 0);

		if (from == 0 || weight > most || (weight == most && order[from] < out->best)) {
			most = weight;
			stay = out->variants;
			out->best = order[from];
		}
	}
	return stay;
}

/* Those of another variant leave by the MTA's queue. Who cannot keeps company with those who stay. */
static void
route_others(struct fate *fates, const uint32_t *order, size_t n, uint32_t stay, struct settlement *out)
{
	const struct fate *best = &fates[out->best];

	for (size_t i = 0; i < n; i++) {
		struct fate *fate = &fates[order[i]];

		fate->route = fate->remove = fate->strip || (fate->variant != stay && !fate->no_route);
		fate->store |= fate->strip;  /* what is taken out can be asked for */
		out->fallback |= fate->variant != stay && fate->no_route;
	}
	out->score_headers = best->policy->filter;
	out->flag = best->outcome == OUT_TAG;
	out->tag_subject = out->flag && best->policy->subject_tag[0] != '\0';
}

/* Two who notice when they get the same: one wants no filter, or another flag or subject. Points and thresholds in a header
 * are nothing that anybody's mail is sorted by. */
static bool
notices(const struct fate *a, const struct fate *b)
{
	return a->policy->filter != b->policy->filter || a->outcome != b->outcome ||
	       (a->outcome == OUT_TAG && strcmp(a->policy->subject_tag, b->policy->subject_tag) != 0);
}

/* Without a way for variants the edits of a milter hold for all who remain: score headers for all, and the subject tag only
 * if every one of them wants one. The headers speak for the first tagged one, else for the first filtered one: with several
 * variants there is one. */
static void
fold_variants(const struct fate *fates, size_t count, struct settlement *out)
{
	const struct fate *first = NULL;
	size_t filtered = count, tagged = count;

	out->score_headers = out->tag_subject = true;
	for (size_t i = 0; i < count; i++) {
		if (!stays(&fates[i]))
			continue;
		if (first == NULL)
			first = &fates[i];
		out->fallback |= notices(first, &fates[i]);
		if (fates[i].policy->filter && filtered == count)
			filtered = i;
		if (fates[i].outcome == OUT_TAG && tagged == count)
			tagged = i;
		out->tag_subject &= fates[i].outcome == OUT_TAG && fates[i].policy->subject_tag[0] != '\0';
	}
	out->flag = tagged < count;
	out->best = out->flag ? tagged : filtered;
}

static void
settle_variants(struct fate *fates, size_t count, bool route, uint32_t *order, struct settlement *out)
{
	size_t n = 0;
	uint32_t stay;

	for (size_t i = 0; i < count; i++)
		if (stays(&fates[i]))
			order[n++] = (uint32_t)i;
	qsort_r(order, n, sizeof *order, by_variant, fates);
	stay = number_variants(fates, order, n, out);
	if (route || out->variants == 1)     /* one variant needs no route */
		route_others(fates, order, n, stay, out);
	else
		fold_variants(fates, count, out);
}

void
settle(struct fate *fates, size_t count, const struct company *company, uint32_t *order, struct settlement *out)
{
	size_t rejects = 0, defers = 0, gone = 0;

	*out = (struct settlement){ .reply = REPLY_ACCEPT };
	for (size_t i = 0; i < count; i++) {
		rejects += fates[i].wanted == OUT_REJECT;
		defers += fates[i].wanted == OUT_DEFER;
	}
	/* One reply for all: who must wait makes all wait, or some would get the mail again with every retry. */
	for (size_t i = 0; i < count; i++) {
		struct fate *fate = &fates[i];

		fate->outcome = defers ? OUT_DEFER : fate->wanted;
		if (fate->outcome == OUT_REJECT && (company->relayed || rejects < count))
			fate->outcome = fate->policy->reject_fallback;
		fate->store = fate->outcome == OUT_QUARANTINE || (fate->outcome == OUT_REJECT && fate->policy->keep_rejected);
		fate->remove = fate->outcome == OUT_QUARANTINE || fate->outcome == OUT_DISCARD;
		gone += fate->remove;
	}
	if (defers)
		out->reply = REPLY_DEFER;
	else if (rejects == count && !company->relayed)
		out->reply = REPLY_REJECT;
	else if (gone == count)
		out->reply = REPLY_DISCARD;
	else
		settle_variants(fates, count, company->route, order, out);
}
