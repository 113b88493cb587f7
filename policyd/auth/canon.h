/* canon.h - header fields and bodies in the canonical forms that signatures are made over, and their hashes.
 *
 * Shape   line ends may be CRLF or LF (a file's); what is hashed has CRLF
 * Bounds  MAX_HASHED bytes of body a mail, over all its signatures: equal questions are hashed once
 * Source  RFC 6376, 3.4
 */
#ifndef POLICYD_AUTH_CANON_H
#define POLICYD_AUTH_CANON_H

#include <openssl/evp.h>

#include "policyd/base/limits.h"
#include "policyd/mail/message.h"

enum { MAX_BODY_HASHES = 16, SHA256_BYTES = 32 };

/* The mail that signatures are over; kept while all of them are looked at. */
struct signed_mail {
	const struct header_list *headers;   /* spans into the raw mail */
	struct span body;
	struct {
		bool relaxed, limited;
		uint64_t limit;
		uint64_t size;               /* of the canonical body, all of it */
		uint8_t digest[SHA256_BYTES];
	} hashes[MAX_BODY_HASHES];
	size_t hash_count;
	uint64_t hashed;                     /* bytes so far */
};

enum body_hash { BODY_HASHED, BODY_LONGER, BODY_SHORTER, BODY_TOO_MUCH };

/* SHA-256 of the canonical body, of its first `limit` bytes where `limited`. BODY_LONGER: it has more,
 * BODY_SHORTER: fewer. */
enum body_hash canon_body(struct signed_mail *mail, bool relaxed, bool limited, uint64_t limit, uint8_t digest[SHA256_BYTES]);

/* Hash one header field. `without`: a part of it (the value of b=) to be left out; empty: none. `last`: no line end behind. */
void canon_field(EVP_MD_CTX *hash, const struct header *field, bool relaxed, struct span without, bool last);

#endif
