/* customers_records.c - the table: records found by a hash of their names, sets of fields that many of them share. */
#include <stdio.h>
#include <stdlib.h>

#include "policyd/base/log.h"
#include "policyd/base/metrics.h"
#include "policyd/store/customers_table.h"

enum { FIRST_ROOM = 64 };

/* Eight bytes at a step: a name is hashed at each look-up, several times where it has no record. Never stored. */
uint32_t
customers_hash(struct span name)
{
	uint64_t h = name.n * 0x9e3779b97f4a7c15u, word;
	size_t i = 0;

	for (; i + sizeof word <= name.n; i += sizeof word) {
		memcpy(&word, name.p + i, sizeof word);
		h = (h ^ word) * 0xff51afd7ed558ccdu;
		h ^= h >> 32;
	}
	word = 0;
	if (i < name.n)
		memcpy(&word, name.p + i, name.n - i);
	h = (h ^ word) * 0xc4ceb9fe1a85ec53u;
	return (uint32_t)(h >> 32 ^ h);
}

int
customers_partition(const char *key)
{
	const char *name = strchr(key, ':'), *at = strrchr(key, '@');

	name = at ? at + 1 : name ? name + 1 : key;
	return (int)(span_hash(span_of(name), 3) % POLICY_PARTITIONS);
}

uint32_t
customers_find(const struct customers *c, struct span name)
{
	uint32_t hash = customers_hash(name), r;
	size_t at = 0;

	while ((r = intern_next(&c->by_key, hash, &at)) != 0) {
		const char *text = record_name(c, r);

		if (strncmp(text, name.p, name.n) == 0 && text[name.n] == '\0')
			break;
	}
	return r;
}

static void
put_slot(uint64_t *slots, size_t room, uint64_t slot)
{
	size_t i = slot >> 32 & (room - 1);

	while (slots[i])
		i = (i + 1) & (room - 1);
	slots[i] = slot;
}

bool
intern_room(struct intern *t, size_t more)
{
	size_t room = t->room ? t->room : FIRST_ROOM;
	uint64_t *slots;

	while ((t->count + more) * 4 > room * 3)
		room *= 2;
	if (room == t->room)
		return true;
	if ((slots = calloc(room, sizeof *slots)) == NULL)
		return false;
	for (size_t i = 0; i < t->room; i++)
		if (t->slots[i])
			put_slot(slots, room, t->slots[i]);
	free(t->slots);
	t->slots = slots;
	t->room = room;
	return true;
}

void
intern_add(struct intern *t, uint32_t hash)
{
	put_slot(t->slots, t->room, (uint64_t)hash << 32 | ++t->count);
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
	    !intern_room(&c->by_key, 1))
		return 0;
	r = (uint32_t)c->by_key.count + 1;
	if (r == 1)
		memset(&c->records[0], 0, sizeof c->records[0]);
	c->records[r] = (struct record){ .key = (uint32_t)c->names_n, .kind = (uint8_t)kind };
	memcpy(c->names + c->names_n, name.p, name.n);
	c->names[c->names_n + name.n] = '\0';
	c->names_n += name.n + 1;
	c->records[r].partition = (uint8_t)customers_partition(record_name(c, r));
	intern_add(&c->by_key, customers_hash(name));
	set_parent(c, r, parent);
	return r;
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

static struct fieldset *
canary_of(const struct draft *d)
{
	const struct draft alone = { .set = d->canary_set, .values = d->canary };
	struct fieldset *f = calloc(1, sizeof *f);

	if (f)
		*f = (struct fieldset){ .set = d->canary_set, .packed = pack_values(&alone) };
	if (f && f->packed == NULL) {
		free(f);
		f = NULL;
	}
	return f;
}

static bool
has_canary(const struct customers *c, uint32_t fields)
{
	return fields && c->fieldsets[fields].canary;
}

static char *
copy_or_null(const char *text)
{
	return text[0] ? strdup(text) : NULL;
}

uint32_t
fieldset_intern(struct customers *c, struct span json, const struct draft *d, const char *owner, bool *failed)
{
	uint32_t hash = customers_hash(json), number;
	char why[256];
	size_t at = 0;

	*failed = false;
	if (json.n == 0)
		return 0;
	while ((number = intern_next(&c->by_fields, hash, &at)) != 0)
		if (span_eq(span_of(c->fieldsets[number].json), json))
			return number;
	*failed = !make_room((void **)&c->fieldsets, &c->fieldset_room, c->by_fields.count + 2, sizeof *c->fieldsets) ||
	    !intern_room(&c->by_fields, 1);
	if (*failed)
		return 0;
	if (c->by_fields.count == 0)
		memset(&c->fieldsets[0], 0, sizeof c->fieldsets[0]);
	number = (uint32_t)c->by_fields.count + 1;
	struct fieldset *f = &c->fieldsets[number];

	*f = (struct fieldset){ .set = d->set, .locked = d->locked, .least_set = d->least_set, .most_set = d->most_set,
	    .packed = pack_values(d), .json = strndup(json.p, json.n), .catch_all = copy_or_null(d->catch_all),
	    .owner = copy_or_null(owner), .members = strchr(d->alias, ' ') ? strdup(d->alias) : NULL };
	memcpy(f->delimiters, d->delimiters, sizeof f->delimiters);
	if (d->canary_set) {
		f->canary = canary_of(d);
		f->share = d->share;
		f->most_held = d->most_held;
	}
	if (f->packed == NULL || f->json == NULL || (d->canary_set && f->canary == NULL) || !entries_read(d->allow, d->block, &f->entries, why, sizeof why)) {
		*failed = true;
		free(f->packed);
		free(f->json);
		return 0;
	}
	intern_add(&c->by_fields, hash);
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
	c->canaries += has_canary(c, fields) - has_canary(c, record->fields);
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
	c->canaries += has_canary(c, before->fields) - has_canary(c, record->fields);
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
