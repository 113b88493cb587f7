#include "policyd/broker/reputation.h"

#include <stdio.h>
#include <stdlib.h>

#include "policyd/base/metrics.h"
#include "policyd/broker/dispatch.h"
#include "policyd/scan/reputation.h"
#include "policyd/store/customers.h"
#include "policyd/store/reputations.h"

/* What one mail asked, and what is known; a field of tx, so that a wait may outlive the question's packet. */
struct reputation_asked {
	struct reputations_question q;
	struct reputations_wait *wait;
	bool known;
	double points;                       /* told to the worker */
	uint32_t *mailbox_of;                /* by recipient; UINT32_MAX: was not asked about */
};

static void
pack_finding(struct buf *body, const char *name, double points, const char *evidence)
{
	struct symbol symbol = { .name = span_of(name), .points = points, .evidence = span_of(evidence) };

	wire_pack_symbol(body, &symbol);
}

/* Of several names of a kind the one with the most to say, either way. */
static const struct reputation_name *
weightiest(const struct reputations_question *q, enum reputation_kind kind, double *points)
{
	const struct reputation_name *best = NULL;

	*points = 0;
	for (uint32_t i = 0; i < q->name_count; i++) {
		double p = q->names[i].kind == kind ? reputation_points(&q->names[i].value, kind) : 0;

		if (p * p > *points * *points) {
			*points = p;
			best = &q->names[i];
		}
	}
	return best;
}

static void
known(void *arg, bool good)
{
	static const char *const symbols[REPUTATION__COUNT] = { [REPUTATION_NET] = "REPUTATION_NET", [REPUTATION_DKIM] = "REPUTATION_DKIM",
	    [REPUTATION_SENDER] = "REPUTATION_SENDER" };
	struct tx *tx = arg;
	struct reputation_asked *a = tx->reputation;
	struct buf body = { 0 }, findings = { 0 };
	char evidence[MAX_EVIDENCE + 1];
	uint32_t count = 0;

	a->wait = NULL;
	a->known = good;
	for (int kind = 0; good && kind < REPUTATION__COUNT; kind++) {
		double points;
		const struct reputation_name *name = weightiest(&a->q, (enum reputation_kind)kind, &points);

		if (name == NULL)
			continue;
		snprintf(evidence, sizeof evidence, "%.100s: %.1f good, %.1f bad", name->name, name->value.good, name->value.bad);
		pack_finding(&findings, symbols[kind], points, evidence);
		a->points += points;
		count++;
	}
	if (!good) {
		pack_finding(&findings, "REPUTATION_UNKNOWN", 0, "Redis gave no answer");
		count++;
	}
	pack_u32(&body, W_ASK_REPUTATION);
	pack_u32(&body, count);
	buf_add_span(&body, buf_span(&findings));
	body.failed |= findings.failed;
	buf_free(&findings);
	work_tell(tx->work, W_FOUND, &body);
}

/* The recipients that are one of ours, each once. */
static bool
fill_mailboxes(struct tx *tx, struct reputation_asked *a)
{
	struct reputations_question *q = &a->q;

	a->mailbox_of = calloc(tx->recipient_count, sizeof *a->mailbox_of);
	q->mailboxes = calloc(REPUTATION_MAILBOXES, sizeof *q->mailboxes);
	for (uint32_t i = 0; a->mailbox_of && q->mailboxes && i < tx->recipient_count; i++) {
		char mailbox[MAX_ADDRESS + 1];
		uint32_t k = 0;

		customers_canonical(span_of(tx->recipients[i].raw), mailbox, sizeof mailbox);
		while (k < q->mailbox_count && strcmp(q->mailboxes[k].mailbox, mailbox) != 0)
			k++;
		if (k == q->mailbox_count && k < REPUTATION_MAILBOXES)
			memcpy(q->mailboxes[q->mailbox_count++].mailbox, mailbox, sizeof mailbox);
		a->mailbox_of[i] = k < q->mailbox_count ? k : UINT32_MAX;
	}
	return a->mailbox_of && q->mailboxes;
}

static void
add_name(struct reputations_question *q, enum reputation_kind kind, const char *name)
{
	if (q->name_count == REPUTATION_NAMES || name[0] == '\0')
		return;
	q->names[q->name_count].kind = kind;
	snprintf(q->names[q->name_count++].name, sizeof q->names[0].name, "%s", name);
}

static bool
unpack_question(struct unpack *u, struct reputations_question *q)
{
	char name[256], address[MAX_ADDRESS + 1];

	unpack_text(u, name, sizeof name);
	add_name(q, REPUTATION_NET, name);
	for (uint32_t n = unpack_u32(u); n > 0 && !u->bad; n--) {
		uint8_t kind = unpack_u8(u);

		unpack_text(u, name, sizeof name);
		if (kind == REPUTATION_DKIM || kind == REPUTATION_SENDER)
			add_name(q, (enum reputation_kind)kind, name);
	}
	unpack_text(u, address, sizeof address);
	if (address[0])
		customers_canonical(span_of(address), q->author, sizeof q->author);
	for (uint32_t n = unpack_u32(u); n > 0 && !u->bad; n--) {
		unpack_text(u, name, sizeof name);
		if (q->reference_count < REPUTATION_REFERENCES)
			snprintf(q->references[q->reference_count++], sizeof q->references[0], "%s", name);
	}
	return !u->bad;
}

void
reputation_forget(struct tx *tx)
{
	struct reputation_asked *a = tx->reputation;

	if (a && a->wait) {
		reputations_cancel(a->wait);
		a->wait = NULL;
	}
}

void
reputation_free(struct tx *tx)
{
	struct reputation_asked *a = tx->reputation;

	reputation_forget(tx);
	if (a == NULL)
		return;
	free(a->q.mailboxes);
	free(a->mailbox_of);
	free(a);
	tx->reputation = NULL;
}

void
reputation_asked(struct tx *tx, struct unpack *u)
{
	reputation_free(tx);
	struct reputation_asked *a = tx->reputation = calloc(1, sizeof *a);

	if (a == NULL)
		return;                      /* it goes on without an answer */
	if (!unpack_question(u, &a->q) || !fill_mailboxes(tx, a)) {
		reputation_free(tx);
		return;
	}
	struct reputations_wait *wait = reputations_find(tx->broker->reputations, &a->q, known, tx);

	if (wait)
		a->wait = wait;
}

/* ---- the recipient's own ---- */

static bool
credit_one(struct tx *tx, struct recipient *r, const struct known *k)
{
	struct scanned *s = &tx->scanned;
	struct scanned_class own = s->scores[r->score], *more;

	own.known_symbol = known_symbol(k);
	own.known_points = known_points(k);
	own.points += own.known_points;
	for (uint32_t i = 0; i < s->score_count; i++)
		if (s->scores[i].base == r->score + 1 && s->scores[i].known_symbol == own.known_symbol) {
			r->score = i;
			return true;
		}
	if ((more = realloc(s->scores, (s->score_count + 1) * sizeof *more)) == NULL)
		return false;
	s->scores = more;
	own.base = r->score + 1;
	more[s->score_count] = own;
	r->score = s->score_count++;
	return true;
}

bool
reputation_credit(struct tx *tx)
{
	struct reputation_asked *a = tx->reputation;

	for (uint32_t i = 0; a && a->known && a->q.author[0] && i < tx->recipient_count; i++) {
		const struct known *k = a->mailbox_of[i] == UINT32_MAX ? NULL : &a->q.mailboxes[a->mailbox_of[i]].known;

		if (k && known_points(k) != 0 && !credit_one(tx, &tx->recipients[i], k))
			return false;
	}
	return true;
}

/* ---- what became of it ---- */

/* The most that it has without what others like it, and others of its origin, gave and took: neither feeds on itself. */
static double
bare_points(const struct tx *tx, uint32_t score)
{
	const struct scanned_class *c = &tx->scanned.scores[score];

	return c->points - c->known_points - tx->campaign_points - (tx->reputation ? tx->reputation->points : 0);
}

/* One of ours has written to somebody who is not. */
static void
note_written(struct tx *tx)
{
	char sender[MAX_ADDRESS + 1], to[MAX_ADDRESS + 1];
	bool login = strchr(tx->session.login, '@') != NULL;

	customers_canonical(span_of(login ? tx->session.login : tx->envelope.sender), sender, sizeof sender);
	for (uint32_t i = 0; i < tx->recipient_count; i++) {
		if (!tx->recipients[i].outbound || (tx->fates[i].outcome != OUT_DELIVER && tx->fates[i].outcome != OUT_TAG))
			continue;
		customers_canonical(span_of(tx->recipients[i].raw), to, sizeof to);
		reputations_written(tx->broker->reputations, sender, to, tx->scanned.message_id);
	}
}

void
reputation_note(struct tx *tx)
{
	struct reputation_asked *a = tx->reputation;
	const struct policy *standard = &tx->config->policy_default;
	double most = -HUGE_VAL;

	if (!tx->config->reputation || !tx->have_scanned || tx->gate == NULL || tx->scanned.defer)
		return;
	note_written(tx);
	if (a == NULL || !a->known)
		return;
	for (uint32_t i = 0; i < tx->recipient_count; i++) {
		double points = bare_points(tx, tx->recipients[i].score);

		most = points > most ? points : most;
	}
	bool bad = (tx->scanned.classes & (CLASS_VIRUS | CLASS_PHISH)) || most >= standard->quarantine, good = !bad && most < standard->tag;

	for (uint32_t i = 0; (bad || good) && i < a->q.name_count; i++)
		reputations_count(tx->broker->reputations, a->q.names[i].kind, a->q.names[i].name, bad);
	metrics_add(bad ? M_REPUTATION_BAD : M_REPUTATION_GOOD, bad || good);
	for (uint32_t i = 0; good && a->q.author[0] && i < a->q.mailbox_count; i++)
		reputations_heard(tx->broker->reputations, a->q.author, a->q.mailboxes[i].mailbox);
}
