/* crypt.h - AES-256-GCM by OpenSSL, for what is kept and for what goes between nodes.
 *
 * Shape   sealed text is as long as the plain one, and a tag of CRYPT_TAG bytes behind it
 * Rule    a key and a nonce are used together once. Record keys are fresh, so their nonces are fixed numbers; keys that
 *         live longer take a random nonce each time
 * Errors  false: on opening, what was sealed, its tag or what it is bound to (`with`) is not as it was
 * Source  NIST SP 800-38D; scrypt: RFC 7914
 */
#ifndef POLICYD_BASE_CRYPT_H
#define POLICYD_BASE_CRYPT_H

#include "policyd/base/span.h"

enum { CRYPT_KEY = 32, CRYPT_NONCE = 12, CRYPT_TAG = 16 };

/* `to` has room for plain.n + CRYPT_TAG; it may be where `plain` is. */
bool crypt_seal(const uint8_t key[CRYPT_KEY], const uint8_t nonce[CRYPT_NONCE], struct span with, struct span plain, uint8_t *to);
/* `to` has room for sealed.n - CRYPT_TAG; it may be where `sealed` is. */
bool crypt_open(const uint8_t key[CRYPT_KEY], const uint8_t nonce[CRYPT_NONCE], struct span with, struct span sealed, uint8_t *to);
bool crypt_random(void *to, size_t n);
/* A key from a passphrase: 64 MB and a quarter of a second. */
bool crypt_stretch(struct span passphrase, const uint8_t salt[16], uint8_t key[CRYPT_KEY]);
void crypt_forget(void *p, size_t n);

#endif
