/* ledger.h - every lesson, in Redis: who taught what, when, and the features, so that it can be taken back.
 *
 * {model:global}:lessons        stream  d digest hex, c class ("spam" "ham"), o operation ("learn" "unlearn"), s source,
 *                                       w who, u customer, t learners trained (bits), f features (zstd)
 * {model:global}:known          hash    digest hex -> "class:learners trained:stream id"
 *
 * The table is written first in memory, then the lesson here, then the teacher is answered; at a start the stream
 * behind <state>/model/applied is applied again, so an acknowledged lesson outlives the trainer, and Redis' own
 * durability (appendfsync) says what outlives Redis.
 */
#ifndef POLICYD_TRAINER_LEDGER_H
#define POLICYD_TRAINER_LEDGER_H

#include "policyd/model/features.h"
#include "policyd/store/redis.h"

struct lesson {
	bool spam, learn;
	char source[32], who[128], customer[64];
	char digest[65];                     /* hex */
	unsigned trained;                    /* bits of learners */
};

/* The dice of a lesson's stochastic rounding: a rebuild throws the same. */
uint64_t lesson_seed(const char *digest);

/* What is known of a digest: 0 nothing, 1 it was learnt (then `spam`, `trained`), -1 Redis gave no answer. */
int ledger_known(struct redis *redis, const char *digest, bool *spam, unsigned *trained);

/* Writes the lesson; `id` gets its place in the stream. False: not written, or not known to be. */
bool ledger_add(struct redis *redis, const struct lesson *lesson, struct span features, char id[48]);

/* Applies each lesson behind `*last` in order and moves it on; false when Redis failed in between. */
bool ledger_replay(struct redis *redis, char last[48],
    void (*apply)(void *arg, const struct lesson *lesson, const struct features *features), void *arg);

#endif
