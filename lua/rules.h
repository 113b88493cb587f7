/* rules.h - the loaded rules and scorer: prelude.lua, every *.lua of the rule directories, score.lua.
 *
 * Shape   loaded once in the zygote, forked with it; a worker runs them over many mails, one after another
 * Units   points; budgets are in limits.h (MAX_LUA_STEPS, MAX_RULE_MS, MAX_RULES_MS, MAX_LUA_MEMORY)
 * Sets    *.lua in the rule directories are everybody's; those in DIR/customers/ID are that customer's own, in a Lua state
 *         of their own, judged only for his mail and counted only for him
 * Errors  rules_load: NULL and one line per mistake, "headers.lua:12:3: FOO: no score"; all are found in one go.
 *         A rule that fails on a mail is RULE_FAILED there (0 points, file and line as evidence) and in the log;
 *         RULE_BREAKER_FAILS failures within RULE_BREAKER_MS switch it off that long, for all workers at once
 */
#ifndef LUA_RULES_H
#define LUA_RULES_H

#include "lua/maps.h"
#include "lua/patterns.h"
#include "policyd/config.h"
#include "policyd/scan/scan.h"

enum { RULE_BREAKER_FAILS = 5, RULE_BREAKER_MS = 60 * 1000 };

struct rules;

struct rules *rules_load(const struct config *config, char *why, size_t room);
void rules_free(struct rules *rules);
/* The maps that come from elsewhere: the i-th, false when there are no more. `key` "": https alone vouches for it. */
struct fetched_map {
	const char *name, *url, *key, *path;
	enum map_type type;
};
bool rules_fetched_map(const struct rules *rules, size_t i, struct fetched_map *out);
/* Has a file of a map changed since it was read? */
bool rules_stale(const struct rules *rules);
/* What is not wrong but worth a look, a line each; "" when there is nothing. */
const char *rules_warnings(const struct rules *rules);
struct patterns_info rules_patterns(const struct rules *rules);
/* For measuring: every pattern by PCRE2 alone. */
void rules_patterns_alone(struct rules *rules, bool alone);

/* For `policyctl rules`: the same, and the inline tests are kept. */
struct rules *rules_load_with_tests(const struct config *config, char *why, size_t room);

/* Whether its points count: always; never, but it is judged and shown; in a share of the mails, always the same; not judged. */
enum rule_mode { RULE_ON, RULE_SHADOW, RULE_CANARY, RULE_OFF, RULE_MODE__COUNT };
extern const char *const rule_mode_names[RULE_MODE__COUNT];

/* Where databases of patterns are kept, and the key that seals them (patterns.h). */
void rules_cache_paths(const struct config *config, char dir[PATH_ROOM + 40], char key[PATH_ROOM + 40]);

struct rule_info {
	const char *symbol, *group, *description;
	const char *where;                   /* "rules/headers.lua:12" */
	const char *customer;                /* whose rule it is; empty: everybody's */
	const char *way;                     /* how its first pattern is run (patterns.h), or "" */
	double points;
	enum rule_mode mode;
	int share;                           /* of 100 mails, RULE_CANARY */
	bool late;                           /* looks at other rules' symbols: runs after them */
	bool helper;                         /* "__NAME": for other rules only */
	int tests;
	int64_t spent_us;                    /* since rules_time(), in this process */
};
size_t rules_count(const struct rules *rules);
struct rule_info rules_info(const struct rules *rules, size_t i);

/* From now on keep account of each rule's time: for measuring, it costs two looks at the clock a rule. */
void rules_time(struct rules *rules);

/* What the rules took in all, in this process: views, patterns, conditions, Lua. */
int64_t rules_spent_us(const struct rules *rules);

/* For the next mails: another mode than the file's; and all as their files say. */
void rules_mode_set(struct rules *rules, const char *symbol, enum rule_mode mode, int share);
void rules_modes_reset(struct rules *rules);

/* Was it found in the mail judged last? Helpers too, which no verdict shows. */
bool rules_hit(const struct rules *rules, size_t i);

/* One inline test: the mail (made by the prelude, or read from the rule directory's tests/), the session around it.
 * False and `why` when it cannot be had. */
struct rule_test {
	struct span raw;
	char label[120];
	bool hit;                            /* must the rule find something? */
	char evidence[160];                  /* and must this stand in its evidence? */
	struct span clamd;                   /* a virus that ClamAV finds in it; empty: none */
	struct symbol found[16];             /* what else was found before the rules */
	size_t found_count;
	struct session session;
	struct envelope envelope;
};
bool rules_test(struct rules *rules, size_t i, int test, struct arena *a, struct rule_test *out, char *why, size_t room);
/* Run it. False and why it does not pass; `label` is its own, or empty. */
bool rules_test_run(struct rules *rules, size_t i, int test, struct arena *a, const struct kit *kit, char *label, size_t label_room,
    char *why, size_t room);

/* All tests of all rules, as they gate a reload; afterwards they are forgotten. False and a line for each that does not pass. */
bool rules_pass(struct rules *rules, const struct config *config, char *why, size_t room);

#endif
