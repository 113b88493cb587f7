/* customers_check.c - may a record, as it now stands in the table, be in force? The writer puts it there, asks, and takes it
 * back if not; nothing outside this process has seen it. Checked at the write, so that a mail never meets a bad policy:
 * locks and bounds of the levels above, the order of the thresholds here and at every record below, circles of aliases. */
#include <stdio.h>

#include "policyd/store/customers_table.h"

static const struct fieldset *
fields_of(const struct customers *c, uint32_t r)
{
	return r && c->records[r].fields ? &c->fieldsets[c->records[r].fields] : NULL;
}

static int
level_of(const struct chain *chain, uint32_t r)
{
	int level = LEVEL_EXTENSION;

	while (level > LEVEL_DEFAULT && chain->at[level] != r)
		level--;
	return level;
}

/* Does a level above forbid what is set at `r`, or in its canary? */
static bool
check_above(const struct customers *c, const struct chain *chain, uint32_t r, const struct fieldset *own, char *why, size_t room)
{
	struct policy values, least, most, ignored;
	char text[LIMIT_TEXT_ROOM], limit[LIMIT_TEXT_ROOM];

	if (own == NULL)
		return true;
	fieldset_values(own, &values, &ignored, &ignored);
	for (int level = LEVEL_TIER; level < level_of(chain, r); level++) {
		const struct fieldset *above = fields_of(c, chain->at[level]);

		if (above == NULL)
			continue;
		fieldset_values(above, &ignored, &least, &most);
		for (size_t i = 0; i < policy_field_count; i++) {
			const struct policy_field *field = &policy_fields[i];
			const char *name = record_name(c, chain->at[level]);

			if (!(own->set >> i & 1))
				continue;
			bool low = above->least_set >> i & 1 && policy_field_compare(field, &least, &values) > 0;
			bool high = above->most_set >> i & 1 && policy_field_compare(field, &values, &most) > 0;

			policy_field_print(&values, field, text, sizeof text);
			if (above->locked >> i & 1) {
				snprintf(why, room, "%s=%.60s: it is locked at %.80s", field->name, text, name);
				return false;
			}
			if (low || high) {
				policy_field_print(low ? &least : &most, field, limit, sizeof limit);
				snprintf(why, room, "%s=%.60s: at %s %.60s by %.80s", field->name, text, low ? "least" : "most", limit, name);
				return false;
			}
		}
	}
	return true;
}

static bool
check_order(const struct customers *c, const struct chain *chain, uint32_t r, uint32_t written, char *why, size_t room)
{
	struct policy effective;
	size_t n;

	customers_compile(c, chain, &effective, NULL, NULL);
	bool good = policy_check(&effective, why, room);

	if (good && c->canaries > 0 && chain_has_canary(c, chain)) {
		struct chain drawn = *chain;

		drawn.all_canaries = true;
		customers_compile(c, &drawn, &effective, NULL, NULL);
		good = policy_check(&effective, why, room);
	}
	if (good)
		return true;
	n = strlen(why);
	if (r != written && n < room)
		snprintf(why + n, room - n, " at %.100s", record_name(c, r));
	return false;
}

/* All that inherits from `r`. Records with the same fields under the same parent meet the same end: looked at once. */
static bool
check_below(const struct customers *c, uint32_t r, uint32_t written, char *why, size_t room)
{
	uint32_t last = 0;

	for (uint32_t child = c->records[r].child; child; child = c->records[child].next) {
		bool leaf = c->records[child].kind == RECORD_MAILBOX;
		struct chain chain;

		if (leaf && (c->records[child].fields == 0 || c->records[child].fields == last))
			continue;
		last = c->records[child].fields;
		customers_chain(c, child, &chain);
		if (!check_order(c, &chain, child, written, why, room) || (!leaf && !check_below(c, child, written, why, room)))
			return false;
	}
	return true;
}

bool
customers_check(const struct customers *c, uint32_t r, char *why, size_t room)
{
	struct chain chain;
	uint32_t at = r;

	for (int hops = 0; c->records[at].target; hops++) {
		at = c->records[at].target;
		if (hops == MAX_ALIAS_HOPS || at == r) {
			snprintf(why, room, "alias_of: %.100s comes back to itself, or is more than %d aliases away from a mailbox",
			    record_name(c, r), MAX_ALIAS_HOPS);
			return false;
		}
	}
	customers_chain(c, r, &chain);
	const struct fieldset *own = fields_of(c, r);

	return check_above(c, &chain, r, own, why, room) && check_above(c, &chain, r, own ? own->canary : NULL, why, room) && check_order(c, &chain, r, r, why, room) && check_below(c, r, r, why, room);
}
