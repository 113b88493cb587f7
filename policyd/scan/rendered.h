/* rendered.h - a mail as a worker shows it to people (W_RENDERED): words, harmless HTML, what is attached, where it leads.
 *
 * Shape   all texts UTF-8, cut to the bounds here; nothing of it is trusted by who shows it
 */
#ifndef POLICYD_SCAN_RENDERED_H
#define POLICYD_SCAN_RENDERED_H

#include "policyd/base/ipc.h"
#include "policyd/mail/message.h"

enum { RENDERED_HEADERS = 200, RENDERED_VALUE = 4000, RENDERED_TEXT = 256 * 1024, RENDERED_PARTS = 200, RENDERED_LINKS = 200 };

enum rendered_claim {
	CLAIM_NONE,                          /* a header like any other */
	CLAIM_OURS,                          /* Authentication-Results by this site */
	CLAIM_FOREIGN,                       /* that anybody can have written */
};
struct rendered_pair {
	struct span name, value;
	uint8_t claim;                       /* enum rendered_claim */
};
struct rendered_part {
	struct span type, real_type, name;
	uint64_t size;
	uint32_t depth;
};
struct rendered_link {
	struct span url, host, shown;
	bool mismatch;
};

struct rendered {
	struct span from, from_name, subject, text, html;
	bool has_text;                       /* `text` is a text part of its own, not made from HTML */
	struct rendered_pair headers[RENDERED_HEADERS];
	struct rendered_part parts[RENDERED_PARTS];
	struct rendered_link links[RENDERED_LINKS];
	uint32_t header_count, part_count, link_count;
};

/* Of a parsed message; `ours`: whose Authentication-Results in it can be believed (scan_guarded_id). */
void rendered_pack(struct buf *b, struct arena *a, const struct message *msg, const uint8_t digest[32], struct span ours);
bool rendered_unpack(struct unpack *u, struct rendered *r);

#endif
