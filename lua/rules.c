#include "lua/rules.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lua/bind_message.h"
#include "lua/rules_inside.h"
#include "policyd/base/clock.h"

enum {
	MAX_RULES = 20000,
	MAX_RULE_FILES = 1000,
	LOAD_MS = 20 * 1000,
	MAX_TEST_MAIL = 4 * 1024 * 1024,
};

static void
complain(struct rules *r, const char *text)
{
	r->failed = true;
	if (r->why_used < r->why_room) {
		int n = snprintf(r->why + r->why_used, r->why_room - r->why_used, "%s%s", r->why_used ? "\n" : "", text);

		r->why_used += n > 0 ? (size_t)n : 0;
	}
}

/* --- what the prelude is given --- */

static struct rules *
check_rules(lua_State *L)
{
	return lua_touserdata(L, lua_upvalueindex(1));
}

/* complain(text): a mistake in a rule; loading goes on to find the others. */
static int
lua_complain(lua_State *L)
{
	complain(check_rules(L), luaL_checkstring(L, 1));
	return 0;
}

/* position(level): "file:line" of the caller's caller. */
static int
lua_position(lua_State *L)
{
	lua_Debug ar;

	if (!lua_getstack(L, (int)luaL_checkinteger(L, 1), &ar) || !lua_getinfo(L, "Sl", &ar))
		lua_pushliteral(L, "?");
	else
		lua_pushfstring(L, "%s:%d", ar.source[0] == '@' ? ar.source + 1 : ar.short_src, ar.currentline);
	return 1;
}

/* is_note(symbol): one that the parse may find. */
static int
lua_is_note(lua_State *L)
{
	struct span name = check_span(L, 1);

	for (size_t i = 0; i < NOTE__COUNT; i++)
		if (span_eq(span_of(mail_note_names[i]), name)) {
			lua_pushboolean(L, 1);
			return 1;
		}
	lua_pushboolean(L, 0);
	return 1;
}

static char *
field_text(lua_State *L, const char *key)
{
	lua_getfield(L, 1, key);
	char *copy = strdup(luaL_checkstring(L, -1));

	lua_pop(L, 1);
	if (copy == NULL)
		luaL_error(L, "no memory");
	return copy;
}

/* declare{ symbol, points, group, description, where, run, late, tests }: a checked rule. */
static int
lua_declare(lua_State *L)
{
	struct rules *r = check_rules(L);

	luaL_checktype(L, 1, LUA_TTABLE);
	if (r->count == MAX_RULES)
		return luaL_error(L, "more than %d rules", MAX_RULES);
	if (r->count == r->room) {
		size_t room = r->room ? r->room * 2 : 64;
		struct rule *more = realloc(r->at, room * sizeof *more);

		if (more == NULL)
			return luaL_error(L, "no memory");
		r->at = more;
		r->room = room;
	}
	struct rule *rule = &r->at[r->count];

	*rule = (struct rule){ .run = LUA_NOREF, .tests = LUA_NOREF };
	r->count++;                          /* from here rules_free frees what it has */
	rule->symbol = field_text(L, "symbol");
	rule->group = field_text(L, "group");
	rule->description = field_text(L, "description");
	rule->where = field_text(L, "where");
	lua_getfield(L, 1, "points");
	rule->points = luaL_checknumber(L, -1);
	lua_getfield(L, 1, "late");
	rule->late = lua_toboolean(L, -1);
	lua_getfield(L, 1, "tests");
	if (lua_istable(L, -1) && r->keep_tests) {
		rule->test_count = (int)lua_rawlen(L, -1);
		rule->tests = luaL_ref(L, LUA_REGISTRYINDEX);
	}
	lua_getfield(L, 1, "run");
	luaL_checktype(L, -1, LUA_TFUNCTION);
	rule->run = luaL_ref(L, LUA_REGISTRYINDEX);
	return 0;
}

static int
register_all(lua_State *L)
{
	static const luaL_Reg functions[] = { { "complain", lua_complain }, { "position", lua_position },
	    { "is_note", lua_is_note }, { "declare", lua_declare }, { NULL, NULL } };

	message_register(L);
	lua_getfield(L, LUA_REGISTRYINDEX, "globals");
	lua_pushvalue(L, 1);
	luaL_setfuncs(L, functions, 1);
	return 0;
}

/* --- loading --- */

static bool
run_file(struct rules *r, const char *path, bool open, int results)
{
	char why[512];

	if (state_load(r->state, path, open, why, sizeof why) && state_call(r->state, 0, results, why, sizeof why))
		return true;
	complain(r, why);
	return false;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Every *.lua of a directory in the order of their names, so that every node loads the same. */
static void
load_dir(struct rules *r, const char *path)
{
	char *names[MAX_RULE_FILES], text[PATH_ROOM + 300];
	size_t count = 0;
	DIR *dir = opendir(path);

	if (dir == NULL) {
		snprintf(text, sizeof text, "%s: %s", path, strerror(errno));
		complain(r, text);
		return;
	}
	for (struct dirent *e; (e = readdir(dir)) != NULL;) {
		struct span name = span_of(e->d_name);

		if (name.p[0] != '.' && span_ends(name, SPAN(".lua")) && count < MAX_RULE_FILES &&
		    (names[count] = strdup(e->d_name)) != NULL)
			count++;
	}
	closedir(dir);
	qsort(names, count, sizeof *names, by_name);
	for (size_t i = 0; i < count; i++) {
		snprintf(text, sizeof text, "%s/%s", path, names[i]);
		run_file(r, text, false, 0);
		free(names[i]);
	}
}

static void
load_score(struct rules *r, const char *path)
{
	if (!run_file(r, path, false, 1))
		return;
	if (!lua_isfunction(r->state->L, -1)) {
		char text[PATH_ROOM + 80];

		snprintf(text, sizeof text, "%s: must return function(symbols, class)", path);
		complain(r, text);
		lua_pop(r->state->L, 1);
		return;
	}
	r->score = luaL_ref(r->state->L, LUA_REGISTRYINDEX);
}

/* finish(): the prelude's own check over all rules, left in the registry by it as a global before they close. */
static void
call_finish(struct rules *r, int finish)
{
	char why[512];

	lua_rawgeti(r->state->L, LUA_REGISTRYINDEX, finish);
	if (!state_call(r->state, 0, 0, why, sizeof why))
		complain(r, why);
}

static void
load_all(struct rules *r, const struct config *config)
{
	char path[PATH_ROOM + 16], why[256];
	lua_State *L = r->state->L;

	state_budget(r->state, INT64_MAX / 2, clock_ms() + LOAD_MS);
	r->state->loading = true;
	lua_pushcfunction(L, register_all);
	lua_pushlightuserdata(L, r);
	if (!state_call(r->state, 1, 0, why, sizeof why)) {
		complain(r, why);
		return;
	}
	snprintf(path, sizeof path, "%s/prelude.lua", config->lua_dir);
	if (!run_file(r, path, true, 1))
		return;
	int finish = luaL_ref(L, LUA_REGISTRYINDEX);

	state_close_globals(r->state);
	for (uint32_t i = 0; i < config->rule_dir_count; i++)
		load_dir(r, config->rules[i]);
	load_score(r, config->score_script);
	if (!r->failed)                      /* else a file that did not load hides names that others use */
		call_finish(r, finish);
	luaL_unref(L, LUA_REGISTRYINDEX, finish);
	r->state->loading = false;
	lua_gc(L, LUA_GCCOLLECT);            /* what is left is shared with all workers: make it small */
}

static struct rules *
load(const struct config *config, bool keep_tests, char *why, size_t room)
{
	struct rules *r = calloc(1, sizeof *r);

	if (room > 0)
		why[0] = '\0';
	if (r == NULL || (r->state = state_open(MAX_LUA_MEMORY)) == NULL) {
		snprintf(why, room, "rules: no memory");
		free(r);
		return NULL;
	}
	r->keep_tests = keep_tests;
	r->score = LUA_NOREF;
	r->why = why;
	r->why_room = room;
	load_all(r, config);
	r->breakers = mmap(NULL, (r->count + 1) * sizeof *r->breakers, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (r->breakers == MAP_FAILED) {
		r->breakers = NULL;
		complain(r, "rules: no memory");
	}
	if (r->failed) {
		rules_free(r);
		return NULL;
	}
	r->why = NULL;
	r->why_room = 0;
	return r;
}

struct rules *
rules_load(const struct config *config, char *why, size_t room)
{
	return load(config, false, why, room);
}

struct rules *
rules_load_with_tests(const struct config *config, char *why, size_t room)
{
	return load(config, true, why, room);
}

void
rules_free(struct rules *r)
{
	if (r == NULL)
		return;
	state_close(r->state);
	for (size_t i = 0; i < r->count; i++) {
		free(r->at[i].symbol);
		free(r->at[i].group);
		free(r->at[i].description);
		free(r->at[i].where);
	}
	if (r->breakers)
		munmap(r->breakers, (r->count + 1) * sizeof *r->breakers);
	free(r->at);
	free(r);
}

size_t
rules_count(const struct rules *r)
{
	return r->count;
}

struct rule_info
rules_info(const struct rules *r, size_t i)
{
	const struct rule *rule = &r->at[i];

	return (struct rule_info){ rule->symbol, rule->group, rule->description, rule->where, rule->points, rule->late,
	    rule->test_count, rule->spent_us };
}

void
rules_time(struct rules *r)
{
	r->timed = true;
	for (size_t i = 0; i < r->count; i++)
		r->at[i].spent_us = 0;
}

/* --- inline tests --- */

static bool
read_mail(struct arena *a, const char *path, struct span *raw, char *why, size_t room)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > MAX_TEST_MAIL) {
		snprintf(why, room, "%s: %s", path, fd < 0 ? strerror(errno) : "no mail of at most 4 MB");
		if (fd >= 0)
			close(fd);
		return false;
	}
	char *bytes = arena_alloc(a, (size_t)st.st_size + 1);
	ssize_t n = read(fd, bytes, (size_t)st.st_size);

	close(fd);
	if (n < 0) {
		snprintf(why, room, "%s: %s", path, strerror(errno));
		return false;
	}
	*raw = span_make(bytes, (size_t)n);
	return true;
}

static void
copy_field(lua_State *L, const char *key, char *to, size_t room)
{
	if (lua_getfield(L, -1, key) == LUA_TSTRING)
		snprintf(to, room, "%s", lua_tostring(L, -1));
	lua_pop(L, 1);
}

bool
rules_test(struct rules *r, size_t i, int test, struct arena *a, struct rule_test *out, char *why, size_t room)
{
	const struct rule *rule = &r->at[i];
	lua_State *L = r->state->L;
	char client[64] = "", eml[128] = "";
	bool ok = true;

	*out = (struct rule_test){ .label = "" };
	lua_rawgeti(L, LUA_REGISTRYINDEX, rule->tests);
	lua_rawgeti(L, -1, test + 1);
	copy_field(L, "label", out->label, sizeof out->label);
	copy_field(L, "sender", out->envelope.sender, sizeof out->envelope.sender);
	copy_field(L, "helo", out->session.helo, sizeof out->session.helo);
	copy_field(L, "client_name", out->session.client_name, sizeof out->session.client_name);
	copy_field(L, "login", out->session.login, sizeof out->session.login);
	copy_field(L, "context", out->session.context, sizeof out->session.context);
	copy_field(L, "client", client, sizeof client);
	copy_field(L, "eml", eml, sizeof eml);
	lua_getfield(L, -1, "hit");
	out->hit = lua_toboolean(L, -1);
	lua_pop(L, 1);
	if (client[0] != '\0' && !ip_parse(span_of(client), &out->session.client)) {
		snprintf(why, room, "client: %s is no address", client);
		ok = false;
	}
	if (eml[0] != '\0') {
		const char *slash = strrchr(rule->where, '/');

		ok = ok && read_mail(a, arena_printf(a, "%.*s/tests/%s", slash ? (int)(slash - rule->where) : 1,
		    slash ? rule->where : ".", eml).p, &out->raw, why, room);
	} else if (lua_getfield(L, -1, "raw") == LUA_TSTRING) {
		out->raw = arena_copy(a, check_span(L, -1));
		lua_pop(L, 1);
	} else {
		lua_pop(L, 1);
	}
	lua_pop(L, 2);
	return ok;
}
