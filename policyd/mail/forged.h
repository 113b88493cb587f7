/* forged.h - headers that only we may write, in a mail from outside. */
#ifndef POLICYD_MAIL_FORGED_H
#define POLICYD_MAIL_FORGED_H

#include "policyd/mail/message.h"

struct forged {
	struct span name;                    /* as the MTA must be told to remove it */
	uint32_t count;                      /* how often it stands in the mail */
};

/* X-Spam-Flag, -Score, -Status, -Level and X-Policyd-*: how many names; the list lives in `a`. */
size_t message_forged(const struct message *msg, struct arena *a, struct forged **list);

#endif
