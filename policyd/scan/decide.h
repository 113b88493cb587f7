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
	enum listed listed;                  /* allowed: thresholds do not matter, classes do */
};

enum outcome decide(const struct policy *policy, const struct judgement *found);

enum smtp_reply { REPLY_ACCEPT, REPLY_DISCARD, REPLY_REJECT, REPLY_DEFER };

struct fate {                                /* of one recipient */
	enum outcome wanted;                 /* what decide said */
	enum outcome outcome;                /* what he gets: differs where a reject could not be had */
	bool remove;                         /* delrcpt */
	bool store;                          /* a quarantine copy before the reply */
};

struct settlement {
	enum smtp_reply reply;
	bool score_headers;                  /* X-Spam-* for those who remain */
	bool flag;                           /* X-Spam-Flag: YES */
	bool tag_subject;
	bool fallback;                       /* delivered variants differed: counted and reported */
	size_t best;                         /* index of the recipient whose class the headers speak of */
};

/* policies[i] and fates[i].wanted are given, the rest is filled in. count >= 1. `relayed`: a relay of ours has accepted the
 * mail before us and would turn a reject into a bounce to whomever it claims to be from, so nobody is rejected. */
void settle(const struct policy *const *policies, struct fate *fates, size_t count, bool relayed, struct settlement *out);

#endif
