/* strip.h - a mail without the files that a policy bans: each is replaced by a note that says what it was and how to get it.
 *
 * Shape   a part that is banned, or an archive or mail in which one lies, becomes text/plain; all other bytes are the same
 * Rule    only what the strict reading shows in the mail's own bytes can be cut out. strip_mail answers true only if a fresh look
 *         at the result finds nothing that is banned any more
 */
#ifndef POLICYD_SCAN_STRIP_H
#define POLICYD_SCAN_STRIP_H

#include "policyd/base/buf.h"
#include "policyd/mail/message.h"

/* `reference`: what the note says to ask by. False: nothing is banned, or it cannot be cut out; `out` is not to be used then. */
bool strip_mail(struct arena *a, struct buf *out, const struct message *msg, const char *banned_types, const char *reference);

#endif
