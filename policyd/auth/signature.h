/* signature.h - one signature of DKIM's kind: DKIM-Signature, ARC-Message-Signature, ARC-Seal. One reader and one verifier for all
 * three, on OpenSSL.
 *
 * libopendkim was to do DKIM; an ARC-Message-Signature is the same thing under another name and has to be verified here anyway, so
 * there would have been two verifiers with two opinions of one mail.
 *
 * Shape   read the tags, look up the key, verify; what is wrong with it is `result` and a few words
 * Errors  DKIM_PERMERROR: it cannot be valid. DKIM_POLICY: it may be, and is not believed: a key of less than 1024 bits, SHA-1,
 *         more work than one signature is worth. DKIM_TEMPERROR: DNS has no answer to the question for the key
 * Bounds  keys of 1024 to 4096 bits, records of MAX_KEY_RECORD, h= of MAX_SIGNED_FIELDS names
 * Source  RFC 6376; RFC 8301 (algorithms), RFC 8463 (Ed25519), RFC 8617 (ARC)
 */
#ifndef POLICYD_AUTH_SIGNATURE_H
#define POLICYD_AUTH_SIGNATURE_H

#include "policyd/auth/answers.h"
#include "policyd/auth/auth.h"
#include "policyd/auth/canon.h"
#include "policyd/auth/taglist.h"

enum signature_kind { SIGNATURE_DKIM, SIGNATURE_ARC, SEAL_ARC };

struct signature {
	enum signature_kind kind;
	const struct header *field;
	struct taglist tags;
	struct span domain, selector;        /* d=, s=; as written */
	struct span b, bh;                   /* decoded */
	bool ed25519, header_relaxed, body_relaxed, limited, testing, partial;
	uint64_t limit;                      /* l=; `partial`: the body goes on behind that */
	unsigned key_bits;
	enum dkim_result result;             /* DKIM_NONE: nothing has been decided yet */
	const char *why;
	bool pending;                        /* the key has been asked for, and is not here yet */
};

/* Decides what the tags alone decide. `now_s`: for x=. */
void signature_read(struct arena *a, enum signature_kind kind, const struct header *field, int64_t now_s, struct signature *out);

/* Look for its key; an ARC-Seal's bytes are hashed by arc.c. A key may be fetched and thrown away: OpenSSL's, owned by the caller. */
EVP_PKEY *signature_key(struct arena *a, struct answers *dns, struct signature *s);

/* Of a DKIM-Signature or ARC-Message-Signature: the whole check. Sets result. */
void signature_verify(struct arena *a, struct answers *dns, struct signed_mail *mail, struct signature *s);

/* Does b= sign that SHA-256 digest? Sets result. */
void signature_check(struct signature *s, EVP_PKEY *key, const uint8_t digest[SHA256_BYTES]);

/* Loads what OpenSSL reads from files, before a cage closes. */
void signature_prepare(void);

#endif
