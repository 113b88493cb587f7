/* scan.h - one mail in a worker: what it is given, what its stages leave.
 *
 * A stage reads what earlier stages left here, adds findings, returns. One mail, one thread, no locks.
 */
#ifndef POLICYD_SCAN_SCAN_H
#define POLICYD_SCAN_SCAN_H

#include "policyd/config.h"
#include "policyd/mail/message.h"
#include "policyd/scan/policy.h"
#include "policyd/scan/question.h"
#include "policyd/scan/session.h"
#include "policyd/scan/verdict.h"

struct scan;
struct antivirus;                            /* worker/antivirus.h */
struct rules;                                /* lua/rules.h */
struct model;                                /* model/model.h */
struct auth;                                 /* auth/auth.h */
struct auth_asked;
struct features;                             /* model/features.h */

/* What every scan of a worker is lent: loaded once in the zygote, shared by fork, read only. */
struct kit {
	const struct config *config;
	struct antivirus *antivirus;         /* NULL: off by config */
	struct rules *rules;
	struct model *model;
};

/* The score of one distinct policy among the recipients. */
struct class_score {
	const struct policy *policy;
	uint64_t mailbox;                    /* whose own lessons count here, by number; 0: nobody's alone */
	double log_odds, probability;        /* of the model, for this customer; 0 and 0.5 when it cannot tell */
	bool model_known;                    /* the model had learnt enough to tell */
	double bayes_points;                 /* BAYES in this class */
	double points;                       /* all told: what decide() compares */
	struct span banned;                  /* the file that this policy bans (banned.h); empty: none */
	bool strippable;                     /* such files can be taken out (strip.h), and the policy wants that */
};

struct scan {
	struct arena *arena;                 /* owns all below but kit */
	struct session session;
	struct envelope envelope;
	struct message message;
	bool truncated;                      /* the mail was larger than the limit: `message` is its beginning */
	struct features *features;           /* set by stage_bayes */
	struct verdict verdict;              /* symbols all classes share; BAYES stands in `classes` */
	struct class_score *classes;
	size_t class_count;                  /* >= 1 */
	const struct kit *kit;
	struct asker *asker;                 /* lent; NULL: nobody can be asked (tools) */
	bool lists_asked, names_asked, campaign_asked;
	struct ip origin;                    /* behind a trusted relay: the client before it; family 0: none was found */
	struct span origin_helo;             /* and the name it gave */
	struct auth_asked *auth_asked;       /* stage_auth.c's own */
	struct auth *auth;                   /* who sent it; set by stage_auth_ask */
	int64_t deadline_ms;                 /* monotonic */
};

/* Whose Authentication-Results can only be forged when they come in; empty: nobody's. */
static inline struct span
scan_forged_id(const struct scan *scan)
{
	const struct config *c = scan->kit ? scan->kit->config : NULL;

	return c && !c->authserv_guarded ? span_of(c->authserv_id) : (struct span){ 0 };
}

/* Whose can be believed, for a milter before us writes them and removes forged ones; empty: nobody's. */
static inline struct span
scan_guarded_id(const struct scan *scan)
{
	const struct config *c = scan->kit ? scan->kit->config : NULL;

	return c && c->authserv_guarded ? span_of(c->authserv_id) : (struct span){ 0 };
}

#endif
