/* reputation.h - what mail of the same origin was like: decayed counts to points. Pure.
 *
 * Shape   good and bad mails, each worth half after REPUTATION_HALF_S: e.g. 40 good ones of last week count 20
 * Units   points, bounded: REPUTATION_GOOD_MOST towards ham, REPUTATION_BAD_MOST towards spam. Few mails say little: from
 *         REPUTATION_LEAST on, with the weight n / (n + REPUTATION_DOUBT)
 *
 * A network is many people: it is never credited, only blamed. A name is credited only where it is proved (SPF or DKIM): what a mail
 * says of itself has no reputation at all.
 */
#ifndef POLICYD_SCAN_REPUTATION_H
#define POLICYD_SCAN_REPUTATION_H

#include <stdbool.h>
#include <stdint.h>

#include "policyd/scan/session.h"

#define REPUTATION_HALF_S (7 * 86400.0)
#define REPUTATION_LEAST 5.0
#define REPUTATION_DOUBT 20.0
#define REPUTATION_GOOD_MOST 1.5
#define REPUTATION_BAD_MOST 3.0
#define KNOWN_WRITES -1.0                    /* has written to that mailbox before, and nobody minded */
#define KNOWN_WRITTEN -2.0                   /* has been written to by it */
#define KNOWN_REPLY -3.0                     /* answers a mail of it */

enum reputation_kind { REPUTATION_NET, REPUTATION_DKIM, REPUTATION_SENDER, REPUTATION__COUNT };
extern const char *const reputation_kind_names[REPUTATION__COUNT];   /* "net", "dkim", "sender" */

struct reputation {
	double good, bad;
	int64_t last_s;                      /* when they were counted; 0: never */
};

/* The counts as they are worth at `now_s`. */
void reputation_decay(struct reputation *r, int64_t now_s);
double reputation_points(const struct reputation *r, enum reputation_kind kind);

/* What a mailbox knows of a proved sender. */
struct known {
	uint32_t written;                    /* mails to him */
	uint32_t heard;                      /* good mails of him */
	bool reply;                          /* this one answers a mail of the mailbox to him */
};
double known_points(const struct known *k);
const char *known_symbol(const struct known *k);            /* "KNOWN_REPLY", ...; NULL: a stranger */

/* The network whose reputation a client shares: "198.51.100.0/24", "2001:db8:1:2::/64". */
void reputation_net(const struct ip *client, char to[INET6_ADDRSTRLEN + 4]);

#endif
