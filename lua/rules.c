#include "lua/rules.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lua/rules_inside.h"
#include "policyd/base/clock.h"

enum { MAX_RULE_FILES = 1000, LOAD_MS = 20 * 1000 };

const char *const rule_mode_names[RULE_MODE__COUNT] = { [RULE_ON] = "on", [RULE_SHADOW] = "shadow", [RULE_CANARY] = "canary",
	[RULE_OFF] = "off" };

static bool
run_file(struct rules *r, struct state *state, const char *path, bool open, int results)
{
	char why[512], text[PATH_ROOM + 900];

	if (state_load(state, path, open, why, sizeof why) && state_call(state, 0, results, why, sizeof why))
		return true;
	snprintf(text, sizeof text, "%s: %s", path, why);        /* out of memory, an error that is no text: without a place */
	if (strstr(why, ".lua:"))
		complain_lua(r->complaints, why);
	else
		complain(r->complaints, NULL, NULL, -1, text);
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
	lua_pushcfunction(set->state->L, rules_register);
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
		for (size_t k = 0; k < r->at[i].map_count; k++)
			free(r->at[i].map_names[k]);
		free(r->at[i].map_names);
		free(r->at[i].maps);
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
		if (r->maps[i].path[0] && file_mtime_ns(r->maps[i].path) != r->maps[i].mtime_ns)
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
