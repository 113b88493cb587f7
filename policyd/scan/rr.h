/* rr.h - DNS records as all of us see them: who asks (net/dns), who judges (auth), who tells a worker.
 *
 * Shape   names lower case, without the final dot; a TXT record's strings joined. MX by preference, the rest as it came
 * Errors  RR_NONE is an answer: there is no such name, or it has no such record. RR_UNKNOWN is none: silence, SERVFAIL, refused,
 *         nonsense. RR_PENDING: it is under way
 */
#ifndef POLICYD_SCAN_RR_H
#define POLICYD_SCAN_RR_H

#include "policyd/scan/session.h"

enum rr_type { RR_A = 1, RR_PTR = 12, RR_MX = 15, RR_TXT = 16, RR_AAAA = 28 };
enum rr_status { RR_FOUND, RR_NONE, RR_UNKNOWN, RR_PENDING };

struct rr {
	struct ip ip;                        /* RR_A, RR_AAAA */
	struct span text;                    /* the others; of an MX of "." (takes no mail), or a name that is no host's: empty */
};

struct rr_answer {
	enum rr_status status;
	const struct rr *at;
	size_t count;                        /* > 0 when RR_FOUND */
};

#endif
