/* alike.h - fingerprints by which mails of one campaign are known again, though every one of them is a little different.
 *
 * Shape   of the visible text: its words three by three (shingles) as a set, and of that set ALIKE_HASHES minima under as many hash
 *         functions; the share of equal minima estimates the share of shingles two texts have in common (Jaccard). Eight bands of
 *         three minima each are keys to look up: texts with 80 % in common share one with 99.7 %, with 30 % in 20 %, and the minima
 *         then decide. All words with a digit are one word: that is where
 *         each mail of a campaign differs
 *         of a part: SHA-256 of its decoded bytes
 * Bounds  ALIKE_WORDS words; a text of fewer than ALIKE_LEAST words has no fingerprint; ALIKE_PARTS parts of ALIKE_PART_LEAST bytes
 * Source  Broder, "On the resemblance and containment of documents", 1997; bands: Leskovec, Rajaraman, Ullman, ch. 3.4
 *
 * Pure.
 */
#ifndef POLICYD_SCAN_ALIKE_H
#define POLICYD_SCAN_ALIKE_H

#include "policyd/mail/message.h"

enum { ALIKE_HASHES = 64, ALIKE_BANDS = 8, ALIKE_ROWS = 3, ALIKE_WORDS = 4096, ALIKE_LEAST = 12, ALIKE_PARTS = 8, ALIKE_ID = 16,
    ALIKE_PART_LEAST = 1024 };

struct alike {
	bool text;                           /* there is enough of it */
	uint8_t minima[ALIKE_HASHES];        /* the last byte of each */
	uint64_t bands[ALIKE_BANDS];
	uint32_t part_count;
	uint8_t parts[ALIKE_PARTS][ALIKE_ID];
};

void alike_text(struct span text, struct alike *out);                /* sets all but the parts */
void alike_read(const struct message *msg, struct alike *out);
/* Of two texts: 0..1. */
double alike_share(const uint8_t a[ALIKE_HASHES], const uint8_t b[ALIKE_HASHES]);

#endif
