/* state.h - Lua 5.4 in a cage: what a script may use, and how much of it.
 *
 * Shape   one lua_State with an allow-list of globals (state.c: no io, os, load, require, debug, random, clock);
 *         string.find finds plain text, patterns are re() objects (regex.h)
 * Bounds  memory in all, one block of it (MAX_LUA_BLOCK), bytes made (64 an instruction), steps, time
 * Units   steps are VM instructions; time is milliseconds of monotonic clock, checked every STATE_HOOK_STEPS
 * Errors  state_call is the one place that catches: false and one line with file and line.
 *         Out of steps, time or memory is not a Lua error a script can catch: its pcall passes it on
 * Source  Lua 5.4 reference manual, section 4; text chunks only (bytecode is not checked by Lua)
 */
#ifndef LUA_STATE_H
#define LUA_STATE_H

#include <lauxlib.h>
#include <lua.h>

#include "policyd/base/limits.h"
#include "policyd/base/span.h"

enum { STATE_HOOK_STEPS = 1000 };

struct regex_kit;                            /* regex.c: match data, JIT stack */
struct rule;
struct turn;

struct state {
	lua_State *L;
	struct regex_kit *regex;
	size_t used, limit;                  /* bytes */
	int64_t steps_left, deadline_ms;
	int64_t grace_cpu_us;                /* CPU time when the deadline had passed first; 0: it has not */
	int graces;
	int message;                         /* bind_message.c: registry reference of the one message */
	const struct rule *rule;             /* whose function runs now: what it may look at (needs.h); NULL: none */
	struct turn *turn;                   /* of a rule that may wait for answers (asking.h); NULL: it may not */
	bool loading;                        /* re() and rule{} are for load time */
	bool stopped;                        /* over a budget: every pcall passes this on until state_call */
	char stop_text[256];
};

struct state *state_open(size_t limit_bytes);                /* NULL: no memory */
void state_close(struct state *s);
struct state *state_of(lua_State *L);

/* Is its time up? The deadline is wall time, by which others are served; where this process had next to nothing of the processor
 * (a machine under load), it gets STATE_GRACE_MS more, STATE_GRACES times at most: a rule is not to blame for its neighbours. */
enum { STATE_GRACE_MS = 50, STATE_GRACES = 10 };
bool state_late(struct state *s);

/* What the next call may use. */
void state_budget(struct state *s, int64_t steps, int64_t deadline_ms);

/* Call the function below its `args` on the stack, like lua_pcall; on false the stack holds neither results nor
 * function, and `why` the reason. */
bool state_call(struct state *s, int args, int results, char *why, size_t room);

/* A coroutine, kept from the collector by the registry's `*ref` (luaL_unref). NULL: over the memory. */
lua_State *state_thread(struct state *s, int *ref);

/* Start or go on with what `co` has on its stack, as state_call does: until its end, or until it waits for something. */
enum state_run { RUN_DONE, RUN_WAITS, RUN_FAILED };
enum state_run state_resume(struct state *s, lua_State *co, int args, char *why, size_t room);

/* The table on the stack's top becomes a library: read only, under that name among the globals. */
void state_library(lua_State *L, const char *name);

/* Push the chunk of a file, to be called. `open` chunks see and may set the true globals (the prelude); others
 * read them and set none. False and "path:line: what". */
bool state_load(struct state *s, const char *path, bool open, char *why, size_t room);

/* After the prelude: from here an unknown global is an error, not nil. */
void state_close_globals(struct state *s);

/* End this call: not to be caught by the script. */
int state_stop(lua_State *L, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));

/* Take `steps` off the budget for work done in C on the script's behalf. */
void state_charge(lua_State *L, size_t steps);

void push_span(lua_State *L, struct span s);                 /* a string; nil when s.p is NULL */
struct span check_span(lua_State *L, int arg);

#endif
