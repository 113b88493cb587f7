/* campaigns.h - the campaigns that all nodes know, in Redis: found by their fingerprints (scan/alike.h), counted, reported.
 *
 * Shape   {alike:b<band>}    string  id of the campaign that has this band
 *         {alike:<id>}       hash    sig (its first mail's minima), first, last (s), mails, caught
 *         {alike:<id>}r, c   HyperLogLog   recipients, customers
 *         {alike:<id>}s, h   set     voices for spam, for ham; of a part the same, its id "p" and its digest
 * Expiry  CAMPAIGN_TTL_S after the last mail or report
 * Bounds  what was seen once stays in this node's memory (SEEN_ROOM bands, the oldest overwritten): the second mail alike, a report,
 *         or one that was caught makes the record. So single mails cost Redis reads, and no memory
 * Errors  no answer is no campaign: `known` is false
 */
#ifndef POLICYD_STORE_CAMPAIGNS_H
#define POLICYD_STORE_CAMPAIGNS_H

#include "policyd/scan/alike.h"
#include "policyd/scan/campaign.h"

enum { CAMPAIGN_TTL_S = 7 * 86400, CAMPAIGN_ID_ROOM = 40, SEEN_ROOM = 1 << 20 };

struct redis_async;
struct campaigns;
struct campaigns_wait;

struct campaigns_found {
	bool known;                          /* Redis has answered */
	bool text;                           /* there are others like it */
	char id[CAMPAIGN_ID_ROOM];           /* theirs; or the one it would found */
	double share;                        /* how alike */
	struct campaign campaign;
	struct campaign parts[ALIKE_PARTS];  /* mails 0: never seen */
};

typedef void (*campaigns_callback)(void *arg, const struct campaigns_found *found);

struct campaigns *campaigns_open(struct redis_async *redis);         /* NULL: no memory */
void campaigns_close(struct campaigns *c);

/* `alike` need not outlive the call. The callback comes once, maybe from inside the call (then NULL is returned). */
struct campaigns_wait *campaigns_find(struct campaigns *c, const struct alike *alike, campaigns_callback done, void *arg);
void campaigns_cancel(struct campaigns_wait *wait);

/* A mail has had its fate. `found` is what was said of it before. */
struct campaigns_mail {
	const struct alike *alike;
	const struct campaigns_found *found;
	bool caught;
	const char *const *recipients, *const *customers;    /* names; distinct ones count */
	uint32_t count;                      /* of both */
};
void campaigns_note(struct campaigns *c, const struct campaigns_mail *mail);

/* A voice: of a customer, or whoever speaks. `undo`: it is taken back. */
void campaigns_report(struct campaigns *c, const struct alike *alike, bool spam, bool undo, const char *voice);

#endif
