/* spf.h - may this client send for that domain?
 *
 * Shape   spf_check for the sender of the envelope, or for the HELO name when the sender is null
 * Errors  SPF_TEMPERROR: DNS did not answer; SPF_PERMERROR: the domain's record cannot be understood
 * Bounds  RFC 7208, 4.6.4: 10 terms that ask DNS, 10 names of an MX or PTR, 2 void answers; limits.h: MAX_SPF_RECORD
 * Source  RFC 7208; the cases of the openspf.org suite (tests/unit/auth)
 */
#ifndef POLICYD_AUTH_SPF_H
#define POLICYD_AUTH_SPF_H

#include "policyd/auth/answers.h"

enum spf_result { SPF_NONE, SPF_NEUTRAL, SPF_PASS, SPF_FAIL, SPF_SOFTFAIL, SPF_TEMPERROR, SPF_PERMERROR, SPF_PENDING, SPF__COUNT };
extern const char *const spf_result_names[SPF__COUNT];       /* "none" ...: the words of RFC 8601 */

struct spf_query {
	struct ip client;
	struct span sender;                  /* "user@domain", without brackets; empty: the HELO identity is checked */
	struct span helo;
	struct span receiver;                /* our host name, for explanations */
	int64_t time_s;                      /* the same */
};

struct spf_verdict {
	enum spf_result result;
	struct span domain;                  /* whose record it was: of the sender, or the HELO name */
	struct span explanation;             /* on SPF_FAIL, the domain's own words, ASCII; may be empty */
};

/* Everything in `out` lives in the arena. */
void spf_check(struct arena *a, struct answers *dns, const struct spf_query *query, struct spf_verdict *out);

#endif
