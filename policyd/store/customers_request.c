/* customers_request.c - what policyctl policy and the API ask, {"cmd": "policy.NAME", ...}: reading here, the rest where it
 * belongs (customers_write.c, customers_history.c).
 *
 *   policy.get {key}                        values, etag
 *   policy.list {prefix, customer, after, limit}    records in no order but a steady one; "next" goes on from there
 *   policy.schema {}                        all fields with kind, merge rule and help
 *   policy.entry {address, list: "allow" | "block", entry, until, comment, who}
 *                                           one more entry on the list of the mailbox that the address belongs to
 *   policy.status {}
 * "scope" (a customer's id) narrows all of them to that customer's records. */
#include <stdio.h>
#include <stdlib.h>

#include "policyd/store/customers_table.h"

enum { LIST_DEFAULT = 1000, LIST_MOST = 10000 };

static const char *
field(const json_t *request, const char *name)
{
	const char *value = json_string_value(json_object_get(request, name));

	return value ? value : "";
}

static bool
in_scope(const struct customers *c, json_t *request, uint32_t r)
{
	const char *scope = field(request, "scope");

	return scope[0] == '\0' || (r != 0 && c->records[r].kind != RECORD_TIER && strcmp(customers_owner(c, r), scope) == 0);
}

void
customers_record_key(const struct customers *c, uint32_t r, char key[KEY_ROOM])
{
	bool plain = c->records[r].kind <= RECORD_DOMAIN;

	snprintf(key, KEY_ROOM, "%s%s%.*s", plain ? record_kind_names[c->records[r].kind] : "", plain ? ":" : "", MAX_ADDRESS, record_name(c, r));
}

static json_t *
get(struct customers *c, json_t *request)
{
	char key[KEY_ROOM], why[512], etag[24];

	if (!customers_key(span_of(field(request, "key")), key, why, sizeof why))
		return customers_refuse(why);
	uint32_t r = customers_find(c, span_of(customers_name(key)));
	char *text = customers_text(c, key);

	if (!in_scope(c, request, r)) {
		free(text);
		return customers_foreign("that record is not of this customer");
	}
	customers_etag(span_of(text ? text : ""), etag);
	free(text);
	return json_pack("{s:s, s:o, s:b, s:s, s:s}", "key", key, "values", customers_record_json(c, r), "exists", r && c->records[r].present,
	    "etag", etag, "customer", customers_owner(c, r));
}

/* In the order in which they came: a cursor is the number of a record, and records stay where they are. */
static json_t *
list(struct customers *c, json_t *request)
{
	const char *prefix = field(request, "prefix"), *customer = field(request, "customer");
	json_int_t limit = json_integer_value(json_object_get(request, "limit")), after = json_integer_value(json_object_get(request, "after"));
	json_t *records = json_array();
	uint32_t r = after > 0 ? (uint32_t)after + 1 : 1;
	char key[KEY_ROOM];

	if (limit <= 0 || limit > (customer[0] ? POLICY_LIST_ALL : LIST_MOST))
		limit = LIST_DEFAULT;
	for (; r <= c->by_key.count && (json_int_t)json_array_size(records) < limit; r++) {
		if (!c->records[r].present)
			continue;
		customers_record_key(c, r, key);
		if (strncmp(key, prefix, strlen(prefix)) != 0 || (customer[0] && strcmp(customers_owner(c, r), customer) != 0) || !in_scope(c, request, r))
			continue;
		json_array_append_new(records, json_pack("{s:s, s:s, s:o}", "key", key, "customer", customers_owner(c, r), "values", customers_record_json(c, r)));
	}
	bool more = r <= c->by_key.count;
	json_t *reply = json_pack("{s:o, s:b, s:i}", "records", records, "truncated", more, "total", (int)c->present_count);

	if (more)
		json_object_set_new(reply, "next", json_integer(r - 1));
	return reply;
}

/* The mailbox is the one in the real domain, without its extension, whether or not it has a record yet. */
static void
entry(struct customers *c, json_t *request, customers_reply done, void *arg)
{
	const char *list = field(request, "list"), *members;
	char canonical[2 * MAX_ADDRESS + 2], mailbox[2 * MAX_ADDRESS + 2];

	canonical_address(span_of(field(request, "address")), canonical, sizeof canonical);
	customers_mailbox(c, canonical, mailbox, sizeof mailbox, &members);
	if (strchr(mailbox, '@') == NULL || (strcmp(list, "allow") != 0 && strcmp(list, "block") != 0) || members) {
		done(arg, customers_refuse(members ? "this address stands for several mailboxes, and has no list of its own" :
		    "entry: an address, \"allow\" or \"block\", and an entry are needed"));
		return;
	}
	json_t *what = json_pack("{s:s, s:s}", "by", field(request, "who"), "comment", field(request, "comment"));

	if (json_is_integer(json_object_get(request, "until")))
		json_object_set(what, "until", json_object_get(request, "until"));
	json_object_set_new(request, "cmd", json_string("policy.set"));
	json_object_set_new(request, "key", json_sprintf("mailbox:%s", mailbox));
	json_t *values = json_pack("{s:{s:o}}", list, field(request, "entry"), what);

	if (values == NULL) {
		done(arg, customers_refuse("entry: it is no UTF-8"));
		return;
	}
	json_object_set_new(request, "values", values);
	customers_write(c, request, done, arg);
}

static json_t *
schema(void)
{
	static const char *const kinds[] = { [FIELD_POINTS] = "points", [FIELD_BOOL] = "bool", [FIELD_OUTCOME] = "action",
	    [FIELD_DNSBL] = "dnsbl", [FIELD_TEXT] = "text", [FIELD_DAYS] = "days", [FIELD_TYPES] = "types", [FIELD_LIMITS] = "limits",
	    [FIELD_NUMBER] = "number", [FIELD_DATE] = "date" };
	json_t *fields = json_array();

	for (size_t i = 0; i < policy_field_count; i++) {
		const struct policy_field *f = &policy_fields[i];
		json_t *one = json_pack("{s:s, s:s, s:s, s:s}", "name", f->name, "kind", kinds[f->kind], "merge",
		    f->merge == MERGE_ADD ? "add" : "nearest", "help", f->help), *values = json_array();

		for (int k = 0; k < OUT__COUNT && f->kind == FIELD_OUTCOME; k++)
			if (f->outcomes >> k & 1)
				json_array_append_new(values, json_string(outcome_names[k]));
		if (json_array_size(values))
			json_object_set(one, "values", values);
		json_decref(values);
		json_array_append_new(fields, one);
	}
	return json_pack("{s:o}", "fields", fields);
}

void
customers_request(struct customers *c, json_t *request, customers_reply done, void *arg)
{
	static const struct { const char *cmd; void (*run)(struct customers *c, json_t *request, customers_reply done, void *arg); } commands[] = {
		{ "policy.set", customers_write }, { "policy.put", customers_write }, { "policy.unset", customers_write },
		{ "policy.import", customers_write }, { "policy.history", customers_history }, { "policy.rollback", customers_rollback },
		{ "policy.explain", customers_explain }, { "policy.simulate", customers_simulate }, { "policy.canary", customers_canary_report }, { "policy.entry", entry },
	};
	const char *cmd = field(request, "cmd");

	if (strcmp(cmd, "policy.set") == 0 && json_object_size(json_object_get(request, "values")) == 0) {
		done(arg, customers_refuse("set: no FIELD=VALUE was given"));
		return;
	}
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
		if (strcmp(cmd, commands[i].cmd) == 0) {
			commands[i].run(c, request, done, arg);
			return;
		}
	if (strcmp(cmd, "policy.get") == 0)
		done(arg, get(c, request));
	else if (strcmp(cmd, "policy.list") == 0)
		done(arg, list(c, request));
	else if (strcmp(cmd, "policy.schema") == 0)
		done(arg, schema());
	else if (strcmp(cmd, "policy.status") == 0)
		done(arg, customers_status(c));
	else
		done(arg, customers_refuse("unknown command"));
}
