/* dkim.h - who has signed it.
 *
 * Shape   the signatures of a mail from the top, at most AUTH_DKIM_MOST; of those beyond it nothing is said but that they are there
 * Errors  in each signature's own result; see signature.h
 * Source  RFC 6376
 */
#ifndef POLICYD_AUTH_DKIM_H
#define POLICYD_AUTH_DKIM_H

#include "policyd/auth/auth.h"
#include "policyd/auth/canon.h"

/* Sets dkim and dkim_count of `out`. True: all keys were at hand; false: some were asked for (RR_PENDING), run it again. */
bool dkim_check(struct arena *a, struct answers *dns, struct signed_mail *mail, int64_t now_s, struct auth *out);

#endif
