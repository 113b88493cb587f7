/* customers_fields.c - what may stand in a record: JSON read into a draft, and a draft written as the one JSON it can be.
 *
 *   {"customer": "acme", "tag": "3.5", "locked": "virus", "max.retention_days": "30", "allow": {"domain:b.example": {}}}
 *
 * Beside policy_fields:  customer (domain, mailbox), tier (customer): what stands above it
 *                        locked (tier, customer, domain): fields that nobody below may set, by blanks
 *                        min.FIELD, max.FIELD (tier, customer, domain): bounds for all below
 *                        alias_of: one domain, or mailboxes by blanks;  catch_all, delimiters (domain)
 *                        allow, block: lists (entries.h), not of a tier */
#include <stdio.h>
#include <stdlib.h>

#include "policyd/base/nearest.h"
#include "policyd/base/utf8.h"
#include "policyd/store/customers_table.h"

const char *const record_kind_names[RECORD__KINDS] = {
	[RECORD_MAILBOX] = "mailbox", [RECORD_DOMAIN] = "domain", [RECORD_CUSTOMER] = "customer", [RECORD_TIER] = "tier",
};

/* ---- keys ---- */

enum record_kind
customers_kind(const char *key)
{
	for (int k = 0; k < RECORD__KINDS; k++)
		if (span_starts(span_of(key), span_of(record_kind_names[k])) && key[strlen(record_kind_names[k])] == ':')
			return (enum record_kind)k;
	return strchr(key, '@') ? RECORD_MAILBOX : RECORD_DOMAIN;
}

const char *
customers_name(const char *key)
{
	enum record_kind kind = customers_kind(key);
	size_t n = strlen(record_kind_names[kind]);

	return kind <= RECORD_DOMAIN && strncmp(key, record_kind_names[kind], n) == 0 && key[n] == ':' ? key + n + 1 : key;
}

static bool
id_good(const char *id)
{
	size_t n = strlen(id);

	for (size_t i = 0; i < n; i++)
		if (!ascii_alnum(id[i]) && strchr(".-_", id[i]) == NULL)
			return false;
	return n > 0 && n < CUSTOMER_ROOM;
}

static bool
printable(struct span s)
{
	bool quoted = s.n > 0 && s.p[0] == '"';      /* a quoted local part may have blanks */

	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f || (s.p[i] == ' ' && !quoted))
			return false;
	return s.n > 0 && s.n <= 320 && utf8_valid(s);
}

static bool
mailbox_name(struct span text, char to[KEY_ROOM])
{
	char folded[2 * MAX_ADDRESS + 2];

	if (!printable(text))
		return false;
	canonical_address(text, folded, sizeof folded);
	const char *at = strrchr(folded, '@');

	if (at == NULL || at == folded || !canonical_domain_good(at + 1) || strlen(folded) > MAX_ADDRESS)
		return false;
	snprintf(to, KEY_ROOM, "%.*s", MAX_ADDRESS, folded);
	return true;
}

static bool
domain_name(struct span text, char to[KEY_ROOM])
{
	char folded[MAX_ADDRESS + 1];
	bool wildcard;

	if (!printable(text))
		return false;
	canonical_domain(text, folded, sizeof folded);
	wildcard = folded[0] == '*' && folded[1] == '.';
	if (!canonical_domain_good(folded + (wildcard ? 2 : 0)))
		return false;
	snprintf(to, KEY_ROOM, "%.*s", MAX_ADDRESS, folded);
	return true;
}

bool
customers_key(struct span text, char key[KEY_ROOM], char *why, size_t room)
{
	struct span name = text;
	char folded[KEY_ROOM];
	int kind = span_find_char(text, '@') != SPAN_NONE ? RECORD_MAILBOX : RECORD_DOMAIN;
	bool good;

	for (int k = 0; k < RECORD__KINDS; k++) {
		struct span prefix = span_of(record_kind_names[k]);

		if (span_starts(text, prefix) && text.n > prefix.n && text.p[prefix.n] == ':') {
			kind = k;
			name = span_from(text, prefix.n + 1);
			break;
		}
	}
	if (kind <= RECORD_DOMAIN && span_starts(name, SPAN("*@")))
		name = span_from(name, 2), kind = RECORD_DOMAIN;
	else if (kind <= RECORD_DOMAIN && span_starts(name, SPAN("@")))
		name = span_from(name, 1), kind = RECORD_DOMAIN;
	if (kind == RECORD_MAILBOX) {
		good = mailbox_name(name, folded);
	} else if (kind == RECORD_DOMAIN) {
		good = domain_name(name, folded);
	} else {
		snprintf(folded, sizeof folded, SPAN_FMT, SPAN_ARG(span_head(name, CUSTOMER_ROOM)));
		good = id_good(folded);
	}
	if (good)
		snprintf(key, KEY_ROOM, "%s:%.*s", record_kind_names[kind], MAX_ADDRESS, folded);
	else
		snprintf(why, room, "\"" SPAN_FMT "\": expected mailbox:USER@DOMAIN, domain:NAME, domain:*.NAME, customer:ID or tier:ID",
		    SPAN_ARG(span_head(text, 100)));
	return good;
}

/* ---- reading ---- */

static bool
json_text(json_t *value, char *to, size_t room)
{
	int n;

	if (json_is_string(value))
		n = json_string_length(value) == strlen(json_string_value(value)) ? snprintf(to, room, "%s", json_string_value(value)) : -1;
	else if (json_is_integer(value))
		n = snprintf(to, room, "%lld", (long long)json_integer_value(value));
	else if (json_is_real(value))
		n = snprintf(to, room, "%.10g", json_real_value(value));
	else if (json_is_boolean(value))
		n = snprintf(to, room, "%s", json_is_true(value) ? "true" : "false");
	else
		return false;
	return n >= 0 && (size_t)n < room;
}

static bool
unknown_field(const char *name, char *why, size_t room)
{
	const char *names[80];
	size_t count = 0;

	for (size_t i = 0; i < policy_field_count && count < 64; i++)
		names[count++] = policy_fields[i].name;
	const char *more[] = { "customer", "tier", "locked", "alias_of", "catch_all", "delimiters", "allow", "block", "canary" };

	for (size_t i = 0; i < sizeof more / sizeof *more; i++)
		names[count++] = more[i];
	const char *near = nearest_name(name, names, count);

	snprintf(why, room, "unknown field \"%.60s\"%s%s%s", name, near ? "; did you mean \"" : "; see policyctl policy --help",
	    near ? near : "", near ? "\"?" : "");
	return false;
}

static bool
misplaced(const char *name, const char *text, const char *where, char *why, size_t room)
{
	snprintf(why, room, "%s: \"%.60s\" is not good here; expected %s", name, text, where);
	return false;
}

/* Field names by blanks or commas -> bits. */
static bool
read_locked(struct draft *d, const char *text, char *why, size_t room)
{
	struct span rest = span_of(text);

	while (rest.n > 0) {
		size_t n = 0;

		while (n < rest.n && rest.p[n] != ' ' && rest.p[n] != ',')
			n++;
		const struct policy_field *field = policy_field_find(span_head(rest, n));
		char name[64];

		snprintf(name, sizeof name, SPAN_FMT, SPAN_ARG(span_head(rest, n < 60 ? n : 60)));
		if (n > 0 && field == NULL)
			return unknown_field(name, why, room);
		if (field)
			d->locked |= (uint64_t)1 << (field - policy_fields);
		rest = span_from(rest, n + 1);
	}
	return true;
}

static bool
read_alias(struct draft *d, enum record_kind kind, const char *text, const char *self, char *why, size_t room)
{
	struct span rest = span_of(text);
	int count = 0;

	while (rest.n > 0) {
		size_t n = 0;

		while (n < rest.n && rest.p[n] != ' ' && rest.p[n] != ',')
			n++;
		struct span one = span_head(rest, n);
		char name[KEY_ROOM];
		size_t at = strlen(d->alias);

		rest = span_from(rest, n + 1);
		if (one.n == 0)
			continue;
		bool good = kind == RECORD_MAILBOX ? mailbox_name(one, name) : kind == RECORD_DOMAIN && count == 0 && domain_name(one, name);

		if (!good || ++count > MAX_MEMBERS || at + strlen(name) + 2 > sizeof d->alias)
			return misplaced("alias_of", text, kind == RECORD_MAILBOX ? "up to 64 mailboxes, at a mailbox" : "one domain, at a domain", why, room);
		if (strcmp(name, self) == 0)
			return misplaced("alias_of", text, "another one than itself", why, room);
		snprintf(d->alias + at, sizeof d->alias - at, "%s%s", at ? " " : "", name);
	}
	return count > 0 || misplaced("alias_of", text, "somebody", why, room);
}

static bool
read_bound(struct draft *d, enum record_kind kind, const char *name, const char *text, char *why, size_t room)
{
	const struct policy_field *field = policy_field_find(span_of(name + 4));
	bool least = name[1] == 'i';

	if (field == NULL)
		return unknown_field(name + 4, why, room);
	if (kind == RECORD_MAILBOX || field->kind == FIELD_TEXT || field->kind == FIELD_TYPES || field->kind == FIELD_DATE)
		return misplaced(name, text, "a number or an action to bound, at a tier, customer or domain", why, room);
	if (!policy_field_parse(least ? &d->least : &d->most, field, span_of(text), why, room))
		return false;
	*(least ? &d->least_set : &d->most_set) |= (uint64_t)1 << (field - policy_fields);
	return true;
}

static bool
read_delimiters(struct draft *d, const char *text, char *why, size_t room)
{
	size_t n = strlen(text);
	bool good = strcmp(text, "none") == 0 || (n > 0 && n < sizeof d->delimiters && strspn(text, "+-=_.#%") == n);

	if (!good)
		return misplaced("delimiters", text, "some of +-=_.#% or none", why, room);
	snprintf(d->delimiters, sizeof d->delimiters, "%s", text);
	return true;
}

/* {"share": 10, "most": 5, "values": {FIELD: VALUE, ...}} */
static bool
read_canary(struct draft *d, enum record_kind kind, json_t *value, char *why, size_t room)
{
	json_t *share = json_object_get(value, "share"), *most = json_object_get(value, "most"), *one;
	json_int_t percent = json_integer_value(share), held = most ? json_integer_value(most) : CANARY_MOST;
	char text[512];
	const char *name;

	if (kind == RECORD_MAILBOX || !json_is_object(value))
		return misplaced("canary", json_is_object(value) ? "a mailbox" : "that", "{\"share\", \"values\"} at a tier, customer or domain", why, room);
	if (!json_is_integer(share) || percent < 1 || percent > 99 || (most && !json_is_integer(most)) || held < 0 || held > 100)
		return misplaced("canary", "share and most", "percents: of the mailboxes, 1 to 99, and of their mail, 0 to 100", why, room);
	json_object_foreach(json_object_get(value, "values"), name, one) {
		const struct policy_field *field = policy_field_find(span_of(name));

		if (field == NULL)
			return unknown_field(name, why, room);
		if (!json_text(one, text, sizeof text) || !policy_field_parse(&d->canary, field, span_of(text), why, room))
			return json_is_string(one) || json_is_number(one) || json_is_boolean(one) ? false : misplaced(name, "that", "a text or a number", why, room);
		d->canary_set |= (uint64_t)1 << (field - policy_fields);
	}
	d->share = (uint8_t)percent;
	d->most_held = (uint8_t)held;
	return d->canary_set != 0 || misplaced("canary", "values", "at least one field", why, room);
}

static bool
read_one(const char *key, enum record_kind kind, struct draft *d, const char *name, json_t *value, char *why, size_t room)
{
	const struct policy_field *field = policy_field_find(span_of(name));
	char text[MEMBERS_ROOM];
	struct entries *entries;

	if (strcmp(name, "allow") == 0 || strcmp(name, "block") == 0) {
		bool allow = name[0] == 'a';

		if (kind == RECORD_TIER)
			return misplaced(name, key, "a customer, domain or mailbox", why, room);
		if (!entries_read(allow ? value : NULL, allow ? NULL : value, &entries, why, room))
			return false;
		entries_free(entries);
		if (json_object_size(value) > 0)
			*(allow ? &d->allow : &d->block) = value;
		return true;
	}
	if (strcmp(name, "canary") == 0)
		return read_canary(d, kind, value, why, room);
	if (!json_text(value, text, sizeof text))
		return misplaced(name, json_is_string(value) ? json_string_value(value) : "that", "a short text, a number, true or false", why, room);
	if (field) {
		if (!policy_field_parse(&d->values, field, span_of(text), why, room))
			return false;
		d->set |= (uint64_t)1 << (field - policy_fields);
		return true;
	}
	if (strncmp(name, "min.", 4) == 0 || strncmp(name, "max.", 4) == 0)
		return read_bound(d, kind, name, text, why, room);
	if (strcmp(name, "customer") == 0 || strcmp(name, "tier") == 0) {
		bool customer = name[0] == 'c';

		if (!id_good(text) || customer != (kind <= RECORD_DOMAIN) || kind == RECORD_TIER)
			return misplaced(name, text, customer ? "a customer's id, at a domain or mailbox" : "a tier's id, at a customer", why, room);
		snprintf(d->above, sizeof d->above, "%.63s", text);
		return true;
	}
	if (strcmp(name, "locked") == 0)
		return kind == RECORD_MAILBOX ? misplaced(name, text, "a tier, customer or domain", why, room) : read_locked(d, text, why, room);
	if (strcmp(name, "alias_of") == 0)
		return read_alias(d, kind, text, customers_name(key), why, room);
	if (strcmp(name, "delimiters") == 0)
		return kind == RECORD_DOMAIN ? read_delimiters(d, text, why, room) : misplaced(name, text, "a domain to set it at", why, room);
	if (strcmp(name, "catch_all") == 0) {
		char mailbox[KEY_ROOM];

		if (kind != RECORD_DOMAIN || !mailbox_name(span_of(text), mailbox))
			return misplaced(name, text, "a mailbox, at a domain", why, room);
		snprintf(d->catch_all, sizeof d->catch_all, "%.*s", MAX_ADDRESS, mailbox);
		return true;
	}
	return unknown_field(name, why, room);
}

bool
draft_read(const char *key, json_t *values, struct draft *d, char *why, size_t room)
{
	enum record_kind kind = customers_kind(key);
	const char *name;
	json_t *value;

	memset(d, 0, sizeof *d);
	if (!json_is_object(values)) {
		snprintf(why, room, "%s: expected an object of fields", key);
		return false;
	}
	json_object_foreach(values, name, value)
		if (!read_one(key, kind, d, name, value, why, room))
			return false;
	for (size_t i = 0; i < policy_field_count; i++)
		if ((d->least_set & d->most_set) >> i & 1 && policy_field_compare(&policy_fields[i], &d->least, &d->most) > 0) {
			snprintf(why, room, "min.%s is above max.%s", policy_fields[i].name, policy_fields[i].name);
			return false;
		}
	return true;
}

/* ---- writing ---- */

static void
add_pair(struct buf *b, const char *prefix, const char *name, const char *text)
{
	buf_printf(b, "%s\"%s%s\":\"", b->n > 1 ? "," : "", prefix, name);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			buf_add_char(b, '\\');
		buf_add_char(b, *text);
	}
	buf_add_char(b, '"');
}

static void
add_values(struct buf *b, const char *prefix, uint64_t set, const struct policy *values)
{
	char text[256];                      /* the longest field, banned_types */

	for (size_t i = 0; i < policy_field_count; i++)
		if (set >> i & 1) {
			policy_field_print(values, &policy_fields[i], text, sizeof text);
			add_pair(b, prefix, policy_fields[i].name, text);
		}
}

static void
add_entries(struct buf *b, const char *name, json_t *entries)
{
	char *json = entries ? json_dumps(entries, JSON_COMPACT | JSON_SORT_KEYS) : NULL;

	if (json)
		buf_printf(b, "%s\"%s\":", b->n > 1 ? "," : "", name), buf_add_span(b, span_of(json));
	b->failed |= entries && json == NULL;
	free(json);
}

/* What many records may share. What points at others (customer of a domain, one alias) is kept in the record. */
static void
add_shared(struct buf *b, enum record_kind kind, const struct draft *d)
{
	char names[2048] = "";
	size_t n = 0;

	add_values(b, "", d->set, &d->values);
	add_values(b, "min.", d->least_set, &d->least);
	add_values(b, "max.", d->most_set, &d->most);
	for (size_t i = 0; i < policy_field_count; i++)
		if (d->locked >> i & 1)
			n += (size_t)snprintf(names + n, sizeof names - n, "%s%s", n ? " " : "", policy_fields[i].name);
	if (names[0])
		add_pair(b, "", "locked", names);
	if (kind == RECORD_MAILBOX && d->above[0])
		add_pair(b, "", "customer", d->above);
	if (strchr(d->alias, ' '))
		add_pair(b, "", "alias_of", d->alias);
	if (d->catch_all[0])
		add_pair(b, "", "catch_all", d->catch_all);
	if (d->delimiters[0])
		add_pair(b, "", "delimiters", d->delimiters);
	if (d->canary_set) {
		struct buf values = { 0 };

		buf_add_char(&values, '{');
		add_values(&values, "", d->canary_set, &d->canary);
		buf_printf(b, "%s\"canary\":{\"most\":%d,\"share\":%d,\"values\":" SPAN_FMT "}}", b->n > 1 ? "," : "", d->most_held, d->share, SPAN_ARG(buf_span(&values)));
		b->failed |= values.failed;
		buf_free(&values);
	}
	add_entries(b, "allow", d->allow);
	add_entries(b, "block", d->block);
}

void
draft_json(const char *key, const struct draft *d, struct buf *whole, struct buf *shared)
{
	enum record_kind kind = customers_kind(key);

	buf_add_char(whole, '{');
	if (kind != RECORD_MAILBOX && d->above[0])
		add_pair(whole, "", kind == RECORD_CUSTOMER ? "tier" : "customer", d->above);
	if (d->alias[0] && strchr(d->alias, ' ') == NULL)
		add_pair(whole, "", "alias_of", d->alias);
	add_shared(whole, kind, d);
	buf_add_char(whole, '}');
	if (shared) {
		buf_add_char(shared, '{');
		add_shared(shared, kind, d);
		buf_add_char(shared, '}');
		if (shared->n == 2)
			buf_clear(shared);
	}
}

json_t *
customers_record_json(const struct customers *c, uint32_t r)
{
	const struct record *record = &c->records[r];
	json_t *fields = r && record->fields ? json_loads(c->fieldsets[record->fields].json, 0, NULL) : json_object();

	if (r && record->kind != RECORD_MAILBOX && record->parent)
		json_object_set_new(fields, record->kind == RECORD_CUSTOMER ? "tier" : "customer",
		    json_string(strchr(record_name(c, record->parent), ':') + 1));
	if (r && record->target)
		json_object_set_new(fields, "alias_of", json_string(record_name(c, record->target)));
	return fields;
}
