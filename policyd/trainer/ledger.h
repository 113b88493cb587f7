/* ledger.h - every lesson, in Redis, in one order for all nodes: who taught what, when, and the features.
 *
 * {model:global}:lessons        stream  o operation ("learn" "unlearn" "rebuild"), d digest hex, c class ("spam" "ham"),
 *                                       s source, w who, u customer, t effect (effect_print), f features (features_pack;
 *                                       empty where no learner was trained)
 * {model:global}:known          hash    digest hex -> "class:effect" of what is learnt now
 * {model:global}:vote:<alike>   hash    voter -> "class:weight" on mails that are alike; expires after VOTE_DAYS
 * {model:global}:voters         hash    voter -> "agreed:votes": whose word has proved right
 * {model:global}:rate:<who>:<d> string  lessons of one voter on one day
 * {model:global}:rebuilt        string  place of the last "rebuild"
 *
 * <digest> and <alike> are those of model/identity.h: the same mail, by whatever way its copy came; mails that are alike.
 *
 * The stream is the model: tables are what its entries give, applied in its order (follow.h). A lesson is one script call:
 * whether the digest is known, the taking back of the other class, the vote, the entry - all or nothing, so two nodes that
 * are taught the same mail at once make one lesson of it.
 */
#ifndef POLICYD_TRAINER_LEDGER_H
#define POLICYD_TRAINER_LEDGER_H

#include "policyd/model/learners.h"
#include "policyd/store/redis.h"

enum { VOTE_DAYS = 30, VOTER_LESSONS_A_DAY = 1000, LEDGER_ID = 48 };

enum ledger_op { LEDGER_LEARN, LEDGER_UNLEARN, LEDGER_REBUILD };
extern const char *const ledger_op_names[3];

enum lesson_result { LESSON_FAILED, LESSON_LEARNT, LESSON_KNOWN, LESSON_FLIPPED, LESSON_UNLEARNT, LESSON_HELD, LESSON_LIMITED, LESSON_UNKNOWN };

struct lesson {
	enum ledger_op op;
	bool spam;
	char source[32], who[128], customer[64];
	uint64_t mailbox;                    /* with a model of its own; or 0 */
	char digest[65], alike[65];          /* hex */
	struct lesson_effect effect;
	double weight;                       /* of its teacher's word; 1 and more is believed alone */
};

/* The dice of a lesson's stochastic rounding: a rebuild throws the same. */
uint64_t lesson_seed(const char *digest);

/* "7,300,211,250,0.41,-0.02,3.2": learners trained (bits), bins of A, B, C, gradients of A and C, z. */
void effect_print(const struct lesson_effect *e, char *to, size_t room);
bool effect_parse(const char *text, struct lesson_effect *e);

/* One lesson is one command: appended here, its reply read by ledger_result in the same order. */
bool ledger_append(struct redis *redis, const struct lesson *lesson, struct span features);
enum lesson_result ledger_result(const redisReply *reply);

/* What is known of a digest: 0 nothing, 1 it was learnt (then `spam`, `effect`), -1 Redis gave no answer. */
int ledger_known(struct redis *redis, const char *digest, bool *spam, struct lesson_effect *effect);

/* What is known of a lesson still in force becomes `effect`: a command appended, its reply to be read. */
bool ledger_correct(struct redis *redis, const char *digest, bool spam, const struct lesson_effect *effect);

/* Asks all nodes to make the model anew from here (rebuild.h). */
bool ledger_mark_rebuild(struct redis *redis, const char *who);

/* False ends the reading. `features` is NULL for what has none. */
typedef bool (*ledger_callback)(void *arg, const char *id, const struct lesson *lesson, const struct features *features);

/* Reads each entry behind `last` in order, `upto` (NULL: the end) included, and moves `last` on. False: Redis failed. */
bool ledger_read(struct redis *redis, char last[LEDGER_ID], const char *upto, ledger_callback each, void *arg);
/* The newest `count` entries, newest first, without features. */
bool ledger_history(struct redis *redis, int count, ledger_callback each, void *arg);

/* Whether place `a` lies before `b`. */
bool ledger_before(const char *a, const char *b);

#endif
