/* canonical.h - one spelling for each mailbox and domain: what policies, lists and listings are keyed by.
 *
 * Rule    domain: lower case, no trailing dot, A-labels (so both forms of an internationalised domain are one)
 *         local part: folded (Unicode fold and NFC beyond ASCII), quoted only where it must be; MTAs that tell Bob from bob
 *         are not met in the wild
 * Errors  none: what is no address comes out as it is, folded; cut to `room`
 */
#ifndef POLICYD_STORE_CANONICAL_H
#define POLICYD_STORE_CANONICAL_H

#include "policyd/base/limits.h"
#include "policyd/base/span.h"

/* No brackets, one spelling. Answers the length. */
size_t canonical_address(struct span address, char *to, size_t room);
void canonical_domain(struct span domain, char *to, size_t room);
/* Labels of letters, digits, - and _, at most 253 bytes: nothing else is ever a key. */
bool canonical_domain_good(const char *domain);

/* Split a canonical address at its last '@'; domain empty if there is none. */
void canonical_split(const char *canonical, char local[MAX_ADDRESS + 1], char domain[MAX_ADDRESS + 1]);

#endif
