/* sanitize.h - a stranger's HTML made into HTML that can do nothing.
 *
 * Shape   a list of allowed elements and attributes; all else is left out, scripts and styles with what is in them.
 *         Text is decoded once and escaped anew, so no other reading of it is left. No address survives in an attribute:
 *         a link becomes its text and, beside it, the host it really leads to; an image its alt text in brackets
 * Bounds  SANITIZE_MOST bytes out, SANITIZE_DEPTH open elements; what is over them is left out
 * Errors  none: all bytes have an answer, and every element opened in it is closed in it
 */
#ifndef POLICYD_MAIL_SANITIZE_H
#define POLICYD_MAIL_SANITIZE_H

#include "policyd/base/arena.h"
#include "policyd/base/buf.h"
#include "policyd/base/span.h"

enum { SANITIZE_MOST = 512 * 1024, SANITIZE_DEPTH = 64 };

/* `html` is UTF-8. */
void html_sanitize(struct arena *a, struct span html, struct buf *out);

#endif
