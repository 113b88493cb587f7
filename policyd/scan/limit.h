/* limit.h - how much of something in how much time: what the fields limit_* of a policy say.
 *
 * Shape   "messages=200/h:50 recipients=1000/d distinct=300/d bytes=2G/d": so many refill in a second, a minute, an hour or a
 *         day (s, m, h, d), and up to the number behind the colon may be used at once (left out: the amount itself).
 *         "distinct" are recipients that have not been written to in that time. "messages=off" lifts a limit set above;
 *         "off" alone lifts all
 * Units   bytes in KiB here; K, M, G, T in the text are powers of 1024
 * Errors  a sentence with the word that is not good
 */
#ifndef POLICYD_SCAN_LIMIT_H
#define POLICYD_SCAN_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "policyd/base/span.h"

enum measure { MEASURE_MESSAGES, MEASURE_RECIPIENTS, MEASURE_DISTINCT, MEASURE_BYTES, MEASURE__COUNT };
extern const char *const measure_names[MEASURE__COUNT];

enum { LIMIT_MOST = 1000000000, LIMIT_TEXT_ROOM = 160 };
#define LIMIT_LIFTED UINT32_MAX              /* amount: no limit, whatever a level above says */

struct limit {
	uint32_t amount;                     /* 0: nothing is said; LIMIT_LIFTED */
	uint32_t per_s;                      /* 1, 60, 3600 or 86400 */
	uint32_t burst;                      /* what may be used at once */
};

static inline bool
limit_on(const struct limit *l)
{
	return l->amount != 0 && l->amount != LIMIT_LIFTED;
}

bool limits_parse(struct span text, struct limit limits[MEASURE__COUNT], char *why, size_t room);
void limits_print(const struct limit limits[MEASURE__COUNT], char *to, size_t room);
/* What `from` says replaces what stands in `to`. */
void limits_merge(struct limit to[MEASURE__COUNT], const struct limit from[MEASURE__COUNT]);
/* 1: some measure that both speak of is more generous in `a`; -1: none is, and some is less; 0: alike. */
int limits_compare(const struct limit a[MEASURE__COUNT], const struct limit b[MEASURE__COUNT]);
/* At most (least: at least) what `bound` says, measure by measure. True: something changed. */
bool limits_bound(struct limit limits[MEASURE__COUNT], const struct limit bound[MEASURE__COUNT], bool least);

#endif
