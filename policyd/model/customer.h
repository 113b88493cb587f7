/* customer.h - what one customer (or mailbox) taught: a small table beside the global one.
 *
 * Shape   A: int16[2^15], step 1/1024 | B: (ham, spam) uint8[2^17] | histograms of 64 bins; 321 KB in memory.
 *         Packed (customer_pack) it is as large as what was taught: about 4 KB after five lessons
 *
 * Everything in it is a sum over lessons: it can be applied by whoever, in any order, and taken back.
 */
#ifndef POLICYD_MODEL_CUSTOMER_H
#define POLICYD_MODEL_CUSTOMER_H

#include "policyd/base/buf.h"
#include "policyd/model/table.h"

enum { CUSTOMER_A_BITS = 15, CUSTOMER_B_BITS = 17, CUSTOMER_BINS = 64, CUSTOMER_PACKED_MOST = 256 * 1024 };

struct customer {
	uint32_t seen[2], trained[2];
	uint16_t bins[LEARNERS][2][CUSTOMER_BINS];
	int16_t a[1 << CUSTOMER_A_BITS];
	struct evidence b[1 << CUSTOMER_B_BITS];
};

/* Sparse: gaps between what is not zero, as variable-length numbers; then zstd. */
void customer_pack(struct buf *b, const struct customer *c);
bool customer_unpack(struct span packed, struct customer *c);

#endif
