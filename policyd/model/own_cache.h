/* own_cache.h - the customers' tables that are in use on this node: one file, written by the trainer, mapped by workers.
 *
 * Shape   OWN_SLOTS slots of 321 KB (164 MB when all are taken; pages come as they are filled), in sets of OWN_WAYS by the
 *         customer's name; the least recently wanted one of a set makes room. At <state>/model/customers.tbl
 *
 * A reader scores right in the slot and asks afterwards whether it changed meanwhile (own_unchanged); if so it scores again.
 */
#ifndef POLICYD_MODEL_OWN_CACHE_H
#define POLICYD_MODEL_OWN_CACHE_H

#include "policyd/model/customer.h"

enum { OWN_SLOTS = 512, OWN_WAYS = 8, OWN_NAME = 88 };

struct own_slot {
	uint32_t sequence;                   /* odd while it is written */
	uint32_t reserved;
	char name[OWN_NAME];                 /* own_name(); empty: free */
	uint64_t version;                    /* of his table in Redis */
	int64_t wanted_ms;
	struct customer table;
};

struct own_cache {
	struct own_slot slot[OWN_SLOTS];
};

/* "acme", or "acme/0123456789abcdef" of one of his mailboxes (0: none). */
void own_name(const char *customer, uint64_t mailbox, char to[OWN_NAME]);

struct own_cache *own_cache_open(const char *path, char *why, size_t room);                 /* the writer's: emptied */
struct own_cache *own_cache_map(const char *path, char *why, size_t room);                  /* a reader's: made when not there */
void own_cache_close(struct own_cache *c);

/* NULL: not here. `sequence` is for own_unchanged. */
const struct own_slot *own_find(const struct own_cache *c, const char *name, uint32_t *sequence);
bool own_unchanged(const struct own_slot *s, uint32_t sequence);

/* The writer's: the slot of that name, or one made free for it (its version is then 0). */
struct own_slot *own_take(struct own_cache *c, const char *name, int64_t now_ms);
void own_drop(struct own_slot *s);
void own_write_begin(struct own_slot *s);
void own_write_end(struct own_slot *s);

#endif
