/* peer_seal.h - what nodes of a pool say to each other, as octets: sealed with the key they share.
 *
 * Shape   request   nonce (12) | {"from", "to", "time", "actor", "role", "request": {..}} as JSON, sealed | tag (16)
 *         reply     nonce (12) | u32 bytes of JSON | JSON | a mail's exact octets, or none: sealed | tag (16)
 * Rule    a reply is bound to the nonce of its request: an old one, or one to another question, does not open. Who can seal
 *         has the key, so both ends know each other: whoever stands between (a proxy that ends TLS, a Redis that names
 *         another address) can neither ask, answer, nor read
 * Errors  false: it was not sealed with our key, or not for this
 */
#ifndef QUARANTINE_REVIEW_PEER_SEAL_H
#define QUARANTINE_REVIEW_PEER_SEAL_H

#include <jansson.h>

#include "policyd/base/buf.h"
#include "policyd/base/crypt.h"

bool peer_seal_request(const uint8_t key[CRYPT_KEY], const json_t *request, uint8_t nonce[CRYPT_NONCE], struct buf *out);
bool peer_open_request(const uint8_t key[CRYPT_KEY], struct span sealed, uint8_t nonce[CRYPT_NONCE], json_t **request);

bool peer_seal_reply(const uint8_t key[CRYPT_KEY], const uint8_t asked[CRYPT_NONCE], const json_t *reply, struct span mail, struct buf *out);
/* `plain` holds what `mail` points into. */
bool peer_open_reply(const uint8_t key[CRYPT_KEY], const uint8_t asked[CRYPT_NONCE], struct span sealed, struct buf *plain, json_t **reply,
    struct span *mail);

#endif
