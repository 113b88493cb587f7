/* customers_history.c - who changed what, when; back to how it was; and where each effective value came from.
 *
 *   {"cmd": "policy.history", "key": K or "customer": ID}     newest first, of all records of that customer
 *   {"cmd": "policy.rollback", "customer": ID, "to_ms": T}    what has changed since then is put back, as one new change
 *   {"cmd": "policy.explain", "address": A}
 *
 * A customer's log lies in the partitions of its records; they are read together and sorted by time. */
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>

#include "policyd/store/customers_table.h"
#include "policyd/store/redis_async.h"

enum { LOG_MS = 5000 };

struct logs {                                /* of one customer, being read */
	struct customers *customers;
	customers_reply done;
	void *arg;
	json_t *request;
	void (*use)(struct logs *l);         /* when all are here */
	json_t *entries;
	int waiting;
	bool failed;
	char owner[CUSTOMER_ROOM];
};

static const char *
field(const json_t *request, const char *name)
{
	const char *value = json_string_value(json_object_get(request, name));

	return value ? value : "";
}

static void
logs_end(struct logs *l, json_t *reply)
{
	l->done(l->arg, reply);
	json_decref(l->request);
	json_decref(l->entries);
	free(l);
}

static int
newest_first(const void *a, const void *b)
{
	json_int_t x = json_integer_value(json_object_get(*(json_t *const *)a, "time_ms")), y = json_integer_value(json_object_get(*(json_t *const *)b, "time_ms"));

	return (x < y) - (x > y);
}

static json_t *
sorted(json_t *entries)
{
	size_t n = json_array_size(entries), i;
	json_t **list = calloc(n + 1, sizeof *list), *out = json_array(), *entry;

	json_array_foreach(entries, i, entry)
		if (list)
			list[i] = json_incref(entry);
	if (list)
		qsort(list, n, sizeof *list, newest_first);
	for (i = 0; list && i < n; i++)
		json_array_append_new(out, list[i]);
	free(list);
	return out;
}

static void
got_log(void *arg, const redisReply *reply)
{
	struct logs *l = arg;

	if (reply == NULL || reply->type != REDIS_REPLY_ARRAY)
		l->failed = true;
	for (size_t i = 0; !l->failed && i < reply->elements; i++) {
		json_t *entry = json_loadb(reply->element[i]->str, reply->element[i]->len, 0, NULL);

		if (entry)
			json_array_append_new(l->entries, entry);
	}
	if (--l->waiting > 0)
		return;
	json_t *all = sorted(l->entries);

	json_decref(l->entries);
	l->entries = all;
	l->use(l);
}

static void
logs_read(struct customers *c, json_t *request, const char *owner, customers_reply done, void *arg, void (*use)(struct logs *l))
{
	struct logs *l = calloc(1, sizeof *l);

	if (l == NULL) {
		done(arg, customers_refuse("no memory"));
		return;
	}
	*l = (struct logs){ .customers = c, .done = done, .arg = arg, .request = json_incref(request), .use = use, .entries = json_array(),
	    .waiting = POLICY_PARTITIONS };
	snprintf(l->owner, sizeof l->owner, "%.63s", owner);
	for (int p = 0; p < POLICY_PARTITIONS; p++) {
		char key[CUSTOMER_ROOM + 32], most[16];

		snprintf(key, sizeof key, "{p:%02d}:log:%s", p, owner[0] ? owner : "-");
		snprintf(most, sizeof most, "%d", POLICY_LOG_KEPT - 1);
		const char *argv[] = { "LRANGE", key, "0", most };
		const size_t lengths[] = { 6, strlen(key), 1, strlen(most) };

		redis_async_command(c->redis, LOG_MS, got_log, l, 4, argv, lengths);
	}
}

/* ---- history ---- */

static void
show_history(struct logs *l)
{
	const char *key = field(l->request, "key");
	json_t *entries = json_array(), *entry, *change;
	char folded[KEY_ROOM], why[256];
	size_t i, k;

	if (l->failed) {
		json_decref(entries);
		logs_end(l, json_pack("{s:s, s:i}", "error", "Redis gave no answer: the history is in it", "exit", 1));
		return;
	}
	if (key[0] && customers_key(span_of(key), folded, why, sizeof why))
		key = folded;
	json_array_foreach(l->entries, i, entry) {
		bool wanted = key[0] == '\0';

		json_array_foreach(json_object_get(entry, "changes"), k, change)
			wanted |= strcmp(json_string_value(json_array_get(change, 0)), key) == 0;
		if (wanted)
			json_array_append(entries, entry);
	}
	logs_end(l, json_pack("{s:s, s:o}", "customer", l->owner, "entries", entries));
}

/* Whose log: by name, or that of a record. False: it has answered. */
static bool
owner_of_request(struct customers *c, json_t *request, char owner[CUSTOMER_ROOM], customers_reply done, void *arg)
{
	const char *key = field(request, "key"), *scope = field(request, "scope");
	char folded[KEY_ROOM], why[256];

	snprintf(owner, CUSTOMER_ROOM, "%.63s", field(request, "customer"));
	if (key[0] && !customers_key(span_of(key), folded, why, sizeof why)) {
		done(arg, customers_refuse(why));
		return false;
	}
	if (key[0] && owner[0] == '\0')
		snprintf(owner, CUSTOMER_ROOM, "%.63s", customers_owner(c, customers_find(c, span_of(customers_name(folded)))));
	if (scope[0] && strcmp(scope, owner) != 0) {
		done(arg, customers_foreign("that is not of this customer"));
		return false;
	}
	return true;
}

void
customers_history(struct customers *c, json_t *request, customers_reply done, void *arg)
{
	char owner[CUSTOMER_ROOM];

	if (owner_of_request(c, request, owner, done, arg))
		logs_read(c, request, owner, done, arg, show_history);
}

/* ---- rollback ---- */

static bool
log_reaches(const struct logs *l, json_int_t to_ms)
{
	size_t i;
	json_t *entry;
	int per_partition = 0;

	/* A full log may have lost what came before its oldest entry. */
	json_array_foreach(l->entries, i, entry)
		per_partition += json_integer_value(json_object_get(entry, "time_ms")) > to_ms;
	return per_partition < POLICY_LOG_KEPT;
}

static void
roll_back(struct logs *l)
{
	json_int_t to_ms = json_integer_value(json_object_get(l->request, "to_ms"));
	json_t *target = json_object(), *records = json_array(), *entry, *change, *value;
	const char *key;
	size_t i, k;

	if (l->failed || !log_reaches(l, to_ms)) {
		json_decref(target);
		json_decref(records);
		logs_end(l, json_pack("{s:s, s:i}", "error", l->failed ? "Redis gave no answer: the history is in it" :
		    "the history does not reach back that far; nothing was changed", "exit", 1));
		return;
	}
	/* From the newest back: the last one seen of a record is the oldest change since then, and what stood before it. */
	json_array_foreach(l->entries, i, entry) {
		if (json_integer_value(json_object_get(entry, "time_ms")) <= to_ms)
			break;
		json_array_foreach(json_object_get(entry, "changes"), k, change)
			json_object_set(target, json_string_value(json_array_get(change, 0)), json_array_get(change, 1));
	}
	json_object_foreach(target, key, value) {
		json_t *values = json_string_length(value) ? json_loads(json_string_value(value), 0, NULL) : json_null();

		json_array_append_new(records, json_pack("{s:s, s:o}", "key", key, "values", values));
	}
	json_decref(target);
	json_t *request = json_pack("{s:s, s:o, s:s, s:o, s:b, s:b}", "cmd", "policy.import", "records", records, "who", field(l->request, "who"),
	    "note", json_sprintf("rollback to %lld", (long long)to_ms), "diff", 1, "dry_run", json_is_true(json_object_get(l->request, "dry_run")));

	if (field(l->request, "scope")[0])
		json_object_set(request, "scope", json_object_get(l->request, "scope"));
	customers_write(l->customers, request, l->done, l->arg);
	json_decref(request);
	json_decref(l->request);
	json_decref(l->entries);
	free(l);
}

void
customers_rollback(struct customers *c, json_t *request, customers_reply done, void *arg)
{
	char owner[CUSTOMER_ROOM];

	if (!json_is_integer(json_object_get(request, "to_ms")))
		done(arg, customers_refuse("rollback: to_ms is needed: the time to go back to"));
	else if (owner_of_request(c, request, owner, done, arg))
		logs_read(c, request, owner, done, arg, roll_back);
}

/* ---- explain ---- */

/* The change that gave `key` its present value of `name`: the newest one that says another value before it. */
static json_t *
change_of(const struct logs *l, const char *key, const char *name)
{
	size_t i, k;
	json_t *entry, *change;

	json_array_foreach(l->entries, i, entry)
		json_array_foreach(json_object_get(entry, "changes"), k, change) {
			if (strcmp(customers_name(json_string_value(json_array_get(change, 0))), key) != 0)
				continue;
			json_t *old = json_loads(json_string_value(json_array_get(change, 1)), 0, NULL), *fresh = json_loads(json_string_value(json_array_get(change, 2)), 0, NULL);
			json_t *value = json_object_get(fresh, name);
			bool here = value && !(json_object_get(old, name) && json_equal(json_object_get(old, name), value));

			json_decref(old);
			json_decref(fresh);
			if (here)
				return json_pack("{s:O, s:O, s:O, s:O}", "n", json_object_get(entry, "n"), "time_ms", json_object_get(entry, "time_ms"),
				    "who", json_object_get(entry, "who"), "note", json_object_get(entry, "note"));
		}
	return NULL;
}

static void
show_explanation(struct logs *l)
{
	const struct customers *c = l->customers;
	enum policy_level from[64] = { LEVEL_DEFAULT }, bounded[64] = { LEVEL_DEFAULT };
	char canonical[2 * MAX_ADDRESS + 2], text[128];
	const char *members;
	json_t *fields = json_array(), *levels = json_array(), *alias = NULL;
	struct chain chain = { .customer = "" };
	struct policy p;

	canonical_address(span_of(field(l->request, "address")), canonical, sizeof canonical);
	uint32_t r = customers_resolve(c, canonical, &members);

	char mailbox[MAX_ADDRESS + 1];

	if (r)
		customers_chain(c, r, &chain);
	canary_mailbox(c, r, canonical, mailbox);
	chain.mailbox = mailbox;
	customers_compile(c, &chain, &p, from, bounded);
	if (members) {                       /* what its members agree on has no one place */
		uint32_t class_id;

		p = *customers_lookup(l->customers, span_of(canonical), &class_id);
		alias = json_string(members);
	}
	for (int level = LEVEL_TIER; level < LEVEL__COUNT; level++)
		if (chain.at[level])
			json_array_append_new(levels, json_pack("{s:s, s:s, s:b}", "level", policy_level_names[level], "record",
			    record_name(c, chain.at[level]), "lists", p.lists[level] != 0));
	for (size_t i = 0; i < policy_field_count; i++) {
		const char *at = from[i] != LEVEL_DEFAULT ? record_name(c, chain.at[from[i]]) : "policyd.conf";
		json_t *one, *change = from[i] != LEVEL_DEFAULT && !members ? change_of(l, at, policy_fields[i].name) : NULL;

		policy_field_print(&p, &policy_fields[i], text, sizeof text);
		one = json_pack("{s:s, s:s, s:s, s:s, s:s}", "field", policy_fields[i].name, "value", text, "level",
		    members ? "members" : policy_level_names[from[i]], "record", at, "help", policy_fields[i].help);
		if (bounded[i] != LEVEL_DEFAULT)
			json_object_set_new(one, "bounded_by", json_string(record_name(c, chain.at[bounded[i]])));
		if (change)
			json_object_set_new(one, "change", change);
		json_array_append_new(fields, one);
	}
	json_t *reply = json_pack("{s:s, s:s, s:s, s:o, s:o, s:b}", "address", canonical, "customer", p.customer, "record",
	    r ? record_name(c, r) : "", "levels", levels, "fields", fields, "history_known", !l->failed);

	if (alias)
		json_object_set_new(reply, "members", alias);
	for (int level = LEVEL_TIER; level < LEVEL__COUNT; level++)
		if (chain_draws(c, &chain, (enum policy_level)level))
			json_object_set_new(reply, "canary", json_string(record_name(c, chain.at[level])));
	logs_end(l, reply);
}

void
customers_explain(struct customers *c, json_t *request, customers_reply done, void *arg)
{
	char canonical[2 * MAX_ADDRESS + 2];
	const char *members, *owner, *scope = field(request, "scope");

	canonical_address(span_of(field(request, "address")), canonical, sizeof canonical);
	if (canonical[0] == '\0') {
		done(arg, customers_refuse("explain: an address is needed"));
		return;
	}
	owner = customers_owner(c, customers_resolve(c, canonical, &members));
	if (scope[0] && strcmp(scope, owner) != 0)
		done(arg, customers_foreign("that address is not of this customer"));
	else
		logs_read(c, request, owner, done, arg, show_explanation);
}
