/* customers.c - from an address to its policy, and the table's life.
 *
 * A look-up is one probe: the mailbox's record knows its class. A write at a customer, a domain or a tier makes the stamps
 * of all records old at once, without touching them; a record with an old stamp is compiled when it is next asked for. */
#include "policyd/store/customers.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "policyd/base/clock.h"
#include "policyd/store/customers_table.h"
#include "policyd/store/redis_async.h"

enum { TICK_MS = 200 };

void
customers_canonical(struct span address, char *to, size_t room)
{
	canonical_address(address, to, room);
}

/* ---- from an address to its record ---- */

/* "*.shop.example" and "*.example" for a.shop.example: the nearest one that is there. */
uint32_t
customers_wildcard(const struct customers *c, const char *domain)
{
	char name[MAX_ADDRESS + 1];
	uint32_t r = 0;

	if (domain[0] == '*')                /* above *.shop.example stands *.example */
		domain += 2;
	size_t n = strlen(domain);

	name[0] = '*';
	for (const char *dot = memchr(domain, '.', n), *end = domain + n; dot && r == 0; dot = memchr(dot + 1, '.', (size_t)(end - dot) - 1)) {
		size_t length = (size_t)(end - dot);

		if (length + 1 >= sizeof name)
			continue;
		memcpy(name + 1, dot, length);
		r = customers_find(c, span_make(name, length + 1));
		if (r && !c->records[r].present)
			r = 0;
	}
	return r;
}

const char *
customers_delimiters(const struct customers *c, uint32_t domain)
{
	uint32_t wildcard = domain ? customers_wildcard(c, record_name(c, domain)) : 0;
	const char *own = c->fieldsets && domain ? c->fieldsets[c->records[domain].fields].delimiters : "";

	if (own[0] == '\0' && wildcard)
		own = c->fieldsets[c->records[wildcard].fields].delimiters;
	return own[0] ? own : "+";
}

size_t
base_length(const char *local, size_t n, const char *delimiters)
{
	if (strcmp(delimiters, "none") == 0 || n == 0 || local[0] == '"')
		return 0;
	for (size_t i = 1; i < n; i++)
		if (strchr(delimiters, local[i]))
			return i;
	return 0;
}

/* Where the mail of an alias goes, unless it has a policy of its own. 0: a circle. */
static uint32_t
follow_target(const struct customers *c, uint32_t r)
{
	for (int hops = 0; c->records[r].target; hops++) {
		if (hops == MAX_ALIAS_HOPS)
			return 0;
		if (c->records[r].fields && c->fieldsets[c->records[r].fields].set)
			break;
		r = c->records[r].target;
	}
	return r;
}

uint32_t
customers_resolve(const struct customers *c, const char *canonical, const char **members)
{
	const char *at = strrchr(canonical, '@');
	char text[2 * MAX_ADDRESS + 2];
	uint32_t r, domain, real;

	*members = NULL;
	if (at == NULL)
		return customers_find(c, span_of(canonical));
	size_t local = (size_t)(at - canonical), base;

	r = customers_find(c, span_of(canonical));
	domain = customers_find(c, span_of(at + 1));
	real = domain ? follow_target(c, domain) : 0;
	if (!(r && c->records[r].present) && real && real != domain) {       /* an alias domain: the same mailbox in the real one */
		snprintf(text, sizeof text, "%.*s@%s", (int)local, canonical, record_name(c, real));
		domain = real;
		r = customers_find(c, span_of(text));
	}
	const char *name = domain ? record_name(c, domain) : at + 1;

	if (!(r && c->records[r].present) && (base = base_length(canonical, local, customers_delimiters(c, domain))) != 0) {
		snprintf(text, sizeof text, "%.*s@%s", (int)base, canonical, name);
		r = customers_find(c, span_of(text));
	}
	if (!(r && c->records[r].present) && domain && c->records[domain].fields && c->fieldsets[c->records[domain].fields].catch_all)
		r = customers_find(c, span_of(c->fieldsets[c->records[domain].fields].catch_all));
	if (r && c->records[r].present)
		r = follow_target(c, r);
	if (r && c->records[r].present) {
		const struct fieldset *f = c->records[r].fields ? &c->fieldsets[c->records[r].fields] : NULL;

		if (f && f->members && f->set == 0)
			*members = f->members;
		return r;
	}
	if (domain && c->records[domain].present)
		return domain;
	r = customers_wildcard(c, name);
	return r ? r : domain;
}

void
customers_mailbox(const struct customers *c, const char *canonical, char *to, size_t room, const char **members)
{
	const char *at = strrchr(canonical, '@');
	uint32_t r = customers_resolve(c, canonical, members), domain, real;
	size_t local = at ? (size_t)(at - canonical) : 0, base;

	to[0] = '\0';
	if (at == NULL)
		return;
	if (r && strchr(record_name(c, r), '@')) {
		snprintf(to, room, "%s", record_name(c, r));
		return;
	}
	domain = customers_find(c, span_of(at + 1));
	real = domain ? follow_target(c, domain) : 0;
	domain = real ? real : domain;
	base = base_length(canonical, local, customers_delimiters(c, domain));
	snprintf(to, room, "%.*s@%s", (int)(base ? base : local), canonical, domain ? record_name(c, domain) : at + 1);
}

/* ---- look-ups ---- */

const struct policy *
customers_lookup(struct customers *c, struct span address, uint32_t *class_id)
{
	char canonical[2 * MAX_ADDRESS + 2];
	size_t n = canonical_address(address, canonical, sizeof canonical);
	uint32_t r = customers_find(c, span_make(canonical, n));
	const char *members = NULL;

	if (r == 0 || c->records[r].stamp != c->stamp || !c->records[r].present || c->records[r].target)
		r = customers_resolve(c, canonical, &members);
	if (members)
		*class_id = class_of_members(c, r, members);
	else if (r == 0)
		*class_id = class_intern(c, &c->policy_default);
	else
		*class_id = c->records[r].stamp == c->stamp && !c->records[r].canary ? c->records[r].class_id : class_of_record(c, r, canonical);
	return class_policy(c, *class_id);
}

const struct policy *
customers_sourced(struct customers *c, struct span address, json_t *values, char *why, size_t room, uint32_t *class_id)
{
	char canonical[2 * MAX_ADDRESS + 2], key[KEY_ROOM];
	struct buf whole = { 0 }, shared = { 0 };
	const char *members;
	struct chain chain = { .customer = "" };
	struct policy p;
	struct draft d;
	char mailbox[MAX_ADDRESS + 1];
	bool failed = false;

	why[0] = '\0';
	canonical_address(address, canonical, sizeof canonical);
	snprintf(key, sizeof key, "mailbox:%.*s", MAX_ADDRESS, canonical);
	if (values == NULL || !draft_read(key, values, &d, why, room))
		return customers_lookup(c, address, class_id);
	uint32_t r = customers_resolve(c, canonical, &members);

	if (r)
		customers_chain(c, r, &chain);
	draft_json(key, &d, &whole, &shared);
	if (d.above[0] && chain.customer[0] == '\0') {
		char name[CUSTOMER_ROOM + 16];

		snprintf(name, sizeof name, "customer:%s", d.above);
		chain.at[LEVEL_CUSTOMER] = customers_find(c, span_of(name));
		chain.at[LEVEL_TIER] = c->records[chain.at[LEVEL_CUSTOMER]].parent;
		chain.customer = d.above;
	}
	canary_mailbox(c, r, canonical, mailbox);
	chain.mailbox = mailbox;
	if (!whole.failed && !shared.failed)
		chain.source = fieldset_intern(c, buf_span(&shared), &d, d.above, &failed);
	buf_free(&whole);
	buf_free(&shared);
	customers_compile(c, &chain, &p, NULL, NULL);
	if (failed || !policy_check(&p, why, room))
		return customers_lookup(c, address, class_id);
	*class_id = class_intern(c, &p);
	return class_policy(c, *class_id);
}

void
customers_base(const struct customers *c, struct span address, char *to, size_t room)
{
	char canonical[2 * MAX_ADDRESS + 2];

	to[0] = '\0';
	canonical_address(address, canonical, sizeof canonical);
	const char *at = strrchr(canonical, '@');
	uint32_t domain = at ? customers_find(c, span_of(at + 1)) : 0;
	size_t n = at ? base_length(canonical, (size_t)(at - canonical), customers_delimiters(c, domain ? follow_target(c, domain) : 0)) : 0;

	if (n > 0)
		snprintf(to, room, "%.*s%s", (int)n, canonical, at);
}

bool
customers_know(const struct customers *c, struct span address)
{
	char canonical[2 * MAX_ADDRESS + 2];
	const char *members;

	canonical_address(address, canonical, sizeof canonical);
	uint32_t r = strchr(canonical, '@') ? customers_resolve(c, canonical, &members) : 0;

	return r != 0 && c->records[r].present;
}

const struct policy *
customers_outbound(struct customers *c, struct span sender, uint32_t *class_id)
{
	struct policy p = *customers_lookup(c, sender, class_id);

	policy_outbound(&p);
	*class_id = class_intern(c, &p);
	return class_policy(c, *class_id);
}

void
customers_folder(const struct customers *c, struct span address, const char *folder, char *to, size_t room)
{
	size_t at = span_find_last(address, '@');
	char domain[MAX_ADDRESS + 1] = "";

	snprintf(to, room, SPAN_FMT, SPAN_ARG(address));
	if (at == SPAN_NONE || at == 0 || address.p[0] == '"')
		return;
	canonical_domain(span_from(address, at + 1), domain, sizeof domain);
	uint32_t r = customers_find(c, span_of(domain));
	const char *delimiters = customers_delimiters(c, r ? follow_target(c, r) : 0);

	if (strcmp(delimiters, "none") != 0 && base_length(address.p, at, delimiters) == 0)
		snprintf(to, room, "%.*s%c%s@" SPAN_FMT, (int)at, address.p, delimiters[0], folder, SPAN_ARG(span_from(address, at + 1)));
}

enum listed
customers_listed(const struct customers *c, const struct policy *policy, const struct entry_facts *facts, int64_t now_s, const char **which)
{
	enum listed found = LISTED_NOT;

	for (int level = LEVEL_EXTENSION; level > LEVEL_DEFAULT && found == LISTED_NOT; level--)
		if (policy->lists[level])
			found = entries_match(c->fieldsets[policy->lists[level]].entries, facts, now_s, which);
	return found;
}

/* ---- life ---- */

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct customers *c = arg;

	(void)fd;
	(void)what;
	customers_follow(c);
	snapshot_tick(c);
}

void
customers_config(struct customers *c, const struct config *config)
{
	c->policy_default = config->policy_default;
	c->stamp++;
}

struct customers *
customers_open(struct event_base *base, struct redis_async *redis, const struct config *config)
{
	struct customers *c = calloc(1, sizeof *c);
	struct timeval tick = { 0, TICK_MS * 1000 };

	if (c == NULL)
		return NULL;
	c->redis = redis;
	c->stamp = 1;
	snprintf(c->snapshot, sizeof c->snapshot, "%s/policies.snapshot", config->state);
	customers_config(c, config);
	for (int i = 0; i < POLICY_PARTITIONS; i++)
		c->partitions[i] = (struct partition){ .customers = c, .number = i, .last_id = "0-0" };
	if (!classes_renew(c) || !snapshot_load(c)) {
		customers_close(c);
		return NULL;
	}
	if (base == NULL)                    /* a tool that only looks */
		return c;
	c->tick = event_new(base, -1, EV_PERSIST, on_tick, c);
	if (c->tick == NULL || event_add(c->tick, &tick) < 0)
		return NULL;
	redis_async_on_up(redis, customers_reload, c);
	return c;
}

void
customers_close(struct customers *c)
{
	if (c->tick) {
		if (c->dirty)
			snapshot_save(c);
		event_free(c->tick);
	}
	for (size_t i = 1; i <= c->by_fields.count; i++) {
		struct fieldset *f = &c->fieldsets[i];

		free(f->packed);
		free(f->json);
		free(f->owner);
		free(f->members);
		free(f->catch_all);
		entries_free(f->entries);
		if (f->canary)
			free(f->canary->packed);
		free(f->canary);
	}
	classes_free(c);
	free(c->fieldsets);
	free(c->records);
	free(c->names);
	free(c->by_key.slots);
	free(c->by_fields.slots);
	free(c);
}

json_t *
customers_status(const struct customers *c)
{
	size_t bytes = c->record_room * sizeof *c->records + c->names_room + (c->by_key.room + c->by_fields.room) * sizeof(uint64_t) +
	    classes_bytes(c) + c->fieldset_room * sizeof *c->fieldsets;

	return json_pack("{s:i, s:i, s:i, s:I, s:b}", "records", (int)c->present_count, "classes", (int)c->classes->index.count,
	    "fieldsets", (int)c->by_fields.count, "bytes", (json_int_t)bytes, "redis_up", c->redis ? redis_async_up(c->redis) : 0);
}
