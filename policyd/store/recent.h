/* recent.h - what was found in a customer's recent mail: so that another policy can be tried on it.
 *
 * Shape   {m:<customer>}:recent   list   newest first, at most RECENT_KEPT, gone after RECENT_TTL_S ("-": nobody's); each
 *         [time_s, reference, recipient, points, classes, defer, outcome, client, sender, from, list id, proved, [signers],
 *         dmarc]
 * Errors  Redis away: that mail is not remembered here
 */
#ifndef POLICYD_STORE_RECENT_H
#define POLICYD_STORE_RECENT_H

#include "policyd/store/entries.h"

enum { RECENT_KEPT = 1000, RECENT_TTL_S = 14 * 86400, RECENT_SIGNERS = 4 };

struct redis_async;
struct redisReply;

struct recent {                              /* one recipient of one mail */
	int64_t time_s;
	const char *reference, *recipient;   /* the recipient as customers_canonical has it */
	struct judgement found;              /* but `listed`, which is found anew from the facts */
	enum outcome outcome;                /* what he got, in his company */
	struct entry_facts facts;
};

void recent_add(struct redis_async *redis, const char *customer, const struct recent *r);

/* `done` gets each entry, which is good for that call alone, then NULL; `failed`: Redis gave no answer. */
typedef void (*recent_each)(void *arg, const struct recent *r, bool failed);
void recent_read(struct redis_async *redis, const char *customer, recent_each each, void *arg);

#endif
