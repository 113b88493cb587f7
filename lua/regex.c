#include "lua/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>

#include "lua/bound.h"
#include "lua/state.h"
#include "policyd/base/clock.h"

enum {
	MAX_PATTERN = 16 * 1024,
	SMALL_SUBJECT = 8 * 1024,            /* no pattern takes long over so little: one call */
	FIRST_WINDOW = 2 * 1024,             /* start positions tried before the first look at the clock */
	MAX_PAIRS = 32,
};

struct regex_kit {
	pcre2_match_context *context;
	pcre2_jit_stack *stack;
	pcre2_match_data *data;
};

struct regex {
	pcre2_code *code;
	unsigned flags;
	size_t length;
	char source[];                       /* and a NUL */
};

static const char regex_type[] = "regex";

void
regex_kit_close(struct regex_kit *kit)
{
	if (kit == NULL)
		return;
	pcre2_match_data_free(kit->data);
	pcre2_jit_stack_free(kit->stack);
	pcre2_match_context_free(kit->context);
	free(kit);
}

struct regex_kit *
regex_kit_open(void)
{
	struct regex_kit *kit = calloc(1, sizeof *kit);

	if (kit == NULL)
		return NULL;
	kit->context = pcre2_match_context_create(NULL);
	kit->stack = pcre2_jit_stack_create(32 * 1024, PCRE_JIT_STACK, NULL);
	kit->data = pcre2_match_data_create(MAX_PAIRS, NULL);
	if (kit->context == NULL || kit->stack == NULL || kit->data == NULL) {
		regex_kit_close(kit);
		return NULL;
	}
	pcre2_set_match_limit(kit->context, PCRE_MATCH_LIMIT);
	pcre2_jit_stack_assign(kit->context, NULL, kit->stack);
	return kit;
}

static pcre2_code *
check_regex(lua_State *L)
{
	return ((struct regex *)luaL_checkudata(L, 1, regex_type))->code;
}

struct regex *
regex_at(lua_State *L, int index)
{
	return luaL_testudata(L, index, regex_type);
}

struct span
regex_source(const struct regex *re)
{
	return span_make(re->source, re->length);
}

unsigned
regex_flags(const struct regex *re)
{
	return re->flags;
}

/* The first place at or after `at` where a match may start: in UTF-8, not inside a character. */
static size_t
start_at(const pcre2_code *code, struct span s, size_t at)
{
	uint32_t options = 0;

	pcre2_pattern_info(code, PCRE2_INFO_ALLOPTIONS, &options);
	while ((options & PCRE2_UTF) && at < s.n && ((unsigned char)s.p[at] & 0xc0) == 0x80)
		at++;
	return at;
}

/* Why one call is not enough: PCRE2's match limit counts for each start position anew, so "a\w{0,40000}?\d" over
 * 100 KB of "a" runs for seconds below it. So starts are tried in windows (offset limit), and between windows the script's
 * deadline is looked at. The windows grow while they are quick: an honest search costs two or three calls. */
static int
match_windows(lua_State *L, const pcre2_code *code, struct span s, size_t from)
{
	struct state *state = state_of(L);
	size_t window = s.n <= SMALL_SUBJECT ? s.n : FIRST_WINDOW;

	for (;;) {
		bool last = s.n - from <= window;
		int64_t start_us = last ? 0 : clock_us();

		pcre2_set_offset_limit(state->regex->context, last ? PCRE2_UNSET : from + window);
		int found = pcre2_match(code, (PCRE2_SPTR)(s.p ? s.p : ""), s.n, from, 0,
		    state->regex->data, state->regex->context);

		if (found > 0 || (found == PCRE2_ERROR_NOMATCH && last))
			return found;
		if (found == 0)
			return MAX_PAIRS;    /* more groups than room: the first ones are there */
		if (found != PCRE2_ERROR_NOMATCH)
			return found;
		int64_t took_us = clock_us() - start_us;

		if (state_late(state))
			state_stop(L, "stopped: over its time in a pattern");
		from = start_at(code, s, from + window + 1);
		window = took_us < 500 ? window * 8 : took_us < 5000 ? window : 1024;
	}
}

static const PCRE2_SIZE *
pairs_of(lua_State *L)
{
	return pcre2_get_ovector_pointer(state_of(L)->regex->data);
}

/* The number of pairs, 0 for no match. */
static int
match_code(lua_State *L, const pcre2_code *code, struct span subject, size_t from)
{
	if (from > subject.n)
		return 0;
	int found = match_windows(L, code, subject, from);

	/* for the bytes gone over: many small matches in one long text cost no more than one that is not there */
	state_charge(L, ((found > 0 ? pairs_of(L)[1] : subject.n) - from) / 64 + 8);

	if (found == PCRE2_ERROR_NOMATCH)
		return 0;
	if (found < 0) {
		char text[120];

		pcre2_get_error_message(found, (PCRE2_UCHAR *)text, sizeof text);
		return luaL_error(L, "pattern gave up: %s", text);
	}
	return found;
}

/* Match the subject at `arg` from byte `from`. */
static int
match(lua_State *L, int arg, size_t from, struct span *subject)
{
	pcre2_code *code = check_regex(L);

	if (lua_isnoneornil(L, arg))
		return 0;
	*subject = span_head(check_span(L, arg), MAX_RULE_SUBJECT);
	return match_code(L, code, *subject, from);
}

bool
regex_next(lua_State *L, const struct regex *re, struct span s, size_t *from, size_t *first, size_t *end)
{
	s = span_head(s, MAX_RULE_SUBJECT);
	if (match_code(L, re->code, s, *from) == 0)
		return false;
	*first = pairs_of(L)[0];
	*end = pairs_of(L)[1];
	if (*first > *end)                   /* \K in a look-ahead */
		*first = *end;
	*from = *end > *from ? *end : start_at(re->code, s, *from + 1);
	return true;
}

static void
push_group(lua_State *L, struct span s, int i)
{
	const PCRE2_SIZE *at = pairs_of(L);

	if (at[2 * i] == PCRE2_UNSET || at[2 * i + 1] < at[2 * i])
		lua_pushnil(L);
	else
		lua_pushlstring(L, s.p + at[2 * i], at[2 * i + 1] - at[2 * i]);
}

static int
regex_test(lua_State *L)
{
	struct span s;

	lua_pushboolean(L, match(L, 2, 0, &s) > 0);
	return 1;
}

static int
regex_match(lua_State *L)
{
	struct span s;
	int pairs = match(L, 2, 0, &s);

	if (pairs == 0) {
		lua_pushnil(L);
		return 1;
	}
	if (pairs == 1) {
		push_group(L, s, 0);
		return 1;
	}
	luaL_checkstack(L, pairs, "captures");
	for (int i = 1; i < pairs; i++)
		push_group(L, s, i);
	return pairs - 1;
}

static int
regex_find(lua_State *L)
{
	struct span s;

	if (match(L, 2, 0, &s) == 0) {
		lua_pushnil(L);
		return 1;
	}
	lua_pushinteger(L, (lua_Integer)pairs_of(L)[0] + 1);
	lua_pushinteger(L, (lua_Integer)pairs_of(L)[1]);
	return 2;
}

/* One pass over the subject; `list` collects, else only counts. */
static lua_Integer
every(lua_State *L, lua_Integer max, bool list)
{
	struct span s;
	lua_Integer n = 0;
	int pairs;

	for (size_t from = 0; n < max && (pairs = match(L, 2, from, &s)) > 0;) {
		size_t end = pairs_of(L)[1];

		n++;
		if (list) {
			push_group(L, s, pairs > 1 ? 1 : 0);
			if (lua_isnil(L, -1)) {
				lua_pop(L, 1);
				push_group(L, s, 0);
			}
			lua_rawseti(L, -2, n);
		}
		from = end > from ? end : start_at(check_regex(L), s, from + 1);
	}
	return n;
}

static int
regex_count(lua_State *L)
{
	lua_pushinteger(L, every(L, luaL_optinteger(L, 3, 1000), false));
	return 1;
}

static int
regex_all(lua_State *L)
{
	lua_Integer max = luaL_optinteger(L, 3, 100);

	lua_settop(L, 2);
	lua_newtable(L);
	every(L, max, true);
	return 1;
}

static int
regex_free(lua_State *L)
{
	struct regex *re = luaL_checkudata(L, 1, regex_type);

	pcre2_code_free(re->code);
	re->code = NULL;
	return 0;
}

static uint32_t
check_flags(lua_State *L, int arg, unsigned *flags)
{
	static const struct { char letter; uint32_t option; unsigned flag; } known[] = {
		{ 'i', PCRE2_CASELESS, REGEX_CASELESS }, { 'm', PCRE2_MULTILINE, REGEX_MULTILINE },
		{ 's', PCRE2_DOTALL, REGEX_DOTALL }, { 'x', PCRE2_EXTENDED, REGEX_EXTENDED },
		{ 'u', PCRE2_MATCH_INVALID_UTF | PCRE2_UTF | PCRE2_UCP, REGEX_UTF },
	};
	uint32_t options = PCRE2_USE_OFFSET_LIMIT | PCRE2_NEVER_BACKSLASH_C;

	size_t length;
	const char *p = luaL_optlstring(L, arg, "", &length);

	for (const char *end = p + length; p < end; p++) {
		size_t i = 0;

		while (i < sizeof known / sizeof *known && known[i].letter != *p)
			i++;
		if (i == sizeof known / sizeof *known)
			luaL_error(L, "re: unknown flag %c; known are i m s x u", *p);
		options |= known[i].option;
		*flags |= known[i].flag;
	}
	return options;
}

static int
regex_new(lua_State *L)
{
	struct span pattern = check_span(L, 1);
	unsigned flags = 0;
	uint32_t options = check_flags(L, 2, &flags), empty = 0;
	int error;
	PCRE2_SIZE at;

	if (!state_of(L)->loading)
		return luaL_error(L, "re() belongs at the top of a rule file: a pattern is compiled once");
	if (pattern.n > MAX_PATTERN)
		return luaL_error(L, "re: a pattern of more than %d bytes", MAX_PATTERN);
	struct regex *re = lua_newuserdatauv(L, sizeof *re + pattern.n + 1, 0);

	if (!(flags & REGEX_UTF))
		options |= PCRE2_NEVER_UTF;  /* (*UTF) in the pattern: octets that are no UTF-8, in some mail, would be an error */
	re->code = NULL;
	re->length = pattern.n;
	memcpy(re->source, pattern.p, pattern.n);
	re->source[pattern.n] = '\0';
	luaL_setmetatable(L, regex_type);
	re->code = pcre2_compile((PCRE2_SPTR)pattern.p, pattern.n, options, &error, &at, NULL);
	if (re->code == NULL) {
		char text[120];

		pcre2_get_error_message(error, (PCRE2_UCHAR *)text, sizeof text);
		return luaL_error(L, "re: %s at byte %d of \"%s\"", text, (int)at, pattern.p);
	}
	pcre2_jit_compile(re->code, PCRE2_JIT_COMPLETE);    /* without JIT it is slower and as right */
	pcre2_pattern_info(re->code, PCRE2_INFO_MATCHEMPTY, &empty);
	re->flags = flags | (empty ? REGEX_MATCHES_EMPTY : 0);
	return 1;
}

const struct bound regex_methods[] = {
	{ "test", regex_test, "s: string?", "boolean", "Does it match somewhere?" },
	{ "match", regex_match, "s: string?", "string?", "The captures of the first match, or the whole match when there are none; several values." },
	{ "find", regex_find, "s: string?", "integer?, integer?", "First and last byte of the first match." },
	{ "count", regex_count, "s: string?, max: integer?", "integer", "How many matches, at most max (1000)." },
	{ "all", regex_all, "s: string?, max: integer?", "string[]", "The first capture (or the whole) of each match, at most max (100)." },
	{ NULL },
};
const struct bound regex_functions[] = {
	{ "re", regex_new, "pattern: string, flags: string?", "Regex",
	    "A PCRE2 pattern, at the top of a rule file only: it is compiled once. Flags: i any case, m ^ and $ at lines, s dot takes line ends,"
	    " x spaces are ignored, u UTF-8." },
	{ NULL },
};

void
regex_register(lua_State *L)
{
	luaL_newmetatable(L, regex_type);
	lua_pushcfunction(L, regex_free);
	lua_setfield(L, -2, "__gc");
	lua_newtable(L);
	bound_register(L, regex_methods, 0);
	lua_setfield(L, -2, "__index");
	lua_pop(L, 1);
	bound_register(L, regex_functions, 0);
}
