/* headers.h - the header edits of one settled mail, and its symbols in one line. */
#ifndef POLICYD_BROKER_HEADERS_H
#define POLICYD_BROKER_HEADERS_H

#include "policyd/broker/transaction.h"
#include "policyd/scan/variant.h"

/* Appends the edits of W_OUTCOME and returns how many: forged ones removed, X-Spam-* added, Subject tagged. */
uint32_t headers_pack(struct buf *edits, const struct tx *tx);

/* "GTUBE=1000<sep>BAYES=2.1": symbols with their points as `score` sees them (NULL: without BAYES). */
void headers_symbols(struct buf *out, const struct tx *tx, const struct scanned_class *score, const char *sep);

/* How many bytes the edits put before the subject (variant.h). */
uint8_t headers_undo(const struct tx *tx);

#endif
