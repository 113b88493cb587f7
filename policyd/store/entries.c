#include "policyd/store/entries.h"

#include <stdio.h>
#include <stdlib.h>

#include "policyd/store/canonical.h"

enum entry_kind { ENTRY_FROM, ENTRY_DOMAIN, ENTRY_IP, ENTRY_DKIM, ENTRY_LIST_ID, ENTRY__KINDS };
static const char *const kind_names[ENTRY__KINDS] = {
	[ENTRY_FROM] = "from", [ENTRY_DOMAIN] = "domain", [ENTRY_IP] = "ip", [ENTRY_DKIM] = "dkim", [ENTRY_LIST_ID] = "list-id",
};

struct entry {
	enum entry_kind kind;
	bool block, force;
	int64_t until_s;                     /* 0: for ever */
	struct net net;
	char *name;                          /* "from:ann@b.example", folded */
};

struct entries {
	size_t count;
	struct entry at[];
};

enum { MAX_ENTRIES = 10000, NAME_ROOM = 400, MAX_COMMENT = 200 };

static struct span
value_of(const struct entry *e)
{
	return span_from(span_of(e->name), strlen(kind_names[e->kind]) + 1);
}

static int
kind_of(struct span *name)
{
	for (int k = 0; k < ENTRY__KINDS; k++) {
		struct span prefix = span_of(kind_names[k]);

		if (span_starts_nocase(*name, prefix) && name->n > prefix.n + 1 && name->p[prefix.n] == ':') {
			*name = span_from(*name, prefix.n + 1);
			return k;
		}
	}
	return -1;
}

static bool
printable(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] <= 0x20 || s.p[i] == 0x7f)
			return false;
	return s.n > 0;
}

bool
entry_name(struct span name, char *to, size_t room, char *why, size_t why_room)
{
	struct span value = name;
	int kind = kind_of(&value);
	char folded[2 * MAX_ADDRESS + 2] = "";
	struct net net;
	bool good = kind >= 0 && value.n < MAX_ADDRESS && printable(value);

	if (good && kind == ENTRY_IP) {
		good = net_parse(value, &net);
		snprintf(folded, sizeof folded, SPAN_FMT, SPAN_ARG(value));
	} else if (good && kind == ENTRY_FROM) {
		canonical_address(value, folded, sizeof folded);
		good = strchr(folded, '@') != NULL && folded[0] != '@' && canonical_domain_good(strrchr(folded, '@') + 1);
	} else if (good && kind != ENTRY_LIST_ID) {
		canonical_domain(value, folded, sizeof folded);
		good = canonical_domain_good(folded);
	} else if (good) {
		canonical_domain(value, folded, sizeof folded);
	}
	if (good && strlen(folded) + 16 < room) {
		snprintf(to, room, "%s:%s", kind_names[kind], folded);
		return true;
	}
	snprintf(why, why_room, "\"" SPAN_FMT "\" is no list entry; expected from:ADDRESS, domain:NAME, ip:NET, dkim:NAME or list-id:ID",
	    SPAN_ARG(span_head(name, 100)));
	return false;
}

static bool
read_entry(const char *name, json_t *value, bool block, struct entry *e, char *why, size_t room)
{
	json_t *until = json_object_get(value, "until"), *force = json_object_get(value, "force"), *more;
	const char *comment = json_string_value(json_object_get(value, "comment")), *key;
	char folded[NAME_ROOM];
	struct span rest;

	if (!entry_name(span_of(name), folded, sizeof folded, why, room))
		return false;
	if (!json_is_object(value)) {
		snprintf(why, room, "%s: expected an object {\"until\": s, \"comment\": \"...\"}", folded);
		return false;
	}
	json_object_foreach(value, key, more)
		if (strcmp(key, "until") && strcmp(key, "force") && strcmp(key, "comment") && strcmp(key, "by")) {
			snprintf(why, room, "%s: unknown setting \"%.40s\"; expected until, comment, by or force", folded, key);
			return false;
		}
	if (until && (!json_is_integer(until) || json_integer_value(until) < 0)) {
		snprintf(why, room, "%s: until is not a time; expected seconds since 1970", folded);
		return false;
	}
	if ((force && !json_is_boolean(force)) || (comment && strlen(comment) > MAX_COMMENT)) {
		snprintf(why, room, "%s: expected force true or false, and a comment of at most %d bytes", folded, MAX_COMMENT);
		return false;
	}
	rest = span_of(folded);
	*e = (struct entry){ .kind = (enum entry_kind)kind_of(&rest), .block = block, .force = json_is_true(force),
	    .until_s = json_integer_value(until), .name = strdup(folded) };
	if (e->kind == ENTRY_IP)
		net_parse(rest, &e->net);
	return e->name != NULL;
}

bool
entries_read(json_t *allow, json_t *block, struct entries **out, char *why, size_t room)
{
	size_t count = json_object_size(allow) + json_object_size(block);
	struct entries *e;
	const char *name;
	json_t *value;

	*out = NULL;
	if ((allow && !json_is_object(allow)) || (block && !json_is_object(block)) || count > MAX_ENTRIES) {
		snprintf(why, room, "allow and block are objects of at most %d entries together", MAX_ENTRIES);
		return false;
	}
	if (count == 0)
		return true;
	if ((e = calloc(1, sizeof *e + count * sizeof e->at[0])) == NULL) {
		snprintf(why, room, "no memory");
		return false;
	}
	for (int side = 0; side < 2; side++)
		json_object_foreach(side ? block : allow, name, value) {
			if (!read_entry(name, value, side == 1, &e->at[e->count], why, room)) {
				entries_free(e);
				return false;
			}
			e->count++;
		}
	*out = e;
	return true;
}

void
entries_free(struct entries *e)
{
	for (size_t i = 0; e && i < e->count; i++)
		free(e->at[i].name);
	free(e);
}

/* b.example for itself and for what ends in .b.example */
static bool
within(struct span domain, struct span of)
{
	return span_eq_nocase(domain, of) ||
	       (domain.n > of.n && domain.p[domain.n - of.n - 1] == '.' && span_ends_nocase(domain, of));
}

static bool
same_sender(const struct entry *e, struct span address)
{
	char folded[2 * MAX_ADDRESS + 2];

	if (address.n == 0 || address.n > MAX_ADDRESS)
		return false;
	canonical_address(address, folded, sizeof folded);
	const char *at = strrchr(folded, '@');

	if (e->kind == ENTRY_FROM)
		return span_eq(span_of(folded), value_of(e));
	return at != NULL && within(span_of(at + 1), value_of(e));
}

static bool
entry_hits(const struct entry *e, const struct entry_facts *facts)
{
	switch (e->kind) {
	case ENTRY_FROM:
	case ENTRY_DOMAIN:
		return (e->block || e->force || facts->proved) && (same_sender(e, facts->sender) || same_sender(e, facts->from));
	case ENTRY_IP:
		return facts->client && facts->client->family != 0 && net_has(&e->net, facts->client);
	case ENTRY_DKIM:
		for (size_t i = 0; i < facts->signer_count; i++)
			if (within(facts->signers[i], value_of(e)))
				return true;
		return false;
	case ENTRY_LIST_ID:
		return (e->block || e->force || facts->proved) && facts->list_id.n > 0 && span_eq_nocase(facts->list_id, value_of(e));
	case ENTRY__KINDS:
		break;
	}
	return false;
}

enum listed
entries_match(const struct entries *e, const struct entry_facts *facts, int64_t now_s, const char **which)
{
	enum listed found = LISTED_NOT;

	for (size_t i = 0; e && i < e->count; i++) {
		if ((e->at[i].until_s != 0 && e->at[i].until_s <= now_s) || !entry_hits(&e->at[i], facts))
			continue;
		if (e->at[i].block || found == LISTED_NOT) {
			found = e->at[i].block ? LISTED_BLOCK : LISTED_ALLOW;
			if (which)
				*which = e->at[i].name;
		}
		if (found == LISTED_BLOCK)
			break;
	}
	return found;
}
