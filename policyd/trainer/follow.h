/* follow.h - the table of this node is what the ledger's entries give, applied one by one in their order.
 *
 * All nodes read the same stream and compute the same steps (learners.h is deterministic), so their tables are equal bit by
 * bit at the same place: nobody has to be asked, no node is special, and what is lost is computed again. A lesson taught at
 * one node is in force at the others when they next read, FOLLOW_MS later at most.
 *
 * {model:global}:base       hash  place, table (zstd), name: what the lessons behind `place` are applied to: a starter or
 *                                 imported model, or lessons too old to be kept one by one
 * {model:global}:snapshot   hash  place, table (zstd): the table at some newer place, for nodes that start
 * {model:global}:lease      string  the node that writes snapshots and asks for rebuilds; expires by itself
 *
 * The lease saves work, no more: a snapshot is taken only if its place is newer (the fence), and any node's is the same.
 */
#ifndef POLICYD_TRAINER_FOLLOW_H
#define POLICYD_TRAINER_FOLLOW_H

#include "policyd/model/table.h"
#include "policyd/store/redis.h"

enum {
	FOLLOW_MS = 200, LEASE_MS = 10 * 1000, PAUSE_MS = 1000,
	SNAPSHOT_EVERY = 5000,               /* entries */
	LEDGER_MOST = 100000,                /* entries kept; older ones go into the base */
};

struct follower {
	struct table *table, *spare;         /* spare: where a rebuild is made; NULL until the first */
	struct redis *redis;
	char node[64];
	bool caught_up, leads;
	uint64_t applied, snapshot_at;       /* entries applied by this process; at the last snapshot */
	int64_t taught_ms, lease_at_ms;
	char why[160];
};

/* Loads a snapshot when the table is empty, broken off in the middle of a lesson, or older than the ledger reaches back. */
void follow_open(struct follower *f, struct table *table, struct redis *redis);
/* Applies what is new. False: Redis gave no answer. */
bool follow_step(struct follower *f);
/* Now and then: the lease, a rebuild once teaching pauses, snapshots, retention. */
void follow_care(struct follower *f);
/* False: a rebuild is still to come. */
bool follow_in_order(const struct follower *f);

/* Redis knows of no lesson and no base yet. */
bool follow_is_new(struct follower *f);
/* A table as the new base, with all lessons of the ledger on top of it. */
bool follow_import(struct follower *f, const struct table *table, const char *name);
/* The ledger applied to its base again, as every node did it: true when that gives the same bytes. */
bool follow_verify(struct follower *f, char *why, size_t room);

#endif
