/* asking.h - what the rules of one mail ask DNS and Redis: each question once, whoever asks it, all that are open in one batch.
 *
 * Shape   a rule that asks is a coroutine (struct turn): it waits while others run; when none can go on, what was asked goes to
 *         the broker together, and all go on. A chain of questions in one rule takes as many rounds
 * Bounds  MAX_RULE_QUESTIONS a rule, MAX_SET_QUESTIONS for everybody's rules and for each customer's; MAX_RULES_WAIT_MS of waiting
 * Errors  no answer is RR_UNKNOWN: the rule gets nil and "unknown", and the mail RULES_UNKNOWN. So is what is over a bound: a mail
 *         with a thousand links must not make the rule that asks about them fail
 */
#ifndef LUA_ASKING_H
#define LUA_ASKING_H

#include "lua/state.h"
#include "policyd/scan/scan.h"

struct asked {                               /* one question of this mail */
	struct question question;
	uint64_t hash;
	int set;                             /* whose rules ask it */
	struct rr_answer answer;             /* RR_PENDING: not yet known */
};

struct asking {                              /* all of them */
	struct scan *scan;
	struct asked *at;
	size_t count, room, sent;
	int wait_ms;                         /* that is left */
};

struct turn {                                /* a rule's function that may wait */
	struct turn *next;                   /* of those that do */
	struct asking *asking;
	int set;
	int asked;                           /* questions that nobody had asked before it */
	struct span customer;                /* whose keys it reads; empty: the site's */
	struct span shown;                   /* the last answer that was found, as evidence */
	struct span unknown;                 /* the first question without an answer */
};

struct asking *asking_open(struct scan *scan);

/* The question, asked now or before; NULL: over a bound. Valid until the next call. What cannot be is RR_NONE at once. */
const struct asked *asking_find(struct turn *turn, const struct question *q);

/* Ask the broker what is open, and wait for it. Afterwards nothing is RR_PENDING. */
void asking_wait(struct asking *asking);

/* 192.0.2.1 as "1.2.0.192.", v6 by nibbles: what stands before in-addr.arpa, ip6.arpa or a list's zone. */
enum { REVERSED_ROOM = 65 };
void asking_reverse(const struct ip *ip, char to[REVERSED_ROOM]);

/* dns, redis and maps among the globals; upvalues `rules` (a light userdata). */
void asking_register(lua_State *L, void *rules);

#endif
