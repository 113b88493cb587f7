#include "policyd/broker/deprovision.h"

#include <hiredis/hiredis.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>

#include "policyd/base/clock.h"
#include "policyd/base/log.h"
#include "policyd/store/customers.h"
#include "policyd/store/keys.h"
#include "policyd/store/meter.h"
#include "policyd/store/redis_async.h"

/* nodes look at a table again when it is announced with a later version than theirs */
#define LATER_THAN_ALL "9223372036854775807"

enum { STORE_MS = 30 * 1000, REDIS_MS = 5000, PAGE = 1000, ID_ROOM = 64 };

struct leaving {
	struct broker *broker;
	void (*done)(void *arg, json_t *reply);
	void *arg;
	char customer[ID_ROOM], who[64];
	json_t *receipt;
	json_int_t held, records;
	int waiting;
	bool failed;
};

static void next_page(struct leaving *l);
static void remove_records(struct leaving *l);

static void
end(struct leaving *l, json_t *reply)
{
	l->done(l->arg, reply);
	json_decref(l->receipt);
	free(l);
}

static void
fail(struct leaving *l, const char *step, const json_t *reply)
{
	const char *why = json_string_value(json_object_get(reply, "error"));

	end(l, json_pack("{s:o, s:i}", "error", json_sprintf("%s: %.200s; what went before is done, ask again to go on", step,
	    why ? why : "no answer"), "exit", 1));
}

/* ---- 1: the quarantine, page by page ---- */

static bool
ask_store(struct leaving *l, json_t *request, link_callback then)
{
	char *json = json_dumps(request, JSON_COMPACT);
	struct buf body = { 0 };
	bool asked;

	pack_text(&body, json ? json : "{}");
	asked = link_ask(l->broker->store, W_REQUEST, &body, NULL, 0, STORE_MS, then, l);
	free(json);
	json_decref(request);
	return asked;
}

static json_t *
answer_json(struct packet *answer)
{
	struct unpack u = { answer ? answer->body : SPAN(""), false };
	struct span text = unpack_span(&u);

	return answer && answer->type == W_REPLY ? json_loadb(text.p ? text.p : "", text.n, 0, NULL) : NULL;
}

static void
deleted(void *arg, struct packet *answer)
{
	struct leaving *l = arg;
	json_t *reply = answer_json(answer), *one;
	json_int_t done = 0;
	size_t i;

	json_array_foreach(json_object_get(reply, "results"), i, one)
		done += json_is_true(json_object_get(one, "done"));
	l->held += done;
	if (done > 0)
		next_page(l);
	else
		fail(l, "quarantine", reply);
	json_decref(reply);
}

static void
listed(void *arg, struct packet *answer)
{
	struct leaving *l = arg;
	json_t *reply = answer_json(answer), *entries = json_object_get(reply, "entries"), *ids = json_array(), *entry;
	size_t i;

	json_array_foreach(entries, i, entry)
		json_array_append_new(ids, json_pack("{s:O, s:O}", "id", json_object_get(entry, "id"), "n", json_object_get(entry, "n")));
	if (!json_is_array(entries)) {
		json_decref(ids);
		fail(l, "quarantine", reply);
	} else if (json_array_size(ids) == 0) {
		json_decref(ids);
		remove_records(l);
	} else if (!ask_store(l, json_pack("{s:s, s:s, s:o, s:s, s:s}", "cmd", "quarantine.change", "op", "delete", "ids", ids, "actor", l->who,
	    "note", "customer removed"), deleted)) {
		fail(l, "quarantine", NULL);
	}
	json_decref(reply);
}

static void
next_page(struct leaving *l)
{
	if (!ask_store(l, json_pack("{s:s, s:s, s:[s, s, s], s:i}", "cmd", "quarantine.list", "customer", l->customer, "state", "new", "seen",
	    "requested", "limit", PAGE), listed))
		fail(l, "quarantine", NULL);
}

/* ---- 2: policies and lists, 3: history, counts, model ---- */

static void
finish(struct leaving *l)
{
	unsigned char code[32];
	unsigned int n = 0;
	char hex[65] = "";

	json_object_set_new(l->receipt, "customer", json_string(l->customer));
	json_object_set_new(l->receipt, "who", json_string(l->who));
	json_object_set_new(l->receipt, "time_s", json_integer(wall_s()));
	json_object_set_new(l->receipt, "quarantine_entries", json_integer(l->held));
	json_object_set_new(l->receipt, "policy_records", json_integer(l->records));
	char *text = json_dumps(l->receipt, JSON_COMPACT | JSON_SORT_KEYS);

	if (text && l->broker->route.has_key)
		HMAC(EVP_sha256(), l->broker->route.key, SECRET_BYTES, (const unsigned char *)text, strlen(text), code, &n);
	for (unsigned int i = 0; i < n; i++)
		snprintf(hex + 2 * i, 3, "%02x", code[i]);
	log_info("customer %s removed by %s: %s mac=%s", l->customer, l->who, text ? text : "?", hex);
	free(text);
	json_object_set_new(l->receipt, "mac", json_string(hex));
	end(l, json_incref(l->receipt));
}

static void
metered(void *arg, json_t *reply)
{
	struct leaving *l = arg;

	if (json_object_get(reply, "error")) {
		fail(l, "counts", reply);
	} else {
		json_object_set(l->receipt, "use", json_object_get(reply, "days"));
		finish(l);
	}
	json_decref(reply);
}

static void
key_gone(void *arg, const redisReply *reply)
{
	struct leaving *l = arg;

	l->failed |= reply == NULL || reply->type == REDIS_REPLY_ERROR;
	if (--l->waiting > 0)
		return;
	if (l->failed)
		fail(l, "Redis", NULL);
	else
		meter_forget(l->broker->meter, l->customer, metered, l);
}

static void
say(struct leaving *l, int argc, const char *const *argv)
{
	size_t lengths[8];

	for (int i = 0; i < argc; i++)
		lengths[i] = strlen(argv[i]);
	l->waiting++;
	redis_async_command(l->broker->redis, REDIS_MS, key_gone, l, argc, argv, lengths);
}

/* The history of his records, and his own model (trainer/own.c); nodes drop the model they hold when the stream says so. */
static void
remove_keys(struct leaving *l)
{
	char key[ID_ROOM + 32];

	l->waiting = 1;
	for (int p = 0; p < POLICY_PARTITIONS; p++) {
		snprintf(key, sizeof key, "{p:%02d}:log:%s", p, l->customer);
		say(l, 2, (const char *const[]){ "DEL", key });
	}
	snprintf(key, sizeof key, "{m:%s}:recent", l->customer);
	say(l, 2, (const char *const[]){ "DEL", key });
	static const char *const model[] = { "table", "known" };

	for (size_t i = 0; i < sizeof model / sizeof *model; i++) {
		snprintf(key, sizeof key, "{model:c:%s}:%s", l->customer, model[i]);
		say(l, 2, (const char *const[]){ "DEL", key });
	}
	say(l, 7, (const char *const[]){ "XADD", "{model:global}:own", "*", "c", l->customer, "v", LATER_THAN_ALL });
	if (--l->waiting == 0)
		key_gone(l, NULL);
}

static void
records_gone(void *arg, json_t *reply)
{
	struct leaving *l = arg;

	if (json_object_get(reply, "error")) {
		fail(l, "policies", reply);
	} else {
		l->records += json_integer_value(json_object_get(reply, "changed"));
		remove_keys(l);
	}
	json_decref(reply);
}

static void
records_listed(void *arg, json_t *reply)
{
	struct leaving *l = arg;
	json_t *records = json_array(), *one;
	size_t i;

	json_array_foreach(json_object_get(reply, "records"), i, one)
		json_array_append_new(records, json_pack("{s:O, s:n}", "key", json_object_get(one, "key"), "values"));
	json_t *request = json_pack("{s:s, s:o, s:s, s:s}", "cmd", "policy.import", "records", records, "who", l->who, "note", "customer removed");

	json_decref(reply);
	customers_request(l->broker->customers, request, records_gone, l);
	json_decref(request);
}

static void
remove_records(struct leaving *l)
{
	json_t *request = json_pack("{s:s, s:s, s:i}", "cmd", "policy.list", "customer", l->customer, "limit", POLICY_LIST_ALL);

	customers_request(l->broker->customers, request, records_listed, l);
	json_decref(request);
}

void
deprovision(struct broker *b, json_t *request, void (*done)(void *arg, json_t *reply), void *arg)
{
	const char *customer = json_string_value(json_object_get(request, "customer")), *who = json_string_value(json_object_get(request, "who"));
	struct leaving *l = customer && customer[0] && strlen(customer) < ID_ROOM && !json_object_get(request, "scope") ? calloc(1, sizeof *l) : NULL;

	if (l == NULL) {
		done(arg, json_pack("{s:s, s:i}", "error", "remove_customer: a customer's id is needed, and the provider's leave", "exit", 2));
		return;
	}
	*l = (struct leaving){ .broker = b, .done = done, .arg = arg, .receipt = json_object() };
	snprintf(l->customer, sizeof l->customer, "%s", customer);
	snprintf(l->who, sizeof l->who, "%s", who ? who : "?");
	next_page(l);
}
