#include "lua/import.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "lua/state.h"
#include "policyd/base/clock.h"

enum { IMPORT_MEMORY = 512 * 1024 * 1024, MAX_IMPORT_FILE = 16 * 1024 * 1024, MAX_IMPORT_FILES = 2000, IMPORT_MS = 10 * 60 * 1000 };

struct files {
	char *at[MAX_IMPORT_FILES];
	size_t count;
};

static bool
is_wanted(const char *kind, const char *name)
{
	struct span s = span_of(name);

	if (s.p[0] == '.')
		return false;
	return strcmp(kind, "sa") == 0 ? span_ends(s, SPAN(".cf")) : span_ends(s, SPAN(".conf")) || span_ends(s, SPAN(".inc")) ||
	    span_ends(s, SPAN(".lua"));
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool
add_path(struct files *files, const char *kind, const char *path, char *why, size_t room)
{
	struct stat st;
	size_t first = files->count;

	if (stat(path, &st) < 0) {
		snprintf(why, room, "%s: %s", path, strerror(errno));
		return false;
	}
	if (!S_ISDIR(st.st_mode)) {
		files->at[files->count] = strdup(path);
		files->count += files->count + 1 < MAX_IMPORT_FILES && files->at[files->count] != NULL;
		return true;
	}
	DIR *dir = opendir(path);

	for (struct dirent *e; dir && (e = readdir(dir)) != NULL && files->count + 1 < MAX_IMPORT_FILES;)
		if (is_wanted(kind, e->d_name) && asprintf(&files->at[files->count], "%s/%s", path, e->d_name) > 0)
			files->count++;
	if (dir)
		closedir(dir);
	qsort(files->at + first, files->count - first, sizeof *files->at, by_name);
	return true;
}

static bool
read_into(const char *path, struct buf *text)
{
	FILE *f = fopen(path, "re");
	char block[65536];
	size_t n;

	if (f == NULL)
		return false;
	while (text->n < MAX_IMPORT_FILE && (n = fread(block, 1, sizeof block, f)) > 0)
		buf_add(text, block, n);
	fclose(f);
	return !text->failed;
}

/* Push { { name, text }, ... } */
static bool
push_files(lua_State *L, const struct files *files, char *why, size_t room)
{
	lua_createtable(L, (int)files->count, 0);
	for (size_t i = 0; i < files->count; i++) {
		struct buf text = { 0 };

		if (!read_into(files->at[i], &text)) {
			snprintf(why, room, "%s: %s", files->at[i], strerror(errno));
			buf_free(&text);
			lua_pop(L, 1);
			return false;
		}
		const char *slash = strrchr(files->at[i], '/');

		lua_createtable(L, 2, 0);
		lua_pushstring(L, slash ? slash + 1 : files->at[i]);
		lua_rawseti(L, -2, 1);
		lua_pushlstring(L, text.p ? text.p : "", text.n);
		lua_rawseti(L, -2, 2);
		lua_rawseti(L, -2, (lua_Integer)i + 1);
		buf_free(&text);
	}
	return true;
}

/* Load lua_dir/NAME and leave what it returns on the stack. */
static bool
run_script(struct state *s, const char *lua_dir, const char *name, char *why, size_t room)
{
	char path[600];

	snprintf(path, sizeof path, "%s/%s", lua_dir, name);
	return state_load(s, path, false, why, room) && state_call(s, 0, 1, why, room);
}

static void
take_results(lua_State *L, struct imported *out)
{
	size_t n;
	const char *text = lua_tolstring(L, -4, &n);

	buf_add(&out->rules, text ? text : "", text ? n : 0);
	text = lua_tolstring(L, -3, &n);
	buf_add(&out->report, text ? text : "", text ? n : 0);
	out->translated = (long)lua_tointeger(L, -2);
	out->known = (long)lua_tointeger(L, -1);
}

bool
rules_import(const char *lua_dir, const char *kind, char *const *paths, int count, const char *prefix, struct imported *out,
    char *why, size_t room)
{
	struct files *files = calloc(1, sizeof *files);
	struct state *s = state_open(IMPORT_MEMORY);
	bool ok = files && s;

	*out = (struct imported){ 0 };
	snprintf(why, room, "no memory");
	for (int i = 0; ok && i < count; i++)
		ok = add_path(files, kind, paths[i], why, room);
	if (ok) {
		state_close_globals(s);
		s->loading = true;
		state_budget(s, INT64_MAX / 2, clock_ms() + IMPORT_MS);
		ok = run_script(s, lua_dir, strcmp(kind, "sa") == 0 ? "import_sa.lua" : "import_rspamd.lua", why, room) &&
		    push_files(s->L, files, why, room);
	}
	if (ok) {
		lua_pushstring(s->L, prefix);
		if (strcmp(kind, "sa") == 0)
			ok = run_script(s, lua_dir, "sa_evals.lua", why, room);
		else
			lua_pushnil(s->L);
	}
	ok = ok && state_call(s, 3, 4, why, room);
	if (ok)
		take_results(s->L, out);
	for (size_t i = 0; files && i < files->count; i++)
		free(files->at[i]);
	free(files);
	state_close(s);
	return ok && !out->rules.failed && !out->report.failed;
}

void
imported_free(struct imported *out)
{
	buf_free(&out->rules);
	buf_free(&out->report);
}
