/* own.h - what customers and mailboxes taught for themselves, in Redis and in this node's cache.
 *
 * {model:c:<customer>}:table  hash  v version, t table (customer_pack); v/<mailbox>, t/<mailbox> of his mailboxes
 * {model:c:<customer>}:known  hash  digest (16 bytes), <mailbox>digest of his mailboxes' lessons -> what was done, to take it
 *                                   back (struct known_lesson)
 * {model:global}:own          stream  c name, v version: other nodes that hold that table fetch it again
 *
 * A table goes by its own_name(): "acme", or "acme/<mailbox>" with the mailbox' number in hex. All of a customer's is in two
 * keys, so that it goes with him.
 *
 * His table is a sum over lessons (customer.h), so whoever holds the newest version may add to it: read, add, write if the
 * version is still the same, else again. Fetching a customer is one request.
 */
#ifndef POLICYD_TRAINER_OWN_H
#define POLICYD_TRAINER_OWN_H

#include "policyd/model/own_cache.h"
#include "policyd/store/redis.h"
#include "policyd/trainer/ledger.h"

enum { OWN_BATCH = 64, OWN_NOTHING = 8192, OWN_NOTHING_MS = 10 * 60 * 1000 };

struct own {
	struct own_cache *cache;
	struct redis *redis;                 /* for the customers' keys */
	struct redis *pool;                  /* for {model:global} */
	const struct table *table;
	char seen[LEDGER_ID];                /* place in {model:global}:own */
	struct own_nothing {
		uint64_t name;
		int64_t until_ms;
	} nothing[OWN_NOTHING];              /* who has taught nothing, by the hash of his name */
};

/* His newest table that this node knows of is in the cache, fetched when it was not; or he has taught nothing, which is
 * remembered too. False: Redis gave no answer. */
bool own_want(struct own *o, const char *name);

struct own_lesson {
	const struct lesson *lesson;
	const struct features *features;
	enum lesson_result result;
};
/* Lessons for one table at once; results in place, LESSON_FAILED where Redis did not take them. */
void own_teach(struct own *o, const char *customer, const char *name, struct own_lesson *lessons, size_t count);

/* Fetches again what other nodes have changed. */
void own_follow(struct own *o);

#endif
