/* results.h - Authentication-Results: what was found, for whoever reads the mail behind us.
 *
 * Shape   "mx.example;\n\tspf=pass smtp.mailfrom=a@b.example;\n\tdkim=..."; folds by LF and tab, as milters write them
 * Source  RFC 8601; 2.7 (methods), 2.2 (grammar: what is no token is quoted or left out)
 */
#ifndef POLICYD_AUTH_RESULTS_H
#define POLICYD_AUTH_RESULTS_H

#include "policyd/auth/auth.h"
#include "policyd/base/buf.h"
#include "policyd/scan/session.h"

enum auth_method { METHOD_AUTH = 1, METHOD_IPREV = 2, METHOD_SPF = 4, METHOD_DKIM = 8, METHOD_DMARC = 16, METHOD_ARC = 32, METHOD__ALL = 63 };

/* The value of the header, of the `methods` asked for; nothing is written when none of them has anything to say. */
void results_write(struct buf *out, struct span authserv_id, unsigned methods, const struct session *session,
    const struct envelope *envelope, const struct auth *auth);

/* What such a value says of a method ("dmarc" -> "pass"), the first time it does; lower case, empty: nothing. Comments are passed
 * over. `value` begins behind the authserv-id. */
struct span results_of(struct arena *a, struct span value, struct span method);

#endif
