/* customers_canary.c - another policy for a share of the mailboxes, on trial.
 *
 *   field canary of a tier, customer or domain: {"share": 10, "most": 5, "values": {FIELD: VALUE, ...}}
 *   {"cmd": "policy.canary", "key": K}      the report of the last one there
 *
 * Who is in it is drawn by the names of mailbox and record, so it is the same on every node and stays so. Each mail to one of them
 * is decided with and without the canary, and counted:
 *
 *   {c:<key>}:report    hash   id (of the record's JSON: a changed canary counts anew), canary (the record's JSON), seen,
 *                              held (by the canary and not without it), "deliver>quarantine" ...
 *   {c:<key>}:changes   list   JSON of the last CHANGES_KEPT mails that fared otherwise
 *
 * Rule: of CANARY_LEAST mails and more, `most` percent held more end it: whichever node sees that takes it out of the record. */
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>

#include "policyd/base/log.h"
#include "policyd/base/metrics.h"
#include "policyd/store/customers_table.h"
#include "policyd/store/redis_async.h"

enum { CHANGES_KEPT = 100, TTL_S = 30 * 86400, COUNT_MS = 2000 };

static const char count_script[] =
	"if redis.call('HGET', KEYS[1], 'id') ~= ARGV[1] then\n"
	"  redis.call('DEL', KEYS[1], KEYS[2])\n"
	"  redis.call('HSET', KEYS[1], 'id', ARGV[1], 'canary', ARGV[2])\n"
	"end\n"
	"local seen = redis.call('HINCRBY', KEYS[1], 'seen', 1)\n"
	"local held = redis.call('HINCRBY', KEYS[1], 'held', ARGV[4])\n"
	"if ARGV[3] ~= '' then\n"
	"  redis.call('HINCRBY', KEYS[1], ARGV[3], 1)\n"
	"  redis.call('LPUSH', KEYS[2], ARGV[5])\n"
	"  redis.call('LTRIM', KEYS[2], 0, ARGV[7])\n"
	"end\n"
	"redis.call('EXPIRE', KEYS[1], ARGV[6])\n"
	"redis.call('EXPIRE', KEYS[2], ARGV[6])\n"
	"return {seen, held}\n";

static const char report_script[] =
	"return {redis.call('HGETALL', KEYS[1]), redis.call('LRANGE', KEYS[2], 0, -1)}\n";

static const struct fieldset *
canary_at(const struct customers *c, uint32_t r)
{
	return r && c->records[r].fields && c->fieldsets[c->records[r].fields].canary ? &c->fieldsets[c->records[r].fields] : NULL;
}

bool
chain_has_canary(const struct customers *c, const struct chain *chain)
{
	bool any = false;

	for (int level = LEVEL_TIER; level < LEVEL__COUNT; level++)
		any |= canary_at(c, chain->at[level]) != NULL;
	return any;
}

bool
chain_draws(const struct customers *c, const struct chain *chain, enum policy_level level)
{
	const struct fieldset *f = canary_at(c, chain->at[level]);

	if (f == NULL || chain->all_canaries || chain->mailbox == NULL)
		return f && chain->all_canaries;
	uint64_t lot = span_hash(span_of(chain->mailbox), span_hash(span_of(record_name(c, chain->at[level])), 61));

	return (lot ^ lot >> 17) % 100 < f->share;
}

void
canary_mailbox(const struct customers *c, uint32_t r, const char *canonical, char to[MAX_ADDRESS + 1])
{
	const char *name = r && c->records[r].kind == RECORD_MAILBOX ? record_name(c, r) : canonical, *at = strrchr(name, '@');
	uint32_t domain = at ? customers_find(c, span_of(at + 1)) : 0;
	size_t n = at ? base_length(name, (size_t)(at - name), customers_delimiters(c, domain)) : 0;

	snprintf(to, MAX_ADDRESS + 1, "%.*s%s", (int)(n ? n : at ? (size_t)(at - name) : strlen(name)), name, at ? at : "");
}

bool
customers_canary(struct customers *c, struct span address, struct canary_draw *draw)
{
	char canonical[2 * MAX_ADDRESS + 2], mailbox[MAX_ADDRESS + 1];
	const struct fieldset *found = NULL;
	const char *members;
	struct policy without;
	struct chain chain;
	int level = LEVEL_EXTENSION;

	if (c->canaries == 0)
		return false;
	canonical_address(address, canonical, sizeof canonical);
	uint32_t r = customers_resolve(c, canonical, &members);

	if (r == 0 || members)               /* an alias for several has what its members agree on: nothing to compare */
		return false;
	customers_chain(c, r, &chain);
	canary_mailbox(c, r, canonical, mailbox);
	chain.mailbox = mailbox;
	while (level > LEVEL_DEFAULT && !chain_draws(c, &chain, (enum policy_level)level))
		level--;
	if (level == LEVEL_DEFAULT)
		return false;
	found = canary_at(c, chain.at[level]);
	chain.mailbox = NULL;
	customers_compile(c, &chain, &without, NULL, NULL);
	*draw = (struct canary_draw){ .without = class_policy(c, class_intern(c, &without)), .most = found->most_held };
	customers_record_key(c, chain.at[level], draw->key);
	customers_etag(span_of(found->json), draw->id);
	return true;
}

/* ---- counting ---- */

struct count {
	struct customers *customers;
	char key[MAX_ADDRESS + 16], id[24];
	int most;
};

/* Several mails may have seen it at once; one write takes it out. */
static void
ended(void *arg, json_t *reply)
{
	char *note = arg;

	if (json_object_get(reply, "error")) {
		log_warning("policy canary: %s", json_string_value(json_object_get(reply, "error")));
	} else if (json_is_true(json_object_get(reply, "changed"))) {
		log_warning("policy %s: %s", json_string_value(json_object_get(reply, "key")), note ? note : "canary ended");
		metrics_add(M_POLICY_CANARY_ENDED, 1);
	}
	free(note);
	json_decref(reply);
}

static bool
still_there(const struct customers *c, const struct count *k)
{
	const struct fieldset *f = canary_at(c, customers_find(c, span_of(customers_name(k->key))));
	char id[24] = "";

	if (f)
		customers_etag(span_of(f->json), id);
	return strcmp(id, k->id) == 0;
}

static void
end_canary(const struct count *k, long long seen, long long held)
{
	char note[200];

	snprintf(note, sizeof note, "canary ended: it held %lld of %lld mails that would have been delivered, more than %d %%", held, seen, k->most);
	json_t *request = json_pack("{s:s, s:s, s:{s:n}, s:s, s:s}", "cmd", "policy.set", "key", k->key, "values", "canary", "who", "policyd",
	    "note", note);

	customers_write(k->customers, request, ended, strdup(note));
	json_decref(request);
}

static void
counted(void *arg, const redisReply *reply)
{
	struct count *k = arg;
	bool good = reply && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2;
	long long seen = good ? reply->element[0]->integer : 0, held = good ? reply->element[1]->integer : 0;

	if (seen >= CANARY_LEAST && held * 100 > seen * k->most && still_there(k->customers, k))
		end_canary(k, seen, held);
	free(k);
}

static bool
is_held(enum outcome outcome)
{
	return outcome == OUT_QUARANTINE || outcome == OUT_DISCARD || outcome == OUT_REJECT;
}

static void
make_keys(const char *key, char report[KEY_ROOM + 16], char changes[KEY_ROOM + 16])
{
	snprintf(report, KEY_ROOM + 16, "{c:%.*s}:report", KEY_ROOM - 1, key);
	snprintf(changes, KEY_ROOM + 16, "{c:%.*s}:changes", KEY_ROOM - 1, key);
}

static void
command(struct customers *c, redis_callback done, void *arg, int argc, const char *const *argv)
{
	size_t lengths[16];

	for (int i = 0; i < argc; i++)
		lengths[i] = strlen(argv[i]);
	redis_async_command(c->redis, COUNT_MS, done, arg, argc, argv, lengths);
}

void
customers_canary_mail(struct customers *c, const struct canary_draw *draw, enum outcome with, enum outcome without, const char *example)
{
	struct count *k = calloc(1, sizeof *k);
	const struct fieldset *f = canary_at(c, customers_find(c, span_of(customers_name(draw->key))));
	char report[KEY_ROOM + 16], changes[KEY_ROOM + 16], change[64] = "", ttl[16], most[16];

	if (k == NULL || f == NULL) {
		free(k);
		return;
	}
	*k = (struct count){ .customers = c, .most = draw->most };
	memcpy(k->key, draw->key, sizeof k->key);
	memcpy(k->id, draw->id, sizeof k->id);
	make_keys(draw->key, report, changes);
	if (with != without)
		snprintf(change, sizeof change, "%s>%s", outcome_names[without], outcome_names[with]);
	snprintf(ttl, sizeof ttl, "%d", TTL_S);
	snprintf(most, sizeof most, "%d", CHANGES_KEPT - 1);
	command(c, counted, k, 12, (const char *const[]){ "EVAL", count_script, "2", report, changes, draw->id, f->json, change,
	    is_held(with) && !is_held(without) ? "1" : "0", example, ttl, most });
}

/* ---- the report ---- */

struct asking {
	customers_reply done;
	void *arg;
	char key[KEY_ROOM];
	bool in_force;
};

static void
reported(void *arg, const redisReply *reply)
{
	struct asking *a = arg;
	json_t *counts = json_object(), *changes = json_array(), *canary = NULL;

	if (reply == NULL || reply->type != REDIS_REPLY_ARRAY) {
		a->done(a->arg, json_pack("{s:s, s:i}", "error", "Redis gave no answer: the report is in it", "exit", 1));
		json_decref(counts);
		json_decref(changes);
		free(a);
		return;
	}
	for (size_t i = 0; reply->elements == 2 && i + 1 < reply->element[0]->elements; i += 2) {
		const char *name = reply->element[0]->element[i]->str, *value = reply->element[0]->element[i + 1]->str;

		if (strcmp(name, "canary") == 0)
			canary = json_loads(value, 0, NULL);
		else if (strcmp(name, "id") != 0)
			json_object_set_new(counts, name, json_integer(atoll(value)));
	}
	for (size_t i = 0; reply->elements == 2 && i < reply->element[1]->elements; i++) {
		json_t *one = json_loads(reply->element[1]->element[i]->str, 0, NULL);

		if (one)
			json_array_append_new(changes, one);
	}
	json_t *reports = json_pack("{s:s, s:b, s:o, s:o}", "key", a->key, "in_force", a->in_force, "counts", counts, "changes", changes);

	if (json_object_get(canary, "canary"))
		json_object_set(reports, "canary", json_object_get(canary, "canary"));
	json_decref(canary);
	a->done(a->arg, reports);
	free(a);
}

void
customers_canary_report(struct customers *c, json_t *request, customers_reply done, void *arg)
{
	const char *text = json_string_value(json_object_get(request, "key")), *scope = json_string_value(json_object_get(request, "scope"));
	struct asking *a = calloc(1, sizeof *a);
	char why[256] = "no memory", report[KEY_ROOM + 16], changes[KEY_ROOM + 16];

	if (a == NULL || !customers_key(span_of(text ? text : ""), a->key, why, sizeof why)) {
		free(a);
		done(arg, customers_refuse(why));
		return;
	}
	if (scope && scope[0] && (customers_kind(a->key) == RECORD_TIER || strcmp(scope, customers_owner_of(c, a->key)) != 0)) {
		free(a);
		done(arg, customers_foreign("that is not of this customer"));
		return;
	}
	a->done = done;
	a->arg = arg;
	a->in_force = canary_at(c, customers_find(c, span_of(customers_name(a->key)))) != NULL;
	make_keys(a->key, report, changes);
	command(c, reported, a, 5, (const char *const[]){ "EVAL", report_script, "2", report, changes });
}
