/* history.h - what became of a mail, kept for "where is my mail?".
 *
 * Shape   {h:<id>}  set     references, by queue id, Message-ID or quarantine id;  expires after HISTORY_TTL_S
 *         {h:<ref>} list    JSON events, oldest first;                             expires after HISTORY_TTL_S
 *         {h:<address>} list  references, newest first, at most HISTORY_OF_ADDRESS; by sender and by recipient
 *         ids are hashed into the key, so that no remote text chooses one
 * Errors  Redis away: the event is only in the log, and M_REDIS_FAILED counts it
 */
#ifndef POLICYD_STORE_HISTORY_H
#define POLICYD_STORE_HISTORY_H

#include <jansson.h>

#include "policyd/base/span.h"

enum { HISTORY_TTL_S = 14 * 86400, HISTORY_MAX_REFS = 100, HISTORY_OF_ADDRESS = 200 };

struct redis_async;

/* `ids` that are empty are left out; so are `sender` and `recipient`. */
void history_add(struct redis_async *redis, struct span reference, const struct span *ids, size_t count, struct span sender,
    struct span recipient, const char *event);

/* All events of an id, an address or a reference; `events` is a JSON array (the callee's), NULL when Redis gave no answer. */
typedef void (*history_found)(void *arg, json_t *events);
void history_find(struct redis_async *redis, struct span id, history_found done, void *arg);

#endif
