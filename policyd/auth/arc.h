/* arc.h - what those who have forwarded a mail say they found, sealed one after the other.
 *
 * Shape   set i: ARC-Authentication-Results, ARC-Message-Signature, ARC-Seal with the same i=, from 1 without a gap
 * Errors  ARC_FAIL with a few words; ARC_TEMPERROR: DNS has no answer to the question for a key
 * Bounds  ARC_MOST sets (RFC 8617, 5.1.1.1: a chain of more fails)
 * Source  RFC 8617; the validation cases of the arc_test_suite (tests/unit/auth/data)
 */
#ifndef POLICYD_AUTH_ARC_H
#define POLICYD_AUTH_ARC_H

#include "policyd/auth/auth.h"
#include "policyd/auth/canon.h"

enum { ARC_MOST = 50 };

struct arc_verdict {
	enum arc_result result;
	unsigned instances;
	struct span sealer;                  /* d= of the newest seal */
	struct span results;                 /* the newest ARC-Authentication-Results, behind its "i=N;" */
	const char *why;
};

/* False: keys were asked for and are not here yet (RR_PENDING), run it again. */
bool arc_check(struct arena *a, struct answers *dns, struct signed_mail *mail, int64_t now_s, struct arc_verdict *out);

#endif
