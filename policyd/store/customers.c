#include "policyd/store/customers.h"

#include <event2/event.h>
#include <idn2.h>
#include <stdio.h>
#include <stdlib.h>
#include <unicase.h>
#include <unistd.h>

#include "policyd/base/clock.h"
#include "policyd/base/log.h"
#include "policyd/base/metrics.h"
#include "policyd/base/utf8.h"
#include "policyd/store/customers_table.h"
#include "policyd/store/redis_async.h"

enum { TICK_MS = 200, SAVE_EVERY_MS = 2000 };

/* ---- addresses ---- */

/* Lower case; A-labels, so that both forms of an internationalised domain are one; no trailing dot. */
static void
fold_domain(struct span domain, char *to, size_t room)
{
	char text[MAX_ADDRESS + 1];
	char *ascii = NULL;
	size_t n = 0;

	while (domain.n > 0 && domain.p[domain.n - 1] == '.')
		domain.n--;
	for (; n < domain.n && n < sizeof text - 1; n++)
		text[n] = ascii_lower(domain.p[n]);
	text[n] = '\0';
	bool is_ascii = true;

	for (size_t i = 0; i < n; i++)
		is_ascii &= (unsigned char)text[i] < 0x80;
	if (!is_ascii && idn2_to_ascii_8z(text, &ascii, IDN2_NONTRANSITIONAL) == IDN2_OK)
		snprintf(to, room, "%s", ascii);
	else
		snprintf(to, room, "%s", text);
	if (ascii)
		idn2_free(ascii);
}

/* RFC 5321 4.1.2: a Dot-string needs no quotes. */
static bool
is_dot_string(const char *s)
{
	if (s[0] == '\0' || s[0] == '.')
		return false;
	for (size_t i = 0; s[i]; i++)
		if ((s[i] == '.' && (s[i + 1] == '.' || s[i + 1] == '\0')) || (unsigned char)s[i] <= ' ' || s[i] == 0x7f ||
		    strchr("()<>[]:;@\\,\"", s[i]))
			return false;
	return true;
}

/* Quoted only where it must be, and folded: MTAs that tell Bob from bob are not met in the wild. */
static void
fold_local(struct span local, char *to, size_t room)
{
	char plain[MAX_ADDRESS + 1], wrapped[2 * MAX_ADDRESS + 3];
	const char *text = plain;
	size_t n = 0;
	bool quoted = local.n >= 2 && local.p[0] == '"' && local.p[local.n - 1] == '"', is_ascii = true;

	if (quoted)
		local = span_make(local.p + 1, local.n - 2);
	for (size_t i = 0; i < local.n && n < sizeof plain - 1; i++) {
		if (quoted && local.p[i] == '\\' && i + 1 < local.n)
			i++;
		is_ascii &= (unsigned char)local.p[i] < 0x80;
		plain[n++] = ascii_lower(local.p[i]);
	}
	plain[n] = '\0';
	if (n > 0 && !is_dot_string(plain)) {
		size_t w = 0;

		wrapped[w++] = '"';
		for (size_t i = 0; i < n; i++) {
			if (plain[i] == '"' || plain[i] == '\\')
				wrapped[w++] = '\\';
			wrapped[w++] = plain[i];
		}
		wrapped[w++] = '"';
		wrapped[w] = '\0';
		text = wrapped;
		n = w;
	}
	if (!is_ascii && utf8_valid(span_make(text, n))) {
		size_t length = room - 1;
		uint8_t *folded = u8_casefold((const uint8_t *)text, n, NULL, UNINORM_NFC, NULL, &length);

		if (folded && length < room) {
			memcpy(to, folded, length);
			to[length] = '\0';
			free(folded);
			return;
		}
		free(folded);
	}
	snprintf(to, room, "%s", text);
}

void
customers_canonical(struct span address, char *to, size_t room)
{
	char local[MAX_ADDRESS + 1], domain[MAX_ADDRESS + 1];

	address = span_trim(address);
	if (address.n >= 2 && address.p[0] == '<' && address.p[address.n - 1] == '>')
		address = span_make(address.p + 1, address.n - 2);
	size_t at = span_find_last(address, '@');

	fold_local(at == SPAN_NONE ? address : span_head(address, at), local, sizeof local);
	if (at == SPAN_NONE) {
		snprintf(to, room, "%s", local);
		return;
	}
	fold_domain(span_from(address, at + 1), domain, sizeof domain);
	snprintf(to, room, "%s@%s", local, domain);
}

void
customers_split(const char *canonical, char local[MAX_ADDRESS + 1], char domain[MAX_ADDRESS + 1])
{
	const char *at = strrchr(canonical, '@');

	snprintf(local, MAX_ADDRESS + 1, "%.*s", at ? (int)(at - canonical) : (int)strlen(canonical), canonical);
	snprintf(domain, MAX_ADDRESS + 1, "%s", at ? at + 1 : "");
}

static bool
name_good(const char *name, const char *more)
{
	size_t n = strlen(name);

	for (size_t i = 0; i < n; i++)
		if (!ascii_alnum(name[i]) && strchr(more, name[i]) == NULL)
			return false;
	return n > 0 && n < CUSTOMER_ROOM * 4;
}

bool
customers_key(struct span text, char key[KEY_ROOM], char *why, size_t room)
{
	struct span name = text;
	char folded[MAX_ADDRESS + 1];
	const char *kind = span_find_char(text, '@') != SPAN_NONE ? "mailbox" : "domain";
	static const char *const kinds[] = { "mailbox", "domain", "customer" };

	for (int i = 0; i < 3; i++) {
		struct span prefix = span_of(kinds[i]);

		if (span_starts(text, prefix) && text.n > prefix.n && text.p[prefix.n] == ':') {
			kind = kinds[i];
			name = span_from(text, prefix.n + 1);
		}
	}
	snprintf(why, room, "\"" SPAN_FMT "\": expected mailbox:USER@DOMAIN, domain:NAME or customer:ID", SPAN_ARG(span_head(text, 100)));
	if (name.n == 0 || name.n > 320 || !utf8_valid(name))
		return false;
	for (size_t i = 0; i < name.n; i++)
		if ((unsigned char)name.p[i] <= 0x20 || name.p[i] == 0x7f)
			return false;
	if (kind == kinds[0]) {
		char local[MAX_ADDRESS + 1], domain[MAX_ADDRESS + 1];

		customers_canonical(name, folded, sizeof folded);
		customers_split(folded, local, domain);
		if (local[0] == '\0' || !name_good(domain, ".-_"))
			return false;
	} else if (kind == kinds[2]) {
		snprintf(folded, sizeof folded, SPAN_FMT, SPAN_ARG(name));
		if (!name_good(folded, ".-_") || strlen(folded) >= CUSTOMER_ROOM)
			return false;
	} else {
		fold_domain(name, folded, sizeof folded);
		if (!name_good(folded, ".-_"))
			return false;
	}
	snprintf(key, KEY_ROOM, "%s:%s", kind, folded);
	return true;
}

int
customers_partition(const char *key)
{
	const char *name = strchr(key, ':'), *at = strrchr(key, '@');

	name = at ? at + 1 : name ? name + 1 : key;
	return (int)(span_hash(span_of(name), 3) % POLICY_PARTITIONS);
}

/* ---- records ---- */

static uint64_t
key_hash(const char *key)
{
	return span_hash(span_of(key), 11);
}

struct record *
customers_find(const struct customers *c, const char *key)
{
	struct record *r = map_get(&c->records, key_hash(key));

	while (r && strcmp(r->key, key) != 0)
		r = r->chain;
	return r;
}

static void
remove_record(struct customers *c, struct record *gone)
{
	uint64_t hash = key_hash(gone->key);
	struct record *first = map_take(&c->records, hash), **at = &first;

	while (*at != gone)
		at = &(*at)->chain;
	*at = gone->chain;
	if (first)
		map_put(&c->records, hash, first);
	c->record_count--;
	free(gone);
}

static struct record *
record_new(const char *key)
{
	struct record *r = calloc(1, sizeof *r + strlen(key) + 1);

	if (r)
		memcpy(r->key, key, strlen(key) + 1);
	return r;
}

static void
json_text(json_t *value, char *to, size_t room)
{
	if (json_is_string(value))
		snprintf(to, room, "%s", json_string_value(value));
	else if (json_is_integer(value))
		snprintf(to, room, "%lld", (long long)json_integer_value(value));
	else if (json_is_real(value))
		snprintf(to, room, "%.10g", json_real_value(value));
	else if (json_is_boolean(value))
		snprintf(to, room, "%s", json_is_true(value) ? "true" : "false");
	else
		snprintf(to, room, "?");
}

bool
customers_fields(struct record *r, json_t *fields, char *why, size_t room)
{
	const char *name;
	json_t *value;

	json_object_foreach(fields, name, value) {
		const struct policy_field *field = policy_field_find(span_of(name));
		char text[256];

		json_text(value, text, sizeof text);
		if (strcmp(name, "customer") == 0) {
			if (!name_good(text, ".-_") || strlen(text) >= CUSTOMER_ROOM || strncmp(r->key, "customer:", 9) == 0) {
				snprintf(why, room, "customer: \"%.60s\" is not good; expected a customer's id, at a domain or mailbox", text);
				return false;
			}
			snprintf(r->customer, sizeof r->customer, "%.63s", text);
			continue;
		}
		if (field == NULL) {
			snprintf(why, room, "unknown field \"%.60s\"; see policyctl policy --help", name);
			return false;
		}
		if (!policy_field_parse(&r->values, field, span_of(text), why, room))
			return false;
		r->set |= 1u << (field - policy_fields);
	}
	return true;
}

bool
customers_apply(struct customers *c, const char *key, struct span json)
{
	struct record *old = customers_find(c, key), *fresh;
	char why[256];
	json_t *fields;

	c->dirty = true;
	metrics_add(M_POLICY_CHANGES, 1);
	if (json.n == 0) {
		if (old)
			remove_record(c, old);
		return true;
	}
	fields = json_loadb(json.p, json.n, 0, NULL);
	fresh = fields ? record_new(key) : NULL;
	if (fresh == NULL || !customers_fields(fresh, fields, why, sizeof why)) {
		log_warning("policy %s: cannot be read; the one before stays in force", key);
		json_decref(fields);
		free(fresh);
		return false;
	}
	json_decref(fields);
	if (old)
		remove_record(c, old);
	fresh->seen = true;
	fresh->chain = map_get(&c->records, key_hash(key));
	if (!map_put(&c->records, key_hash(key), fresh)) {
		free(fresh);
		return false;
	}
	c->record_count++;
	return true;
}

json_t *
customers_record_json(const struct record *r)
{
	json_t *fields = json_object();
	char text[128];

	if (r && r->customer[0])
		json_object_set_new(fields, "customer", json_string(r->customer));
	for (size_t i = 0; r && i < policy_field_count; i++)
		if (r->set >> i & 1) {
			policy_field_print(&r->values, &policy_fields[i], text, sizeof text);
			json_object_set_new(fields, policy_fields[i].name, json_string(text));
		}
	return fields;
}

/* ---- look-up ---- */

static void
overlay(struct policy *out, const struct record *r, enum policy_level level, enum policy_level *from)
{
	for (size_t i = 0; r && i < policy_field_count; i++) {
		const struct policy_field *f = &policy_fields[i];

		if (!(r->set >> i & 1))
			continue;
		memcpy((char *)out + f->offset, (const char *)&r->values + f->offset, f->size);
		if (from)
			from[i] = level;
	}
}

/* user+ext@domain has a record of its own, or that of user@domain. */
static const struct record *
mailbox_record(const struct customers *c, const char *local, const char *domain)
{
	char key[KEY_ROOM];
	const char *plus = strchr(local, '+');

	snprintf(key, sizeof key, "mailbox:%s@%s", local, domain);
	const struct record *r = customers_find(c, key);

	if (r == NULL && plus && plus > local) {
		snprintf(key, sizeof key, "mailbox:%.*s@%s", (int)(plus - local), local, domain);
		r = customers_find(c, key);
	}
	return r;
}

void
customers_effective(const struct customers *c, const char *local, const char *domain, struct policy *out,
    enum policy_level *from)
{
	const struct record *mailbox = local[0] ? mailbox_record(c, local, domain) : NULL, *at_domain, *customer = NULL;
	char key[KEY_ROOM];
	const char *id;

	snprintf(key, sizeof key, "domain:%s", domain);
	at_domain = customers_find(c, key);
	id = mailbox && mailbox->customer[0] ? mailbox->customer : at_domain ? at_domain->customer : "";
	*out = c->policy_default;
	if (id[0]) {
		snprintf(key, sizeof key, "customer:%s", id);
		customer = customers_find(c, key);
		memset(out->customer, 0, sizeof out->customer);
		snprintf(out->customer, sizeof out->customer, "%.63s", id);
	}
	overlay(out, customer, LEVEL_CUSTOMER, from);
	overlay(out, at_domain, LEVEL_DOMAIN, from);
	overlay(out, mailbox, LEVEL_MAILBOX, from);
}

static const struct interned *
intern(struct customers *c, const struct policy *policy)
{
	uint64_t hash = span_hash(span_make(policy, sizeof *policy), 5);
	struct interned *first = map_get(&c->interned, hash), *i = first;

	while (i && memcmp(&i->policy, policy, sizeof *policy) != 0)
		i = i->chain;
	if (i)
		return i;
	i = calloc(1, sizeof *i);
	if (i == NULL)
		return NULL;
	i->policy = *policy;
	i->class_id = ++c->class_count;
	i->chain = first;
	if (!map_put(&c->interned, hash, i)) {
		free(i);
		return NULL;
	}
	return i;
}

const struct policy *
customers_lookup(struct customers *c, struct span address, uint32_t *class_id)
{
	char canonical[2 * MAX_ADDRESS + 2], local[MAX_ADDRESS + 1], domain[MAX_ADDRESS + 1];
	struct policy effective;

	customers_canonical(address, canonical, sizeof canonical);
	customers_split(canonical, local, domain);
	customers_effective(c, local, domain, &effective, NULL);
	const struct interned *i = intern(c, &effective);

	*class_id = i ? i->class_id : 0;
	return i ? &i->policy : &c->policy_default;
}

/* ---- the snapshot: one record a line, "key<TAB>JSON" ---- */

static void
load_snapshot(struct customers *c)
{
	FILE *f = fopen(c->snapshot, "re");
	char *line = NULL;
	size_t room = 0;
	ssize_t n;

	while (f && (n = getline(&line, &room, f)) > 0) {
		struct span json = span_trim(span_make(line, (size_t)n)), key = span_cut(&json, '\t');
		char text[KEY_ROOM];

		if (key.n > 0 && key.n < sizeof text) {
			snprintf(text, sizeof text, SPAN_FMT, SPAN_ARG(key));
			customers_apply(c, text, json);
		}
	}
	free(line);
	if (f)
		fclose(f);
	c->dirty = false;
}

static void
save_snapshot(struct customers *c)
{
	char path[sizeof c->snapshot + 4];
	struct record *r;
	FILE *f;

	snprintf(path, sizeof path, "%s.new", c->snapshot);
	if ((f = fopen(path, "we")) == NULL)
		return;
	for (size_t at = 0; (r = map_next(&c->records, &at)) != NULL;)
		for (; r; r = r->chain) {
			json_t *fields = customers_record_json(r);
			char *json = json_dumps(fields, JSON_COMPACT);

			if (json)
				fprintf(f, "%s\t%s\n", r->key, json);
			free(json);
			json_decref(fields);
		}
	bool written = fflush(f) == 0 && fsync(fileno(f)) == 0;

	fclose(f);
	if (!written || rename(path, c->snapshot) < 0) {
		unlink(path);
		return;
	}
	c->dirty = false;
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct customers *c = arg;

	(void)fd;
	(void)what;
	customers_follow(c);
	if (c->dirty && clock_ms() - c->saved_ms > SAVE_EVERY_MS) {
		c->saved_ms = clock_ms();
		save_snapshot(c);
	}
}

void
customers_config(struct customers *c, const struct config *config)
{
	c->policy_default = config->policy_default;
}

struct customers *
customers_open(struct event_base *base, struct redis_async *redis, const struct config *config)
{
	struct customers *c = calloc(1, sizeof *c);
	struct timeval tick = { 0, TICK_MS * 1000 };

	if (c == NULL)
		return NULL;
	c->redis = redis;
	snprintf(c->snapshot, sizeof c->snapshot, "%s/policies.snapshot", config->state);
	customers_config(c, config);
	for (int i = 0; i < POLICY_PARTITIONS; i++)
		c->partitions[i] = (struct partition){ .customers = c, .number = i };
	load_snapshot(c);
	c->tick = event_new(base, -1, EV_PERSIST, on_tick, c);
	if (c->tick == NULL || event_add(c->tick, &tick) < 0)
		return NULL;
	redis_async_on_up(redis, customers_reload, c);
	return c;
}

void
customers_close(struct customers *c)
{
	struct record *r;
	struct interned *i;

	if (c->dirty)
		save_snapshot(c);
	event_free(c->tick);
	for (size_t at = 0; (r = map_next(&c->records, &at)) != NULL;)
		for (struct record *next; r; r = next) {
			next = r->chain;
			free(r);
		}
	for (size_t at = 0; (i = map_next(&c->interned, &at)) != NULL;)
		for (struct interned *next; i; i = next) {
			next = i->chain;
			free(i);
		}
	map_free(&c->records);
	map_free(&c->interned);
	free(c);
}

json_t *
customers_status(const struct customers *c)
{
	return json_pack("{s:i, s:i, s:b}", "records", (int)c->record_count, "classes", (int)c->class_count, "redis_up",
	    redis_async_up(c->redis));
}
