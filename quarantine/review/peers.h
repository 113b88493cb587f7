/* peers.h - what peer.c (asks) and peer_serve.c (answers) keep of the pool. */
#ifndef QUARANTINE_REVIEW_PEERS_H
#define QUARANTINE_REVIEW_PEERS_H

#include "quarantine/review/peer.h"
#include "policyd/base/crypt.h"

struct peers {
	uint8_t key[CRYPT_KEY];              /* <state>/pool.key */
	struct evdns_base *dns;
	struct ssl_ctx_st *tls;
	struct { uint8_t nonce[CRYPT_NONCE]; int64_t time_s; } seen[PEERS_SEEN];     /* questions served: none twice */
	size_t next;
};

#endif
