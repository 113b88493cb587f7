/* customers_write.c - records changed in Redis: all of a request, or none.
 *
 *   {"cmd": "policy.set", "key": K, "values": {...}}          fields set on top of what is there; null takes one away
 *   {"cmd": "policy.put", "key": K, "values": {...}}          the whole record
 *   {"cmd": "policy.unset", "key": K, "fields": [...]}        no fields: the record
 *   {"cmd": "policy.import", "records": [{"key", "values"}, ...], "merge": false, "dry_run": false}
 *   with any of them: "who", "note" for the history; "scope": the one customer whose records may be touched;
 *   "if": the record's etag as it was read (set, put, unset)
 *
 * First all records are put into the table, checked there together, and taken back; what any of them may not be refuses
 * all. Then one script in Redis compares what a change was made from, writes the records, and adds the change to the
 * streams and the history: two writers do not lose each other's fields. When it has answered, they are in force here. */
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>

#include "policyd/base/clock.h"
#include "policyd/store/customers_table.h"
#include "policyd/store/redis_async.h"

enum { WRITE_MS = 20 * 1000, WRITE_TRIES = 5, MAX_RECORDS = 100000, HEAD_ARGS = 5 };

/* KEYS: policy, changes, version, log of each group. ARGV: streams kept, logs kept, time, who, note; then for each group
 * how many, and key, expected ("*": anything), value of each. Answers {index, old} of the first that is not as expected,
 * or the versions after the write, one a group. */
static const char write_script[] =
	"local at, item = 6, 0\n"
	"for g = 1, #KEYS, 4 do\n"
	"  for i = 1, tonumber(ARGV[at]) do\n"
	"    local k = at + 3 * i - 2\n"
	"    item = item + 1\n"
	"    if ARGV[k + 1] ~= '*' then\n"
	"      local old = redis.call('HGET', KEYS[g], ARGV[k]) or ''\n"
	"      if old ~= ARGV[k + 1] then return {'old', item, old} end\n"
	"    end\n"
	"  end\n"
	"  at = at + 1 + 3 * tonumber(ARGV[at])\n"
	"end\n"
	"at = 6\n"
	"local versions = {'done'}\n"
	"for g = 1, #KEYS, 4 do\n"
	"  local count, i = tonumber(ARGV[at]), 1\n"
	"  while i <= count do\n"
	"    local n = redis.call('INCR', KEYS[g + 2])\n"
	"    local entry, log = {'n', n}, {}\n"
	"    local last = math.min(count, i + 999)\n"
	"    while i <= last do\n"
	"      local key, value = ARGV[at + 3 * i - 2], ARGV[at + 3 * i]\n"
	"      log[#log + 1] = {key, redis.call('HGET', KEYS[g], key) or '', value}\n"
	"      if value == '' then redis.call('HDEL', KEYS[g], key) else redis.call('HSET', KEYS[g], key, value) end\n"
	"      entry[#entry + 1] = 'k' entry[#entry + 1] = key entry[#entry + 1] = 'v' entry[#entry + 1] = value\n"
	"      i = i + 1\n"
	"    end\n"
	"    redis.call('XADD', KEYS[g + 1], 'MAXLEN', '~', ARGV[1], '*', unpack(entry))\n"
	"    redis.call('LPUSH', KEYS[g + 3], cjson.encode({n = n, time_ms = tonumber(ARGV[3]), who = ARGV[4], note = ARGV[5], changes = log}))\n"
	"    redis.call('LTRIM', KEYS[g + 3], 0, tonumber(ARGV[2]) - 1)\n"
	"    versions[#versions + 1] = n\n"
	"  end\n"
	"  at = at + 1 + 3 * count\n"
	"end\n"
	"return versions\n";

struct item {
	uint32_t index;                      /* in the request */
	char *key, *old, *fresh;             /* JSON before (NULL: it does not matter) and after; empty: no record */
	int partition;
	char owner[CUSTOMER_ROOM];
};

struct write {
	struct customers *customers;
	customers_reply done;
	void *arg;
	json_t *request;
	const char *cmd;
	struct item *items;
	uint32_t count, changed;             /* the first `changed` of them are written */
	bool foreign;                        /* one of them is not of the customer in scope */
	int tries;
};

json_t *
customers_refuse(const char *why)
{
	return json_pack("{s:s, s:i}", "error", why, "exit", 2);
}

json_t *
customers_foreign(const char *why)
{
	return json_pack("{s:s, s:i, s:b}", "error", why, "exit", 2, "foreign", 1);
}

static const char *
field(const json_t *request, const char *name)
{
	const char *value = json_string_value(json_object_get(request, name));

	return value ? value : "";
}

static void
write_free(struct write *w)
{
	for (uint32_t i = 0; i < w->count; i++) {
		free(w->items[i].key);
		free(w->items[i].old);
		free(w->items[i].fresh);
	}
	free(w->items);
	json_decref(w->request);
	free(w);
}

static void
write_end(struct write *w, json_t *reply)
{
	w->done(w->arg, reply);
	write_free(w);
}

static json_t *
refuse_item(const struct write *w, const struct item *item, const char *why)
{
	const char *name = customers_name(item->key);

	if (w->count == 1)
		return customers_refuse(why);
	return json_pack("{s:o, s:s, s:i, s:i}", "error", json_sprintf("%.200s: %s", name, why), "key", item->key, "record", (int)item->index,
	    "exit", 2);
}

const char *
customers_owner(const struct customers *c, uint32_t r)
{
	struct chain chain;

	if (r == 0)
		return "";
	customers_chain(c, r, &chain);
	return chain.customer;
}

void
customers_etag(struct span json, char to[24])
{
	snprintf(to, 24, "%016llx", (unsigned long long)span_hash(json, 17));
}

char *
customers_text(const struct customers *c, const char *key)
{
	uint32_t r = customers_find(c, span_of(customers_name(key)));
	struct buf whole = { 0 };
	struct draft d;
	char why[256];

	if (r == 0 || !c->records[r].present)
		return strdup("");
	json_t *fields = customers_record_json(c, r);

	if (draft_read(key, fields, &d, why, sizeof why))
		draft_json(key, &d, &whole, NULL);
	json_decref(fields);
	buf_add_char(&whole, '\0');
	return whole.p;
}

/* Lists are merged entry by entry, other fields (a canary too) as a whole; null takes away. */
static void
merge_values(json_t *into, json_t *values)
{
	const char *name;
	json_t *value, *there;

	json_object_foreach(values, name, value) {
		there = json_object_get(into, name);
		if (json_is_null(value))
			json_object_del(into, name);
		else if (json_is_object(value) && json_is_object(there) && strcmp(name, "canary") != 0)
			merge_values(there, value);
		else
			json_object_set(into, name, value);
	}
}

static bool
take_fields(json_t *from, const json_t *fields, const char *key, char *why, size_t room)
{
	size_t i;
	json_t *name;

	if (json_array_size(fields) == 0)
		json_object_clear(from);
	json_array_foreach(fields, i, name)
		if (json_string_value(name) == NULL || json_object_del(from, json_string_value(name)) < 0) {
			snprintf(why, room, "\"%.60s\" is not set at %.100s", json_string_value(name) ? json_string_value(name) : "?", key);
			return false;
		}
	return true;
}

/* The record as it would be, and its draft put into the table. */
static bool
item_put(struct write *w, struct item *item, struct record_state *before, char *why, size_t room)
{
	json_t *record = json_object_get(w->request, "records") ? json_array_get(json_object_get(w->request, "records"), item->index) : w->request;
	json_t *values = json_object_get(record, "values"), *fields;
	bool whole = strcmp(w->cmd, "policy.put") == 0 || (strcmp(w->cmd, "policy.import") == 0 && !json_is_true(json_object_get(w->request, "merge")));
	bool unset = strcmp(w->cmd, "policy.unset") == 0, good;
	struct buf json = { 0 }, shared = { 0 };
	struct draft d;

	if (whole) {
		fields = json_is_null(values) || values == NULL ? json_object() : json_incref(values);
	} else {
		fields = item->old && item->old[0] ? json_loads(item->old, 0, NULL) : json_object();
		if (unset && !take_fields(fields, json_object_get(record, "fields"), item->key, why, room)) {
			json_decref(fields);
			return false;
		}
		if (!unset)
			merge_values(fields, values);
	}
	good = draft_read(item->key, fields, &d, why, room);
	if (good) {
		draft_json(item->key, &d, &json, &shared);
		/* `put` of {} is a record that sets nothing, as a customer without wishes; unset of all removes it. */
		bool empty = json.n <= 2 && (unset || json_is_null(values));

		snprintf(why, room, "no memory");
		good = !json.failed && !shared.failed && customers_put(w->customers, item->key, empty ? NULL : &d, buf_span(&shared), before);
		free(item->fresh);
		item->fresh = empty ? strdup("") : strndup(json.p, json.n);
		good = good && item->fresh;
	}
	buf_free(&json);
	buf_free(&shared);
	json_decref(fields);
	return good;
}

/* May a customer's own administrator do this? */
static bool
scope_allows(struct write *w, const struct item *item, const char *owner_before, char *why, size_t room)
{
	const char *scope = field(w->request, "scope");
	enum record_kind kind = customers_kind(item->key);
	json_t *old, *fresh, *all;
	const char *name;
	json_t *value;
	bool good = true;

	if (scope[0] == '\0')
		return true;
	if (kind == RECORD_TIER || strcmp(owner_before, scope) != 0 || strcmp(item->owner, scope) != 0) {
		snprintf(why, room, "%.100s is not of customer %.60s", item->key, scope);
		w->foreign = true;
		return false;
	}
	old = json_loads(item->old && item->old[0] ? item->old : "{}", 0, NULL);
	fresh = json_loads(item->fresh[0] ? item->fresh : "{}", 0, NULL);
	all = json_copy(old);
	json_object_update_missing(all, fresh);
	json_object_foreach(all, name, value) {
		bool his = !(kind == RECORD_CUSTOMER && (strcmp(name, "locked") == 0 || strncmp(name, "min.", 4) == 0 || strncmp(name, "max.", 4) == 0)) &&
		    strcmp(name, "tier") != 0;

		if (!his && !json_equal(json_object_get(fresh, name), json_object_get(old, name))) {
			snprintf(why, room, "%s: it is set for customer %.60s, not by him", name, scope);
			good = false;
		}
	}
	json_decref(all);
	json_decref(old);
	json_decref(fresh);
	return good;
}

const char *
customers_owner_of(const struct customers *c, const char *key)
{
	const char *name = customers_name(key), *at = strrchr(name, '@');
	uint32_t r = customers_find(c, span_of(name));

	return customers_owner(c, r == 0 && at ? customers_find(c, span_of(at + 1)) : r);
}

/* All records tried together, and `meanwhile` (may be NULL) done while they stand. NULL: they may be. */
static json_t *
try_all(struct write *w, void (*meanwhile)(void *arg), void *arg)
{
	struct record_state *before = calloc(w->count, sizeof *before);
	char why[512] = "no memory", (*owners)[CUSTOMER_ROOM] = calloc(w->count, sizeof *owners);
	uint32_t done = 0;
	json_t *refusal = NULL;

	if (before == NULL || owners == NULL) {
		free(before);
		free(owners);
		return customers_refuse(why);
	}
	for (; done < w->count && !refusal; done++) {
		struct item *item = &w->items[done];

		snprintf(owners[done], CUSTOMER_ROOM, "%.63s", customers_owner_of(w->customers, item->key));
		before[done].record = 0;
		if (!item_put(w, item, &before[done], why, sizeof why))
			refusal = refuse_item(w, item, why);
	}
	/* From the mailboxes up: a bad value is blamed on its own record before it is on one above it. */
	for (int kind = RECORD_MAILBOX; kind < RECORD__KINDS; kind++)
		for (uint32_t i = 0; i < w->count && !refusal; i++) {
			struct item *item = &w->items[i];

			if (customers_kind(item->key) != (enum record_kind)kind)
				continue;
			snprintf(item->owner, sizeof item->owner, "%.63s",
			    item->fresh[0] ? customers_owner(w->customers, before[i].record) : owners[i]);
			if (!scope_allows(w, item, owners[i], why, sizeof why) || !customers_check(w->customers, before[i].record, why, sizeof why))
				refusal = refuse_item(w, item, why);
		}
	if (refusal == NULL && meanwhile)
		meanwhile(arg);
	while (done-- > 0)
		if (before[done].record)
			customers_restore(w->customers, &before[done]);
	free(before);
	free(owners);
	return refusal;
}

static int
by_group(const void *a, const void *b)
{
	const struct item *x = a, *y = b;
	int order = x->partition != y->partition ? (x->partition > y->partition) - (x->partition < y->partition) : strcmp(x->owner, y->owner);

	return order ? order : (x->index > y->index) - (x->index < y->index);
}

static bool
same_group(const struct item *a, const struct item *b)
{
	return a->partition == b->partition && strcmp(a->owner, b->owner) == 0;
}

/* Records that stay as they are go to the end; the others stand in the order of their groups. */
static void
sort_items(struct write *w)
{
	w->changed = 0;
	for (uint32_t i = 0; i < w->count; i++)
		if (w->items[i].old == NULL || strcmp(w->items[i].old, w->items[i].fresh) != 0) {
			struct item swap = w->items[w->changed];

			w->items[w->changed++] = w->items[i];
			w->items[i] = swap;
		}
	qsort(w->items, w->changed, sizeof *w->items, by_group);
}

static json_t *
done_reply(struct write *w)
{
	struct customers *c = w->customers;

	if (strcmp(w->cmd, "policy.import") != 0) {
		const char *key = w->items[0].key;
		json_t *reply = json_pack("{s:s, s:o}", "key", key, "values",
		    customers_record_json(c, customers_find(c, span_of(customers_name(key)))));

		char etag[24];

		customers_etag(span_of(w->items[0].fresh), etag);
		json_object_set_new(reply, "etag", json_string(etag));
		json_object_set_new(reply, "changed", json_boolean(w->changed));
		return reply;
	}
	json_t *changes = json_array();

	for (uint32_t i = 0; i < w->changed && json_is_true(json_object_get(w->request, "diff")); i++)
		json_array_append_new(changes, json_pack("{s:s, s:s, s:s}", "key", w->items[i].key, "old", w->items[i].old ? w->items[i].old : "",
		    "new", w->items[i].fresh));
	return json_pack("{s:i, s:i, s:b, s:o}", "records", (int)w->count, "changed", (int)w->changed, "dry_run",
	    json_is_true(json_object_get(w->request, "dry_run")), "changes", changes);
}

static void start(struct write *w);

/* They are in Redis: in force here at once. Ours is what the stream says next, unless others wrote in between. */
static void
in_force(struct write *w, const redisReply *versions)
{
	struct customers *c = w->customers;
	size_t at = 1;

	for (uint32_t i = 0; i < w->changed; i++)
		customers_apply(c, w->items[i].key, span_of(w->items[i].fresh));
	for (uint32_t i = 0; i < w->changed;) {
		struct partition *p = &c->partitions[w->items[i].partition];
		uint32_t end = i;

		while (end < w->changed && same_group(&w->items[end], &w->items[i]))
			end++;
		for (uint32_t n = 0; n < end - i && at < versions->elements; n += 1000, at++)
			if (!p->loading && versions->element[at]->integer == p->version + 1)
				p->version++;
		i = end;
	}
}

static void
written(void *arg, const redisReply *reply)
{
	struct write *w = arg;
	const char *kind = reply && reply->type == REDIS_REPLY_ARRAY && reply->elements > 0 ? reply->element[0]->str : NULL;

	if (kind && strcmp(kind, "done") == 0) {
		in_force(w, reply);
		write_end(w, done_reply(w));
	} else if (kind && reply->elements == 3 && reply->element[1]->integer >= 1 && reply->element[1]->integer <= w->changed && w->tries++ < WRITE_TRIES) {
		struct item *item = &w->items[reply->element[1]->integer - 1];

		free(item->old);             /* somebody else has written it meanwhile */
		item->old = strndup(reply->element[2]->str ? reply->element[2]->str : "", reply->element[2]->len);
		start(w);
	} else if (reply && reply->type == REDIS_REPLY_ERROR) {
		write_end(w, json_pack("{s:o, s:i}", "error", json_sprintf("Redis refused the write: %s", reply->str), "exit", 1));
	} else {
		write_end(w, json_pack("{s:s, s:i}", "error", "Redis gave no answer; nothing was changed for sure, look with policy get", "exit", 1));
	}
}

static uint32_t
count_groups(const struct write *w)
{
	uint32_t groups = 0;

	for (uint32_t i = 0; i < w->changed; i++)
		groups += i == 0 || !same_group(&w->items[i], &w->items[i - 1]);
	return groups;
}

static bool
send_all(struct write *w)
{
	uint32_t groups = count_groups(w), g = 0;
	size_t room = 3 + groups * 5 + HEAD_ARGS + (size_t)w->changed * 3, n = 3, args;
	const char **argv = calloc(room, sizeof *argv);
	size_t *lengths = calloc(room, sizeof *lengths);
	char (*texts)[CUSTOMER_ROOM + 32] = calloc((size_t)groups * 5 + 4, sizeof *texts);
	size_t t = 0;
	bool good = argv && lengths && texts;

	if (good) {
		args = n + (size_t)groups * 4;
		snprintf(texts[t], sizeof texts[t], "%u", groups * 4);
		argv[0] = "EVAL";
		argv[1] = write_script;
		argv[2] = texts[t++];
		const char *who = field(w->request, "who"), *note = field(w->request, "note");

		snprintf(texts[t], sizeof texts[t], "%d", POLICY_CHANGES_KEPT);
		argv[args++] = texts[t++];
		snprintf(texts[t], sizeof texts[t], "%d", POLICY_LOG_KEPT);
		argv[args++] = texts[t++];
		snprintf(texts[t], sizeof texts[t], "%lld", (long long)wall_ms());
		argv[args++] = texts[t++];
		argv[args++] = who;
		argv[args++] = note;
		for (uint32_t i = 0, end; i < w->changed; i = end, g++) {
			static const char *const names[] = { "policy", "changes", "version" };
			const struct item *first = &w->items[i];

			for (end = i; end < w->changed && same_group(&w->items[end], first);)
				end++;
			for (int k = 0; k < 3; k++) {
				snprintf(texts[t], sizeof texts[t], "{p:%02d}:%s", first->partition, names[k]);
				argv[n++] = texts[t++];
			}
			snprintf(texts[t], sizeof texts[t], "{p:%02d}:log:%s", first->partition, first->owner[0] ? first->owner : "-");
			argv[n++] = texts[t++];
			snprintf(texts[t], sizeof texts[t], "%u", end - i);
			argv[args++] = texts[t++];
			for (uint32_t k = i; k < end; k++) {
				argv[args++] = w->items[k].key;
				argv[args++] = w->items[k].old ? w->items[k].old : "*";
				argv[args++] = w->items[k].fresh;
			}
		}
		for (size_t i = 0; i < args; i++)
			lengths[i] = strlen(argv[i]);
		redis_async_command(w->customers->redis, WRITE_MS, written, w, (int)args, argv, lengths);
	}
	free(texts);
	free(lengths);
	free(argv);
	return good;
}

static void
start(struct write *w)
{
	json_t *refusal = try_all(w, NULL, NULL);

	if (refusal) {
		if (w->foreign)
			json_object_set_new(refusal, "foreign", json_true());
		write_end(w, refusal);
		return;
	}
	sort_items(w);
	if (w->changed == 0 || json_is_true(json_object_get(w->request, "dry_run")))
		write_end(w, done_reply(w));
	else if (!redis_async_up(w->customers->redis))
		write_end(w, json_pack("{s:s, s:i}", "error", "Redis is not reachable, so nothing can be changed now; see policyctl doctor", "exit", 1));
	else if (!send_all(w))
		write_end(w, json_pack("{s:s, s:i}", "error", "no memory", "exit", 1));
}

static bool
read_items(struct write *w, char *why, size_t room)
{
	json_t *records = json_object_get(w->request, "records");
	bool import = strcmp(w->cmd, "policy.import") == 0;

	if (import && (!json_is_array(records) || json_array_size(records) > MAX_RECORDS)) {
		snprintf(why, room, "import: expected records, at most %d in one request", MAX_RECORDS);
		return false;
	}
	uint32_t count = import ? (uint32_t)json_array_size(records) : 1;

	w->items = calloc(count ? count : 1, sizeof *w->items);
	for (uint32_t i = 0; w->items && i < count; i++) {
		struct item *item = &w->items[i];
		char key[KEY_ROOM];

		if (!customers_key(span_of(field(import ? json_array_get(records, i) : w->request, "key")), key, why, room))
			return false;
		item->index = i;
		item->key = strdup(key);
		item->old = customers_text(w->customers, key);
		item->partition = customers_partition(key);
		if (item->key == NULL || item->old == NULL)
			return false;
		w->count++;
	}
	return w->items != NULL;
}

json_t *
customers_with(struct customers *c, json_t *request, void (*meanwhile)(void *arg), void *arg)
{
	struct write *w = calloc(1, sizeof *w);
	char why[512] = "no memory";
	json_t *refusal;

	if (w == NULL)
		return customers_refuse(why);
	*w = (struct write){ .customers = c, .request = json_incref(request), .cmd = "policy.set" };
	refusal = read_items(w, why, sizeof why) ? try_all(w, meanwhile, arg) : customers_refuse(why);
	if (refusal && w->foreign)
		json_object_set_new(refusal, "foreign", json_true());
	write_free(w);
	return refusal;
}

void
customers_write(struct customers *c, json_t *request, customers_reply done, void *arg)
{
	struct write *w = calloc(1, sizeof *w);
	char why[512] = "no memory";

	if (w == NULL) {
		done(arg, customers_refuse(why));
		return;
	}
	*w = (struct write){ .customers = c, .done = done, .arg = arg, .request = json_incref(request), .cmd = field(request, "cmd") };
	if (!read_items(w, why, sizeof why)) {
		write_end(w, json_pack("{s:s, s:i, s:i}", "error", why, "exit", 2, "record", (int)w->count));
		return;
	}
	const char *etag = field(request, "if");

	if (etag[0] && w->count == 1) {
		char now[24];

		customers_etag(span_of(w->items[0].old), now);
		if (strcmp(now, etag) != 0) {
			write_end(w, json_pack("{s:s, s:i, s:s}", "error", "the record has been changed meanwhile; read it again", "exit", 3, "etag", now));
			return;
		}
	}
	start(w);
}
