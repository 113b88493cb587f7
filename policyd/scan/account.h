/* account.h - what a worker read in one mail, for people (W_ACCOUNT): the part tree of every reading, files inside archives,
 * links, what is odd. `policyctl scan --explain` prints it.
 *
 * Shape   in the order of the mail; spans of an unpacked account lie in the packet
 * Bounds  ACCOUNT_MOST of each kind; the counts before them are those of the mail
 */
#ifndef POLICYD_SCAN_ACCOUNT_H
#define POLICYD_SCAN_ACCOUNT_H

#include "policyd/base/ipc.h"
#include "policyd/mail/message.h"

enum { ACCOUNT_MOST = 500, ACCOUNT_TEXT = 1000 };
enum account_flag { ACCOUNT_DOUBTFUL = 1, ACCOUNT_UNPACKED = 2, ACCOUNT_ENCRYPTED = 4, ACCOUNT_MISMATCH = 8, ACCOUNT_IS_IP = 16,
    ACCOUNT_HAS_USER = 32 };

struct account_part {
	int32_t parent;
	uint32_t depth, reading, flags;
	struct span kind, type, real_type, charset, encoding, disposition, name, other_name;
	uint64_t raw_size, size;
};
struct account_entry {
	uint32_t part, depth, flags;
	struct span name, type;
	uint64_t size;
};
struct account_link {
	uint32_t part, flags;
	struct span source, url, host, domain, shown;
};
struct account_note {
	struct span symbol, evidence;
	uint32_t times;
};

struct account {
	uint32_t part_total, entry_total, link_total;
	uint32_t part_count, entry_count, link_count, note_count;
	struct account_part parts[ACCOUNT_MOST];
	struct account_entry entries[ACCOUNT_MOST];
	struct account_link links[ACCOUNT_MOST];
	struct account_note notes[NOTE__COUNT];
	struct span language;
	uint64_t text_size, hidden_size;
};

void account_pack(struct buf *b, const struct message *msg);
bool account_unpack(struct unpack *u, struct account *a);   /* false: no such packet */

#endif
