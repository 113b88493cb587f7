/* rebuild.h - a young model does not depend on the order in which it was taught.
 *
 * "All my spam, then all my ham" is how people teach, and the worst order for learners that calibrate themselves on what
 * they said before each lesson. So while there are fewer than REBUILD_BELOW lessons, the model is made anew from the
 * ledger, ordered by the messages' digests, whenever teaching pauses. The same lessons give the same tables, bit by bit,
 * in whatever order they came; and one that was taken back has left no trace.
 */
#ifndef POLICYD_TRAINER_REBUILD_H
#define POLICYD_TRAINER_REBUILD_H

#include "policyd/model/table.h"
#include "policyd/store/redis.h"

enum { REBUILD_BELOW = 5000 };               /* as long as learners train on every message (learners.c) */

/* Fills `table` from all lessons up to `*last`, which is moved on. False: Redis failed, `table` is half made. */
bool rebuild_table(struct redis *redis, struct table *table, char last[48]);

#endif
