/* ledger.h - every lesson, in Redis: who taught what, when, and the features, so that it can be taken back.
 *
 * {model:global}:lessons        stream  d digest hex, c class ("spam" "ham"), o operation ("learn" "unlearn"), s source,
 *                                       w who, u customer, t effect (effect_print), f features (zstd)
 * {model:global}:known          hash    digest hex -> "class:effect"
 *
 * The table is written first in memory, then the lesson here, then the teacher is answered; at a start the stream
 * behind <state>/model/applied is applied again, so an acknowledged lesson outlives the trainer, and Redis' own
 * durability (appendfsync) says what outlives Redis.
 */
#ifndef POLICYD_TRAINER_LEDGER_H
#define POLICYD_TRAINER_LEDGER_H

#include "policyd/model/learners.h"
#include "policyd/store/redis.h"

struct lesson {
	bool spam, learn;
	char source[32], who[128], customer[64];
	char digest[65];                     /* hex */
	struct lesson_effect effect;
};

/* The dice of a lesson's stochastic rounding: a rebuild throws the same. */
uint64_t lesson_seed(const char *digest);

/* "7,300,211,250,0.41,-0.02": learners trained (bits), bins of A, B, C, gradients of A and C. */
void effect_print(const struct lesson_effect *e, char *to, size_t room);
bool effect_parse(const char *text, struct lesson_effect *e);

/* What is known of a digest: 0 nothing, 1 it was learnt (then `spam`, `effect`), -1 Redis gave no answer. */
int ledger_known(struct redis *redis, const char *digest, bool *spam, struct lesson_effect *effect);

/* Writes the lesson; `id` gets its place in the stream. False: not written, or not known to be. */
bool ledger_add(struct redis *redis, const struct lesson *lesson, struct span features, char id[48]);

/* Applies each lesson behind `*last` in order and moves it on; false when Redis failed in between. */
bool ledger_replay(struct redis *redis, char last[48],
    void (*apply)(void *arg, const struct lesson *lesson, const struct features *features), void *arg);

#endif
