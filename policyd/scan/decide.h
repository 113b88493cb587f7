/* decide.h - the pure middle: from what was found to what each recipient gets, and what SMTP can say.
 *
 * decide   one recipient, alone: findings and points -> outcome. Property: company does not change it.
 * settle   fold the outcomes of one transaction into one SMTP reply, recipients to delete, copies to store,
 *          and the edits that all remaining recipients share (design.md "Several recipients, one message").
 * Both are functions of their arguments: no clock, no chance, no I/O.
 */
#ifndef POLICYD_SCAN_DECIDE_H
#define POLICYD_SCAN_DECIDE_H

#include "policyd/scan/policy.h"
#include "policyd/scan/verdict.h"

enum listed { LISTED_NOT, LISTED_ALLOW, LISTED_BLOCK };

/* What decide needs of a verdict, and of this recipient's own lists. */
struct judgement {
	double points;                       /* of this policy class */
	unsigned classes;                    /* enum mail_class bits */
	bool defer;
	enum listed listed;                  /* allowed: thresholds and DMARC do not matter, classes do */
	uint8_t dmarc;                       /* enum dmarc_policy (auth.h): what the domain wants done with what fails; none: it does not fail */
};

enum outcome decide(const struct policy *policy, const struct judgement *found);

enum smtp_reply { REPLY_ACCEPT, REPLY_DISCARD, REPLY_REJECT, REPLY_DEFER };

struct fate {                                /* of one recipient */
	const struct policy *policy;         /* given */
	enum outcome wanted;                 /* given: what decide said */
	uint32_t score;                      /* given: which of the mail's scores is his */
	bool no_route;                       /* given: his address does not fit a token */
	bool strip;                          /* given, only where there is a route: files are taken out of his copy */
	enum outcome outcome;                /* what he gets: differs where a reject could not be had */
	bool remove;                         /* delrcpt */
	bool store;                          /* a quarantine copy before the reply; of a rejected mail, if his policy keeps one */
	/* given as zero */
	bool route;                          /* removed, and a token address takes his own variant to him */
	uint32_t variant;                    /* of those who get it: equal numbers, equal bytes */
};

struct company {                             /* what holds for the whole transaction */
	bool relayed;                        /* a relay of ours has accepted the mail before us and would turn a reject into a
	                                        bounce to whomever it claims to be from: nobody is rejected */
	bool route;                          /* variants can be had: the way through the MTA's queue is proved */
};

struct settlement {
	enum smtp_reply reply;
	bool score_headers;                  /* X-Spam-* for those who remain */
	bool flag;                           /* X-Spam-Flag: YES */
	bool tag_subject;
	bool fallback;                       /* delivered variants differed and were folded: counted and reported */
	size_t best;                         /* index of the recipient whose class the headers speak of */
	uint32_t variants;                   /* how many different ones are delivered */
};

/* count >= 1. `order` is room for count numbers. */
void settle(struct fate *fates, size_t count, const struct company *company, uint32_t *order, struct settlement *out);

#endif
