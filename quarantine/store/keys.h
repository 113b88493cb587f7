/* keys.h - customers' keys: what their quarantine is sealed with.
 *
 * Shape   <state>/quarantine/keys/XXXXXXXX.key, readable by its owner only; the name is the key's number (random, so that
 *         backups of several nodes can be restored side by side), the text
 *
 *             policyd quarantine key
 *             customer acme                  (empty: mail of no customer)
 *             key 0123..ef                   (64 hex digits)
 *
 * Errors  false and a sentence. A key is on the disk before anything is sealed with it; it is never changed. Without its
 *         key a customer's quarantine cannot be read: policyctl backup keeps them
 */
#ifndef QUARANTINE_STORE_KEYS_H
#define QUARANTINE_STORE_KEYS_H

#include "policyd/base/span.h"
#include "policyd/base/crypt.h"

enum { KEYS_CUSTOMER_ROOM = 64 };

struct keys;

struct key {
	uint32_t id;                         /* never 0 */
	char customer[KEYS_CUSTOMER_ROOM];
	uint8_t bytes[CRYPT_KEY];
};

struct keys *keys_open(const char *dir, char *why, size_t room);        /* makes the directory when it is not there */
void keys_close(struct keys *k);
bool keys_reload(struct keys *k, char *why, size_t room);   /* those that came since */
/* The key of a customer, made on first use. */
const struct key *keys_for(struct keys *k, struct span customer, char *why, size_t room);
const struct key *keys_find(const struct keys *k, uint32_t id);         /* NULL: gone */
/* One from elsewhere; the same twice is no error. */
bool keys_add(struct keys *k, const struct key *key, char *why, size_t room);
const struct key *keys_at(const struct keys *k, size_t i);              /* NULL behind the last */

#endif
