/* reasons.h - a symbol in words that a mailbox owner understands.
 *
 * Source  our own symbols: a list in every language (reasons.c); rules: the description each carries, read from the rule
 *         files' text (they are not run here); else the symbol's name in small letters
 */
#ifndef QUARANTINE_REVIEW_REASONS_H
#define QUARANTINE_REVIEW_REASONS_H

#include "policyd/config.h"
#include "quarantine/review/text.h"

void reasons_load(const struct config *config);             /* again at a reload */
const char *reason_words(enum language language, const char *symbol);      /* until the next call */

#endif
