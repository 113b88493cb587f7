/* answers.c - what a worker asks while it scans: the DNS lists' word on the client behind a trusted relay, whom only the
 * mail's own headers name; and batches of questions (questions.c). */
#include <stdio.h>
#include <stdlib.h>

#include "policyd/base/metrics.h"
#include "policyd/broker/campaign.h"
#include "policyd/broker/dispatch.h"
#include "policyd/broker/reputation.h"
#include "policyd/broker/transaction.h"
#include "policyd/net/lists_names.h"

void
answers_pack_lists(const struct config *config, const struct dnsbl_result *lists, struct buf *body)
{
	uint32_t count = 0;

	for (size_t i = 0; i < lists->count; i++)
		count += lists->at[i].answer != DNSBL_CLEAR;
	pack_u32(body, count);
	for (size_t i = 0; i < lists->count; i++) {
		const struct dnsbl_list *list = &config->dnsbl[lists->at[i].list];
		bool listed = lists->at[i].answer == DNSBL_LISTED;
		uint32_t code = lists->at[i].code;
		const char *suffix = listed ? dnsbl_suffix(list, code) : "";
		char name[96], evidence[16];

		if (lists->at[i].answer == DNSBL_CLEAR)
			continue;
		snprintf(name, sizeof name, "DNSBL_%s%s%s%s", list->name, suffix[0] ? "_" : "", suffix, listed ? "" : "_UNKNOWN");
		snprintf(evidence, sizeof evidence, "%u.%u.%u.%u", code >> 24, code >> 16 & 255, code >> 8 & 255, code & 255);
		struct symbol symbol = { .name = span_of(name), .points = listed ? lists->at[i].points : 0,
		    .evidence = listed ? span_of(evidence) : SPAN("no answer") };

		wire_pack_symbol(body, &symbol);
	}
}

void
answers_forget(struct tx *tx)
{
	questions_forget(tx);
	campaign_forget(tx);
	reputation_forget(tx);
	if (tx->names_wait)
		names_cancel(tx->names_wait);
	tx->names_wait = NULL;
	if (tx->origin_wait == NULL)
		return;
	lists_cancel(tx->origin_wait);
	tx->origin_wait = NULL;
	tx->origin = (struct ip){ 0 };
}

static void
lists_known(void *arg, const struct dnsbl_result *result)
{
	struct tx *tx = arg;
	struct buf body = { 0 };

	tx->origin_wait = NULL;
	tx->origin_lists = *result;
	pack_u32(&body, W_ASK_LISTS);
	answers_pack_lists(tx->config, result, &body);
	work_tell(tx->work, W_FOUND, &body);
}

static void
lists_asked(struct tx *tx, struct unpack *u)
{
	struct ip client = { 0 };
	uint32_t family = unpack_u32(u);
	struct span bytes = unpack_span(u);

	if (tx->origin_wait)
		lists_cancel(tx->origin_wait);
	tx->origin_wait = NULL;
	tx->origin = (struct ip){ 0 };
	tx->origin_lists = (struct dnsbl_result){ 0 };
	if (u->bad || !tx->relayed || bytes.n != sizeof client.bytes)
		return;                      /* it goes on without an answer */
	client.family = (uint16_t)family;
	memcpy(client.bytes, bytes.p, bytes.n);
	tx->origin = client;
	metrics_add(M_RELAYED, 1);
	/* The answer may come from inside the call, and then there is nothing to wait for. */
	struct lists_wait *wait = lists_ask(tx->broker->lists, &client, (int)tx->config->dns_timeout_ms, lists_known, tx);

	if (wait)
		tx->origin_wait = wait;
}

/* ---- lists of names ---- */

static void
names_known(void *arg, const struct names_result *result)
{
	struct tx *tx = arg;
	struct buf body = { 0 };

	tx->names_wait = NULL;
	pack_u32(&body, W_ASK_NAMES);
	pack_u32(&body, (uint32_t)result->count);
	for (size_t i = 0; i < result->count; i++) {
		struct symbol symbol = { .name = span_of(result->at[i].symbol), .points = result->at[i].points,
		    .evidence = span_of(result->at[i].evidence) };

		wire_pack_symbol(&body, &symbol);
	}
	work_tell(tx->work, W_FOUND, &body);
}

static void
names_asked(struct tx *tx, struct unpack *u)
{
	uint32_t count = unpack_u32(u);
	struct name_asked *names = count <= MAX_HOSTS_TOLD + NAME__COUNT ? calloc(count + 1, sizeof *names) : NULL;

	for (uint32_t i = 0; names && i < count; i++) {
		names[i].places = unpack_u8(u);
		names[i].name = unpack_span(u);
		names[i].domain = unpack_span(u);
	}
	if (names == NULL || u->bad || tx->names_wait) {
		free(names);
		return;                      /* it goes on without an answer */
	}
	struct names_wait *wait = names_ask(tx->broker->lists, names, count, (int)tx->config->dns_timeout_ms, names_known, tx);

	if (wait)
		tx->names_wait = wait;
	free(names);
}

void
answers_asked(struct tx *tx, struct packet *question)
{
	struct unpack u = { question ? question->body : SPAN(""), false };

	if (question == NULL)
		answers_forget(tx);
	else if (question->type == W_ASK_LISTS)
		lists_asked(tx, &u);
	else if (question->type == W_ASK_NAMES)
		names_asked(tx, &u);
	else if (question->type == W_ASK_CAMPAIGN)
		campaign_asked(tx, &u);
	else if (question->type == W_ASK_REPUTATION)
		reputation_asked(tx, &u);
	else
		questions_asked(tx, &u);
}
