/* variant.h - how one recipient's copy of a mail differs from the one that stays in the transaction, and the token address
 * that carries it through the MTA's queue.
 *
 * Token   <letters>@<deliver.domain>; the letters are "v1" and base32 (a-z 2-7: no MTA changes their case) of
 *           flags u8 | points, bayes, required: zigzag varints of hundredths | undo u8 | n u8, subject tag
 *           | reference 9 | expiry u16, in days | original recipient | MAC 10
 *         It says all that is needed: nothing is kept anywhere else. The MAC is HMAC-SHA256 of all before it, cut to 80 bits.
 *         "p1": a probe of the route, an u64 of the prober's choice in the place of flags to recipient
 * Errors  what does not fit TOKEN_MOST bytes has no token; a token that is altered, of another node's key, or run out is not
 *         read, and the answer says which
 * Source  design.md "Several recipients, one message"
 */
#ifndef POLICYD_SCAN_VARIANT_H
#define POLICYD_SCAN_VARIANT_H

#include "policyd/base/buf.h"
#include "policyd/base/limits.h"
#include "policyd/base/secret.h"

enum { TOKEN_MOST = 250, TOKEN_ROOM = TOKEN_MOST + 1, TOKEN_DAYS = 15, VARIANT_REFERENCE = 15 };
enum { UNDO_NOTHING = 0, UNDO_HEADER = 255 };

struct variant {
	bool filtered;                       /* false: he gets the mail as it came; the rest does not count */
	bool flag;                           /* X-Spam-Flag: YES */
	bool strip;                          /* banned parts are replaced by a note */
	bool model_known;                    /* bayes_points are among the tests */
	bool has_required;
	double points, bayes_points, required;
	uint8_t undo;                        /* bytes the others' tag has put before the subject; UNDO_HEADER: it has made the header */
	char subject_tag[64];                /* empty: none */
	char reference[VARIANT_REFERENCE];   /* of the transaction: 14 letters */
};

enum token_state { TOKEN_GOOD, TOKEN_PROBE, TOKEN_BAD, TOKEN_EXPIRED };

/* False: it would be too long. `recipient` without brackets. */
bool token_make(const uint8_t key[SECRET_BYTES], const struct variant *v, struct span recipient, const char *domain, int64_t now_s,
    char to[TOKEN_ROOM]);
bool token_probe(const uint8_t key[SECRET_BYTES], uint64_t nonce, const char *domain, char to[TOKEN_ROOM]);
/* Will there be one, whatever the points? By the lengths of subject tag, recipient and domain. */
bool token_fits(size_t tag, size_t recipient, size_t domain);
/* The local part of a token address. `recipient` gets the original one (TOKEN_GOOD), `nonce` what was probed (TOKEN_PROBE). */
enum token_state token_read(const uint8_t key[SECRET_BYTES], struct span local, int64_t now_s, struct variant *v,
    char recipient[MAX_ADDRESS + 1], uint64_t *nonce);

/* The same bytes for wire and comparison. */
void variant_pack(struct buf *b, const struct variant *v);
bool variant_unpack(struct span *from, struct variant *v);

/* "REFERENCE-letters" for the stage's own Received line: the mail of this reference has passed here. */
enum { TRACE_ROOM = 32 };
void trace_make(const uint8_t key[SECRET_BYTES], const char *reference, char to[TRACE_ROOM]);
bool trace_good(const uint8_t key[SECRET_BYTES], struct span trace);

#endif
