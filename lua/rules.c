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
#include "policyd/base/nearest.h"
#include "policyd/scan/stage.h"

enum {
	MAX_RULES = 20000,
	MAX_RULE_FILES = 1000,
	LOAD_MS = 20 * 1000,
	MAX_NEAR = 200,
	MAX_TEST_MAIL = 4 * 1024 * 1024,
	TEST_MS = 10 * 1000,
};

const char *const rule_mode_names[RULE_MODE__COUNT] = { [RULE_ON] = "on", [RULE_SHADOW] = "shadow", [RULE_CANARY] = "canary",
	[RULE_OFF] = "off" };

/* --- what the prelude is given --- */

static struct rules *
check_rules(lua_State *L)
{
	return lua_touserdata(L, lua_upvalueindex(1));
}

/* complain(where, text [, field [, offset]]): a mistake in a rule; loading goes on to find the others. */
static int
lua_complain(lua_State *L)
{
	complain(check_rules(L)->complaints, luaL_checkstring(L, 1), luaL_optstring(L, 3, NULL), (int)luaL_optinteger(L, 4, -1),
	    luaL_checkstring(L, 2));
	return 0;
}

/* warn(where, text [, field]): no mistake, but worth a look. */
static int
lua_warn(lua_State *L)
{
	warn(check_rules(L)->complaints, luaL_checkstring(L, 1), luaL_optstring(L, 3, NULL), luaL_checkstring(L, 2));
	return 0;
}

/* nearest(typed, names): what was meant, or nil. */
static int
lua_nearest(lua_State *L)
{
	const char *names[MAX_NEAR];
	size_t n = 0;

	luaL_checktype(L, 2, LUA_TTABLE);
	lua_settop(L, 2);
	for (lua_pushnil(L); n < MAX_NEAR && lua_next(L, 2); lua_pop(L, 1))
		if (lua_type(L, -2) == LUA_TSTRING)
			names[n++] = lua_tostring(L, -2);
	lua_pushstring(L, nearest_name(luaL_checkstring(L, 1), names, n));
	return 1;
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

/* The set whose files are being read: the one with this state. */
static int
set_of(const struct rules *r, lua_State *L)
{
	for (size_t i = 0; i < r->set_count; i++)
		if (r->sets[i].state == state_of(L))
			return (int)i;
	return 0;
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

static char *
copy_text(lua_State *L, const char *text)
{
	char *copy = strdup(text);

	if (copy == NULL)
		luaL_error(L, "no memory");
	return copy;
}

static void
declare_mode(lua_State *L, struct rule *rule)
{
	lua_getfield(L, 1, "mode");
	const char *mode = luaL_optstring(L, -1, "on");

	while (rule->mode < RULE_OFF && strcmp(rule_mode_names[rule->mode], mode) != 0)
		rule->mode++;
	lua_getfield(L, 1, "share");
	rule->share = rule->written_share = (int)luaL_optinteger(L, -1, 0);
	rule->written_mode = rule->mode;
	lua_pop(L, 2);
}

static void
declare_depends(lua_State *L, struct rule *rule)
{
	lua_getfield(L, 1, "depends_on");
	size_t count = lua_istable(L, -1) ? lua_rawlen(L, -1) : 0;

	rule->depends = calloc(count + 1, sizeof *rule->depends);
	for (size_t i = 0; rule->depends && i < count; i++) {
		lua_rawgeti(L, -1, (lua_Integer)i + 1);
		rule->depends[rule->depend_count] = copy_text(L, luaL_checkstring(L, -1));
		rule->depend_count++;
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
}

/* declare{ symbol, points, group, description, where, conditions, max_shots, helper, mode, share, depends_on, tests }:
 * a checked rule. */
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

	*rule = (struct rule){ .tests = LUA_NOREF, .anchor = -1, .set = set_of(r, L) };
	r->count++;                          /* from here rules_free frees what it has */
	rule->symbol = field_text(L, "symbol");
	rule->group = field_text(L, "group");
	rule->description = field_text(L, "description");
	rule->where = field_text(L, "where");
	lua_getfield(L, 1, "points");
	rule->points = luaL_checknumber(L, -1);
	lua_getfield(L, 1, "max_shots");
	rule->max_shots = (int)luaL_optinteger(L, -1, 1);
	lua_getfield(L, 1, "helper");
	rule->helper = lua_toboolean(L, -1);
	declare_mode(L, rule);
	declare_depends(L, rule);
	lua_getfield(L, 1, "tests");
	if (lua_istable(L, -1) && r->keep_tests) {
		rule->test_count = (int)lua_rawlen(L, -1);
		rule->tests = luaL_ref(L, LUA_REGISTRYINDEX);
	}
	lua_getfield(L, 1, "conditions");
	luaL_checktype(L, -1, LUA_TTABLE);
	conditions_declare(L, r, rule, lua_gettop(L));
	return 0;
}

/* declare_score(where, symbol, points, customer, context) */
static int
lua_declare_score(lua_State *L)
{
	struct rules *r = check_rules(L);
	const char *customer = luaL_optstring(L, 4, "");

	if (r->override_count == r->override_room) {
		size_t room = r->override_room ? r->override_room * 2 : 64;
		struct override *more = realloc(r->overrides, room * sizeof *more);

		if (more == NULL)
			return luaL_error(L, "no memory");
		r->overrides = more;
		r->override_room = room;
	}
	struct override *o = &r->overrides[r->override_count];
	int set = set_of(r, L);

	*o = (struct override){ .points = luaL_checknumber(L, 3), .where = copy_text(L, luaL_checkstring(L, 1)) };
	snprintf(o->name, sizeof o->name, "%s", luaL_checkstring(L, 2));
	snprintf(o->customer, sizeof o->customer, "%s", set > 0 ? r->sets[set].customer : customer);
	snprintf(o->context, sizeof o->context, "%s", luaL_optstring(L, 5, ""));
	r->override_count++;
	return 0;
}

static int64_t
mtime_ns(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? st.st_mtim.tv_sec * INT64_C(1000000000) + st.st_mtim.tv_nsec : 0;
}

/* "file" beside the rule file of `where`, unless it is absolute; "" for one that is fetched: where the fetcher puts it. */
static void
map_path(const struct rules *r, const char *where, const char *name, const char *file, char *to, size_t room)
{
	const char *slash = strrchr(where, '/');

	if (file[0] == '\0')
		snprintf(to, room, "%s/%s.map", r->map_dir, name);
	else if (file[0] == '/' || slash == NULL)
		snprintf(to, room, "%s", file);
	else
		snprintf(to, room, "%.*s/%s", (int)(slash - where), where, file);
}

/* declare_map(where, name, type, file, values, url, key): file nil and values a text; file "" and a url when it is fetched. */
static int
lua_declare_map(lua_State *L)
{
	struct rules *r = check_rules(L);
	const char *where = luaL_checkstring(L, 1), *type = luaL_checkstring(L, 3), *file = luaL_optstring(L, 4, NULL);
	enum map_type kind = 0;
	char why[400] = "";

	if (r->map_count == MAX_MAPS)
		return luaL_error(L, "more than %d maps", MAX_MAPS);
	if (r->map_count == r->map_room) {
		size_t room = r->map_room ? r->map_room * 2 : 16;
		struct rule_map *more = realloc(r->maps, room * sizeof *more);

		if (more == NULL)
			return luaL_error(L, "no memory");
		r->maps = more;
		r->map_room = room;
	}
	while (kind < MAP_TYPE__COUNT && strcmp(map_type_names[kind], type) != 0)
		kind++;
	struct rule_map *m = &r->maps[r->map_count];

	*m = (struct rule_map){ .where = copy_text(L, where) };
	r->map_count++;
	snprintf(m->name, sizeof m->name, "%s", luaL_checkstring(L, 2));
	m->type = kind;
	if (!lua_isnoneornil(L, 6)) {
		m->url = copy_text(L, luaL_checkstring(L, 6));
		m->key = copy_text(L, luaL_optstring(L, 7, ""));
	}
	if (file == NULL) {
		m->map = named_map_read(where, kind, check_span(L, 5), why, sizeof why);
	} else {
		map_path(r, where, m->name, file, m->path, sizeof m->path);
		m->mtime_ns = mtime_ns(m->path);
		if (file[0] == '\0' && m->mtime_ns == 0) {
			snprintf(why, sizeof why, "map %s: not fetched yet (policyctl rules fetch-maps); until then it holds nothing", m->name);
			warn(r->complaints, where, "url", why);
			m->map = named_map_read(where, kind, SPAN(""), why, sizeof why);
		} else {
			m->map = named_map_load(m->path, kind, why, sizeof why);
		}
	}
	if (m->map == NULL)
		complain(r->complaints, file ? NULL : where, NULL, -1, why);
	return 0;
}

/* map_text(where, file): the bytes of a list of patterns. */
static int
lua_map_text(lua_State *L)
{
	char path[PATH_ROOM + 300];
	FILE *f;
	luaL_Buffer b;
	size_t n;

	map_path(check_rules(L), luaL_checkstring(L, 1), "", luaL_checkstring(L, 2), path, sizeof path);
	f = fopen(path, "re");
	if (f == NULL)
		return luaL_error(L, "%s: %s", path, strerror(errno));
	luaL_buffinit(L, &b);
	do {
		char *to = luaL_prepbuffer(&b);

		n = fread(to, 1, LUAL_BUFFERSIZE, f);
		luaL_addsize(&b, n);
	} while (n > 0);
	fclose(f);
	luaL_pushresult(&b);
	return 1;
}

static int
register_all(lua_State *L)
{
	static const luaL_Reg functions[] = { { "complain", lua_complain }, { "position", lua_position },
	    { "is_note", lua_is_note }, { "declare", lua_declare }, { "declare_score", lua_declare_score }, { "warn", lua_warn },
	    { "nearest", lua_nearest }, { "declare_map", lua_declare_map }, { "map_text", lua_map_text }, { NULL, NULL } };

	message_register(L);
	lua_getfield(L, LUA_REGISTRYINDEX, "globals");
	lua_pushvalue(L, 1);
	luaL_setfuncs(L, functions, 1);
	return 0;
}

/* --- loading --- */

static bool
run_file(struct rules *r, struct state *state, const char *path, bool open, int results)
{
	char why[512];

	if (state_load(state, path, open, why, sizeof why) && state_call(state, 0, results, why, sizeof why))
		return true;
	complain_lua(r->complaints, why);
	return false;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* What `dir` holds that ends in `end`, by name, so that every node loads the same. Returns how many; the caller frees. */
static size_t
list_dir(struct rules *r, const char *path, struct span end, bool needed, char *names[MAX_RULE_FILES])
{
	char text[PATH_ROOM + 300];
	size_t count = 0;
	DIR *dir = opendir(path);

	if (dir == NULL) {
		snprintf(text, sizeof text, "%s: %s", path, strerror(errno));
		if (needed || errno != ENOENT)
			complain(r->complaints, NULL, NULL, -1, text);
		return 0;
	}
	for (struct dirent *e; (e = readdir(dir)) != NULL;) {
		struct span name = span_of(e->d_name);

		if (name.p[0] != '.' && span_ends(name, end) && count < MAX_RULE_FILES &&
		    (names[count] = strdup(e->d_name)) != NULL)
			count++;
	}
	closedir(dir);
	qsort(names, count, sizeof *names, by_name);
	return count;
}

/* Every *.lua of a directory. */
static void
load_dir(struct rules *r, struct rule_set *set, const char *path)
{
	char *names[MAX_RULE_FILES], file[PATH_ROOM + 400];
	size_t count = list_dir(r, path, SPAN(".lua"), true, names);

	for (size_t i = 0; i < count; i++) {
		snprintf(file, sizeof file, "%s/%s", path, names[i]);
		run_file(r, set->state, file, false, 0);
		free(names[i]);
	}
}

static void
load_score(struct rules *r, const char *path)
{
	lua_State *L = r->sets[0].state->L;

	if (!run_file(r, r->sets[0].state, path, false, 1))
		return;
	if (!lua_isfunction(L, -1)) {
		char text[PATH_ROOM + 80];

		snprintf(text, sizeof text, "%s: must return function(symbols, class)", path);
		complain(r->complaints, NULL, NULL, -1, text);
		lua_pop(L, 1);
		return;
	}
	r->score = luaL_ref(L, LUA_REGISTRYINDEX);
}

/* A new set: a state with the rule kit in it. NULL after a complaint. */
static struct rule_set *
open_set(struct rules *r, const struct config *config, const char *customer)
{
	char path[PATH_ROOM + 16], why[256];
	struct rule_set *set = &r->sets[r->set_count];

	if (r->set_count == MAX_RULE_SETS) {
		complain(r->complaints, NULL, NULL, -1, "rules: too many customers with rules of their own");
		return NULL;
	}
	*set = (struct rule_set){ .state = state_open(customer[0] ? MAX_CUSTOMER_MEMORY : MAX_LUA_MEMORY) };
	if (set->state == NULL) {
		complain(r->complaints, NULL, NULL, -1, "rules: no memory");
		return NULL;
	}
	r->set_count++;
	snprintf(set->customer, sizeof set->customer, "%s", customer);
	state_budget(set->state, INT64_MAX / 2, clock_ms() + LOAD_MS);
	set->state->loading = true;
	lua_pushcfunction(set->state->L, register_all);
	lua_pushlightuserdata(set->state->L, r);
	if (!state_call(set->state, 1, 0, why, sizeof why)) {
		complain(r->complaints, NULL, NULL, -1, why);
		return NULL;
	}
	snprintf(path, sizeof path, "%s/prelude.lua", config->lua_dir);
	if (!run_file(r, set->state, path, true, 0))
		return NULL;
	state_close_globals(set->state);
	return set;
}

static void
close_set(struct rule_set *set)
{
	set->state->loading = false;
	lua_gc(set->state->L, LUA_GCCOLLECT);    /* what is left is shared with all workers: make it small */
}

static void
load_customers(struct rules *r, const struct config *config, const char *dir)
{
	char *names[MAX_RULE_FILES], path[PATH_ROOM + 300];

	snprintf(path, sizeof path, "%s/customers", dir);
	size_t count = list_dir(r, path, SPAN(""), false, names);

	for (size_t i = 0; i < count; i++) {
		struct rule_set *set = open_set(r, config, names[i]);

		snprintf(path, sizeof path, "%s/customers/%s", dir, names[i]);
		if (set) {
			load_dir(r, set, path);
			close_set(set);
		}
		free(names[i]);
	}
}

void
rules_cache_paths(const struct config *config, char dir[PATH_ROOM + 40], char key[PATH_ROOM + 40])
{
	const char *home = getenv("HOME");

	dir[0] = key[0] = '\0';
	if (config->state[0]) {
		snprintf(dir, PATH_ROOM + 40, "%s/patterns", config->state);
		snprintf(key, PATH_ROOM + 40, "%s/patterns.key", config->state);
	} else if (home && strlen(home) < PATH_ROOM) {          /* a tool without settings: the user's own cache */
		snprintf(dir, PATH_ROOM + 40, "%s/.cache", home);
		if (mkdir(dir, 0700) < 0 && errno != EEXIST)
			return;
		snprintf(dir, PATH_ROOM + 40, "%s/.cache/policyd-patterns", home);
		snprintf(key, PATH_ROOM + 40, "%s/.cache/policyd-patterns.key", home);
		patterns_prepare(dir, key, getuid(), getgid());
	}
}

static void
load_all(struct rules *r, const struct config *config)
{
	struct rule_set *all = open_set(r, config, "");

	if (all == NULL)
		return;
	for (uint32_t i = 0; i < config->rule_dir_count; i++)
		load_dir(r, all, config->rules[i]);
	load_score(r, config->score_script);
	close_set(all);
	for (uint32_t i = 0; i < config->rule_dir_count; i++)
		load_customers(r, config, config->rules[i]);
	if (r->complaints->failed)           /* a file that did not load hides names that others use */
		return;
	char dir[PATH_ROOM + 40], key[PATH_ROOM + 40];

	rules_cache_paths(config, dir, key);
	patterns_build(r->patterns, dir, key);
	rules_order(r);
}

static struct rules *
load(const struct config *config, bool keep_tests, char *why, size_t room)
{
	struct rules *r = calloc(1, sizeof *r);
	struct complaints complaints = { .why = why, .room = room };

	if (room > 0)
		why[0] = '\0';
	if (r == NULL || (r->patterns = patterns_open()) == NULL) {
		snprintf(why, room, "rules: no memory");
		free(r);
		return NULL;
	}
	r->keep_tests = keep_tests;
	r->score = LUA_NOREF;
	r->complaints = &complaints;
	if (config->state[0])
		snprintf(r->map_dir, sizeof r->map_dir, "%s/maps", config->state);
	load_all(r, config);
	r->breakers = mmap(NULL, (r->count + 1) * sizeof *r->breakers, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (r->breakers == MAP_FAILED) {
		r->breakers = NULL;
		complain(r->complaints, NULL, NULL, -1, "rules: no memory");
	}
	r->warnings = complaints.warnings;
	r->complaints = NULL;
	if (complaints.failed) {
		rules_free(r);
		return NULL;
	}
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
	for (size_t i = 0; i < r->set_count; i++)
		state_close(r->sets[i].state);
	for (size_t i = 0; i < r->count; i++) {
		free(r->at[i].symbol);
		free(r->at[i].group);
		free(r->at[i].description);
		free(r->at[i].where);
		for (size_t k = 0; k < r->at[i].depend_count; k++)
			free(r->at[i].depends[k]);
		free(r->at[i].depends);
		conditions_free(&r->at[i]);
	}
	for (size_t i = 0; i < r->override_count; i++)
		free(r->overrides[i].where);
	for (size_t i = 0; i < r->map_count; i++) {
		named_map_free(r->maps[i].map);
		free(r->maps[i].where);
		free(r->maps[i].url);
		free(r->maps[i].key);
	}
	free(r->maps);
	if (r->breakers)
		munmap(r->breakers, (r->count + 1) * sizeof *r->breakers);
	patterns_close(r->patterns);
	free(r->warnings);
	free(r->overrides);
	free(r->outside);
	free(r->order);
	free(r->always);
	free(r->place);
	free(r->todo);
	free(r->by_pattern);
	free(r->at);
	free(r);
}

bool
rules_fetched_map(const struct rules *r, size_t i, struct fetched_map *out)
{
	for (size_t k = 0; k < r->map_count; k++)
		if (r->maps[k].url && i-- == 0) {
			*out = (struct fetched_map){ r->maps[k].name, r->maps[k].url, r->maps[k].key, r->maps[k].path, r->maps[k].type };
			return true;
		}
	return false;
}

bool
rules_stale(const struct rules *r)
{
	for (size_t i = 0; i < r->map_count; i++)
		if (r->maps[i].path[0] && mtime_ns(r->maps[i].path) != r->maps[i].mtime_ns)
			return true;
	return false;
}

const char *
rules_warnings(const struct rules *r)
{
	return r->warnings ? r->warnings : "";
}

struct patterns_info
rules_patterns(const struct rules *r)
{
	return patterns_info(r->patterns);
}

void
rules_patterns_alone(struct rules *r, bool alone)
{
	patterns_alone(r->patterns, alone);
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

	struct rule_info info = { .symbol = rule->symbol, .group = rule->group, .description = rule->description,
	    .where = rule->where, .customer = r->sets[rule->set].customer, .way = "", .points = rule->points, .mode = rule->mode,
	    .share = rule->share, .late = rule->late, .helper = rule->helper, .tests = rule->test_count, .spent_us = rule->spent_us };

	for (size_t k = rule->condition_count; k-- > 0;)
		if (rule->conditions[k].pattern >= 0)
			info.way = patterns_way(r->patterns, rule->conditions[k].pattern);
	return info;
}

void
rules_time(struct rules *r)
{
	r->timed = true;
	for (size_t i = 0; i < r->count; i++)
		r->at[i].spent_us = 0;
}

void
rules_modes_reset(struct rules *r)
{
	for (size_t i = 0; r && r->moved && i < r->count; i++) {
		r->at[i].mode = r->at[i].written_mode;
		r->at[i].share = r->at[i].written_share;
	}
	if (r)
		r->moved = false;
}

void
rules_mode_set(struct rules *r, const char *symbol, enum rule_mode mode, int share)
{
	for (size_t i = 0; r && mode < RULE_MODE__COUNT && i < r->count; i++)
		if (strcmp(r->at[i].symbol, symbol) == 0) {
			r->at[i].mode = mode;
			r->at[i].share = share;
			r->moved = true;
		}
}

int64_t
rules_spent_us(const struct rules *r)
{
	return r->spent_us;
}

bool
rules_hit(const struct rules *r, size_t i)
{
	return r->at[i].mail == r->mail && r->at[i].hits > 0;
}

/* --- inline tests --- */

/* found = { SYMBOL = points, ... } of the test on the stack's top. */
static void
read_found(lua_State *L, struct arena *a, struct rule_test *out)
{
	if (lua_getfield(L, -1, "found") == LUA_TTABLE)
		for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
			if (lua_type(L, -2) == LUA_TSTRING && out->found_count < sizeof out->found / sizeof *out->found)
				out->found[out->found_count++] = (struct symbol){ .name = arena_copy(a, span_of(lua_tostring(L, -2))),
				    .points = lua_tonumber(L, -1) };
	lua_pop(L, 1);
	if (lua_getfield(L, -1, "clamd") == LUA_TSTRING)
		out->clamd = arena_copy(a, span_of(lua_tostring(L, -1)));
	lua_pop(L, 1);
}

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
	lua_State *L = r->sets[rule->set].state->L;
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
	copy_field(L, "evidence", out->evidence, sizeof out->evidence);
	read_found(L, a, out);
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

/* What the test says was found before the rules. */
static void
add_answers(const struct rule_test *test, struct scan *scan)
{
	for (size_t i = 0; i < test->found_count; i++)
		verdict_add(scan->arena, &scan->verdict, test->found[i].name, test->found[i].points, SPAN(""));
	if (test->clamd.n > 0) {
		verdict_add(scan->arena, &scan->verdict, SPAN("VIRUS"), 0, test->clamd);
		scan->verdict.classes |= CLASS_VIRUS;
	}
}

bool
rules_test_run(struct rules *r, size_t i, int t, struct arena *a, const struct kit *kit, char *label, size_t label_room, char *why,
    size_t room)
{
	struct rule_test test;
	struct scan *scan = ARENA_NEW(a, struct scan);
	struct policy policy;
	struct class_score class = { .policy = &policy, .probability = 0.5 };

	snprintf(why, room, "%s", "");
	snprintf(label, label_room, "%s", "");
	if (!rules_test(r, i, t, a, &test, why, room))
		return false;
	policy_default(&policy);
	snprintf(policy.customer, sizeof policy.customer, "%s", r->sets[r->at[i].set].customer);
	snprintf(label, label_room, "%s", test.label);
	*scan = (struct scan){ .arena = a, .kit = kit, .session = test.session, .envelope = test.envelope, .classes = &class,
	    .class_count = 1, .deadline_ms = clock_ms() + TEST_MS };
	scan->message.raw = test.raw;
	add_answers(&test, scan);
	stage_mime(scan);
	stage_rules(scan);

	const struct symbol *broken = verdict_find(&scan->verdict, SPAN("RULE_FAILED"));
	const struct symbol *found = verdict_find(&scan->verdict, span_of(r->at[i].symbol));
	struct span shown = found ? found->evidence : SPAN("");
	bool hit = rules_hit(r, i);

	if (broken)
		snprintf(why, room, SPAN_FMT, SPAN_ARG(broken->evidence));
	else if (hit != test.hit)
		snprintf(why, room, test.hit ? "did not find it" : "found it where it must not: " SPAN_FMT, SPAN_ARG(shown));
	else if (test.evidence[0] && span_find(shown, span_of(test.evidence)) == SPAN_NONE)
		snprintf(why, room, "the evidence is \"" SPAN_FMT "\", without \"%s\"", SPAN_ARG(shown), test.evidence);
	else
		return true;
	return false;
}

bool
rules_pass(struct rules *r, const struct config *config, char *why, size_t room)
{
	struct arena *a = arena_open(MAX_SCAN_MEMORY);
	struct arena_mark start = arena_mark(a);
	struct kit kit = { .config = config, .rules = r };
	struct complaints complaints = { .why = why, .room = room };
	char label[120], text[300], line[500];

	for (size_t i = 0; i < r->count; i++) {
		for (int t = 0; t < r->at[i].test_count; t++) {
			if (!rules_test_run(r, i, t, a, &kit, label, sizeof label, text, sizeof text)) {
				snprintf(line, sizeof line, "%s: test %d%s%s: %s", r->at[i].symbol, t + 1, label[0] ? ": " : "", label, text);
				complain(&complaints, r->at[i].where, NULL, -1, line);
			}
			arena_rewind(a, start);
		}
		luaL_unref(r->sets[r->at[i].set].state->L, LUA_REGISTRYINDEX, r->at[i].tests);
		r->at[i].tests = LUA_NOREF;
		r->at[i].test_count = 0;
		atomic_store(&r->breakers[i].fails, 0);
	}
	for (size_t i = 0; i < r->set_count; i++)
		lua_gc(r->sets[i].state->L, LUA_GCCOLLECT);
	arena_close(a);
	return !complaints.failed;
}
