/* declare.c - what rule files declare, as the rule kit (prelude.lua) hands it over: rules, points, maps; and the means it has to
 * say what is wrong. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "lua/bind_message.h"
#include "lua/rules_inside.h"
#include "policyd/base/nearest.h"

enum { MAX_RULES = 20000, MAX_NEAR = 200 };

static struct rules *
check_rules(lua_State *L)
{
	return lua_touserdata(L, lua_upvalueindex(1));
}

/* complain(where, text [, field [, offset]]): a mistake in a rule; loading goes on to find the others. */
static int
lua_complain(lua_State *L)
{
	struct span text = check_span(L, 2);

	complain(check_rules(L)->complaints, luaL_checkstring(L, 1), luaL_optstring(L, 3, NULL), (int)luaL_optinteger(L, 4, -1),
	    strlen(text.p) == text.n ? text.p : "an octet of 0 has come into this file");
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

/* needs = { "text", "dns", "map:x" }: known words (the rule kit looks); which maps those are is found when all are read. */
static void
declare_needs(lua_State *L, struct rule *rule)
{
	lua_getfield(L, 1, "needs");
	size_t count = lua_istable(L, -1) ? lua_rawlen(L, -1) : 0;

	rule->map_names = calloc(count + 1, sizeof *rule->map_names);
	rule->maps = calloc(count + 1, sizeof *rule->maps);
	for (size_t i = 0; rule->map_names && rule->maps && i < count; i++) {
		lua_rawgeti(L, -1, (lua_Integer)i + 1);
		struct span word = check_span(L, -1);

		if (span_starts(word, SPAN("map:")))
			rule->map_names[rule->map_count++] = copy_text(L, word.p + 4);
		else
			rule->needs |= need_of(word);
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
}

/* is_need(word): one that `needs` may have. */
static int
lua_is_need(lua_State *L)
{
	struct span word = check_span(L, 1);

	lua_pushboolean(L, need_of(word) != 0 || (span_starts(word, SPAN("map:")) && word.n > 4));
	return 1;
}

/* describe(class, text, fields): for the manual (manual.c), which finds it in the registry's "manual". */
static int
lua_describe(lua_State *L)
{
	luaL_checkstring(L, 2);
	luaL_checktype(L, 3, LUA_TTABLE);
	lua_settop(L, 3);
	if (lua_getfield(L, LUA_REGISTRYINDEX, "manual") != LUA_TTABLE) {
		lua_pop(L, 1);
		lua_newtable(L);
		lua_pushvalue(L, -1);
		lua_setfield(L, LUA_REGISTRYINDEX, "manual");
	}
	lua_createtable(L, 0, 3);
	for (int i = 1; i <= 3; i++) {
		static const char *const keys[] = { NULL, "class", "text", "fields" };

		lua_pushvalue(L, i);
		lua_setfield(L, -2, keys[i]);
	}
	lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
	return 0;
}

/* declare{ symbol, points, group, description, where, conditions, max_shots, helper, mode, share, depends_on, needs, tests }:
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
	declare_needs(L, rule);
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

int64_t
file_mtime_ns(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? st.st_mtim.tv_sec * INT64_C(1000000000) + st.st_mtim.tv_nsec : 0;
}

/* "file" beside the rule file of `where`, unless it is absolute; "" for one that is fetched: where the fetcher puts it. A
 * customer's rules name files of their own directory only: what is read here may stand in a complaint. */
static void
map_path(lua_State *L, const char *where, const char *name, const char *file, char *to, size_t room)
{
	const struct rules *r = check_rules(L);
	const char *slash = strrchr(where, '/'), *customer = r->sets[set_of(r, L)].customer;

	if (customer[0] && (file[0] == '/' || strstr(file, "..")))
		luaL_error(L, "%s: a customer's rules read files beside them only", file);
	if (file[0] == '\0')
		snprintf(to, room, "%s/%s%s%s.map", r->map_dir, customer, customer[0] ? "@" : "", name);
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

	*m = (struct rule_map){ .where = copy_text(L, where), .set = set_of(r, L) };
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
		map_path(L, where, m->name, file, m->path, sizeof m->path);
		m->mtime_ns = file_mtime_ns(m->path);
		if (file[0] == '\0' && m->mtime_ns == 0) {
			snprintf(why, sizeof why, "map %s: not fetched yet (policyctl rules fetch-maps); until then it holds nothing", m->name);
			warn(r->complaints, where, "url", why);
			m->map = named_map_read(where, kind, SPAN(""), why, sizeof why);
		} else {
			m->map = named_map_load(m->path, kind, why, sizeof why);
		}
	}
	if (m->map == NULL)                  /* a mistake in a file has its place there */
		complain(r->complaints, file && m->mtime_ns ? NULL : where, file ? "file" : NULL, -1, why);
	return 0;
}

/* is_file(where, name): is it there, beside the rule file? */
static int
lua_is_file(lua_State *L)
{
	char path[PATH_ROOM + 300];

	map_path(L, luaL_checkstring(L, 1), "", luaL_checkstring(L, 2), path, sizeof path);
	lua_pushboolean(L, file_mtime_ns(path) != 0);
	return 1;
}

/* map_text(where, file): the bytes of a list of patterns. */
static int
lua_map_text(lua_State *L)
{
	char path[PATH_ROOM + 300];
	FILE *f;
	luaL_Buffer b;
	size_t n;

	map_path(L, luaL_checkstring(L, 1), "", luaL_checkstring(L, 2), path, sizeof path);
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

int
rules_register(lua_State *L)
{
	static const luaL_Reg functions[] = { { "complain", lua_complain }, { "position", lua_position },
	    { "is_note", lua_is_note }, { "is_need", lua_is_need }, { "is_file", lua_is_file }, { "describe", lua_describe }, { "declare", lua_declare }, { "declare_score", lua_declare_score }, { "warn", lua_warn },
	    { "nearest", lua_nearest }, { "declare_map", lua_declare_map }, { "map_text", lua_map_text }, { NULL, NULL } };

	message_register(L);
	asking_register(L, lua_touserdata(L, 1));
	lua_getfield(L, LUA_REGISTRYINDEX, "globals");
	lua_pushvalue(L, 1);
	luaL_setfuncs(L, functions, 1);
	return 0;
}
