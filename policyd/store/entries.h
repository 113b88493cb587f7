/* entries.h - a recipient's allow and block lists: who may always write to him, and who may not.
 *
 * Shape   JSON {"from:ann@b.example": {"until": 1790000000, "comment": "...", "by": "root"}, ...}; the name says what is
 *         compared: from:ADDRESS and domain:NAME (a domain has its sub-domains) with the sender of the envelope and of the
 *         header, ip:NET with the client, dkim:NAME with who signed it, list-id:ID with the list it came by;
 *         list-id:ID+dkim:NAME with both, for anybody can write the name of a list
 * Rule    an entry past `until` (unix s) is as if it were not there. A block wins over an allow of the same level; a nearer
 *         level wins over one further off. An allow skips thresholds, never virus, phish, banned or unscannable; one by a
 *         name that anybody can write counts only for mail that is proved (from and domain are then compared with the
 *         header's author alone: he is the one that is proved), or with "force": true
 */
#ifndef POLICYD_STORE_ENTRIES_H
#define POLICYD_STORE_ENTRIES_H

#include <jansson.h>

#include "policyd/scan/decide.h"
#include "policyd/scan/session.h"

struct entries;

struct entry_facts {                         /* of one mail, as far as they are known */
	const struct ip *client;
	struct span sender, from;            /* addresses of envelope and header, without brackets */
	struct span list_id;
	const struct span *signers;          /* domains whose DKIM signatures are good */
	size_t signer_count;
	bool proved;                         /* the sender's domain vouches for this mail: SPF or aligned DKIM */
};

/* Lists out of their JSON objects (either may be NULL). False and a sentence: an entry, and what is wrong with it. */
bool entries_read(json_t *allow, json_t *block, struct entries **out, char *why, size_t room);
void entries_free(struct entries *e);

/* What these lists say of a mail at `now_s`. `which` (may be NULL): the entry that says so. */
enum listed entries_match(const struct entries *e, const struct entry_facts *facts, int64_t now_s, const char **which);

/* Does it name something that can be known? "from:a@b" and so on; `to` gets it folded. */
bool entry_name(struct span name, char *to, size_t room, char *why, size_t why_room);

/* The entry that stands for whoever sent such a mail, for "always allow": its list and who signs for that; else the domain
 * of its author where that domain vouches for it (his address, where thousands share the domain); else his address, which
 * counts once he is proved. Never the envelope's sender: mailing software makes a new one for each mail. Empty: nobody. */
void entry_for(const struct entry_facts *facts, char *to, size_t room);

#endif
