/* guard.h - labels that cannot be trusted: what contradicts all that is known is let in by chance only.
 *
 * One in GUARD_ADMITS of them is admitted, chosen by the message's digest (so that asking again does not help), the rest
 * is held until more say the same than otherwise. Costs clean labels a little, saves the model from people who report newsletters as spam.
 */
#ifndef POLICYD_MODEL_GUARD_H
#define POLICYD_MODEL_GUARD_H

#include <stdbool.h>
#include <stdint.h>

#include "policyd/model/table.h"

enum { GUARD_Z = 6, GUARD_ADMITS = 10 };

static inline bool
guard_holds(double z, int label, uint64_t seed)
{
	bool contradicts = label == SPAM ? z < -GUARD_Z : z > GUARD_Z;

	return contradicts && (seed >> 20) % GUARD_ADMITS != 0;
}

#endif
