/* answers.h - DNS as the checks of auth/ see it: questions, and what is known of their answers so far.
 *
 * Shape   names lower case, without the final dot; a TXT record's strings joined; MX and PTR as names
 * Errors  three values, and a fourth while an answer is under way: RR_PENDING. A check that meets it ends with its own
 *         ..._PENDING; once answers are here it is run again from the start. So the checks are plain loops over answers,
 *         pure and without callbacks, and who asks (broker, worker, test) is not their business
 */
#ifndef POLICYD_AUTH_ANSWERS_H
#define POLICYD_AUTH_ANSWERS_H

#include "policyd/base/arena.h"
#include "policyd/scan/session.h"

enum rr_type { RR_A = 1, RR_PTR = 12, RR_MX = 15, RR_TXT = 16, RR_AAAA = 28 };
enum rr_status { RR_FOUND, RR_NONE, RR_UNKNOWN, RR_PENDING };

struct rr {
	struct ip ip;                        /* RR_A, RR_AAAA */
	struct span text;                    /* the others */
};

struct rr_answer {
	enum rr_status status;
	const struct rr *at;                 /* in the order they came; MX by preference */
	size_t count;                        /* > 0 when RR_FOUND */
};

struct answers {
	struct rr_answer (*look)(struct answers *self, enum rr_type type, struct span name);
};

#endif
