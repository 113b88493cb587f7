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
	size_t signer;                       /* where in it "NAME" of "+dkim:NAME" begins; 0: no such condition */
};

struct entries {
	size_t count;
	struct entry at[];
};

enum { MAX_ENTRIES = 10000, NAME_ROOM = 400, MAX_COMMENT = 200 };

static const char and_signed[] = "+dkim:";

static struct span
value_of(const struct entry *e)
{
	struct span whole = e->signer ? span_head(span_of(e->name), e->signer - strlen(and_signed)) : span_of(e->name);

	return span_from(whole, strlen(kind_names[e->kind]) + 1);
}

/* "a.example+dkim:b.example" -> "a.example"; answers "b.example", empty: there is no such end. */
static struct span
cut_signer(struct span *value)
{
	size_t at = span_find(*value, span_of(and_signed));
	struct span signer = at == SPAN_NONE ? SPAN("") : span_from(*value, at + strlen(and_signed));

	if (at != SPAN_NONE)
		*value = span_head(*value, at);
	return signer;
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
	char folded[2 * MAX_ADDRESS + 2] = "", by[2 * MAX_ADDRESS + 2] = "";
	struct span signer = kind == ENTRY_LIST_ID ? cut_signer(&value) : SPAN("");
	struct net net;
	bool both = kind == ENTRY_LIST_ID && value.p + value.n < name.p + name.n;
	bool good = kind >= 0 && value.n < MAX_ADDRESS && printable(value) && (!both || (signer.n < MAX_ADDRESS && printable(signer)));

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
		if (both) {
			canonical_domain(signer, by, sizeof by);
			good = canonical_domain_good(by);
		}
	}
	if (good && strlen(folded) + strlen(by) + 24 < room) {
		snprintf(to, room, "%s:%s%s%s", kind_names[kind], folded, both ? and_signed : "", by);
		return true;
	}
	snprintf(why, why_room, "\"" SPAN_FMT "\" is no list entry; expected from:ADDRESS, domain:NAME, ip:NET, dkim:NAME, list-id:ID or list-id:ID+dkim:NAME",
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
	if (e->kind == ENTRY_LIST_ID) {
		struct span signer = cut_signer(&rest);

		e->signer = signer.n > 0 ? (size_t)(signer.p - folded) : 0;
	}
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
signed_by(const struct entry_facts *facts, struct span name)
{
	for (size_t i = 0; i < facts->signer_count; i++)
		if (within(facts->signers[i], name))
			return true;
	return false;
}

static bool
entry_hits(const struct entry *e, const struct entry_facts *facts)
{
	switch (e->kind) {
	case ENTRY_FROM:
	case ENTRY_DOMAIN:
		if (e->block || e->force)
			return same_sender(e, facts->sender) || same_sender(e, facts->from);
		return facts->proved && same_sender(e, facts->from);     /* what is proved is the author, whoever the envelope names */
	case ENTRY_IP:
		return facts->client && facts->client->family != 0 && net_has(&e->net, facts->client);
	case ENTRY_DKIM:
		return signed_by(facts, value_of(e));
	case ENTRY_LIST_ID:
		if (facts->list_id.n == 0 || !span_eq_nocase(facts->list_id, value_of(e)))
			return false;
		return e->signer ? signed_by(facts, span_from(span_of(e->name), e->signer)) : e->block || e->force || facts->proved;
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

/* ---- from a mail to the entry that stands for its sender ---- */

/* Domains in which everybody may have a mailbox: one of them says nothing of the other. */
static bool
is_shared(struct span domain)
{
	static const char *const shared[] = { "126.com", "163.com", "aol.com", "bol.com.br", "email.com", "excite.com", "fastmail.com", "free.fr", "freenet.de",
	    "gmail.com", "gmx.at", "gmx.ch", "gmx.com", "gmx.de", "gmx.net", "googlemail.com", "hotmail.co.uk", "hotmail.com", "hotmail.de", "hotmail.fr",
	    "icloud.com", "laposte.net", "libero.it", "live.com", "lycos.com", "mac.com", "mail.com", "mail.ru", "mailbox.org", "me.com", "msn.com",
	    "naver.com", "netscape.net", "orange.fr", "outlook.com", "outlook.de", "outlook.fr", "pm.me", "posteo.de", "proton.me", "protonmail.com",
	    "qq.com", "rediffmail.com", "seznam.cz", "sina.com", "t-online.de", "terra.com.br", "tuta.io", "tutanota.com", "uol.com.br", "usa.net",
	    "virgilio.it", "wanadoo.fr", "web.de", "wp.pl", "yahoo.co.uk", "yahoo.com", "yahoo.de", "yahoo.fr", "yandex.com", "yandex.ru", "ymail.com",
	    "zoho.com" };

	for (size_t i = 0; i < sizeof shared / sizeof *shared; i++)
		if (span_eq_nocase(domain, span_of(shared[i])))
			return true;
	return false;
}

/* Who answers for the list: a signer that the list's name is within, or with whom it shares one name above; else the
 * author's own domain. Somebody who only passes mail on signs, too, and is nobody's list. */
static struct span
list_signer(const struct entry_facts *facts, struct span author)
{
	struct span second = SPAN("");

	for (size_t i = 0; i < facts->signer_count; i++) {
		struct span signer = facts->signers[i];

		if (within(facts->list_id, signer) || within(signer, facts->list_id))
			return signer;
		if (second.n == 0 && author.n > 0 && (within(author, signer) || within(signer, author)))
			second = signer;
	}
	return second;
}

void
entry_for(const struct entry_facts *facts, char *to, size_t room)
{
	size_t at = span_find_last(facts->from, '@');
	struct span author = at == SPAN_NONE ? SPAN("") : span_from(facts->from, at + 1);
	struct span signer = facts->list_id.n > 0 ? list_signer(facts, author) : SPAN("");
	char text[2 * NAME_ROOM], why[NAME_ROOM];

	if (signer.n > 0)
		snprintf(text, sizeof text, "list-id:" SPAN_FMT "%s" SPAN_FMT, SPAN_ARG(facts->list_id), and_signed, SPAN_ARG(signer));
	else if (facts->proved && author.n > 0 && !is_shared(author))
		snprintf(text, sizeof text, "domain:" SPAN_FMT, SPAN_ARG(author));
	else
		snprintf(text, sizeof text, "from:" SPAN_FMT, SPAN_ARG(facts->from));
	if (!entry_name(span_of(text), to, room, why, sizeof why))
		to[0] = '\0';
}
