/* outcome.c - from what was found to what is done: decide, settle, store, answer. In that order: a quarantine copy
 * is on disk before the edits, the edits before the reply. What cannot be stored is deferred. */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#include "policyd/base/clock.h"
#include "policyd/base/log.h"
#include "policyd/base/metrics.h"
#include "policyd/broker/alarms.h"
#include "policyd/broker/campaign.h"
#include "policyd/broker/reputation.h"
#include "policyd/broker/headers.h"
#include "policyd/broker/outbound.h"
#include "policyd/broker/rcpt.h"
#include "policyd/broker/transaction.h"
#include "policyd/broker/variants.h"
#include "policyd/broker/watch.h"
#include "policyd/store/customers.h"
#include "policyd/store/meter.h"

enum { STORE_RESERVE_MS = 1000, ALLOW_ROOM = MAX_ADDRESS + 64 };

/* Two policies that see the same symbols and the same model, and ban the same files, have the same score, whatever their
 * thresholds. */
static bool
same_score(const struct policy *a, const struct policy *b)
{
	if ((a->dnsbl == DNSBL_MODE_OFF) != (b->dnsbl == DNSBL_MODE_OFF) || a->own_model != b->own_model || a->strip != b->strip ||
	    strcmp(a->banned_types, b->banned_types) != 0)
		return false;
	return strcmp(a->customer, b->customer) == 0;    /* his own rules, points and lessons */
}

/* Equal for two of the same score. */
static uint64_t
score_hash(const struct recipient *r)
{
	const struct policy *p = r->policy;

	return span_hash(span_of(p->customer), span_hash(span_of(p->banned_types), 71) + (p->dnsbl == DNSBL_MODE_OFF) + 2 * p->own_model + 4 * p->strip) ^
	       r->mailbox;
}

static bool
scored_alike(const struct recipient *a, const struct recipient *b)
{
	return a->mailbox == b->mailbox && same_score(a->policy, b->policy);
}

/* Which of the `count` scores so far is this recipient's; count: none of them. A mail to very many is not compared with each. */
static uint32_t
score_of(const struct tx *tx, struct map *known, const uint32_t *first, uint32_t count, const struct recipient *r)
{
	uint64_t hash = score_hash(r);
	const uint32_t *there = map_get(known, hash);
	uint32_t k = there ? (uint32_t)(there - first) : 0;

	if (there && scored_alike(&tx->recipients[*there], r))
		return k;
	for (k = 0; there && k < count && !scored_alike(&tx->recipients[first[k]], r);)
		k++;
	if (there == NULL && !map_put(known, hash, (void *)(first + count)))
		return UINT32_MAX;
	return there ? k : count;
}

static void
pack_class(struct buf *body, const struct policy *policy, uint64_t mailbox)
{
	pack_span(body, span_make(policy, sizeof *policy));
	pack_u64(body, mailbox);
}

void
tx_pack_job(struct tx *tx, struct buf *body)
{
	uint32_t *first = calloc(tx->recipient_count, sizeof *first), count = 0;
	struct map known = { 0 };

	if (first == NULL) {
		body->failed = true;
		return;
	}
	for (uint32_t i = 0; i < tx->recipient_count; i++) {
		uint32_t k = score_of(tx, &known, first, count, &tx->recipients[i]);

		body->failed |= k == UINT32_MAX;
		if (k == count)
			first[count++] = i;
		tx->recipients[i].score = k;
	}
	map_free(&known);
	pack_u8(body, tx->explain ? JOB_EXPLAIN : JOB_SCAN);
	wire_pack_session(body, &tx->session);
	wire_pack_envelope(body, &tx->envelope);
	pack_u8(body, tx->truncated);
	pack_u32(body, count);
	for (uint32_t k = 0; k < count; k++)
		pack_class(body, tx->recipients[first[k]].policy, tx->recipients[first[k]].mailbox);
	answers_pack_lists(tx->config, &tx->lists, body);
	watch_pack(tx->broker->watch, body);
	free(first);
}

void
job_pack_plain(struct broker *b, enum job kind, struct buf *body)
{
	const struct policy *policy = &b->config->policy_default;
	struct session nobody = { 0 };
	struct envelope none = { 0 };

	pack_u8(body, (uint8_t)kind);
	wire_pack_session(body, &nobody);
	wire_pack_envelope(body, &none);
	pack_u8(body, 0);
	pack_u32(body, 1);
	pack_class(body, policy, 0);
	pack_u32(body, 0);
	watch_pack(b->watch, body);
}

static void
count_fates(const struct tx *tx)
{
	static const enum metric metrics[OUT__COUNT] = {
		[OUT_DELIVER] = M_DELIVERED, [OUT_TAG] = M_TAGGED, [OUT_QUARANTINE] = M_QUARANTINED,
		[OUT_DISCARD] = M_DISCARDED, [OUT_REJECT] = M_REJECTED, [OUT_DEFER] = M_DEFERRED,
	};

	for (uint32_t i = 0; i < tx->recipient_count; i++) {
		metrics_add(metrics[tx->fates[i].outcome], 1);
		metrics_add(M_VARIANT_ROUTED, tx->fates[i].route);
	}
	if (tx->settlement.fallback)
		metrics_add(M_VARIANT_FALLBACK, 1);
}

/* Once a mail, whatever the policy server was asked about the same session. */
static void
count_auth(const struct auth *auth)
{
	bool signed_well = false;

	for (size_t i = 0; i < auth->dkim_count; i++)
		signed_well |= auth->dkim[i].result == DKIM_PASS;
	metrics_add(M_SPF_PASS, auth->sender.asked && auth->sender.spf == SPF_PASS);
	metrics_add(M_SPF_FAIL, auth->sender.asked && auth->sender.spf == SPF_FAIL);
	metrics_add(M_DKIM_PASS, signed_well);
	metrics_add(M_DMARC_PASS, auth->dmarc == DMARC_PASS);
	metrics_add(M_DMARC_FAIL, auth->dmarc == DMARC_FAIL);
	metrics_add(M_AUTH_UNKNOWN, auth->dmarc == DMARC_TEMPERROR || (auth->sender.asked && auth->sender.spf == SPF_TEMPERROR));
}

static const char *
class_of(unsigned classes)
{
	return classes & CLASS_VIRUS ? "virus" : classes & CLASS_PHISH ? "phish" : classes & CLASS_BANNED ? "banned" :
	    classes & CLASS_UNSCANNABLE ? "unscannable" : classes & CLASS_BULK ? "bulk" : "spam";
}

/* What his customer is billed for. The scan is one for all: its time is shared out by recipients. */
static void
meter_fates(const struct tx *tx)
{
	for (uint32_t i = 0; i < tx->recipient_count; i++) {
		const struct fate *fate = &tx->fates[i];
		unsigned classes = tx_classes(tx, &tx->recipients[i]);
		bool found = (classes & ~(unsigned)CLASS_SPAM) != 0 || (fate->outcome != OUT_DELIVER && fate->outcome != OUT_DEFER);
		const struct meter_use use = { .mail = tx->id, .outcome = fate->outcome, .bytes = tx->size,
		    .class_name = !fate->policy->filter ? "unfiltered" : found ? class_of(classes) : "clean",
		    .cpu_us = tx->scanned.cpu_us / tx->recipient_count,
		    .byte_days = fate->store ? tx->size * fate->policy->retention_days : 0 };

		meter_recipient(tx->broker->meter, fate->policy->customer, &use);
	}
}

static void watch_canaries(const struct tx *tx);

/* Everything is decided and stored: tell the gate, the log, and the history. */
static void
tx_answer(struct tx *tx, const char *code, const char *xcode, const char *text)
{
	struct buf body = { 0 }, edits = { 0 };
	uint32_t removed = 0, replaced = 0, edit_count = 0;
	struct buf others = { 0 };
	char reply[MAX_REPLY_TEXT + 32];

	pack_u8(&body, (uint8_t)tx->settlement.reply);
	pack_text(&body, code);
	pack_text(&body, xcode);
	pack_text(&body, text);
	bool accept = tx->settlement.reply == REPLY_ACCEPT;

	if (accept)
		replaced = variants_pack(&others, tx);
	for (uint32_t i = 0; accept && i < tx->recipient_count; i++)
		removed += tx->fates[i].remove && !tx->fates[i].route;
	pack_u32(&body, removed);
	for (uint32_t i = 0; accept && i < tx->recipient_count; i++)
		if (tx->fates[i].remove && !tx->fates[i].route)
			pack_u32(&body, tx->recipients[i].index);
	pack_u32(&body, replaced);
	buf_add_span(&body, buf_span(&others));
	if (accept)
		edit_count = headers_pack(&edits, tx);
	pack_u32(&body, edit_count);
	buf_add_span(&body, buf_span(&edits));
	body.failed |= edits.failed || others.failed;
	struct packet answer = { .type = W_OUTCOME, .id = tx->message_id, .body = buf_span(&body) };

	snprintf(reply, sizeof reply, "%s %s %s", code, xcode, text);
	count_fates(tx);
	count_auth(&tx->scanned.auth);
	meter_fates(tx);
	watch_canaries(tx);
	outbound_answered(tx->broker->outbound, tx);
	alarms_answered(tx->broker->alarms, tx);
	tell_outcome(tx, code[0] ? reply : "250");
	if (tx->gate && !body.failed)
		ipc_send_wait(tx->gate->sock, &answer, GATE_SEND_MS);
	buf_free(&others);
	buf_free(&edits);
	buf_free(&body);
}

void
tx_defer(struct tx *tx, const char *code, const char *xcode, const char *why)
{
	char text[MAX_REPLY_TEXT];

	if (tx->fates == NULL)
		tx->fates = calloc(tx->recipient_count, sizeof *tx->fates);
	if (tx->fates == NULL)
		return;                      /* the gate's own deadline tempfails it */
	for (uint32_t i = 0; i < tx->recipient_count; i++)
		tx->fates[i] = (struct fate){ .policy = tx->recipients[i].policy, .wanted = tx->fates[i].wanted, .outcome = OUT_DEFER };
	tx->settlement = (struct settlement){ .reply = REPLY_DEFER };
	snprintf(text, sizeof text, "%s (ref %s)", why, tx->reference);
	tx_answer(tx, code, xcode, text);
}

/* Not for a virus: nobody shall be talked into it. */
static void
add_release_link(const struct tx *tx, char *text, size_t room)
{
	size_t n = strlen(text);

	for (uint32_t i = 0; tx->config->review_url[0] && !(tx->scanned.classes & CLASS_VIRUS) && i < tx->recipient_count; i++)
		if (tx->recipients[i].policy->release_link && tx_quarantine_id(tx, i)[0]) {
			snprintf(text + n, room - n, "; to ask the recipient for it: %s/ask/%s", tx->config->review_url, tx_quarantine_id(tx, i));
			return;
		}
}

/* Would it have been taken but for what its author's domain asks for? */
static bool
refused_by_dmarc(const struct tx *tx)
{
	for (uint32_t i = 0; tx->have_scanned && i < tx->recipient_count; i++) {
		const struct recipient *r = &tx->recipients[i];
		struct judgement found = tx_judgement(tx, r, r->policy);

		found.dmarc = DMARC_P_NONE;
		if (tx->scanned.auth.dmarc_applies != DMARC_P_NONE && decide(r->policy, &found) != OUT_REJECT)
			return true;
	}
	return false;
}

static void
tx_conclude(struct tx *tx)
{
	char text[MAX_REPLY_TEXT] = "";

	if (tx->settlement.reply == REPLY_REJECT) {
		const char *what = tx->scanned.classes & CLASS_VIRUS ? "a virus was found in it" : tx->limit_text[0] ? tx->limit_text : "it looks like spam";

		bool dmarc = refused_by_dmarc(tx);

		if (dmarc)                   /* RFC 7372, 3.3 */
			snprintf(text, sizeof text, "Message refused: it is not from %.120s, which asks for that (DMARC) (ref %s)",
			    tx->scanned.auth.from_domain, tx->reference);
		else
			snprintf(text, sizeof text, "Message refused: %s (ref %s)", what, tx->reference);
		add_release_link(tx, text, sizeof text);
		tx_answer(tx, "550", dmarc ? "5.7.26" : "5.7.1", text);
	} else {
		tx_answer(tx, "", "", "");
	}
}

/* The copies are safe whether or not their names can be told. */
static void
read_ids(struct tx *tx, struct unpack *u)
{
	unpack_u8(u);
	uint32_t count = unpack_u32(u);

	tx->quarantine_ids = !u->bad && count <= tx->recipient_count ? calloc(count, sizeof *tx->quarantine_ids) : NULL;
	tx->copy_count = tx->quarantine_ids ? count : 0;
	for (uint32_t i = 0; i < tx->copy_count; i++)
		unpack_text(u, tx->quarantine_ids[i], QUARANTINE_ID_ROOM);
}

const char *
tx_quarantine_id(const struct tx *tx, uint32_t i)
{
	uint32_t copy = tx->recipients[i].copy;

	return tx->fates && tx->fates[i].store && copy < tx->copy_count ? tx->quarantine_ids[copy] : "";
}

static void
tx_stored(void *arg, struct packet *answer)
{
	struct tx *tx = arg;
	struct unpack u = { answer ? answer->body : SPAN(""), false };

	tx->storing = false;
	if (answer && answer->type == W_STORED) {
		read_ids(tx, &u);
		tx_conclude(tx);
	} else {
		static int64_t complained;
		struct span why = answer ? unpack_span(&u) : SPAN("no answer from the store");

		log_seldom(&complained, 10, "quarantine: " SPAN_FMT "; mail for it is deferred", SPAN_ARG(why));
		metrics_add(M_STORE_FAILED, 1);
		tx_defer(tx, "451", "4.3.1", "Cannot be stored now; try again later");
	}
	if (tx->gate == NULL)                /* the client went away meanwhile */
		tx_free(tx);
}

unsigned
tx_classes(const struct tx *tx, const struct recipient *r)
{
	if (!tx->have_scanned)
		return CLASS_UNSCANNABLE;    /* poison */
	return tx->scanned.classes | (tx->scanned.scores[r->score].banned.n > 0 ? CLASS_BANNED : 0);
}

/* One name for all copies of the mail: the worst that it is to any recipient. */
static const char *
class_name(const struct tx *tx)
{
	unsigned classes = 0;

	for (uint32_t i = 0; i < tx->recipient_count; i++)
		classes |= tx_classes(tx, &tx->recipients[i]);
	return class_of(classes);
}

struct copy {
	char address[MAX_ADDRESS + 1];       /* canonical */
	struct recipient *recipient;
};

static int
by_address(const void *a, const void *b)
{
	const struct copy *x = a, *y = b;
	int order = strcmp(x->address, y->address);

	return order ? order : (x->recipient > y->recipient) - (x->recipient < y->recipient);
}

/* One copy a mailbox, also when the client named it twice, or in two spellings. */
static uint32_t
copies_wanted(struct tx *tx, struct copy *copies)
{
	uint32_t n = 0, kept = 0;

	for (uint32_t i = 0; i < tx->recipient_count; i++)
		if (tx->fates[i].store) {
			copies[n].recipient = &tx->recipients[i];
			customers_canonical(span_of(tx->recipients[i].raw), copies[n].address, sizeof copies[n].address);
			n++;
		}
	qsort(copies, n, sizeof *copies, by_address);
	for (uint32_t i = 0; i < n; i++) {
		if (kept == 0 || strcmp(copies[kept - 1].address, copies[i].address) != 0)
			copies[kept++] = copies[i];
		copies[i].recipient->copy = kept - 1;
	}
	return kept;
}

/* "Ann <ann@b.example>" -> ann@b.example */
static struct span
bare_address(struct span from)
{
	size_t open = span_find_last(from, '<'), close = span_find_last(from, '>');

	return open != SPAN_NONE && close != SPAN_NONE && close > open ? span_make(from.p + open + 1, close - open - 1) : span_trim(from);
}

/* His domain stands behind the mail. */
static bool
sender_proved(const struct tx *tx)
{
	return tx->session.login[0] || tx->scanned.auth.dmarc == DMARC_PASS;
}

/* What his lists compare. Who signed only part of a mail has not signed what somebody wrote below it. */
struct entry_facts
tx_facts(const struct tx *tx, struct span signers[AUTH_DKIM_MOST])
{
	const struct auth *auth = &tx->scanned.auth;
	struct entry_facts facts = { .client = tx->origin.family ? &tx->origin : &tx->session.client, .sender = span_of(tx->envelope.sender),
	    .from = bare_address(tx->scanned.from), .list_id = tx->scanned.list_id, .signers = signers, .proved = sender_proved(tx) };

	for (size_t i = 0; i < auth->dkim_count && i < AUTH_DKIM_MOST; i++)
		if (auth->dkim[i].result == DKIM_PASS && !auth->dkim[i].partial)
			signers[facts.signer_count++] = span_of(auth->dkim[i].domain);
	return facts;
}

static bool
tx_store(struct tx *tx, uint32_t most)
{
	struct store_recipient *list = calloc(most, sizeof *list);
	struct copy *copies = calloc(most, sizeof *copies);
	char *symbols = tell_symbols(tx, tx->have_scanned ? &tx->scanned.scores[0] : NULL);
	struct buf body = { 0 };
	char allow[ALLOW_ROOM];
	bool asked = false;
	struct span signers[AUTH_DKIM_MOST];
	const struct entry_facts facts = tx_facts(tx, signers);

	entry_for(&facts, allow, sizeof allow);
	if (list && copies && symbols) {
		uint32_t n = copies_wanted(tx, copies);

		for (uint32_t i = 0; i < n; i++) {
			const struct recipient *r = copies[i].recipient;

			list[i] = (struct store_recipient){ .raw = span_of(r->raw), .address = span_of(copies[i].address),
			    .customer = span_of(r->policy->customer), .retention_days = r->policy->retention_days,
			    .mode = tx->fates[r - tx->recipients].outcome == OUT_QUARANTINE ? STORED_HOLD : STORED_COPY,
			    .tag = r->policy->tag, .quarantine = r->policy->quarantine, .discard = r->policy->discard,
			    .points = tx->have_scanned ? tx->scanned.scores[r->score].points : 0 };
		}
		struct store_request request = {
			.session = tx->session, .envelope = tx->envelope, .size = tx->size, .time_s = wall_s(),
			.class_name = span_of(class_name(tx)), .message_id = tx->scanned.message_id, .from = tx->scanned.from,
			.subject = tx->scanned.subject, .symbols = span_of(symbols), .allow = span_of(allow), .recipients = list, .recipient_count = n,
		};
		int left = clock_left_ms(tx->deadline_ms) - STORE_RESERVE_MS;

		memcpy(request.digest, tx->scanned.digest, sizeof request.digest);
		wire_pack_store(&body, &request);
		asked = link_ask(tx->broker->store, W_STORE, &body, &tx->mail_fd, 1, left > 0 ? left : 1, tx_stored, tx);
		tx->storing = asked;
	}
	free(symbols);
	free(copies);
	free(list);
	return asked;
}

/* His lists refuse the client that stands behind a trusted relay: at RCPT nobody knew of it. */
static bool
origin_refused(const struct tx *tx, const struct policy *policy)
{
	struct rcpt_check check;

	if (tx->origin.family == 0)
		return false;
	rcpt_decide(tx->config, policy, &tx->origin_lists, NULL, &tx->origin, LISTED_NOT, tx->reference, &check);
	return check.action == RCPT_REJECT;
}

/* What his own lists say, now that the header is known. */
static enum listed
listed_for(const struct tx *tx, const struct policy *policy)
{
	struct span signers[AUTH_DKIM_MOST];
	const struct entry_facts facts = tx_facts(tx, signers);

	return customers_listed(tx->broker->customers, policy, &facts, wall_s(), NULL);
}

struct judgement
tx_judgement(const struct tx *tx, const struct recipient *r, const struct policy *policy)
{
	return (struct judgement){ tx->scanned.scores[r->score].points, tx_classes(tx, r), tx->scanned.defer, listed_for(tx, policy),
	    tx->scanned.auth.dmarc_applies };
}

static enum outcome
outcome_of(const struct tx *tx, uint32_t i, double more, unsigned mask)
{
	const struct recipient *r = &tx->recipients[i];
	struct judgement found = { .classes = CLASS_UNSCANNABLE };

	if (tx->have_scanned) {
		found = tx_judgement(tx, r, r->policy);
		found.points += more;
		found.classes &= mask;
	}
	enum outcome wanted = origin_refused(tx, r->policy) ? OUT_REJECT : decide(r->policy, &found);

	return outcome_rank(r->limit) > outcome_rank(wanted) ? r->limit : wanted;
}

enum outcome
tx_outcome(const struct tx *tx, uint32_t i, double more)
{
	return outcome_of(tx, i, more, ~0u);
}

/* What those in a canary would have got without it, each alone. */
static void
watch_canaries(const struct tx *tx)
{
	for (uint32_t i = 0; tx->have_scanned && i < tx->recipient_count; i++) {
		const struct recipient *r = &tx->recipients[i];
		struct canary_draw draw;
		char example[MAX_ADDRESS + 200];

		if (r->outbound || !customers_canary(tx->broker->customers, span_of(r->raw), &draw))
			continue;
		const struct judgement found = tx_judgement(tx, r, draw.without);
		enum outcome with = tx_outcome(tx, i, 0), without = decide(draw.without, &found);

		snprintf(example, sizeof example, "{\"time\":%lld,\"reference\":\"%s\",\"points\":%.2f,\"from\":\"%s\",\"to\":\"%s\"}",
		    (long long)wall_s(), tx->reference, found.points, outcome_names[without], outcome_names[with]);
		customers_canary_mail(tx->broker->customers, &draw, with, without, example);
	}
}

/* Without its banned files the mail may be one for him. What is taken out of his copy is by the policy that his address leads to
 * when it is made: one that a table outside has changed (customers_sourced) is not that. */
static void
try_strip(const struct tx *tx, uint32_t i, struct fate *fate)
{
	const struct recipient *r = &tx->recipients[i];
	uint32_t class_id;

	if (!r->policy->filter || !tx->scanned.scores[r->score].strippable ||
	    strcmp(customers_lookup(tx->broker->customers, span_of(r->raw), &class_id)->banned_types, r->policy->banned_types) != 0)
		return;
	/* What is banned for everybody (a name that shows another extension) is not on his list, and stays in. */
	enum outcome without = outcome_of(tx, i, 0, ~(CLASS_BANNED & ~tx->scanned.classes));

	fate->strip = without == OUT_DELIVER || without == OUT_TAG;
	if (fate->strip)
		fate->wanted = without;
}

bool
tx_decide(struct tx *tx)
{
	const struct company company = { .relayed = tx->relayed, .route = variants_up(tx) };
	uint32_t *order = calloc(tx->recipient_count, sizeof *order);

	free(tx->fates);
	tx->fates = calloc(tx->recipient_count, sizeof *tx->fates);
	for (uint32_t i = 0; order && tx->fates && i < tx->recipient_count; i++) {
		const struct recipient *r = &tx->recipients[i];
		struct fate *fate = &tx->fates[i];

		*fate = (struct fate){ .policy = r->policy, .score = r->score, .wanted = tx_outcome(tx, i, 0),
		    .no_route = company.route && !variants_fit(tx, i) };
		if (company.route && !fate->no_route && tx->have_scanned)
			try_strip(tx, i, fate);
	}
	if (order && tx->fates)
		settle(tx->fates, tx->recipient_count, &company, order, &tx->settlement);
	bool good = order && tx->fates;

	free(order);
	return good;
}

void
tx_scanned(struct tx *tx)
{
	uint32_t copies = 0;

	if ((tx->poison && tx->config->poison_action == OUT_DEFER) || !tx_decide(tx)) {
		tx_defer(tx, "451", "4.3.0", "Cannot be scanned now; try again later");
		return;
	}
	watch_scanned(tx->broker->watch, tx);
	campaign_note(tx);
	reputation_note(tx);
	for (uint32_t i = 0; i < tx->recipient_count; i++)
		copies += tx->fates[i].store;
	if (tx->settlement.reply == REPLY_DEFER) {
		char why[160];

		snprintf(why, sizeof why, "Cannot be scanned now: %.*s; try again later", (int)span_head(tx->scanned.defer_reason, 80).n,
		    tx->scanned.defer_reason.p ? tx->scanned.defer_reason.p : "");
		tx_defer(tx, "451", "4.7.1", tx->scanned.defer ? why : "Try again later");
	} else if (copies == 0) {
		tx_conclude(tx);
	} else if (!tx_store(tx, copies)) {
		tx_defer(tx, "451", "4.3.1", "Cannot be stored now; try again later");
	}
}
