/* rules_inside.h - what rules.c, stage_rules.c and stage_score.c share; nobody else includes it. */
#ifndef LUA_RULES_INSIDE_H
#define LUA_RULES_INSIDE_H

#include <stdatomic.h>

#include "lua/rules.h"
#include "lua/state.h"

struct rule {
	char *symbol, *group, *description, *where;
	double points;
	int run;                             /* registry reference: function(msg) -> false, true or evidence */
	int tests;                           /* registry reference: list of tests, or LUA_NOREF */
	int test_count;
	bool late;
	int64_t spent_us;                    /* with rules->timed: of this process */
};

/* On a page that zygote and workers share: a worker retires after a failed rule, so it could not count itself. */
struct breaker {
	_Atomic int64_t first_ms, off_until_ms;
	_Atomic int fails;
};

struct rules {
	struct state *state;
	struct rule *at;
	size_t count, room;
	struct breaker *breakers;            /* `count` of them, shared memory */
	int score;                           /* registry reference: function(symbols, class) -> points, bayes points */
	bool keep_tests;
	bool timed;
	char *why;                           /* while loading: complaints, a line each */
	size_t why_room, why_used;
	bool failed;
};

#endif
