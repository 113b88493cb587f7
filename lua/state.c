#include "lua/state.h"

#include <errno.h>
#include <fcntl.h>
#include <lualib.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lua/bound.h"
#include "lua/regex.h"
#include "policyd/base/clock.h"

enum { MAX_SCRIPT_BYTES = 8 * 1024 * 1024 };

static const char stop_mark;                 /* its address is the error value that means "stopped" */

bool
state_late(struct state *s)
{
	int64_t now_ms = clock_ms(), cpu_us;

	if (now_ms <= s->deadline_ms)
		return false;
	cpu_us = clock_cpu_us();
	if (s->graces == STATE_GRACES || (s->graces > 0 && cpu_us - s->grace_cpu_us > s->graces * STATE_GRACE_MS * 500))
		return true;
	if (s->graces++ == 0)
		s->grace_cpu_us = cpu_us;
	s->deadline_ms = now_ms + STATE_GRACE_MS;
	return false;
}

/* Whatever makes bytes (.., lower, format, table.concat) pays for them here: a thousand instructions between two looks of
 * the hook may copy gigabytes. False, and the call is stopped: over its budget. */
static bool
pay_bytes(struct state *s, size_t size)
{
	if (size < 4096 || s->stopped)
		return !s->stopped || size < 4096;
	s->steps_left -= (int64_t)(size / 64);
	if (s->steps_left >= 0 && (size < MAX_LUA_BLOCK / 16 || !state_late(s)))
		return true;
	s->stopped = true;
	snprintf(s->stop_text, sizeof s->stop_text, "stopped: over its %s, making strings or tables",
	    s->steps_left < 0 ? "budget of instructions" : "time");
	return false;
}

static void *
allocate(void *of, void *old, size_t old_size, size_t size)
{
	struct state *s = of;

	if (old == NULL)
		old_size = 0;                /* then it is a type tag, not a size */
	if (size == 0) {
		free(old);
		s->used -= old_size;
		return NULL;
	}
	if (size > old_size && (s->used + (size - old_size) > s->limit || size > (s->loading ? MAX_LUA_BLOCK : MAX_LUA_JUDGING_BLOCK) ||
	    !pay_bytes(s, size)))
		return NULL;
	void *p = realloc(old, size);

	if (p)
		s->used += size - old_size;
	return p;
}

struct state *
state_of(lua_State *L)
{
	return *(struct state **)lua_getextraspace(L);
}

int
state_stop(lua_State *L, const char *format, ...)
{
	struct state *s = state_of(L);

	if (!s->stopped) {
		char what[160];
		va_list args;

		va_start(args, format);
		vsnprintf(what, sizeof what, format, args);
		va_end(args);
		s->stopped = true;
		snprintf(s->stop_text, sizeof s->stop_text, "%s", what);
		for (int level = 0; level < 4; level++) {       /* the innermost place that is Lua */
			lua_Debug ar;

			if (!lua_getstack(L, level, &ar) || !lua_getinfo(L, "Sl", &ar))
				break;
			if (ar.currentline < 0)
				continue;
			snprintf(s->stop_text, sizeof s->stop_text, "%s:%d: %s", ar.short_src, ar.currentline, what);
			break;
		}
	}
	lua_pushlightuserdata(L, (void *)&stop_mark);
	lua_error(L);
	abort();                             /* not reached: lua_error jumps */
}

static void
spend(lua_State *L, int64_t steps)
{
	struct state *s = state_of(L);

	s->steps_left -= steps;
	if (s->stopped || s->steps_left < 0)
		state_stop(L, "stopped: over its budget of instructions");
	if (state_late(s))
		state_stop(L, "stopped: over its time");
}

static void
hook(lua_State *L, lua_Debug *ar)
{
	(void)ar;
	spend(L, STATE_HOOK_STEPS);
}

void
state_charge(lua_State *L, size_t steps)
{
	if (steps >= STATE_HOOK_STEPS)
		spend(L, (int64_t)steps);
	else
		state_of(L)->steps_left -= (int64_t)steps;
}

void
push_span(lua_State *L, struct span s)
{
	if (s.p == NULL)
		lua_pushnil(L);
	else
		lua_pushlstring(L, s.p, s.n);
}

struct span
check_span(lua_State *L, int arg)
{
	size_t n;
	const char *p = luaL_checklstring(L, arg, &n);

	return span_make(p, n);
}

/* --- what replaces parts of the standard library --- */

/* The second half of pcall, also when f has waited for an answer in between. */
static int
after_pcall(lua_State *L, int status, lua_KContext unused)
{
	(void)unused;
	if (state_of(L)->stopped || status == LUA_ERRMEM)
		return lua_error(L);
	if (status != LUA_OK && status != LUA_YIELD) {
		lua_pushboolean(L, 0);
		lua_replace(L, 1);
	}
	return lua_gettop(L);
}

/* pcall(f, ...), but "stopped" and "no memory" are not for scripts to catch. */
static int
safe_pcall(lua_State *L)
{
	luaL_checkany(L, 1);
	lua_pushboolean(L, 1);
	lua_insert(L, 1);
	return after_pcall(L, lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, 0, after_pcall), 0);
}

/* setmetatable without __gc: finalizers run with the hook switched off, so none of a script's may. */
static int
safe_setmetatable(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	luaL_argexpected(L, lua_isnoneornil(L, 2) || lua_istable(L, 2), 2, "nil or table");
	if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL)
		return luaL_error(L, "cannot change a protected metatable");
	if (lua_istable(L, 2)) {             /* raw, as Lua looks: a metatable of the metatable could answer nil and set it */
		lua_pushliteral(L, "__gc");
		lua_rawget(L, 2);
		if (!lua_isnil(L, -1))
			return luaL_error(L, "__gc is not for scripts");
		lua_pop(L, 1);
	}
	lua_settop(L, 2);
	lua_setmetatable(L, 1);
	return 1;
}

/* string.find(s, plain [, init]) -> first, last or nil. Lua's patterns can take exponential time: see re(). */
static int
plain_find(lua_State *L)
{
	struct span s = check_span(L, 1), what = check_span(L, 2);
	lua_Integer init = luaL_optinteger(L, 3, 1);

	if (init < 0)
		init = init + (lua_Integer)s.n + 1 > 0 ? init + (lua_Integer)s.n + 1 : 1;
	if (init == 0)
		init = 1;
	state_charge(L, s.n / 64);
	size_t at = (size_t)init > s.n + 1 ? SPAN_NONE : span_find(span_from(s, (size_t)init - 1), what);

	if (at == SPAN_NONE) {
		lua_pushnil(L);
		return 1;
	}
	lua_pushinteger(L, (lua_Integer)at + init);
	lua_pushinteger(L, (lua_Integer)(at + what.n) + init - 1);
	return 2;
}

static int
string_starts(lua_State *L)
{
	lua_pushboolean(L, span_starts(check_span(L, 1), check_span(L, 2)));
	return 1;
}

static int
string_ends(lua_State *L)
{
	lua_pushboolean(L, span_ends(check_span(L, 1), check_span(L, 2)));
	return 1;
}

/* string.rep that pays for its bytes. */
static int
paid_rep(lua_State *L)
{
	struct span s = check_span(L, 1);
	lua_Integer times = luaL_checkinteger(L, 2);
	struct span between = lua_isnoneornil(L, 3) ? (struct span){ 0 } : check_span(L, 3);
	struct state *state = state_of(L);
	luaL_Buffer b;

	if (times <= 0 || s.n + between.n == 0) {
		lua_pushliteral(L, "");
		return 1;
	}
	if ((size_t)times > state->limit / (s.n + between.n))
		return state_stop(L, "stopped: string.rep over the memory of a script");
	state_charge(L, (s.n + between.n) * (size_t)times / 64);
	luaL_buffinit(L, &b);
	for (lua_Integer i = 0; i < times; i++) {
		if (i > 0)
			luaL_addlstring(&b, between.p ? between.p : "", between.n);
		luaL_addlstring(&b, s.p, s.n);
	}
	luaL_pushresult(&b);
	return 1;
}

/* tostring without addresses: they would tell where memory lies, and differ from run to run. */
static int
plain_tostring(lua_State *L)
{
	luaL_checkany(L, 1);
	if (lua_type(L, 1) == LUA_TNUMBER || lua_type(L, 1) == LUA_TSTRING || lua_type(L, 1) <= LUA_TBOOLEAN)
		luaL_tolstring(L, 1, NULL);
	else
		lua_pushstring(L, luaL_typename(L, 1));
	return 1;
}

/* string.format for texts, numbers and booleans. Upvalue: Lua's own. */
static int
plain_format(lua_State *L)
{
	struct span format = check_span(L, 1);

	for (size_t at = 0; (at = span_find_char(span_from(format, at), '%')) != SPAN_NONE;) {
		format = span_from(format, at + 1);
		at = format.n > 0 && format.p[0] == '%';
		if (format.p && format.p[strspn(format.p, "-+ #0123456789.")] == 'p')
			return luaL_error(L, "string.format: %%p is not for scripts");
	}
	for (int i = 2; i <= lua_gettop(L); i++)
		if (lua_type(L, i) > LUA_TSTRING || lua_type(L, i) == LUA_TLIGHTUSERDATA)
			return luaL_argerror(L, i, "a text, a number or a boolean is expected");
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_insert(L, 1);
	lua_call(L, lua_gettop(L) - 1, 1);
	return 1;
}

/* Functions of C that walk a whole table, for which the hook does not count. Upvalues: Lua's own, steps an element. A table
 * that lies about its length (__len) would have them walk for ever. */
static void
check_honest(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	if (luaL_getmetafield(L, 1, "__len") != LUA_TNIL)
		luaL_error(L, "a table with __len is not for the functions of table");
}

static int
paid_table(lua_State *L)
{
	check_honest(L);
	state_charge(L, lua_rawlen(L, 1) * (size_t)lua_tointeger(L, lua_upvalueindex(2)) / 16);
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_insert(L, 1);
	lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
	return lua_gettop(L);
}

/* table.insert(t, v) and table.remove(t) at the end cost nothing; those that move the rest do. */
static int
paid_shift(lua_State *L)
{
	int end = (int)lua_tointeger(L, lua_upvalueindex(2));

	check_honest(L);
	if (lua_gettop(L) > end)
		state_charge(L, lua_rawlen(L, 1) / 4);
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_insert(L, 1);
	lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
	return lua_gettop(L);
}

/* table.unpack(t [, i [, j]]): pays for what it is asked for, not for what the table has. */
static int
paid_unpack(lua_State *L)
{
	check_honest(L);
	lua_Integer first = luaL_optinteger(L, 2, 1), last = luaL_optinteger(L, 3, (lua_Integer)lua_rawlen(L, 1));

	if (last > first)
		state_charge(L, (lua_Unsigned)last - (lua_Unsigned)first < MAX_LUA_STEPS ? (size_t)(last - first) / 4 : MAX_LUA_STEPS);
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_insert(L, 1);
	lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
	return lua_gettop(L);
}

/* Functions of C that go over all of a text without making another. Upvalues: Lua's own, bytes a step. */
static int
paid_text(lua_State *L)
{
	size_t n = 0;

	for (int i = 1; i <= 2 && i <= lua_gettop(L); i++)
		n += lua_type(L, i) == LUA_TSTRING ? lua_rawlen(L, i) : 0;
	state_charge(L, n / (size_t)lua_tointeger(L, lua_upvalueindex(2)));
	lua_pushvalue(L, lua_upvalueindex(1));
	lua_insert(L, 1);
	lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
	return lua_gettop(L);
}

void
bound_register(lua_State *L, const struct bound *list, int upvalues)
{
	for (; list->name; list++) {
		if (list->function == NULL)
			continue;
		for (int i = 0; i < upvalues; i++)
			lua_pushvalue(L, -upvalues);
		lua_pushcclosure(L, list->function, upvalues);
		lua_setfield(L, -2 - upvalues, list->name);
	}
	lua_pop(L, upvalues);
}

static int
no_pattern(lua_State *L)
{
	return luaL_error(L, "Lua patterns are not here (they can take forever): use re(\"...\"), or string.find for plain text");
}

/* The standard functions that stay, by library. */
static const char *const kept_base[] = { "assert", "error", "ipairs", "next", "pairs", "select", "tonumber", "type", NULL };
static const char *const kept_string[] = { "byte", "char", "format", "len", "lower", "reverse", "sub", "upper", NULL };
static const char *const kept_table[] = { "concat", "insert", "remove", "sort", "unpack", "pack", NULL };
static const char *const kept_math[] = { "abs", "ceil", "exp", "floor", "fmod", "huge", "log", "max", "maxinteger", "min",
    "mininteger", "pi", "sqrt", "tointeger", "type", "ult", NULL };
static const char *const kept_utf8[] = { "char", "codepoint", "len", NULL };
const struct bound string_functions[] = {
	{ "find", plain_find, "s: string, text: string, init: integer?", "integer?, integer?", "Where plain text stands, first and last byte: no pattern." },
	{ "starts", string_starts, "s: string, text: string", "boolean", "Does it begin with that?" },
	{ "ends", string_ends, "s: string, text: string", "boolean", "Does it end with that?" },
	{ "rep", paid_rep, "s: string, n: integer, sep: string?", "string", "As Lua's, within the script's memory." },
	{ "match", no_pattern, "s: string", "nil", "Not here: Lua patterns can take forever; use re()." },
	{ "gmatch", no_pattern, "s: string", "nil", "Not here: use re():all." },
	{ "gsub", no_pattern, "s: string", "nil", "Not here: use re()." },
	{ NULL },
};
static const luaL_Reg ours_base[] = { { "pcall", safe_pcall }, { "setmetatable", safe_setmetatable }, { "tostring", plain_tostring },
    { NULL, NULL } };
/* Wrapped: the standard function under a bound of ours. */
static const struct wrapped { const char *name; lua_CFunction with; int number; } wrapped_string[] = { { "format", plain_format, 0 },
    { "byte", paid_text, 16 }, { 0 } },
    wrapped_table[] = { { "concat", paid_table, 4 }, { "sort", paid_table, 320 }, { "unpack", paid_unpack, 0 },
    { "insert", paid_shift, 2 }, { "remove", paid_shift, 1 }, { 0 } }, wrapped_utf8[] = { { "len", paid_text, 16 },
    { "codepoint", paid_text, 16 }, { 0 } }, wrapped_base[] = { { "tonumber", paid_text, 4 }, { 0 } };
/* Sums with texts ("10" + 1) read them as numbers, whole. */
static const struct wrapped sums[] = { { "__add", paid_text, 4 }, { "__sub", paid_text, 4 }, { "__mul", paid_text, 4 }, { "__mod", paid_text, 4 },
    { "__pow", paid_text, 4 }, { "__div", paid_text, 4 }, { "__idiv", paid_text, 4 }, { "__unm", paid_text, 4 }, { 0 } };

/* Copy the kept names of the table on the stack's top to the one below it; pops the first. */
static void
keep(lua_State *L, const char *const *names)
{
	for (; *names; names++) {
		lua_getfield(L, -1, *names);
		lua_setfield(L, -3, *names);
	}
	lua_pop(L, 1);
}

static int
refuse_write(lua_State *L)
{
	return luaL_error(L, "cannot set %s here: write `local`, or leave the libraries alone",
	    lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : luaL_typename(L, 2));
}

static int
unknown_global(lua_State *L)
{
	return luaL_error(L, "unknown name %s", lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : luaL_typename(L, 2));
}

/* Replace the table on top by an empty one that reads it and refuses writes. */
static void
protect(lua_State *L)
{
	lua_newtable(L);                     /* table, proxy */
	lua_createtable(L, 0, 3);
	lua_pushvalue(L, -3);
	lua_setfield(L, -2, "__index");
	lua_pushcfunction(L, refuse_write);
	lua_setfield(L, -2, "__newindex");
	lua_pushboolean(L, 0);
	lua_setfield(L, -2, "__metatable");
	lua_setmetatable(L, -2);
	lua_remove(L, -2);
}

/* Put the functions of the table on top under their bounds. */
static void
wrap(lua_State *L, const struct wrapped *list)
{
	for (; list && list->name; list++) {
		lua_getfield(L, -1, list->name);
		lua_pushinteger(L, list->number);
		lua_pushcclosure(L, list->with, 2);
		lua_setfield(L, -2, list->name);
	}
}

void
state_library(lua_State *L, const char *name)
{
	protect(L);
	lua_getfield(L, LUA_REGISTRYINDEX, "globals");
	lua_insert(L, -2);
	lua_setfield(L, -2, name);
	lua_pop(L, 1);
}

static void
library(lua_State *L, const char *name, lua_CFunction open, const char *const *kept, const struct bound *ours,
    const struct wrapped *wrapped)
{
	lua_newtable(L);
	lua_pushcfunction(L, open);
	lua_pushstring(L, name);
	lua_call(L, 1, 1);
	keep(L, kept);
	if (ours)
		bound_register(L, ours, 0);
	wrap(L, wrapped);
	if (open == luaopen_string) {        /* methods of strings: the same allow-list */
		lua_pushliteral(L, "");
		lua_getmetatable(L, -1);
		lua_pushvalue(L, -3);
		lua_setfield(L, -2, "__index");
		wrap(L, sums);
		lua_pop(L, 2);
	}
	protect(L);
	lua_setfield(L, -2, name);
}

/* Globals are the table "globals" in the registry; what scripts run with is "open" (it) or "closed" (a proxy). */
static int
build(lua_State *L)
{
	lua_newtable(L);
	lua_pushcfunction(L, luaopen_base);  /* fills the true global table, of which scripts see the kept names only */
	lua_call(L, 0, 1);
	keep(L, kept_base);
	wrap(L, wrapped_base);
	luaL_setfuncs(L, ours_base, 0);
	library(L, "string", luaopen_string, kept_string, string_functions, wrapped_string);
	library(L, "table", luaopen_table, kept_table, NULL, wrapped_table);
	library(L, "math", luaopen_math, kept_math, NULL, NULL);
	library(L, "utf8", luaopen_utf8, kept_utf8, NULL, wrapped_utf8);
	regex_register(L);
	lua_setfield(L, LUA_REGISTRYINDEX, "globals");
	return 0;
}

struct state *
state_open(size_t limit_bytes)
{
	struct state *s = calloc(1, sizeof *s);
	char why[160];

	if (s == NULL)
		return NULL;
	s->limit = limit_bytes;
	s->regex = regex_kit_open();
	s->L = s->regex ? lua_newstate(allocate, s) : NULL;
	if (s->L == NULL) {
		state_close(s);
		return NULL;
	}
	*(struct state **)lua_getextraspace(s->L) = s;
	state_budget(s, INT64_MAX / 2, INT64_MAX);
	lua_pushcfunction(s->L, build);
	if (!state_call(s, 0, 0, why, sizeof why)) {
		state_close(s);
		return NULL;
	}
	lua_sethook(s->L, hook, LUA_MASKCOUNT, STATE_HOOK_STEPS);
	return s;
}

void
state_close(struct state *s)
{
	if (s == NULL)
		return;
	if (s->L)
		lua_close(s->L);
	regex_kit_close(s->regex);
	free(s);
}

void
state_budget(struct state *s, int64_t steps, int64_t deadline_ms)
{
	s->steps_left = steps;
	s->deadline_ms = deadline_ms;
	s->grace_cpu_us = 0;
	s->graces = 0;
	s->stopped = false;
}

/* What ended it; the error stands on L's top, and goes. */
static void
explain(struct state *s, lua_State *L, int status, char *why, size_t room)
{
	if (s->stopped)
		snprintf(why, room, "%s", s->stop_text);
	else if (status == LUA_ERRMEM)
		snprintf(why, room, "stopped: over its memory (%zu MB in all, %d MB in one piece)", s->limit >> 20,
		    (s->loading ? MAX_LUA_BLOCK : MAX_LUA_JUDGING_BLOCK) >> 20);
	else if (lua_type(L, -1) == LUA_TSTRING)
		snprintf(why, room, "%s", lua_tostring(L, -1));
	else
		snprintf(why, room, "an error that is no text (a %s)", luaL_typename(L, -1));
	lua_pop(L, 1);
	s->stopped = false;
}

bool
state_call(struct state *s, int args, int results, char *why, size_t room)
{
	int status = lua_pcall(s->L, args, results, 0);

	if (status == LUA_OK)
		return true;
	explain(s, s->L, status, why, room);
	return false;
}

static int
make_thread(lua_State *L)
{
	int *ref = lua_touserdata(L, 1);

	lua_newthread(L);
	*ref = luaL_ref(L, LUA_REGISTRYINDEX);
	return 0;
}

lua_State *
state_thread(struct state *s, int *ref)
{
	char why[160];

	lua_pushcfunction(s->L, make_thread);
	lua_pushlightuserdata(s->L, ref);
	if (!state_call(s, 1, 0, why, sizeof why))
		return NULL;
	lua_rawgeti(s->L, LUA_REGISTRYINDEX, *ref);
	lua_State *co = lua_tothread(s->L, -1);

	lua_pop(s->L, 1);
	return co;
}

enum state_run
state_resume(struct state *s, lua_State *co, int args, char *why, size_t room)
{
	int results, status = lua_resume(co, s->L, args, &results);

	if (status == LUA_OK || status == LUA_YIELD) {
		lua_pop(co, results);
		return status == LUA_OK ? RUN_DONE : RUN_WAITS;
	}
	explain(s, co, status, why, room);
	return RUN_FAILED;
}

static char *
read_script(const char *path, size_t *size, char *why, size_t room)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	char *text = NULL;

	if (fd < 0 || fstat(fd, &st) < 0)
		snprintf(why, room, "%s: %s", path, strerror(errno));
	else if (!S_ISREG(st.st_mode) || st.st_size > MAX_SCRIPT_BYTES)
		snprintf(why, room, "%s: not a script: no regular file, or over 8 MB", path);
	else if ((text = malloc((size_t)st.st_size + 1)) == NULL)
		snprintf(why, room, "%s: no memory", path);
	*size = 0;
	while (text && *size < (size_t)st.st_size) {
		ssize_t n = read(fd, text + *size, (size_t)st.st_size - *size);

		if (n <= 0)
			break;
		*size += (size_t)n;
	}
	if (fd >= 0)
		close(fd);
	return text;
}

bool
state_load(struct state *s, const char *path, bool open, char *why, size_t room)
{
	char name[512];
	size_t size;
	char *text = read_script(path, &size, why, room);

	if (text == NULL)
		return false;
	struct span script = span_make(text, size);

	if (span_starts(script, SPAN("\xef\xbb\xbf")))           /* a mark of some editors: UTF-8 it is anyway */
		script = span_from(script, 3);
	if (span_starts(script, SPAN("\xff\xfe")) || span_starts(script, SPAN("\xfe\xff"))) {
		snprintf(why, room, "%s:1: this is UTF-16; save it as UTF-8", path);
		free(text);
		return false;
	}
	snprintf(name, sizeof name, "@%s", path);
	int status = luaL_loadbufferx(s->L, script.p, script.n, name, "t");

	free(text);
	if (status != LUA_OK) {
		snprintf(why, room, "%s", lua_isstring(s->L, -1) ? lua_tostring(s->L, -1) : "no memory");
		lua_pop(s->L, 1);
		return false;
	}
	lua_getfield(s->L, LUA_REGISTRYINDEX, open ? "globals" : "closed");
	lua_setupvalue(s->L, -2, 1);         /* a main chunk's one upvalue is _ENV */
	return true;
}

static int
close_globals(lua_State *L)
{
	lua_getfield(L, LUA_REGISTRYINDEX, "globals");
	lua_createtable(L, 0, 1);
	lua_pushcfunction(L, unknown_global);
	lua_setfield(L, -2, "__index");
	lua_setmetatable(L, -2);
	protect(L);
	lua_setfield(L, LUA_REGISTRYINDEX, "closed");
	return 0;
}

void
state_close_globals(struct state *s)
{
	char why[160];

	lua_pushcfunction(s->L, close_globals);
	state_call(s, 0, 0, why, sizeof why);
}
