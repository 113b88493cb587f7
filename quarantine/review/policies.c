/* policies.c - /api/v1/policies and customers: the broker's typed requests (store/customers_write.c), by HTTP.
 *
 * KEY in a path is percent-encoded ("customer%3Aacme", "bob@shop.example"). An answer has the record's ETag; PUT and DELETE
 * with If-Match are done only if the record is still that one (412 otherwise). PUT is idempotent: the same again changes
 * nothing, and says so. An administrator's requests carry his customer as scope, and what is not his is not there (404). */
#include <stdio.h>
#include <stdlib.h>

#include "policyd/base/log.h"
#include "quarantine/review/audit.h"
#include "quarantine/review/pages.h"

enum { KEY_MOST = 512 };

/* %3A -> ':'. False: no such escape, a control, or too long. */
static bool
decode(const char *from, char *to, size_t room)
{
	size_t n = 0;

	for (; *from; from++) {
		unsigned int c = (unsigned char)*from;

		if (*from == '%' && sscanf(from + 1, "%2x", &c) == 1 && from[1] && from[2] && strspn(from + 1, "0123456789abcdefABCDEF") >= 2)
			from += 2;
		else if (*from == '%')
			return false;
		if (c < 0x20 || c == 0x7f || n + 1 >= room)
			return false;
		to[n++] = (char)c;
	}
	to[n] = '\0';
	return n > 0;
}

/* A request on behalf of who calls. NULL: it has been answered. */
static json_t *
request_of(struct call *c, const char *cmd)
{
	json_t *request;

	if (c->who.role == ROLE_ADMIN && c->who.customer[0] == '\0') {
		call_error(c, 403, T_NOT_ALLOWED);
		return NULL;
	}
	request = json_pack("{s:s, s:o, s:s}", "cmd", cmd, "who", json_safe(c->who.name), "note", "api");
	if (c->who.customer[0])
		json_object_set_new(request, "scope", json_string(c->who.customer));
	return request;
}

static json_t *
keyed_request(struct call *c, const char *cmd, const char *field)
{
	char key[KEY_MOST];
	json_t *request, *text;

	if (!decode(c->args[0], key, sizeof key) || (text = json_string(key)) == NULL) {
		call_error(c, 400, T_BAD_REQUEST);
		return NULL;
	}
	if ((request = request_of(c, cmd)) != NULL)
		json_object_set_new(request, field, text);
	else
		json_decref(text);
	return request;
}

/* What the broker refuses is said as it says it: field, value, reason. */
static bool
refused(struct call *c, json_t *reply)
{
	const char *error = json_string_value(json_object_get(reply, "error"));
	json_int_t code = json_integer_value(json_object_get(reply, "exit"));

	if (error == NULL)
		return false;
	if (json_is_true(json_object_get(reply, "foreign"))) {
		call_missing(c);
	} else if (code == 2 || code == 3) {
		json_t *said = json_pack("{s:s, s:i}", "error", error, "status", code == 3 ? 412 : 422);

		if (json_object_get(reply, "record"))
			json_object_set(said, "record", json_object_get(reply, "record"));
		call_json(c, code == 3 ? 412 : 422, said);
	} else {
		call_error(c, 503, T_TRY_LATER);
	}
	json_decref(reply);
	return true;
}

static void
answer(struct call *c, json_t *reply, int fd)
{
	(void)fd;
	if (!refused(c, reply))
		call_json(c, 200, reply);
}

/* A record, with its name for this very state. */
static void
answer_record(struct call *c, json_t *reply, int fd)
{
	const char *etag = json_string_value(json_object_get(reply, "etag"));
	char quoted[40];

	(void)fd;
	if (refused(c, reply))
		return;
	char *text = json_dumps(reply, JSON_COMPACT);

	snprintf(quoted, sizeof quoted, "\"%.32s\"", etag ? etag : "");
	buf_add_span(&c->out, span_of(text ? text : "{}"));
	buf_add_char(&c->out, '\n');
	free(text);
	json_decref(reply);
	call_bare(c, &(struct http_reply){ .status = 200, .type = "application/json", .etag = quoted });
}

/* After a write the audit log has it, too. */
static void
written(struct call *c, json_t *reply, int fd)
{
	const char *key = json_string_value(json_object_get(reply, "key"));

	if (refused(c, reply))
		return;
	audit_call(c, "policy", key ? key : c->route->path, c->who.customer, "by the API");
	if (json_object_get(reply, "etag"))
		answer_record(c, reply, fd);
	else
		call_json(c, 200, reply);
}

static void
add_precondition(struct call *c, json_t *request)
{
	struct span match = span_trim(http_field(&c->http->head, "if-match"));

	if (match.n >= 2 && match.p[0] == '"' && match.p[match.n - 1] == '"')
		json_object_set_new(request, "if", json_stringn(match.p + 1, match.n - 2));
	else if (match.n > 0 && !span_eq(match, SPAN("*")))
		json_object_set_new(request, "if", json_string("?"));        /* nothing is that: 412 */
}

void
get_policies(struct call *c)
{
	static const char *const words[] = { "prefix", "customer" }, *const numbers[] = { "after", "limit" };
	json_t *request = request_of(c, "policy.list");
	char value[KEY_MOST];
	uint64_t number;

	if (request == NULL)
		return;
	for (size_t i = 0; i < 2; i++)
		if (call_query(c, words[i], value, sizeof value))
			json_object_set_new(request, words[i], json_safe(value));
	for (size_t i = 0; i < 2; i++)
		if (call_query(c, numbers[i], value, sizeof value) && span_u64(span_of(value), &number) && number < UINT32_MAX)
			json_object_set_new(request, numbers[i], json_integer((json_int_t)number));
	ask_broker(c, request, -1, answer);
}

void
get_policy(struct call *c)
{
	json_t *request = keyed_request(c, "policy.get", "key");

	if (request)
		ask_broker(c, request, -1, answer_record);
}

void
put_policy(struct call *c)
{
	json_t *request = keyed_request(c, "policy.put", "key");

	if (request == NULL)
		return;
	if (!json_is_object(c->body)) {
		json_decref(request);
		call_error(c, 400, T_BAD_REQUEST);
		return;
	}
	json_object_set(request, "values", c->body);
	add_precondition(c, request);
	ask_broker(c, request, -1, written);
}

void
delete_policy(struct call *c)
{
	json_t *request = keyed_request(c, "policy.unset", "key");

	if (request == NULL)
		return;
	add_precondition(c, request);
	ask_broker(c, request, -1, written);
}

void
get_policy_explain(struct call *c)
{
	json_t *request = keyed_request(c, "policy.explain", "address");

	if (request)
		ask_broker(c, request, -1, answer);
}

void
get_policy_history(struct call *c)
{
	json_t *request = keyed_request(c, "policy.history", "key");

	if (request)
		ask_broker(c, request, -1, answer);
}

void
get_policy_canary(struct call *c)
{
	json_t *request = keyed_request(c, "policy.canary", "key");

	if (request)
		ask_broker(c, request, -1, answer);
}

/* {FIELD: VALUE, ...}, as on top of what is there: what recent mail would have met. Nothing is changed. */
void
post_policy_simulate(struct call *c)
{
	json_t *request = keyed_request(c, "policy.simulate", "key");
	char customer[KEY_MOST];

	if (request == NULL)
		return;
	if (!json_is_object(c->body) || json_object_size(c->body) == 0) {
		json_decref(request);
		call_error(c, 400, T_BAD_REQUEST);
		return;
	}
	if (call_query(c, "customer", customer, sizeof customer))
		json_object_set_new(request, "customer", json_safe(customer));
	json_object_set(request, "values", c->body);
	ask_broker(c, request, -1, answer);
}

void
get_policy_schema(struct call *c)
{
	json_t *request = request_of(c, "policy.schema");

	if (request)
		ask_broker(c, request, -1, answer);
}

/* {"records": [{"key", "values"}], "merge", "dry_run", "diff"}: all or nothing. */
void
post_policy_import(struct call *c)
{
	static const char *const names[] = { "records", "merge", "dry_run", "diff" };
	json_t *request = request_of(c, "policy.import");

	if (request == NULL)
		return;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (json_object_get(c->body, names[i]))
			json_object_set(request, names[i], json_object_get(c->body, names[i]));
	ask_broker(c, request, -1, written);
}

void
get_customer_use(struct call *c)
{
	json_t *request = keyed_request(c, "policy.meter", "customer");
	char value[32];

	if (request == NULL)
		return;
	if (call_query(c, "from", value, sizeof value))
		json_object_set_new(request, "from", json_safe(value));
	if (call_query(c, "to", value, sizeof value))
		json_object_set_new(request, "to", json_safe(value));
	ask_broker(c, request, -1, answer);
}

void
post_customer_rollback(struct call *c)
{
	json_t *request = keyed_request(c, "policy.rollback", "customer");

	if (request == NULL)
		return;
	json_object_set(request, "to_ms", json_object_get(c->body, "to_ms") ? json_object_get(c->body, "to_ms") : json_null());
	ask_broker(c, request, -1, written);
}

void
delete_customer(struct call *c)
{
	json_t *request = keyed_request(c, "policy.remove_customer", "customer");

	if (request)
		ask_broker(c, request, -1, written);
}
