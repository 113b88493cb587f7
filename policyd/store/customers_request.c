/* customers_request.c - what policyctl policy asks: get, set, unset, explain, list.
 *
 * A write is one script in Redis: it compares the record with the one the new one was made from, writes it, and adds
 * the change to the stream; so two writers do not lose each other's fields, and nothing is half applied. */
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>

#include "policyd/store/customers_table.h"
#include "policyd/store/redis_async.h"

enum { WRITE_MS = 5000, WRITE_TRIES = 5, LIST_MOST = 1000 };

static const char write_script[] =
	"local old = redis.call('HGET', KEYS[1], ARGV[1]) or ''\n"
	"if old ~= ARGV[2] then return {old} end\n"
	"if ARGV[3] == '' then redis.call('HDEL', KEYS[1], ARGV[1]) else redis.call('HSET', KEYS[1], ARGV[1], ARGV[3]) end\n"
	"local n = redis.call('INCR', KEYS[3])\n"
	"redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[4], '*', 'n', n, 'k', ARGV[1], 'v', ARGV[3])\n"
	"return n\n";

struct write {
	struct customers *customers;
	customers_reply done;
	void *arg;
	json_t *request;
	bool unset;
	int tries;
	char key[KEY_ROOM];
	char *fresh;                         /* the record's new JSON; empty: remove it */
};

static json_t *
refuse(const char *why)
{
	return json_pack("{s:s, s:i}", "error", why, "exit", 2);
}

static const char *
field(json_t *request, const char *name)
{
	const char *value = json_string_value(json_object_get(request, name));

	return value ? value : "";
}

static json_t *
record_reply(const struct customers *c, const char *key)
{
	return json_pack("{s:s, s:o}", "key", key, "values", customers_record_json(customers_find(c, key)));
}

static void
write_end(struct write *w, json_t *reply)
{
	w->done(w->arg, reply);
	json_decref(w->request);
	free(w->fresh);
	free(w);
}

/* Would the policy with this record be one that can be followed? Checked where the record stands. */
static bool
check_effective(struct customers *c, struct record *fresh, char *why, size_t room)
{
	struct policy p = c->policy_default;
	char local[MAX_ADDRESS + 1] = "", domain[MAX_ADDRESS + 1] = "";

	if (strncmp(fresh->key, "mailbox:", 8) == 0)
		customers_split(fresh->key + 8, local, domain);
	else if (strncmp(fresh->key, "domain:", 7) == 0)
		snprintf(domain, sizeof domain, "%s", fresh->key + 7);
	if (domain[0])
		customers_effective(c, "", domain, &p, NULL);
	for (size_t i = 0; i < policy_field_count; i++)
		if (fresh->set >> i & 1)
			memcpy((char *)&p + policy_fields[i].offset, (const char *)&fresh->values + policy_fields[i].offset,
			    policy_fields[i].size);
	return policy_check(&p, why, room);
}

/* The record as it would be: `old` JSON, with fields set or taken away. Its JSON, or NULL and why. */
static char *
change(struct write *w, struct span old, char *why, size_t room)
{
	json_t *fields = old.n ? json_loadb(old.p, old.n, 0, NULL) : json_object(), *values = json_object_get(w->request, "values"), *value;
	struct record *fresh = calloc(1, sizeof *fresh + KEY_ROOM);
	const char *name;
	char *json = NULL;
	size_t i;

	if (fields == NULL)
		fields = json_object();
	if (fresh)
		memcpy(fresh->key, w->key, KEY_ROOM);
	if (w->unset && json_array_size(json_object_get(w->request, "fields")) == 0)
		json_object_clear(fields);
	json_array_foreach(json_object_get(w->request, "fields"), i, value) {
		if (w->unset && json_object_del(fields, json_string_value(value) ? json_string_value(value) : "") < 0) {
			snprintf(why, room, "\"%.60s\" is not set at %s", json_string_value(value) ? json_string_value(value) : "?", w->key);
			goto out;
		}
	}
	if (!w->unset)
		json_object_foreach(values, name, value)
			json_object_set(fields, name, value);
	if (fresh && customers_fields(fresh, fields, why, room) && check_effective(w->customers, fresh, why, room)) {
		json_t *clean = customers_record_json(fresh);

		json = json_object_size(clean) ? json_dumps(clean, JSON_COMPACT | JSON_SORT_KEYS) : strdup("");
		json_decref(clean);
	}
out:
	free(fresh);
	json_decref(fields);
	return json;
}

static void send_write(struct write *w, struct span old);

static void
written(void *arg, const redisReply *reply)
{
	struct write *w = arg;

	if (reply && reply->type == REDIS_REPLY_INTEGER) {
		customers_apply(w->customers, w->key, span_of(w->fresh));     /* in force here at once */
		write_end(w, record_reply(w->customers, w->key));
	} else if (reply && reply->type == REDIS_REPLY_ARRAY && reply->elements == 1 && w->tries++ < WRITE_TRIES) {
		struct span old = reply->element[0]->str ? span_make(reply->element[0]->str, reply->element[0]->len) : SPAN("");

		send_write(w, old);          /* somebody else has written it meanwhile */
	} else if (reply && reply->type == REDIS_REPLY_ERROR) {
		write_end(w, json_pack("{s:o, s:i}", "error", json_sprintf("Redis refused the write: %s", reply->str), "exit", 1));
	} else {
		write_end(w, json_pack("{s:s, s:i}", "error", "Redis gave no answer; nothing was changed for sure, look with policy get", "exit", 1));
	}
}

static void
send_write(struct write *w, struct span old)
{
	char keys[3][32], why[512], kept[16];
	int p = customers_partition(w->key);

	free(w->fresh);
	w->fresh = change(w, old, why, sizeof why);
	if (w->fresh == NULL) {
		write_end(w, refuse(why));
		return;
	}
	snprintf(keys[0], sizeof keys[0], "{p:%02d}:policy", p);
	snprintf(keys[1], sizeof keys[1], "{p:%02d}:changes", p);
	snprintf(keys[2], sizeof keys[2], "{p:%02d}:version", p);
	snprintf(kept, sizeof kept, "%d", POLICY_CHANGES_KEPT);
	char *copy = strndup(old.p ? old.p : "", old.n);
	const char *argv[] = { "EVAL", write_script, "3", keys[0], keys[1], keys[2], w->key, copy ? copy : "", w->fresh, kept };
	size_t lengths[10];

	for (int i = 0; i < 10; i++)
		lengths[i] = strlen(argv[i]);
	redis_async_command(w->customers->redis, WRITE_MS, written, w, 10, argv, lengths);
	free(copy);
}

static void
start_write(struct customers *c, json_t *request, bool unset, customers_reply done, void *arg)
{
	struct write *w = calloc(1, sizeof *w);
	char why[512];

	if (w == NULL || !customers_key(span_of(field(request, "key")), w->key, why, sizeof why)) {
		free(w);
		done(arg, refuse(w ? why : "no memory"));
		return;
	}
	if (!redis_async_up(c->redis)) {
		free(w);
		done(arg, json_pack("{s:s, s:i}", "error", "Redis is not reachable, so nothing can be changed now; see policyctl doctor", "exit", 1));
		return;
	}
	w->customers = c;
	w->done = done;
	w->arg = arg;
	w->unset = unset;
	w->request = json_incref(request);
	json_t *known = customers_record_json(customers_find(c, w->key));
	char *old = json_object_size(known) ? json_dumps(known, JSON_COMPACT | JSON_SORT_KEYS) : NULL;

	json_decref(known);
	send_write(w, span_of(old ? old : ""));
	free(old);
}

static json_t *
explain(const struct customers *c, json_t *request)
{
	enum policy_level from[64] = { LEVEL_DEFAULT };
	char canonical[2 * MAX_ADDRESS + 2], local[MAX_ADDRESS + 1], domain[MAX_ADDRESS + 1], text[128];
	json_t *fields = json_array();
	struct policy p;

	customers_canonical(span_of(field(request, "address")), canonical, sizeof canonical);
	customers_split(canonical, local, domain);
	if (local[0] == '\0' && domain[0] == '\0') {
		json_decref(fields);
		return refuse("explain: an address is needed");
	}
	if (domain[0] == '\0') {             /* "shop.example" alone: what its mailboxes start from */
		snprintf(domain, sizeof domain, "%s", local);
		local[0] = '\0';
	}
	customers_effective(c, local, domain, &p, from);
	for (size_t i = 0; i < policy_field_count; i++) {
		policy_field_print(&p, &policy_fields[i], text, sizeof text);
		json_array_append_new(fields, json_pack("{s:s, s:s, s:s, s:s}", "field", policy_fields[i].name, "value", text, "level",
		    policy_level_names[from[i]], "help", policy_fields[i].help));
	}
	return json_pack("{s:s, s:s, s:o}", "address", canonical, "customer", p.customer, "fields", fields);
}

static json_t *
list(const struct customers *c, json_t *request)
{
	const char *prefix = field(request, "prefix");
	json_t *records = json_array();
	struct record *r;
	bool more = false;

	for (size_t at = 0; (r = map_next(&c->records, &at)) != NULL;)
		for (; r; r = r->chain) {
			if (strncmp(r->key, prefix, strlen(prefix)) != 0)
				continue;
			if (json_array_size(records) >= LIST_MOST)
				more = true;
			else
				json_array_append_new(records, json_pack("{s:s, s:o}", "key", r->key, "values", customers_record_json(r)));
		}
	return json_pack("{s:o, s:b}", "records", records, "truncated", more);
}

void
customers_request(struct customers *c, json_t *request, customers_reply done, void *arg)
{
	const char *cmd = field(request, "cmd");
	char key[KEY_ROOM], why[512];

	if (strcmp(cmd, "policy.set") == 0 && json_object_size(json_object_get(request, "values")) == 0)
		done(arg, refuse("set: no FIELD=VALUE was given"));
	else if (strcmp(cmd, "policy.set") == 0)
		start_write(c, request, false, done, arg);
	else if (strcmp(cmd, "policy.unset") == 0)
		start_write(c, request, true, done, arg);
	else if (strcmp(cmd, "policy.explain") == 0)
		done(arg, explain(c, request));
	else if (strcmp(cmd, "policy.list") == 0)
		done(arg, list(c, request));
	else if (strcmp(cmd, "policy.get") == 0)
		done(arg, customers_key(span_of(field(request, "key")), key, why, sizeof why) ? record_reply(c, key) : refuse(why));
	else
		done(arg, refuse("unknown command"));
}
