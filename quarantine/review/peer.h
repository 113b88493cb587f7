/* peer.h - the other nodes of a pool (redis.url): what one of them holds is opened, released and deleted there, and shown here.
 *
 * Way     POST <its review.node_url>/peer, both ways sealed with <state>/pool.key (peer_seal.h), which is the same file on all
 *         nodes. Certificates are not looked at: the seal says who it is, also behind a proxy that ends TLS
 * Rights  the node that the person is signed in at decides what he may (scope, role, class), as for its own mail; the node that
 *         holds the mail believes a node of its pool, and writes into its own audit log who did what from where. It serves
 *         quarantine.list, show and change, nothing else
 * Replay  a question names the node it is for and its time, and is served once: PEER_FRESH_S
 * Errors  a node that does not answer is said to be away: {"error", "exit": 1, "away": node}. Nothing was changed then, unless
 *         it fell silent after it was asked, which the next look shows
 */
#ifndef QUARANTINE_REVIEW_PEER_H
#define QUARANTINE_REVIEW_PEER_H

#include "quarantine/review/review.h"

enum { PEER_FRESH_S = 60, PEER_MS = 60 * 1000, PEERS_SEEN = 4096, NODE_ROOM = 128 };

bool peers_open(struct review *r, char *why, size_t room);
void peers_reload(struct review *r);         /* a key that was put there since */

/* A request of the store (quarantine/store/requests.h) to the node that holds the mail. Takes `request`. False: no memory. */
bool peer_ask(struct review *r, const char *node, json_t *request, const char *actor, const char *role, backend_answer done, void *arg);
/* Is the node that this request names another one than ours? */
bool peer_is_other(const struct review *r, const char *node);

#endif
