/* customers_compile.c - from a record and the levels above it to one effective policy, and to the class that all equal ones share. */
#include <stdio.h>
#include <stdlib.h>

#include "policyd/store/customers_table.h"

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
		size_t n = base_length(name, (size_t)(at - name), customers_delimiters(c, domain));

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
		uint32_t wildcard = customers_wildcard(c, record_name(c, domain)), parent = c->records[domain].parent;

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
			bool cut = policy_field_bound(out, field, f->least_set >> i & 1 ? &least : NULL, f->most_set >> i & 1 ? &most : NULL);

			if (cut && bounded)
				bounded[i] = (enum policy_level)level;
		}
	}
}

/* What one level sets, but for what those above have locked. */
static void
overlay(const struct fieldset *f, enum policy_level level, uint64_t *locked, struct policy *out, enum policy_level *from)
{
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
	*locked |= f->locked;
}

static void
overlay_level(const struct customers *c, uint32_t number, enum policy_level level, uint64_t *locked, struct policy *out, enum policy_level *from)
{
	overlay(&c->fieldsets[number], level, locked, out, from);
	if (c->fieldsets[number].entries)
		out->lists[level] = number;
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
			overlay_level(c, chain->source, (enum policy_level)level, &locked, out, from);
		uint32_t number = chain->at[level] ? c->records[chain->at[level]].fields : 0;

		if (number == 0)
			continue;
		uint64_t above = locked;     /* a canary may change what its own level has locked */

		overlay_level(c, number, (enum policy_level)level, &locked, out, from);
		if (c->fieldsets[number].canary && chain_draws(c, chain, (enum policy_level)level))
			overlay(c->fieldsets[number].canary, (enum policy_level)level, &above, out, from);
		limits |= c->fieldsets[number].least_set | c->fieldsets[number].most_set;
	}
	if (limits)
		put_bounds(c, chain, out, bounded);
}

/* ---- classes ---- */

static struct policy *
class_of(const struct classes *all, uint32_t id)
{
	return &all->blocks[(id - 1) / CLASS_BLOCK][(id - 1) % CLASS_BLOCK];
}

static void
free_oldest(struct customers *c)
{
	struct classes *old = c->oldest;

	c->oldest = old->newer;
	for (size_t i = 0; i < CLASSES_MOST / CLASS_BLOCK; i++)
		free(old->blocks[i]);
	free(old->index.slots);
	free(old);
}

/* Whoever holds one also has policies of those that came later. */
static void
free_unheld(struct customers *c)
{
	while (c->oldest != c->classes && c->oldest->holders == 0)
		free_oldest(c);
}

bool
classes_renew(struct customers *c)
{
	struct classes *fresh = calloc(1, sizeof *fresh);

	if (fresh == NULL)
		return false;
	if (c->classes)
		c->classes->newer = fresh;
	else
		c->oldest = fresh;
	c->classes = fresh;
	c->stamp++;
	free_unheld(c);
	return true;
}

void
classes_free(struct customers *c)
{
	while (c->oldest)
		free_oldest(c);
	c->classes = NULL;
}

size_t
classes_bytes(const struct customers *c)
{
	size_t bytes = 0;

	for (const struct classes *k = c->oldest; k; k = k->newer) {
		bytes += sizeof *k + k->index.room * sizeof *k->index.slots;
		for (size_t i = 0; i < CLASSES_MOST / CLASS_BLOCK; i++)
			bytes += k->blocks[i] ? CLASS_BLOCK * sizeof(struct policy) : 0;
	}
	return bytes;
}

struct classes *
customers_hold(struct customers *c)
{
	c->classes->holders++;
	return c->classes;
}

void
customers_let_go(struct customers *c, struct classes *held)
{
	held->holders--;
	free_unheld(c);
}

uint32_t
class_intern(struct customers *c, const struct policy *policy)
{
	uint32_t hash = customers_hash(span_make(policy, sizeof *policy)), id;
	size_t at = 0;

	while ((id = intern_next(&c->classes->index, hash, &at)) != 0)
		if (memcmp(class_of(c->classes, id), policy, sizeof *policy) == 0)
			return id;
	if ((c->classes->index.count == CLASSES_MOST && !classes_renew(c)) || !intern_room(&c->classes->index, 1))
		return 0;
	struct classes *all = c->classes;
	struct policy **block = &all->blocks[all->index.count / CLASS_BLOCK];

	if (*block == NULL && (*block = calloc(CLASS_BLOCK, sizeof(struct policy))) == NULL)
		return 0;
	intern_add(&all->index, hash);
	id = (uint32_t)all->index.count;
	*class_of(all, id) = *policy;
	return id;
}

uint32_t
class_of_record(struct customers *c, uint32_t r, const char *canonical)
{
	char mailbox[MAX_ADDRESS + 1];
	struct policy effective;
	struct chain chain;

	customers_chain(c, r, &chain);
	bool canary = c->canaries > 0 && chain_has_canary(c, &chain);

	if (canary) {
		canary_mailbox(c, r, canonical, mailbox);
		chain.mailbox = mailbox;
	}
	customers_compile(c, &chain, &effective, NULL, NULL);
	uint32_t id = class_intern(c, &effective);

	if (id && chain.at[LEVEL_EXTENSION] == 0) {  /* with an extension it hangs on another mailbox too */
		c->records[r].class_id = id;
		c->records[r].stamp = c->stamp;
		c->records[r].canary = canary;
	}
	return id;
}

/* The strictest that the members of an alias agree on. Members that are aliases for several themselves count by their own. */
uint32_t
class_of_members(struct customers *c, uint32_t alias, const char *members)
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
		chain.mailbox = name;
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

const struct policy *
class_policy(const struct customers *c, uint32_t id)
{
	return id ? class_of(c->classes, id) : &c->policy_default;
}
