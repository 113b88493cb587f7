/* customers.c - the table of records, and from an address to its policy.
 *
 * A look-up is one probe: the mailbox's record knows its class. A write at a customer, a domain or a tier makes the stamps
 * of all records old at once, without touching them; a record with an old stamp is compiled when it is next asked for. */
#include "policyd/store/customers.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "policyd/base/clock.h"
#include "policyd/base/log.h"
#include "policyd/base/metrics.h"
#include "policyd/store/customers_table.h"
#include "policyd/store/redis_async.h"

enum { TICK_MS = 200, FIRST_ROOM = 64 };

static uint32_t
name_hash(struct span name)
{
	uint64_t hash = span_hash(name, 11);

	return (uint32_t)(hash ^ hash >> 32);
}

int
customers_partition(const char *key)
{
	const char *name = strchr(key, ':'), *at = strrchr(key, '@');

	name = at ? at + 1 : name ? name + 1 : key;
	return (int)(span_hash(span_of(name), 3) % POLICY_PARTITIONS);
}

void
customers_canonical(struct span address, char *to, size_t room)
{
	canonical_address(address, to, room);
}

/* ---- records ---- */

uint32_t
customers_find(const struct customers *c, struct span name)
{
	uint32_t hash = name_hash(name), r;

	if (c->by_key.room == 0)
		return 0;
	for (size_t i = hash & (c->by_key.room - 1); (r = c->by_key.slots[i]) != 0; i = (i + 1) & (c->by_key.room - 1)) {
		const char *text = record_name(c, r);

		if (c->records[r].hash == hash && strncmp(text, name.p, name.n) == 0 && text[name.n] == '\0')
			return r;
	}
	return 0;
}

/* Twice the slots, each number where `hash_of` says. */
static bool
intern_grow(struct customers *c, struct intern *t, uint32_t (*hash_of)(const struct customers *c, uint32_t number))
{
	size_t room = t->room ? t->room * 2 : FIRST_ROOM * 2;
	uint32_t *slots = calloc(room, sizeof *slots);

	if (slots == NULL)
		return false;
	for (size_t i = 0; i < t->room; i++) {
		if (t->slots[i] == 0)
			continue;
		size_t k = hash_of(c, t->slots[i]) & (room - 1);

		while (slots[k])
			k = (k + 1) & (room - 1);
		slots[k] = t->slots[i];
	}
	free(t->slots);
	t->slots = slots;
	t->room = room;
	return true;
}

static void
intern_add(struct intern *t, uint32_t hash, uint32_t number)
{
	size_t i = hash & (t->room - 1);

	while (t->slots[i])
		i = (i + 1) & (t->room - 1);
	t->slots[i] = number;
	t->count++;
}

static uint32_t
record_hash(const struct customers *c, uint32_t number)
{
	return c->records[number].hash;
}

/* Half as much again: a million records are not copied into twice the memory. */
static bool
make_room(void **at, size_t *room, size_t need, size_t size)
{
	size_t more = *room + *room / 2 < need ? need + FIRST_ROOM : *room + *room / 2;
	void *bigger;

	if (need <= *room)
		return true;
	if ((bigger = realloc(*at, more * size)) == NULL)
		return false;
	*at = bigger;
	*room = more;
	return true;
}

static void
unlink_child(struct customers *c, uint32_t r)
{
	uint32_t *at = &c->records[c->records[r].parent].child;

	if (c->records[r].parent == 0)
		return;
	while (*at != r)
		at = &c->records[*at].next;
	*at = c->records[r].next;
	c->records[r].next = c->records[r].parent = 0;
}

static void
set_parent(struct customers *c, uint32_t r, uint32_t parent)
{
	if (c->records[r].parent == parent)
		return;
	unlink_child(c, r);
	c->records[r].parent = parent;
	if (parent) {
		c->records[r].next = c->records[parent].child;
		c->records[parent].child = r;
	}
}

uint32_t
customers_make(struct customers *c, enum record_kind kind, struct span name)
{
	uint32_t r = customers_find(c, name), parent = 0;
	size_t at = kind == RECORD_MAILBOX ? span_find_last(name, '@') : SPAN_NONE;

	if (r)
		return r;
	if (at != SPAN_NONE && (parent = customers_make(c, RECORD_DOMAIN, span_from(name, at + 1))) == 0)
		return 0;
	if (!make_room((void **)&c->records, &c->record_room, c->by_key.count + 2, sizeof *c->records) ||
	    !make_room((void **)&c->names, &c->names_room, c->names_n + name.n + 1, 1) ||
	    (c->by_key.count * 4 >= c->by_key.room * 3 && !intern_grow(c, &c->by_key, record_hash)))
		return 0;
	r = (uint32_t)c->by_key.count + 1;
	if (r == 1)
		memset(&c->records[0], 0, sizeof c->records[0]);
	c->records[r] = (struct record){ .key = (uint32_t)c->names_n, .hash = name_hash(name), .kind = (uint8_t)kind };
	memcpy(c->names + c->names_n, name.p, name.n);
	c->names[c->names_n + name.n] = '\0';
	c->names_n += name.n + 1;
	c->records[r].partition = (uint8_t)customers_partition(record_name(c, r));
	intern_add(&c->by_key, c->records[r].hash, r);
	set_parent(c, r, parent);
	return r;
}

static uint32_t
fieldset_hash(const struct customers *c, uint32_t number)
{
	return c->fieldsets[number].hash;
}

static uint8_t *
pack_values(const struct draft *d)
{
	const struct { uint64_t set; const struct policy *from; } parts[] = {
		{ d->set, &d->values }, { d->least_set, &d->least }, { d->most_set, &d->most },
	};
	uint8_t *packed, *to;
	size_t n = 1;

	for (int k = 0; k < 3; k++)
		for (size_t i = 0; i < policy_field_count; i++)
			n += parts[k].set >> i & 1 ? policy_fields[i].size : 0;
	to = packed = malloc(n);
	for (int k = 0; packed && k < 3; k++)
		for (size_t i = 0; i < policy_field_count; i++)
			if (parts[k].set >> i & 1) {
				memcpy(to, (const char *)parts[k].from + policy_fields[i].offset, policy_fields[i].size);
				to += policy_fields[i].size;
			}
	return packed;
}

void
fieldset_values(const struct fieldset *f, struct policy *values, struct policy *least, struct policy *most)
{
	const struct { uint64_t set; struct policy *to; } parts[] = {
		{ f->set, values }, { f->least_set, least }, { f->most_set, most },
	};
	const uint8_t *from = f->packed;

	for (int k = 0; k < 3; k++)
		for (size_t i = 0; i < policy_field_count; i++)
			if (parts[k].set >> i & 1) {
				memcpy((char *)parts[k].to + policy_fields[i].offset, from, policy_fields[i].size);
				from += policy_fields[i].size;
			}
}

static char *
copy_or_null(const char *text)
{
	return text[0] ? strdup(text) : NULL;
}

uint32_t
fieldset_intern(struct customers *c, struct span json, const struct draft *d, const char *owner, bool *failed)
{
	uint32_t hash = name_hash(json), number;
	char why[256];

	*failed = false;
	if (json.n == 0)
		return 0;
	for (size_t i = hash & (c->by_fields.room - 1); c->by_fields.room && (number = c->by_fields.slots[i]) != 0;
	     i = (i + 1) & (c->by_fields.room - 1))
		if (c->fieldsets[number].hash == hash && span_eq(span_of(c->fieldsets[number].json), json))
			return number;
	*failed = !make_room((void **)&c->fieldsets, &c->fieldset_room, c->by_fields.count + 2, sizeof *c->fieldsets) ||
	    (c->by_fields.count * 4 >= c->by_fields.room * 3 && !intern_grow(c, &c->by_fields, fieldset_hash));
	if (*failed)
		return 0;
	if (c->by_fields.count == 0)
		memset(&c->fieldsets[0], 0, sizeof c->fieldsets[0]);
	number = (uint32_t)c->by_fields.count + 1;
	struct fieldset *f = &c->fieldsets[number];

	*f = (struct fieldset){ .set = d->set, .locked = d->locked, .least_set = d->least_set, .most_set = d->most_set, .hash = hash,
	    .packed = pack_values(d), .json = strndup(json.p, json.n), .catch_all = copy_or_null(d->catch_all),
	    .owner = copy_or_null(owner), .members = strchr(d->alias, ' ') ? strdup(d->alias) : NULL };
	memcpy(f->delimiters, d->delimiters, sizeof f->delimiters);
	if (f->packed == NULL || f->json == NULL || !entries_read(d->allow, d->block, &f->entries, why, sizeof why)) {
		*failed = true;
		free(f->packed);
		free(f->json);
		return 0;
	}
	intern_add(&c->by_fields, hash, number);
	return number;
}

bool
customers_put(struct customers *c, const char *key, const struct draft *d, struct span shared, struct record_state *before)
{
	enum record_kind kind = customers_kind(key);
	uint32_t r = customers_make(c, kind, span_of(customers_name(key))), fields = 0, parent, target = 0;
	bool failed = r == 0;
	char name[CUSTOMER_ROOM + 16];

	if (failed)
		return false;
	*before = (struct record_state){ r, c->records[r].fields, c->records[r].parent, c->records[r].target, c->records[r].present };
	parent = kind == RECORD_MAILBOX ? c->records[r].parent : 0;
	if (d && kind != RECORD_MAILBOX && d->above[0]) {
		snprintf(name, sizeof name, "%s:%s", kind == RECORD_CUSTOMER ? "tier" : "customer", d->above);
		parent = customers_make(c, kind == RECORD_CUSTOMER ? RECORD_TIER : RECORD_CUSTOMER, span_of(name));
		failed = parent == 0;
	}
	if (d && !failed && d->alias[0] && strchr(d->alias, ' ') == NULL) {
		target = customers_make(c, kind, span_of(d->alias));
		failed = target == 0;
	}
	if (d && !failed)
		fields = fieldset_intern(c, shared, d, kind == RECORD_MAILBOX ? d->above : "", &failed);
	if (failed)
		return false;
	set_parent(c, r, parent);
	struct record *record = &c->records[r];

	c->present_count += (d != NULL) - record->present;
	record->fields = fields;
	record->target = target;
	record->present = record->seen = d != NULL;
	record->stamp = 0;
	if (kind != RECORD_MAILBOX)
		c->stamp++;
	return true;
}

void
customers_restore(struct customers *c, const struct record_state *before)
{
	struct record *record = &c->records[before->record];

	set_parent(c, before->record, before->parent);
	c->present_count += before->present - record->present;
	record->fields = before->fields;
	record->target = before->target;
	record->present = before->present;
	record->stamp = 0;
	if (record->kind != RECORD_MAILBOX)
		c->stamp++;
}

bool
customers_apply(struct customers *c, const char *key, struct span json)
{
	struct buf whole = { 0 }, shared = { 0 };
	struct record_state before;
	struct draft d;
	char why[512] = "no memory";
	json_t *fields;
	bool good;

	c->dirty = true;
	metrics_add(M_POLICY_CHANGES, 1);
	if (json.n == 0)
		return customers_find(c, span_of(customers_name(key))) == 0 || customers_put(c, key, NULL, SPAN(""), &before);
	fields = json_loadb(json.p, json.n, 0, NULL);
	good = fields && draft_read(key, fields, &d, why, sizeof why);
	if (good) {
		draft_json(key, &d, &whole, &shared);
		good = !whole.failed && !shared.failed && customers_put(c, key, &d, buf_span(&shared), &before);
	}
	if (!good)
		log_warning("policy %s: cannot be read (%s); the one before stays in force", key, why);
	buf_free(&whole);
	buf_free(&shared);
	json_decref(fields);
	return good;
}

/* ---- from an address to its record ---- */

/* "*.shop.example" and "*.example" for a.shop.example: the nearest one that is there. */
static uint32_t
wildcard_of(const struct customers *c, const char *domain)
{
	char name[MAX_ADDRESS + 1];
	uint32_t r = 0;

	if (domain[0] == '*')                /* above *.shop.example stands *.example */
		domain += 2;
	for (const char *dot = strchr(domain, '.'); dot && r == 0; dot = strchr(dot + 1, '.')) {
		int n = snprintf(name, sizeof name, "*%s", dot);

		r = n < (int)sizeof name ? customers_find(c, span_make(name, (size_t)n)) : 0;
		if (r && !c->records[r].present)
			r = 0;
	}
	return r;
}

static const char *
delimiters_of(const struct customers *c, uint32_t domain)
{
	uint32_t wildcard = domain ? wildcard_of(c, record_name(c, domain)) : 0;
	const char *own = c->fieldsets && domain ? c->fieldsets[c->records[domain].fields].delimiters : "";

	if (own[0] == '\0' && wildcard)
		own = c->fieldsets[c->records[wildcard].fields].delimiters;
	return own[0] ? own : "+";
}

/* user for user+ext, by the domain's delimiters; 0: there is no extension. A quoted local part has none. */
static size_t
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

	if (!(r && c->records[r].present) && (base = base_length(canonical, local, delimiters_of(c, domain))) != 0) {
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
	r = wildcard_of(c, name);
	return r ? r : domain;
}

void
customers_chain(const struct customers *c, uint32_t r, struct chain *chain)
{
	*chain = (struct chain){ .customer = "" };
	uint32_t domain = 0, customer = 0;

	switch ((enum record_kind)c->records[r].kind) {
	case RECORD_MAILBOX: {
		const char *name = record_name(c, r), *at = strrchr(name, '@');
		char base[MAX_ADDRESS + 1];

		domain = c->records[r].parent;
		size_t n = base_length(name, (size_t)(at - name), delimiters_of(c, domain));

		snprintf(base, sizeof base, "%.*s%s", (int)n, name, at);
		chain->at[n ? LEVEL_EXTENSION : LEVEL_MAILBOX] = r;
		if (n)
			chain->at[LEVEL_MAILBOX] = customers_find(c, span_of(base));
		break;
	}
	case RECORD_DOMAIN:
		domain = r;
		break;
	case RECORD_CUSTOMER:
		customer = r;
		break;
	case RECORD_TIER:
		chain->at[LEVEL_TIER] = r;
		return;
	case RECORD__KINDS:
		return;
	}
	if (domain && record_name(c, domain)[0] == '*') {
		chain->at[LEVEL_WILDCARD] = domain;
	} else if (domain) {
		uint32_t wildcard = wildcard_of(c, record_name(c, domain)), parent = c->records[domain].parent;

		if (parent == 0 || c->records[wildcard].parent == parent)    /* not another's, nor nobody's, over this customer */
			chain->at[LEVEL_WILDCARD] = wildcard;
		chain->at[LEVEL_DOMAIN] = domain;
	}
	if (domain)
		customer = c->records[domain].parent ? c->records[domain].parent : c->records[chain->at[LEVEL_WILDCARD]].parent;
	for (int level = LEVEL_MAILBOX; level <= LEVEL_EXTENSION; level++) {
		const char *owner = chain->at[level] && c->records[chain->at[level]].fields ?
		    c->fieldsets[c->records[chain->at[level]].fields].owner : NULL;
		char name[CUSTOMER_ROOM + 16];

		if (owner) {
			snprintf(name, sizeof name, "customer:%s", owner);
			customer = customers_find(c, span_of(name));
			chain->customer = owner;
		}
	}
	if (customer) {
		chain->at[LEVEL_CUSTOMER] = customer;
		chain->at[LEVEL_TIER] = c->records[customer].parent;
		chain->customer = record_name(c, customer) + strlen("customer:");
	}
}

/* Bounds are put on from below, so that the highest one has the last word. */
static void
put_bounds(const struct customers *c, const struct chain *chain, struct policy *out, enum policy_level *bounded)
{
	struct policy values, least, most;

	for (int level = LEVEL_EXTENSION; level > LEVEL_DEFAULT; level--) {
		const struct fieldset *f = chain->at[level] ? &c->fieldsets[c->records[chain->at[level]].fields] : NULL;

		if (f == NULL || (f->least_set | f->most_set) == 0)
			continue;
		fieldset_values(f, &values, &least, &most);
		for (size_t i = 0; i < policy_field_count; i++) {
			const struct policy_field *field = &policy_fields[i];
			const struct policy *limit = f->least_set >> i & 1 && policy_field_compare(field, out, &least) < 0 ? &least :
			    f->most_set >> i & 1 && policy_field_compare(field, out, &most) > 0 ? &most : NULL;

			if (limit == NULL)
				continue;
			memcpy((char *)out + field->offset, (const char *)limit + field->offset, field->size);
			if (bounded)
				bounded[i] = (enum policy_level)level;
		}
	}
}

/* What one level sets, but for what those above have locked. */
static void
overlay(const struct customers *c, uint32_t number, enum policy_level level, uint64_t *locked, struct policy *out, enum policy_level *from)
{
	const struct fieldset *f = &c->fieldsets[number];
	const uint8_t *value = f->packed;
	struct policy one;

	for (size_t i = 0; i < policy_field_count; i++) {
		const struct policy_field *field = &policy_fields[i];

		if (!(f->set >> i & 1))
			continue;
		if (!(*locked >> i & 1)) {
			memcpy((char *)&one + field->offset, value, field->size);
			policy_field_merge(out, field, &one);
			if (from)
				from[i] = level;
		}
		value += field->size;
	}
	if (f->entries)
		out->lists[level] = number;
	*locked |= f->locked;
}

void
customers_compile(const struct customers *c, const struct chain *chain, struct policy *out, enum policy_level *from,
    enum policy_level *bounded)
{
	uint64_t locked = 0, limits = 0;

	*out = c->policy_default;
	memset(out->customer, 0, sizeof out->customer);
	snprintf(out->customer, sizeof out->customer, "%.63s", chain->customer);
	for (int level = LEVEL_TIER; level < LEVEL__COUNT; level++) {
		if (level == LEVEL_MAILBOX && chain->source)
			overlay(c, chain->source, (enum policy_level)level, &locked, out, from);
		uint32_t number = chain->at[level] ? c->records[chain->at[level]].fields : 0;

		if (number == 0)
			continue;
		overlay(c, number, (enum policy_level)level, &locked, out, from);
		limits |= c->fieldsets[number].least_set | c->fieldsets[number].most_set;
	}
	if (limits)
		put_bounds(c, chain, out, bounded);
}

/* ---- classes ---- */

static struct policy *
class_of(const struct customers *c, uint32_t id)
{
	return &c->classes[(id - 1) / CLASS_BLOCK][(id - 1) % CLASS_BLOCK];
}

static uint32_t
class_hash(const struct customers *c, uint32_t id)
{
	return name_hash(span_make(class_of(c, id), sizeof(struct policy)));
}

static uint32_t
class_intern(struct customers *c, const struct policy *policy)
{
	struct intern *t = &c->by_class;
	uint32_t hash = name_hash(span_make(policy, sizeof *policy)), id;

	for (size_t i = hash & (t->room - 1); t->room && (id = t->slots[i]) != 0; i = (i + 1) & (t->room - 1))
		if (memcmp(class_of(c, id), policy, sizeof *policy) == 0)
			return id;
	if (t->count * 4 >= t->room * 3 && !intern_grow(c, t, class_hash))
		return 0;
	if (t->count == c->class_blocks * CLASS_BLOCK) {
		struct policy **more = realloc(c->classes, (c->class_blocks + 1) * sizeof *more);

		if (more == NULL)
			return 0;
		c->classes = more;
		if ((more[c->class_blocks] = calloc(CLASS_BLOCK, sizeof(struct policy))) == NULL)
			return 0;
		c->class_blocks++;
	}
	id = (uint32_t)t->count + 1;
	*class_of(c, id) = *policy;
	intern_add(t, hash, id);
	return id;
}

static uint32_t
compile_record(struct customers *c, uint32_t r)
{
	struct policy effective;
	struct chain chain;

	customers_chain(c, r, &chain);
	customers_compile(c, &chain, &effective, NULL, NULL);
	uint32_t id = class_intern(c, &effective);

	if (id && chain.at[LEVEL_EXTENSION] == 0) {  /* with an extension it hangs on another mailbox too */
		c->records[r].class_id = id;
		c->records[r].stamp = c->stamp;
	}
	return id;
}

/* The strictest that the members of an alias agree on. Members that are aliases for several themselves count by their own. */
static uint32_t
compile_members(struct customers *c, uint32_t alias, const char *members)
{
	struct span rest = span_of(members);
	struct policy all, one;
	struct chain chain;
	bool first = true;

	while (rest.n > 0) {
		struct span member = span_cut(&rest, ' ');
		char name[MAX_ADDRESS + 1];
		const char *more;

		snprintf(name, sizeof name, SPAN_FMT, SPAN_ARG(member));
		uint32_t r = customers_resolve(c, name, &more);

		if (r)
			customers_chain(c, r, &chain);
		else
			chain = (struct chain){ .customer = "" };
		customers_compile(c, &chain, &one, NULL, NULL);
		if (first)
			all = one;
		else
			policy_strictest(&all, &one);
		first = false;
	}
	customers_chain(c, alias, &chain);
	memset(all.customer, 0, sizeof all.customer);        /* the copy is the alias owner's */
	snprintf(all.customer, sizeof all.customer, "%.63s", chain.customer);
	return class_intern(c, &all);
}

static const struct policy *
class_policy(const struct customers *c, uint32_t id)
{
	return id ? class_of(c, id) : &c->policy_default;
}

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
		*class_id = compile_members(c, r, members);
	else if (r == 0)
		*class_id = class_intern(c, &c->policy_default);
	else
		*class_id = c->records[r].stamp == c->stamp ? c->records[r].class_id : compile_record(c, r);
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
	size_t n = at ? base_length(canonical, (size_t)(at - canonical), delimiters_of(c, domain ? follow_target(c, domain) : 0)) : 0;

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
	const char *delimiters = delimiters_of(c, r ? follow_target(c, r) : 0);

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
	if (!snapshot_load(c)) {
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
	}
	for (size_t i = 0; i < c->class_blocks; i++)
		free(c->classes[i]);
	free(c->classes);
	free(c->fieldsets);
	free(c->records);
	free(c->names);
	free(c->by_key.slots);
	free(c->by_fields.slots);
	free(c->by_class.slots);
	free(c);
}

json_t *
customers_status(const struct customers *c)
{
	size_t bytes = c->record_room * sizeof *c->records + c->names_room + (c->by_key.room + c->by_fields.room + c->by_class.room) * 4 +
	    c->class_blocks * CLASS_BLOCK * sizeof(struct policy) + c->fieldset_room * sizeof *c->fieldsets;

	return json_pack("{s:i, s:i, s:i, s:I, s:b}", "records", (int)c->present_count, "classes", (int)c->by_class.count,
	    "fieldsets", (int)c->by_fields.count, "bytes", (json_int_t)bytes, "redis_up", c->redis ? redis_async_up(c->redis) : 0);
}
