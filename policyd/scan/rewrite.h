/* rewrite.h - a mail of the MTA's queue, edited as one recipient's variant wants it.
 *
 * Shape   in: the mail as all who stay in the transaction get it; out: its bytes with our own headers written anew and the
 *         subject as this recipient is to see it, behind a Received line of the stage. All other bytes are the same
 * Errors  none: what has no header block is copied
 */
#ifndef POLICYD_SCAN_REWRITE_H
#define POLICYD_SCAN_REWRITE_H

#include "policyd/scan/variant.h"

/* `received` is the line to stand before all others (CRLF at its end). */
void rewrite_mail(struct buf *out, struct span mail, const struct variant *v, struct span received);

/* The next header with its folds and line end; false at the empty line, or where none is. */
bool rewrite_next_header(struct span *rest, struct span *header, struct span *name);

#define REWRITE_BY_STAGE "(policyd variant) with LMTP id "

enum { TRACE_LETTERS = 14 + 1 + 16, TRACES_MOST = 16 };

/* What its Received lines claim of earlier passages, TRACE_LETTERS each, one behind the other: for trace_good. */
void rewrite_traces(struct buf *out, struct span mail);

#endif
