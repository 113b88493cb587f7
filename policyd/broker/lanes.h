/* lanes.h - which lane a mail goes (scan/lane.h): the volume of each sender, as this node sees it.
 *
 * Bounds  LANES_ROOM senders, told apart by a hash: two that share a place share a count for a while
 */
#ifndef POLICYD_BROKER_LANES_H
#define POLICYD_BROKER_LANES_H

#include "policyd/config.h"
#include "policyd/scan/lane.h"

enum { LANES_ROOM = 8192 };

struct lanes {
	uint64_t seed;
	struct lane_sender {
		uint64_t hash;
		struct lane_count count;
		int64_t alike_until_ms;
	} at[LANES_ROOM];
};

struct lanes *lanes_open(void);              /* NULL: no memory */

/* Counts a mail of `sender` (of the null sender none are) and says where it goes, and why. */
enum lane lanes_choose(struct lanes *l, const struct config *config, struct span sender, unsigned hints, const char **why);
/* What is known of a sender before the mail is: nothing is counted. */
enum lane lanes_expect(const struct lanes *l, const struct config *config, struct span sender);
/* Many mails alike come from there. */
void lanes_alike(struct lanes *l, struct span sender);

#endif
