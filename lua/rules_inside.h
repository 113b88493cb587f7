/* rules_inside.h - what the files of lua/ that load, judge and score share; nobody else includes it. */
#ifndef LUA_RULES_INSIDE_H
#define LUA_RULES_INSIDE_H

#include <stdatomic.h>

#include "lua/asking.h"
#include "lua/expr.h"
#include "lua/maps.h"
#include "lua/needs.h"
#include "lua/patterns.h"
#include "lua/rules.h"
#include "lua/state.h"

/* One thing that must hold. Those without a call of Lua or a pattern cannot fail and need no protection. */
enum condition_kind { COND_MATCH, COND_LACKS, COND_PRESENT, COND_MISSING, COND_EXPR, COND_CALL, COND_IN_MAP };
struct condition {
	enum condition_kind kind;
	int view;                            /* MATCH, LACKS: of rules->patterns */
	int pattern;                         /* MATCH, LACKS: the same */
	const struct regex *regex;
	int *views;                          /* PRESENT: one of them has something; MISSING: none */
	size_t view_count;
	struct expr *expr;
	char *map;                           /* IN_MAP: its name, and which of rules->maps it is */
	int map_index;
	int call;                            /* registry reference: function(msg) -> false, true or evidence */
};

struct rule {
	char *symbol, *group, *description, *where;
	double points;                       /* for one hit */
	int set;                             /* which of rules->sets it came with */
	struct condition *conditions;
	size_t condition_count;
	char **depends;                      /* symbols that must be known before it, beside those of its expressions */
	size_t depend_count;
	int max_shots;                       /* how often it may count in one mail */
	enum rule_mode written_mode, mode;   /* as its file says; as it is now, by the broker's word */
	int written_share, share;            /* RULE_CANARY: of 100 mails */
	bool helper;                         /* "__NAME": for other rules only, never shown */
	bool protect;                        /* it has patterns or calls Lua */
	int anchor;                          /* a pattern without which it cannot hold; -1: always judged */
	int tests;                           /* registry reference: list of tests, or LUA_NOREF */
	int test_count;
	bool late;                           /* looks at other rules' symbols: runs after them */
	unsigned needs;                      /* enum need: what its function may look at */
	char **map_names;                    /* and which maps; `maps` are their places in rules->maps */
	int *maps;
	size_t map_count;
	int level;                           /* so many rules that may wait for answers stand one behind another before it */
	int64_t spent_us;                    /* with rules->timed: of this process */

	/* of the mail at hand, when `mail` is that one's number */
	uint32_t mail;
	int hits;
};

/* On a page that zygote and workers share: a worker retires after a failed rule, so it could not count itself. */
struct breaker {
	_Atomic int64_t first_ms, off_until_ms;
	_Atomic int fails;
};

/* The rules of everybody, or of one customer: a Lua state of its own, so that no customer's rule sees another's. */
struct rule_set {
	struct state *state;
	char customer[64];                   /* empty: everybody's */
};

/* A symbol that no rule finds, but the parse, ClamAV, the DNS lists. */
struct outside {
	char name[64];
	uint32_t mail;
};

/* A map { } of a rule file. */
struct rule_map {
	int set;                             /* whose rules see it: all, or those of one customer */
	char name[64], path[PATH_ROOM + 300];  /* path: "" for one written in the rule file itself */
	char *where;
	char *url, *key;                     /* of a fetched one; else NULL */
	enum map_type type;
	struct named_map *map;
	int64_t mtime_ns;                    /* of the file as it was read; 0: not there */
};

/* One line of scores{}: other points for a symbol; the last that fits wins. */
struct override {
	char name[64], customer[64], context[32];
	char *where;
	double points;
};

struct rules {
	struct rule_set sets[MAX_RULE_SETS];
	size_t set_count;
	struct rule *at;
	size_t count, room;
	struct patterns *patterns;
	int *order;                          /* rules so that each comes after those it looks at; early ones first */
	size_t early;                        /* so many of `order` look at no other rule */
	int levels;                          /* the highest level + 1 */
	int *always;                         /* places in `order` of rules without an anchor */
	size_t always_count;
	int *place;                          /* of rule i in `order` */
	int *by_pattern;                     /* pattern -> the rule anchored to it, or -1 */
	size_t pattern_count;
	int *todo;                           /* places to be judged in this mail */
	size_t todo_count;
	struct outside *outside;
	size_t outside_count, outside_room;
	struct rule_map *maps;
	size_t map_count, map_room;
	char map_dir[PATH_ROOM + 40];        /* of fetched maps; "": none can be */
	struct override *overrides;          /* of scores{}, in the order they were read */
	size_t override_count, override_room;
	uint32_t mail;
	struct breaker *breakers;            /* `count` of them, shared memory */
	int score;                           /* registry reference in set 0: function(symbols, class) -> points, bayes points */
	bool keep_tests;
	bool moved;                          /* some rules are in another mode than their files say */
	bool timed;
	int64_t spent_us;                    /* in the whole stage, of this process */
	struct complaints *complaints;       /* while loading */
	char *warnings;                      /* after it; NULL: none */
};

/* --- complaints.c: mistakes in rule files, each with its place --- */

struct complaints {
	char *why;
	size_t room, used;
	bool failed;
	char *warnings;                      /* malloc'd lines, or NULL */
	size_t warning_room, warning_used;
};

/* `where` is "file:line"; the column is that of the word `field` (or of byte `offset` of the text it is set to) after it, if
 * there is one; else of the line's first word. `where` NULL: the text has its place already. */
void complain(struct complaints *c, const char *where, const char *field, int offset, const char *text);
void warn(struct complaints *c, const char *where, const char *field, const char *text);
/* What Lua says of a file: "path:line: ... near 'x'" with the column of x. */
void complain_lua(struct complaints *c, const char *why);

/* --- declare.c --- */

/* A lua_CFunction(light userdata struct rules): what the rule kit is given. */
int rules_register(lua_State *L);
/* 0: not there. */
int64_t file_mtime_ns(const char *path);

/* --- conditions.c --- */

/* The conditions of the rule table at `index`; raises on nonsense. */
void conditions_declare(lua_State *L, struct rules *r, struct rule *rule, int index);
void conditions_free(struct rule *rule);

struct judging {
	struct scan *scan;
	struct rules *r;
	struct rule *rule;
	int hits;                            /* 0: it does not hold */
	struct span evidence;
};
/* Judge a rule: as a lua_CFunction with a light userdata struct judging, in a coroutine if its function may wait; or directly
 * when rule->protect is false. */
int conditions_judge_protected(lua_State *L);
void conditions_judge(lua_State *L, struct judging *j);

/* How often the symbol with that id was found in this mail: id < count a rule, else an outside symbol. For expr.h. */
double symbol_hits(const void *rules, int id);

/* --- order.c --- */

/* Bind expressions to rules, find cycles, put rules in order and to their anchors. Complaints as it finds them. */
void rules_order(struct rules *r);

/* --- stage_score.c --- */

/* score.lua answers for made-up findings, with and without a model: what would defer every mail is refused at a reload. */
bool score_passes(struct rules *r, struct arena *a, char *why, size_t room);

#endif
