/* rebuild.h - the model made anew from its base and the ledger.
 *
 * "All my spam, then all my ham" is how people teach, and the worst order for learners that calibrate themselves on what
 * they said before each lesson. So while there are fewer than REBUILD_BELOW lessons they are applied in the order of the
 * messages' digests, near errors only as that order shows them, and the trainer asks for a rebuild when teaching pauses: the
 * same lessons give the same tables, bit by bit, in whatever order they came, and one that was taken back has left no trace.
 * More lessons than that are applied in the order of the ledger, as it recorded them.
 */
#ifndef POLICYD_TRAINER_REBUILD_H
#define POLICYD_TRAINER_REBUILD_H

#include "policyd/model/table.h"
#include "policyd/store/redis.h"

enum { REBUILD_BELOW = 20000 };

/* `table` holds the base and the base's place; all lessons behind it up to `upto` (NULL: the end) are applied, those that were
 * taken back left out. `correct`: what is known of each lesson becomes what it did here, so that it can be taken back from
 * this table. False: Redis failed, `table` is half made. */
bool rebuild_table(struct redis *redis, struct table *table, const char *upto, bool correct);

#endif
