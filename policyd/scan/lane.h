/* lane.h - bulk and trickle told apart, so that ten thousand coupons make no password reset wait. Pure.
 *
 * Shape   a lane and why; senders are told apart by lane_key: the envelope's sender, with what differs from mail to mail taken out
 *         (news+4711=ann@shop.example, bounce-9f3a@shop.example), so that a shop's newsletters and its password resets are two
 * Units   mails a minute, as a decayed count (half after LANE_HALF_MS)
 *
 * A mistake costs little: in the bulk lane mail waits behind other bulk mail, at no time behind nothing.
 */
#ifndef POLICYD_SCAN_LANE_H
#define POLICYD_SCAN_LANE_H

#include "policyd/base/limits.h"
#include "policyd/base/span.h"

enum lane { LANE_TRICKLE, LANE_BULK, LANE__COUNT };
extern const char *const lane_names[LANE__COUNT];           /* "trickle", "bulk" */

/* What the header says (the gate sees it pass by). */
enum lane_hint { LANE_HINT_LIST = 1 << 0, LANE_HINT_PRECEDENCE = 1 << 1, LANE_HINT_FEEDBACK = 1 << 2 };

enum { LANE_HALF_MS = 60 * 1000, LANE_RATE = 600, LANE_RATE_ALIKE = 120, LANE_ALIKE = 50 };

struct lane_facts {
	unsigned hints;                      /* enum lane_hint */
	bool declared, exempt;               /* a bulk sender by the settings, or one that never is */
	bool alike;                          /* his mails are like each other: resets and codes are as well, so it takes volume too */
	double rate;                         /* of that sender, this mail included */
};

/* Bits of one header field. */
unsigned lane_hint(struct span name, struct span value);
enum lane lane_decide(const struct lane_facts *facts, const char **why);
/* Lower case, "+..." and "=..." of the local part gone, every word of it with a digit as "#". Empty for the null sender. */
void lane_key(struct span sender, char to[MAX_ADDRESS + 1]);

/* A count that halves. */
struct lane_count {
	double mails;
	int64_t last_ms;
};
double lane_count_add(struct lane_count *c, double mails, int64_t now_ms);

/* How many of so many workers bulk may have at once: its share in percent, one at least, and one fewer than all where there are two. */
uint32_t lane_share(uint32_t workers, uint32_t percent);

#endif
