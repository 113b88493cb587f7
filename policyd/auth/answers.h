/* answers.h - DNS as the checks of auth/ see it: questions, and what is known of their answers so far.
 *
 * Shape   names lower case, without the final dot; records as in rr.h
 * Errors  a check that meets RR_PENDING ends with its own ..._PENDING; once answers are here it is run again from the start.
 *         So the checks are plain loops over answers, pure and without callbacks, and who asks (broker, worker, test) is not
 *         their business
 */
#ifndef POLICYD_AUTH_ANSWERS_H
#define POLICYD_AUTH_ANSWERS_H

#include "policyd/base/arena.h"
#include "policyd/scan/rr.h"

struct answers {
	struct rr_answer (*look)(struct answers *self, enum rr_type type, struct span name);
};

#endif
