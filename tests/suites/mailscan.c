/* mailscan.c - what the parser and ClamAV make of mails: for measuring on suites and corpora, without a daemon.
 *
 *   mailscan [-d DATABASE] [-p] [-t] [-j [-b]] FILE...       or the files' names on standard input
 *
 * Prints a line per file: verdict (virus, unscannable, clean), the file, the symbols. -d scans with libclamav and that
 * database, without it only the parse runs; -p prints the parts too; -t prints the microseconds of CPU of the parse (best of 7)
 * and the arena's bytes instead of symbols; -j prints all that was found as a line of JSON (facts.h), each mail scanned in
 * a process of its own, as workers do, that has at most a minute; with -b the parts' bytes too. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "policyd/base/clock.h"
#include "policyd/mail/prepare.h"
#include "policyd/scan/stage.h"
#include "policyd/worker/antivirus.h"
#include "tests/suites/facts.h"

static struct config config;
static struct kit kit = { .config = &config };
static bool timing, parts, json, data;

static char *
read_file(const char *path, size_t *n)
{
	FILE *f = fopen(path, "rb");
	char *bytes = NULL;
	size_t room = 0;

	*n = 0;
	if (f == NULL) {
		perror(path);
		exit(2);
	}
	do {
		room = room ? room * 2 : 65536;
		if ((bytes = realloc(bytes, room)) == NULL)
			abort();
		*n += fread(bytes + *n, 1, room - *n, f);
	} while (*n == room);
	fclose(f);
	return bytes;
}

static int64_t
cpu_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void
print_parts(const struct message *msg)
{
	for (size_t i = 0; i < msg->part_count; i++) {
		const struct part *p = &msg->parts[i];

		printf("    %zu in %d, reading %d: " SPAN_FMT " enc=" SPAN_FMT " name=" SPAN_FMT " raw %zu data %zu " SPAN_FMT "\n", i, p->parent,
		    p->reading, SPAN_ARG(p->type), SPAN_ARG(p->encoding), SPAN_ARG(p->file_name), p->raw.n, p->data.n, SPAN_ARG(p->real_type));
	}
}

static void
scan_run(struct scan *scan, struct arena *arena, struct span raw)
{
	scan->arena = arena;
	scan->kit = &kit;
	scan->message.raw = raw;
	stage_mime(scan);
	if (kit.antivirus)
		stage_clamav(scan);
}

/* The child's exit is known to the parent only; a line of its own says what became of it. */
static void
show_json(const char *path)
{
	int status = 0;
	pid_t child;

	fflush(stdout);
	if ((child = fork()) < 0) {
		perror("fork");
		exit(2);
	}
	if (child == 0) {
		size_t n;
		char *bytes = read_file(path, &n);
		struct arena *arena = arena_open(MAX_SCAN_MEMORY);
		struct scan *scan = ARENA_NEW(arena, struct scan);
		struct rusage usage;
		int64_t start = clock_us();

		alarm(60);
		scan_run(scan, arena, span_make(bytes, n));
		struct cost cost = { .us = clock_us() - start };

		getrusage(RUSAGE_SELF, &usage);
		cost.peak_kb = usage.ru_maxrss;
		facts_print(stdout, path, scan, cost, data);
		fflush(stdout);
		_exit(0);
	}
	if (waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
		facts_died(stdout, path, WIFSIGNALED(status) ? WTERMSIG(status) : 0, WIFEXITED(status) ? WEXITSTATUS(status) : 0);
}

static void
show(const char *path)
{
	size_t n, used = 0;

	if (json) {
		show_json(path);
		return;
	}
	char *bytes = read_file(path, &n);
	struct arena *arena = arena_open(MAX_SCAN_MEMORY);
	struct scan *scan = ARENA_NEW(arena, struct scan);
	int64_t best = INT64_MAX;
	bool odd = false;

	for (int i = 0; timing && i < 7; i++) {
		struct arena_mark mark = arena_mark(arena);
		struct message msg;
		int64_t start = cpu_us();

		message_parse(arena, span_make(bytes, n), &msg);
		int64_t took = cpu_us() - start;

		best = took < best ? took : best;
		used = arena_used(arena);
		odd = msg.odd;
		arena_rewind(arena, mark);
	}
	if (timing) {
		printf("%8lld us  %zu bytes of mail  %zu of memory  %s%s\n", (long long)best, n, used, odd ? "swept " : "", path);
	} else {
		scan_run(scan, arena, span_make(bytes, n));
		unsigned c = scan->verdict.classes;

		printf("%s\t%s\t", c & CLASS_VIRUS ? "virus" : c & CLASS_UNSCANNABLE ? "unscannable" : "clean", path);
		for (size_t i = 0; i < scan->verdict.count; i++)
			printf(" " SPAN_FMT, SPAN_ARG(scan->verdict.at[i].name));
		puts("");
		if (parts)
			print_parts(&scan->message);
	}
	arena_close(arena);
	free(bytes);
}

int
main(int argc, char **argv)
{
	char why[500], line[4096];

	for (int c; (c = getopt(argc, argv, "d:ptjb")) != -1;) {
		if (c == 'd') {
			config.clamav = CLAMAV_LIB;
			snprintf(config.clamav_database, sizeof config.clamav_database, "%s", optarg);
		} else if (c == 'p') {
			parts = true;
		} else if (c == 't') {
			timing = true;
		} else if (c == 'j') {
			json = true;
		} else if (c == 'b') {
			data = true;
		} else {
			return 2;
		}
	}
	config.clamav_timeout_ms = 20000;
	mail_prepare();
	if (config.clamav == CLAMAV_LIB && !antivirus_open(&config, "/tmp", &kit.antivirus, why, sizeof why)) {
		fprintf(stderr, "%s\n", why);
		return 2;
	}
	for (int i = optind; i < argc; i++)
		show(argv[i]);
	while (optind == argc && fgets(line, sizeof line, stdin)) {
		line[strcspn(line, "\n")] = '\0';
		show(line);
	}
	return 0;
}
