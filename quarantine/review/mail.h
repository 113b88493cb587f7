/* mail.h - the mails we write ourselves: text and HTML beside it, handed to deliver.
 *
 * Errors  sent when the MTA took it; `done` gets 1 taken, 0 refused, 2 try later (W_RELEASED)
 */
#ifndef QUARANTINE_REVIEW_MAIL_H
#define QUARANTINE_REVIEW_MAIL_H

#include "quarantine/review/review.h"

struct own_mail {
	const char *id;                      /* of [a-z0-9-]: the same mail asked for again is sent once (deliver.c) */
	const char *to, *from_name, *subject;
	const char *unsubscribe;             /* https address for List-Unsubscribe, or NULL */
	enum language language;
	struct buf text, html;               /* emptied */
};

typedef void (*mail_done)(void *arg, int result, const char *reply);

/* False: no memory, `done` is not called. */
bool mail_send(struct review *r, struct own_mail *mail, mail_done done, void *arg);

/* A stranger's words in a mail of ours: no controls, no turned directions, and nothing that a mail program makes a link of. */
void mail_words(struct buf *to, struct span words, bool html);

#endif
