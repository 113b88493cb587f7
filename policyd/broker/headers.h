/* headers.h - the header edits of one settled mail, and its symbols in one line. */
#ifndef POLICYD_BROKER_HEADERS_H
#define POLICYD_BROKER_HEADERS_H

#include "policyd/broker/transaction.h"

/* Appends the edits of W_OUTCOME and returns how many: forged ones removed, X-Spam-* added, Subject tagged. */
uint32_t headers_pack(struct buf *edits, const struct tx *tx);

/* "BAYES=2.1<sep>GTUBE=1000": symbols with their points as `score` sees them (NULL: without BAYES). With `fold` > 0 a
 * line longer than that is folded by LF and HT, as a milter wants it. */
void headers_symbols(struct buf *out, const struct tx *tx, const struct scanned_class *score, const char *sep, size_t fold);

#endif
