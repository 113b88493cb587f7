/* record.h - one record of a segment: what its octets are, and what they say.
 *
 * Shape     0 u32 magic   4 u16 version   6 u16 type    8 u32 flags   12 u32 key (keys.h)
 *          16 u64 seq    24 u64 time ms  32 u32 meta bytes   36 u32 body bytes   40 u64 mail size
 *          48 u8[16] first half of SHA-256 over octets 0..47 and all that follows
 *          64 the record's own key, sealed with the customer's: nonce (12), sealed key (32), tag (16)
 *         124 meta, sealed with the record's key (nonce 1), tag;  body: zstd, sealed with it (nonce 2), tag
 *
 *         little-endian. All that is sealed is bound to octets 0..47, so that no part of one record passes as another's:
 *         seq is the record's own number, never given twice. The checksum finds damage without any key
 *         SEG_MAIL: meta is text id, the store request (wire.h), span body digest (32, or empty), u64 header bytes,
 *         u64 offset, u64 length: where they are not 0, the mail is the body here (its header) and, behind it, what follows
 *         the header of the mail in that record of the same file
 *         SEG_STATE: meta is text id, u32 recipient, u8 state, text note, u8 state before, u8 vote, u64 changed (s),
 *         text actor; no body
 * Errors  false and a sentence: "damaged: ..." when octets are not as they were written
 */
#ifndef QUARANTINE_STORE_RECORD_H
#define QUARANTINE_STORE_RECORD_H

#include "policyd/base/buf.h"
#include "quarantine/store/keys.h"

enum { RECORD_MAGIC = 0x31514450, RECORD_VERSION = 2, RECORD_HEAD = 64, RECORD_BODY_MOST = 1 << 30 };
enum record_type { SEG_MAIL = 1, SEG_STATE = 2 };

struct record {
	uint16_t type;
	uint64_t seq;
	int64_t time_ms;
	uint64_t size;                       /* of the mail, or of its header when the rest is elsewhere */
	struct span meta, body;              /* plain; the body still packed. record_open: into its `bytes` */
};

/* Appends the octets of a record to `out`; `mail` is packed first. */
bool record_build(const struct record *r, struct span mail, const struct key *key, struct buf *out, char *why, size_t room);

/* How long is the record that starts with these octets? 0: no head; *version tells one that is not ours. */
uint64_t record_length(const uint8_t head[RECORD_HEAD], uint16_t *version);
/* Checks and opens it in place. */
bool record_open(struct buf *bytes, const struct keys *keys, struct record *r, char *why, size_t room);
bool record_unpack(const struct record *r, struct buf *mail, char *why, size_t room);   /* appends */

#endif
