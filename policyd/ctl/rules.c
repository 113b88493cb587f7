/* policyctl rules: check, test and measure rules; needs no running daemon. */
#include <errno.h>
#include <getopt.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lua/rules.h"
#include "policyd/base/buf.h"
#include "policyd/base/clock.h"
#include "policyd/base/log.h"
#include "policyd/ctl/commands.h"
#include "policyd/mail/prepare.h"
#include "policyd/scan/stage.h"

#ifndef POLICYD_SHARE
#define POLICYD_SHARE "/usr/local/share/policyd"
#endif

enum { MAX_WHY = 64 * 1024, MAX_JOBS = 16, MAX_CORPUS_MAIL = 64 * 1024 * 1024, SCAN_MS = 60 * 1000 };

static const char help[] =
    "usage: policyctl rules check  [-c FILE] [DIR...]            syntax, names, scores; exit 1 on a mistake\n"
    "       policyctl rules test   [-c FILE] [DIR...]            each rule on its own examples, as TAP\n"
    "       policyctl rules corpus [-c FILE] [-r DIR]... [-j N] [--mails | --false-positives] INDEX...\n"
    "                                                           hits in ham and spam; INDEX has \"ham|spam PATH\" lines\n"
    "       policyctl rules bench  [-c FILE] [-r DIR]... INDEX...   time of each rule, the dearest first\n"
    "  -c FILE   take rule directories and scorer from these settings (default: rules and lua here, else as installed)\n"
    "  -r DIR    rule directory (corpus), instead of the configured ones\n"
    "  -j N      processes (default: one a core)\n"
    "  --mails   name each mail with its points and symbols, before the table\n"
    "  --false-positives   name each ham mail at or above 4 points, with its symbols\n";

/* Settings for a tool: FILE's, or the rules of the present directory, or those installed. */
static bool
tool_config(const char *file, char *const *dirs, int dir_count, struct config *config)
{
	char why[MAX_WHY / 16];

	if (file) {
		if (!config_load(file, config, why, sizeof why)) {
			fprintf(stderr, "%s\n", why);
			return false;
		}
	} else {
		bool here = access("lua/prelude.lua", R_OK) == 0;

		memset(config, 0, sizeof *config);
		config->size = sizeof *config;
		snprintf(config->lua_dir, sizeof config->lua_dir, "%s", here ? "lua" : POLICYD_SHARE "/lua");
		snprintf(config->score_script, sizeof config->score_script, "%s", here ? "lua/score.lua" : POLICYD_SHARE "/lua/score.lua");
		snprintf(config->rules[0], PATH_ROOM, "%s", here ? "rules" : POLICYD_SHARE "/rules");
		config->rule_dir_count = 1;
		policy_default(&config->policy_default);
	}
	if (dir_count > MAX_RULE_DIRS) {
		fprintf(stderr, "policyctl rules: at most %d directories\n", MAX_RULE_DIRS);
		return false;
	}
	for (int i = 0; i < dir_count; i++)
		snprintf(config->rules[i], PATH_ROOM, "%s", dirs[i]);
	if (dir_count > 0)
		config->rule_dir_count = (uint32_t)dir_count;
	return true;
}

static struct rules *
load(const struct config *config)
{
	static char why[MAX_WHY];
	struct rules *rules = rules_load_with_tests(config, why, sizeof why);

	if (rules == NULL)
		fprintf(stderr, "%s\n", why);
	return rules;
}

/* A scan as a worker would do it, without virus scanner and model. */
static void
scan_mail(struct scan *scan, struct arena *a, const struct kit *kit, struct class_score *class, struct span raw)
{
	scan->arena = a;
	scan->kit = kit;
	scan->message.raw = raw;
	class->policy = &kit->config->policy_default;
	class->probability = 0.5;
	scan->classes = class;
	scan->class_count = 1;
	scan->deadline_ms = clock_ms() + SCAN_MS;
	stage_mime(scan);
	stage_rules(scan);
	stage_score(scan);
}

static int
check(const struct config *config)
{
	struct rules *rules = load(config);
	size_t untested = 0;

	if (rules == NULL)
		return 1;
	for (size_t i = 0; i < rules_count(rules); i++)
		untested += rules_info(rules, i).tests == 0;
	printf("%zu rules, no mistakes; %zu without a test of their own\n", rules_count(rules), untested);
	rules_free(rules);
	return 0;
}

/* One test: NULL when it passes, else why not (static). */
static const char *
run_test(struct rules *rules, size_t i, int t, struct arena *a, const struct kit *kit, char *label, size_t room)
{
	static char why[300];
	struct rule_test test;
	struct scan *scan = ARENA_NEW(a, struct scan);
	struct class_score class = { 0 };

	label[0] = '\0';
	if (!rules_test(rules, i, t, a, &test, why, sizeof why))
		return why;
	snprintf(label, room, "%s", test.label);
	scan->session = test.session;
	scan->envelope = test.envelope;
	scan_mail(scan, a, kit, &class, test.raw);

	const struct symbol *broken = verdict_find(&scan->verdict, SPAN("RULE_FAILED"));
	bool hit = verdict_find(&scan->verdict, span_of(rules_info(rules, i).symbol)) != NULL;

	if (broken)
		snprintf(why, sizeof why, SPAN_FMT, SPAN_ARG(broken->evidence));
	else if (hit != test.hit)
		snprintf(why, sizeof why, test.hit ? "did not find it" : "found it where it must not");
	return broken || hit != test.hit ? why : NULL;
}

static int
test_all(const struct config *config)
{
	struct rules *rules = load(config);
	struct arena *a = arena_open(MAX_SCAN_MEMORY);
	struct arena_mark start = arena_mark(a);
	struct kit kit = { .config = config, .rules = rules };
	int number = 0, failed = 0;

	if (rules == NULL) {
		arena_close(a);
		return 1;
	}
	for (size_t i = 0; i < rules_count(rules); i++) {
		struct rule_info info = rules_info(rules, i);

		for (int t = 0; t < info.tests; t++) {
			char label[120];
			const char *why = run_test(rules, i, t, a, &kit, label, sizeof label);

			failed += why != NULL;
			printf("%sok %d - %s %d%s%s\n", why ? "not " : "", ++number, info.symbol, t + 1, label[0] ? ": " : "", label);
			if (why)
				printf("# %s: %s\n", info.where, why);
			arena_rewind(a, start);
		}
	}
	printf("1..%d\n%d passed, %d failed\n", number, number - failed, failed);
	rules_free(rules);
	arena_close(a);
	return failed > 0;
}

/* --- corpus --- */

struct mail_list {
	struct corpus_mail { char *path; bool spam; } *at;
	size_t count, room;
};

static bool
list_add(struct mail_list *list, const char *dir, const char *name, bool spam)
{
	struct corpus_mail *mail;

	if (list->count == list->room) {
		size_t room = list->room ? list->room * 2 : 4096;
		void *more = realloc(list->at, room * sizeof *list->at);

		if (more == NULL)
			return false;
		list->at = more;
		list->room = room;
	}
	mail = &list->at[list->count];
	mail->spam = spam;
	if (asprintf(&mail->path, "%s%s%s", name[0] == '/' ? "" : dir, name[0] == '/' ? "" : "/", name) < 0)
		return false;
	list->count++;
	return true;
}

/* "spam spam/0001.eml" a line, paths from the index's own directory. */
static bool
list_read(struct mail_list *list, const char *index)
{
	FILE *f = fopen(index, "re");
	char *copy = strdup(index), line[4096], kind[8], name[4000];
	bool ok = f != NULL && copy != NULL;
	const char *dir = copy ? dirname(copy) : ".";

	while (ok && fgets(line, sizeof line, f))
		if (sscanf(line, "%7s %3999s", kind, name) == 2)
			ok = list_add(list, dir, name, kind[0] == 's' || kind[0] == 'p');
	if (!ok)
		fprintf(stderr, "%s: %s\n", index, strerror(errno));
	if (f)
		fclose(f);
	free(copy);
	return ok;
}

/* Hits on shared memory: one column of counters a symbol; every process adds to its own block. */
enum { MAX_SYMBOLS = 4096 };
struct tally {
	struct { char name[64]; double points; uint32_t hits[2]; } at[MAX_SYMBOLS];
	size_t count;
	uint32_t mails[2], tagged[2], quarantined[2], unscannable[2], unread;
	int64_t cpu_us;
};

static void
count_symbol(struct tally *t, const struct symbol *s, bool spam)
{
	size_t i = 0;

	while (i < t->count && !span_eq(span_of(t->at[i].name), s->name))
		i++;
	if (i == MAX_SYMBOLS)
		return;
	if (i == t->count) {
		snprintf(t->at[i].name, sizeof t->at[i].name, SPAN_FMT, SPAN_ARG(s->name));
		t->at[i].points = s->points;
		t->count++;
	}
	t->at[i].hits[spam]++;
}

static bool
read_file(struct arena *a, const char *path, struct span *raw)
{
	FILE *f = fopen(path, "re");
	struct buf bytes = { 0 };
	char block[65536];
	size_t n;

	if (f == NULL)
		return false;
	while (bytes.n < MAX_CORPUS_MAIL && (n = fread(block, 1, sizeof block, f)) > 0)
		buf_add(&bytes, block, n);
	fclose(f);
	*raw = arena_copy(a, buf_span(&bytes));
	buf_free(&bytes);
	return true;
}

enum show { SHOW_NONE, SHOW_FALSE_POSITIVES, SHOW_ALL };

static void
print_mail(const struct corpus_mail *mail, const struct scan *scan)
{
	printf("%s %.1f %s:", mail->spam ? "spam" : "ham", scan->classes[0].points, mail->path);
	for (size_t i = 0; i < scan->verdict.count; i++)
		printf(" " SPAN_FMT "=%.1f", SPAN_ARG(scan->verdict.at[i].name), scan->verdict.at[i].points);
	printf("\n");
}

static void
measure(const struct mail_list *list, int job, int jobs, const struct kit *kit, enum show show, struct tally *t)
{
	struct arena *a = arena_open(MAX_SCAN_MEMORY);
	struct arena_mark start = arena_mark(a);
	int64_t start_us = clock_cpu_us();
	static char line[65536];

	setvbuf(stdout, line, _IOLBF, sizeof line);      /* whole lines, though several processes write */
	for (size_t i = (size_t)job; i < list->count; i += (size_t)jobs) {
		struct scan *scan = ARENA_NEW(a, struct scan);
		struct class_score class = { 0 };
		bool spam = list->at[i].spam;
		struct span raw;

		if (!read_file(a, list->at[i].path, &raw)) {
			t->unread++;
			continue;
		}
		scan_mail(scan, a, kit, &class, raw);
		t->mails[spam]++;
		t->tagged[spam] += class.points >= 4;
		t->quarantined[spam] += class.points >= 7;
		t->unscannable[spam] += (scan->verdict.classes & CLASS_UNSCANNABLE) != 0;
		for (size_t k = 0; k < scan->verdict.count; k++)
			count_symbol(t, &scan->verdict.at[k], spam);
		if (show == SHOW_ALL || (show == SHOW_FALSE_POSITIVES && !spam && class.points >= 4))
			print_mail(&list->at[i], scan);
		arena_rewind(a, start);
	}
	t->cpu_us = clock_cpu_us() - start_us;
	arena_close(a);
}

static void
add_tally(struct tally *sum, const struct tally *t)
{
	for (size_t i = 0; i < t->count; i++) {
		struct symbol s = { .name = span_of(t->at[i].name), .points = t->at[i].points };

		for (int spam = 0; spam <= 1; spam++)
			for (uint32_t n = t->at[i].hits[spam]; n > 0; n--)
				count_symbol(sum, &s, spam);
	}
	for (int spam = 0; spam <= 1; spam++) {
		sum->mails[spam] += t->mails[spam];
		sum->tagged[spam] += t->tagged[spam];
		sum->quarantined[spam] += t->quarantined[spam];
		sum->unscannable[spam] += t->unscannable[spam];
	}
	sum->unread += t->unread;
	sum->cpu_us += t->cpu_us;
}

static double
percent(uint32_t n, uint32_t of)
{
	return of ? 100.0 * n / of : 0;
}

/* "counts": it fires, and not as often on ham as on spam (for one with points below 0: the other way round). */
static void
print_tally(const struct rules *rules, const struct tally *t)
{
	size_t counting = 0;

	printf("%-28s %6s  %7s %7s  %8s %8s\n", "symbol", "points", "ham", "spam", "ham %", "spam %");
	for (size_t pass = 0; pass <= 1; pass++)         /* the rules as they stand, then what C found */
		for (size_t i = 0; i < (pass == 0 ? rules_count(rules) : t->count); i++) {
			const char *name = pass == 0 ? rules_info(rules, i).symbol : t->at[i].name;
			double points = pass == 0 ? rules_info(rules, i).points : t->at[i].points;
			uint32_t hits[2] = { 0 };
			bool is_rule = pass == 0;

			for (size_t k = 0; k < t->count; k++)
				if (strcmp(t->at[k].name, name) == 0)
					memcpy(hits, t->at[k].hits, sizeof hits);
			for (size_t k = 0; k < rules_count(rules) && !is_rule; k++)
				is_rule = strcmp(rules_info(rules, k).symbol, name) == 0;
			if (pass == 1 && is_rule)
				continue;
			double ham = percent(hits[0], t->mails[0]), spam = percent(hits[1], t->mails[1]);
			bool counts = points < 0 ? ham > spam : spam > ham;

			counting += pass == 0 && counts;
			printf("%-28s %6.1f  %7u %7u  %8.3f %8.3f%s\n", name, points, hits[0], hits[1], ham, spam,
			    pass == 0 && !counts ? "  does not count" : "");
		}
	printf("%zu rules, %zu count (fire, and more often on their side)\n", rules_count(rules), counting);
	printf("ham %u, spam %u; rules alone: ham tagged %.3f %%, quarantined %.3f %%, unscannable %.3f %%;"
	    " spam tagged %.2f %%, quarantined %.2f %%, unscannable %.2f %%\n", t->mails[0], t->mails[1],
	    percent(t->tagged[0], t->mails[0]), percent(t->quarantined[0], t->mails[0]), percent(t->unscannable[0], t->mails[0]),
	    percent(t->tagged[1], t->mails[1]), percent(t->quarantined[1], t->mails[1]), percent(t->unscannable[1], t->mails[1]));
	printf("%.3f ms CPU a mail (parse, rules, score, reading the file)\n",
	    t->mails[0] + t->mails[1] ? (double)t->cpu_us / 1000 / (t->mails[0] + t->mails[1]) : 0);
	if (t->unread)
		printf("%u mails could not be read\n", t->unread);
}

static int
corpus(const struct config *config, char *const *indexes, int index_count, int jobs, enum show show)
{
	struct rules *rules = load(config);
	struct kit kit = { .config = config, .rules = rules };
	struct mail_list list = { 0 };
	pid_t pids[MAX_JOBS];
	int status, failed = 0;
	struct tally *tallies;

	if (rules == NULL)
		return 1;
	mail_prepare();
	for (int i = 0; i < index_count; i++)
		if (!list_read(&list, indexes[i]))
			return 1;
	tallies = mmap(NULL, sizeof *tallies * (size_t)(jobs + 1), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (tallies == MAP_FAILED) {
		perror("policyctl rules corpus");
		return 1;
	}
	fflush(stdout);
	for (int job = 0; job < jobs; job++)
		if ((pids[job] = fork()) == 0) {
			measure(&list, job, jobs, &kit, show, &tallies[job]);
			fflush(stdout);
			_exit(0);
		}
	for (int job = 0; job < jobs; job++) {
		if (pids[job] < 0 || waitpid(pids[job], &status, 0) < 0 || status != 0) {
			fprintf(stderr, "policyctl rules corpus: process %d of %d did not finish\n", job + 1, jobs);
			failed = 1;
		}
		add_tally(&tallies[jobs], &tallies[job]);
	}
	print_tally(rules, &tallies[jobs]);
	munmap(tallies, sizeof *tallies * (size_t)(jobs + 1));
	for (size_t i = 0; i < list.count; i++)
		free(list.at[i].path);
	free(list.at);
	rules_free(rules);
	return failed;
}

struct cost {
	size_t rule;
	int64_t spent_us;
};

static int
by_cost(const void *a, const void *b)
{
	int64_t x = ((const struct cost *)a)->spent_us, y = ((const struct cost *)b)->spent_us;

	return x < y ? 1 : x > y ? -1 : 0;
}

static int
bench(const struct config *config, char *const *indexes, int index_count)
{
	static struct tally tally;
	struct rules *rules = load(config);
	struct kit kit = { .config = config, .rules = rules };
	struct mail_list list = { 0 };
	struct cost *costs;

	if (rules == NULL || (costs = calloc(rules_count(rules) + 1, sizeof *costs)) == NULL)
		return 1;
	mail_prepare();
	for (int i = 0; i < index_count; i++)
		if (!list_read(&list, indexes[i]))
			return 1;
	rules_time(rules);
	measure(&list, 0, 1, &kit, SHOW_NONE, &tally);

	uint32_t mails = tally.mails[0] + tally.mails[1];
	int64_t sum_us = 0;

	for (size_t i = 0; i < rules_count(rules); i++) {
		costs[i] = (struct cost){ i, rules_info(rules, i).spent_us };
		sum_us += costs[i].spent_us;
	}
	qsort(costs, rules_count(rules), sizeof *costs, by_cost);
	for (size_t i = 0; i < rules_count(rules) && mails > 0; i++)
		printf("%8.2f us a mail  %s\n", (double)costs[i].spent_us / mails, rules_info(rules, costs[i].rule).symbol);
	printf("%u mails, %.1f us a mail in rules, %.1f us CPU all told\n", mails, mails ? (double)sum_us / mails : 0,
	    mails ? (double)tally.cpu_us / mails : 0);
	for (size_t i = 0; i < list.count; i++)
		free(list.at[i].path);
	free(list.at);
	free(costs);
	rules_free(rules);
	return 0;
}

int
cmd_rules(int argc, char **argv)
{
	enum { FALSE_POSITIVES = 256, MAILS };
	static const struct option options[] = { { "config", required_argument, NULL, 'c' }, { "rules", required_argument, NULL, 'r' },
	    { "jobs", required_argument, NULL, 'j' }, { "help", no_argument, NULL, 'h' },
	    { "false-positives", no_argument, NULL, FALSE_POSITIVES },
	    { "mails", no_argument, NULL, MAILS }, { NULL, 0, NULL, 0 } };
	static struct config config;
	const char *file = NULL, *what;
	char *dirs[MAX_RULE_DIRS];
	int dir_count = 0, jobs = (int)sysconf(_SC_NPROCESSORS_ONLN), c;
	enum show show = SHOW_NONE;
	bool bad = false;

	while ((c = getopt_long(argc, argv, "c:r:j:h", options, NULL)) != -1) {
		if (c == 'h') {
			fputs(help, stdout);
			return 0;
		}
		if (c == 'c')
			file = optarg;
		else if (c == 'r' && dir_count < MAX_RULE_DIRS)
			dirs[dir_count++] = optarg;
		else if (c == 'j')
			jobs = atoi(optarg);
		else if (c == FALSE_POSITIVES)
			show = SHOW_FALSE_POSITIVES;
		else if (c == MAILS)
			show = SHOW_ALL;
		else
			bad = true;
	}
	what = optind < argc ? argv[optind++] : "";
	jobs = jobs < 1 ? 1 : jobs > MAX_JOBS ? MAX_JOBS : jobs;
	argv += optind;
	argc -= optind;
	if (!bad && strcmp(what, "corpus") == 0 && argc > 0)
		return tool_config(file, dirs, dir_count, &config) ? corpus(&config, argv, argc, jobs, show) : 2;
	if (!bad && strcmp(what, "bench") == 0 && argc > 0)
		return tool_config(file, dirs, dir_count, &config) ? bench(&config, argv, argc) : 2;
	if (!bad && strcmp(what, "check") == 0)
		return tool_config(file, argv, argc, &config) ? check(&config) : 2;
	if (!bad && strcmp(what, "test") == 0)
		return tool_config(file, argv, argc, &config) ? test_all(&config) : 2;
	fputs(help, stderr);
	return 2;
}
