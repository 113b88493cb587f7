/* Patterns in databases find what PCRE2 alone finds, on texts made to tell the two apart; the cache is used, and a file
 * that somebody changed is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "lua/loosen.h"
#include "lua/patterns.h"
#include "lua/state.h"
#include "policyd/base/clock.h"

static const char *const sources[] = {
	"viagra", "v[i1!]agra", "^urgent", "dear$", "\\bwire\\b", "a.b", "(?:foo|bar){2,}", "x{3}", "(?<!not )free", "free(?! of)", "(\\w)\\1{3}",
	"\\d{3}-\\d{4}", "caf\xc3\xa9", "[^\\x00-\\x7f]{3}", "a*", "(?:)", "\\$\\d+(?:\\.\\d\\d)?", "lottery.{0,40}winner", "^$", "\\Aurgent", "dear\\Z",
	"(?i)MIXED", "(?s:one.two)", "end\\n", "\\s{4}", "tab\\there", "\\xff", "[[:upper:]]{5}", "(?>aa|a)b", "\\R",
};
static const char *const texts[] = {
	"", "viagra", "V1AGRA and v!agra", "urgent: wire it", "not urgent", "my dear", "my dear\n", "dear friend", "rewired", "a\nb", "axb",
	"foobarfoo", "xxxx", "not free", "free of charge", "free", "aaaa", "555-1234", "un caf\xc3\xa9", "\xe4\xb8\xad\xe6\x96\x87", "$5.99",
	"lottery, dear winner", "lottery\nwinner", "\nurgent\n", "one\ntwo", "the end\n", "    ", "tab\there", "\xff\xfe", "SHOUTING", "aab",
	"line\r\nline", "mixed",
};
enum { SOURCES = sizeof sources / sizeof *sources, TEXTS = sizeof texts / sizeof *texts };

static bool may_match[4 * SOURCES];

static void
may(void *arg, int pattern)
{
	(void)arg;
	may_match[pattern] = true;
}

struct all {
	struct state *s;
	struct patterns *p;
	const struct regex *re[4 * SOURCES];
	int count;
};

/* Every source with four sets of flags, over the visible text. */
static void
open_all(struct all *all, const char *dir, const char *key)
{
	static const char *const flags[] = { "", "i", "m", "is" };
	struct view body;

	assert_true(view_parse(&body, SPAN("body"), SPAN("")));
	*all = (struct all){ .s = state_open(8 << 20), .p = patterns_open() };
	all->s->loading = true;
	for (int f = 0; f < 4; f++)
		for (int i = 0; i < SOURCES; i++) {
			lua_getfield(all->s->L, LUA_REGISTRYINDEX, "globals");
			lua_getfield(all->s->L, -1, "re");
			lua_pushstring(all->s->L, sources[i]);
			lua_pushstring(all->s->L, flags[f]);
			assert_int_equal(lua_pcall(all->s->L, 2, 1, 0), LUA_OK);
			all->re[all->count] = regex_at(all->s->L, -1);
			assert_int_equal(patterns_add(all->p, patterns_view(all->p, &body), all->re[all->count]), all->count);
			all->count++;
			luaL_ref(all->s->L, LUA_REGISTRYINDEX);
			lua_pop(all->s->L, 1);
		}
	patterns_build(all->p, dir, key);
}

static void
close_all(struct all *all)
{
	patterns_close(all->p);
	state_close(all->s);
}

/* What may match holds all that does; what is exact holds no more. */
static void
compare(struct all *all)
{
	struct arena *a = arena_open(16 << 20);

	state_budget(all->s, INT64_MAX / 2, clock_ms() + 60000);
	for (size_t t = 0; t < TEXTS; t++) {
		struct scan *scan = ARENA_NEW(a, struct scan);

		scan->arena = a;
		scan->message.text = span_of(texts[t]);
		memset(may_match, 0, sizeof may_match);
		patterns_scan(all->p, scan, may, NULL);
		for (int i = 0; i < all->count; i++) {
			size_t from = 0, first, end;
			bool does = regex_next(all->s->L, all->re[i], scan->message.text, &from, &first, &end);
			bool exact = strcmp(patterns_way(all->p, i), "exact") == 0;

			assert_int_equal(may_match[i], patterns_may(all->p, i));
			if (does ? !may_match[i] : may_match[i] && exact)
				fail_msg("/%s/ (flags %d, %s) on \"%s\": %s", sources[i % SOURCES], i / SOURCES, patterns_way(all->p, i), texts[t],
				    does ? "missed" : "found too much");
		}
	}
	arena_close(a);
}

static void
finds_the_same(void **state)
{
	struct all all;

	(void)state;
	open_all(&all, "", "");
	struct patterns_info info = patterns_info(all.p);

	assert_true(info.exact > info.patterns / 2 && info.prefilter > 0 && info.alone > 0 && info.from_cache == 0);
	compare(&all);
	close_all(&all);
}

static void
is_cached(void **state)
{
	char dir[] = "/tmp/policyd-patterns-XXXXXX", key[64], path[400];
	struct all all;
	struct dirent *e;
	int fd;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(key, sizeof key, "%s/key", dir);
	fd = open(key, O_WRONLY | O_CREAT, 0600);
	assert_int_equal(write(fd, "0123456789abcdef0123456789abcdef", 32), 32);
	close(fd);
	for (int round = 0; round < 3; round++) {
		open_all(&all, dir, key);
		assert_int_equal(patterns_info(all.p).from_cache, round == 1);
		compare(&all);
		close_all(&all);
		DIR *d = opendir(dir);

		while (round == 1 && (e = readdir(d)) != NULL) {     /* one octet changed: it must not be believed */
			snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
			if (strstr(e->d_name, ".hs") && (fd = open(path, O_RDWR)) >= 0) {
				assert_int_equal(pwrite(fd, "X", 1, 200), 1);
				close(fd);
			}
		}
		closedir(d);
	}
	DIR *d = opendir(dir);

	while ((e = readdir(d)) != NULL) {
		snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
		unlink(path);
	}
	closedir(d);
	rmdir(dir);
}

/* What Vectorscan gets: long repeats without an end, all else to the letter. */
static void
loosens(void **state)
{
	static const struct { const char *pattern, *want; } cases[] = {
		{ "ab{1,64}c{2}", "ab{1,64}c{2}" }, { "x.{1,900}y.{70}z", "x.{1,}y.{64,}z" }, { "a{100,}b{,5}", "a{64,}b{,5}" },
		{ "\\{1,900}", "\\{1,900}" }, { "[{1,900}]{1,900}", "[{1,900}]{1,}" }, { "[]{1,900}]x{0,65}", "[]{1,900}]x{0,}" },
		{ "[^]\\]{1,900}]", "[^]\\]{1,900}]" }, { "[[:alpha:]{1,900}]{1,900}", "[[:alpha:]{1,900}]{1,}" },
		{ "\\x{100}{1,900}", "\\x{100}{1,}" }, { "\\Qa{1,900}\\Eb{1,900}", "\\Qa{1,900}\\Eb{1,}" }, { "(?#{1,900})a{1,900}?", "(?#{1,900})a{1,}?" },
		{ "a{1,900", "a{1,900" }, { "a{x}", "a{x}" }, { "\\", "\\" }, { "[a", "[a" }, { "", "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char *loose = pattern_loosen(span_of(cases[i].pattern));

		assert_non_null(loose);
		assert_string_equal(loose, cases[i].want);
		free(loose);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(loosens), cmocka_unit_test(finds_the_same), cmocka_unit_test(is_cached) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
