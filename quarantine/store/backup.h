/* backup.h - the keys of the quarantine as the text of a file, and back (policyctl backup, restore).
 *
 * Shape   JSON: {"policyd": "backup", "version": 1, "time", "host", "keys": [{"id", "customer", "key"}..]}; with a passphrase
 *         {"policyd": "backup", "version": 1, "salt", "nonce", "sealed"}: the same text under AES-256-GCM with a key by
 *         scrypt. Octets in hex
 * Errors  false and a sentence; all keys of a text or none
 */
#ifndef QUARANTINE_STORE_BACKUP_H
#define QUARANTINE_STORE_BACKUP_H

#include "policyd/base/span.h"
#include "quarantine/store/keys.h"

enum { BACKUP_MOST = 64 << 20 };             /* bytes of such a file */

/* malloc'd text, NULL: no memory. `passphrase.p` NULL: not sealed. */
char *backup_write(const struct keys *keys, const char *host, struct span passphrase, size_t *count);

/* `*keys` is malloc'd; give it to backup_forget. */
bool backup_read(struct span text, struct span passphrase, struct key **keys, size_t *count, char *why, size_t room);
void backup_forget(struct key *keys, size_t count);

#endif
