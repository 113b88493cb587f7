/* account.h - does somebody else use this account? What one login usually sends, and how far it is from that now. Pure.
 *
 * Shape   a flat struct of fixed size, kept as bytes in Redis: equal on all nodes of one build, versioned
 * Usual   how many units an hour and a day at most (records that fade), to whom it has written (two Bloom filters in turn), from
 *         which networks and countries. A unit is a message to somebody new; more new recipients of one message add by their
 *         logarithm: a club's one mail to 150 members is 8, a thief's 20 mails to 50 each are 130
 * Kinds   volume (units beyond three times the usual), where (networks, countries never used), bounces, content (mail that
 *         scores as spam). Volume alone never contains anybody: a new invoice run or a club's mail merge is volume, too.
 *         A limit stops those who have nothing but volume
 * Time    seconds, given with every event; what is learnt of a day counts from the day after the next on, so that a
 *         theft does not teach us that it is usual
 */
#ifndef POLICYD_LIMIT_ACCOUNT_H
#define POLICYD_LIMIT_ACCOUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ACCOUNT_VERSION = 1, ACCOUNT_BLOOM = 1024, ACCOUNT_BLOOM_FULL = 1500, ACCOUNT_PLACES = 24 };

struct account_place {                       /* a network, or a country */
	uint32_t hash;                       /* 0: free */
	uint32_t first_hour, last_hour;      /* since 1970 */
};

struct account_state {
	uint32_t version, writes;            /* writes: of the state to where it is kept; two nodes know by it that both were at it */
	uint32_t messages, reserved;         /* ever */
	int64_t first_s, last_s;
	float hour_units, hour_messages, hour_recipients, hour_strange, hour_places, hour_bad, hour_bounced;   /* fading over an hour */
	float hour_same;                     /* units of the one subject below */
	float day_units, day_recipients, day_bounced;        /* fading over a day */
	float usual_hour, usual_day;         /* records, of the days before yesterday */
	float peak_hour[2], peak_day[2];     /* of today and yesterday */
	float usual_strange;                 /* share of messages from places never used before, in the long run */
	float today_messages, today_strange;
	uint32_t day, subject;
	uint32_t bloom_count, bloom_now;
	struct account_place places[ACCOUNT_PLACES];
	uint8_t bloom[2][ACCOUNT_BLOOM];
};

struct account_message {
	int64_t now_s;
	uint64_t network, country;           /* hashes; 0: not known */
	uint64_t subject;                    /* of its normalised text */
	const uint64_t *recipients;          /* hashes */
	size_t recipient_count;
	bool bad;                            /* scored as spam, or worse */
};

struct account_finding {
	double points;                       /* ACCOUNT_STOLEN and more: somebody else */
	double volume, where, bounces, content, same;
	double units, usual;                 /* in the last hour; what was most in one */
	bool stolen;
};
#define ACCOUNT_STOLEN 5.0

void account_start(struct account_state *a, int64_t now_s);
/* One message that it sends. */
void account_sent(struct account_state *a, const struct account_message *m, struct account_finding *found);
/* A bounce came back to it. */
void account_bounced(struct account_state *a, int64_t now_s, struct account_finding *found);
/* Somebody has looked: what it did was its owner's doing (`rightful`), or its owner has it back. */
void account_released(struct account_state *a, bool rightful);
/* "volume 4.0 (180 new recipients an hour, usually 12), where 2.0, ..." */
void account_explain(const struct account_finding *f, char *to, size_t room);

#endif
