/* forged.h - headers that only we, or the MTA we work for, may write, in a mail from outside.
 *
 * Shape   one entry a header, in the order of the mail
 * Source  RFC 8601, 5: whoever adds Authentication-Results removes those that bear its name when they come in
 */
#ifndef POLICYD_MAIL_FORGED_H
#define POLICYD_MAIL_FORGED_H

#include "policyd/mail/message.h"

struct forged {
	struct span name;                    /* as the MTA must be told to remove it */
	uint32_t nth;                        /* of that name, from 1 */
};

/* X-Spam-Flag, -Score, -Status, -Level, X-Policyd-*, and Authentication-Results of `authserv_id`: how many; the list
 * lives in `a`. */
size_t message_forged(const struct message *msg, struct span authserv_id, struct arena *a, struct forged **list);

/* "mx.example" of "(x) mx.example 1; spf=pass": comments and the version off, as written; empty: none. */
struct span authserv_id_of(struct arena *a, struct span raw);

#endif
