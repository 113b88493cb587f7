/* allow.h - the other half of "release and always allow" (requests.h, change): an entry of the recipient's own allow list. */
#ifndef QUARANTINE_STORE_ALLOW_H
#define QUARANTINE_STORE_ALLOW_H

#include <jansson.h>

#include "quarantine/store/store.h"

bool allow_wanted(const json_t *request);

/* `entry` is what was to go onto the list ("": there was nothing), `why` NULL when it is there now. */
typedef void (*allow_done)(void *arg, const char *entry, const char *why);
/* `request`: its actor, and what it says of "allow". False: no memory, `done` is not called. It may be called at once. */
bool allow_start(struct store *s, const json_t *request, const char *id, const struct index_rcpt *rcpt, allow_done done, void *arg);

#endif
