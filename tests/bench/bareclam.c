/* bareclam - what libclamav alone takes for the same messages: one engine, one process, each message scanned as it is.
 *
 * usage: bareclam DATABASE INDEX FROM COUNT cache|nocache
 * INDEX has "spam|ham PATH" a line; PATH is relative to it. Prints CPU ms a message, messages a second, viruses found. */
#include <clamav.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

struct mail {
	char *bytes;
	size_t n;
};

static double
cpu_s(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static double
wall_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* As SMTP carries it: without the mbox line, lines end in CR LF. */
static struct mail
as_sent(struct mail file)
{
	struct mail sent = { .bytes = malloc(2 * file.n + 1) };
	size_t i = 0;

	if (sent.bytes == NULL)
		exit(2);
	if (file.n > 5 && memcmp(file.bytes, "From ", 5) == 0)
		while (i < file.n && file.bytes[i++] != '\n')
			;
	for (; i < file.n; i++) {
		if (file.bytes[i] == '\n' && (i == 0 || file.bytes[i - 1] != '\r'))
			sent.bytes[sent.n++] = '\r';
		sent.bytes[sent.n++] = file.bytes[i];
	}
	free(file.bytes);
	return sent;
}

static struct mail
read_mail(const char *path)
{
	struct mail mail = { 0 };
	FILE *f = fopen(path, "rb");
	long n;

	if (f == NULL || fseek(f, 0, SEEK_END) != 0 || (n = ftell(f)) < 0 || fseek(f, 0, SEEK_SET) != 0 ||
	    (mail.bytes = malloc((size_t)n + 1)) == NULL || fread(mail.bytes, 1, (size_t)n, f) != (size_t)n) {
		perror(path);
		exit(2);
	}
	mail.n = (size_t)n;
	fclose(f);
	return as_sent(mail);
}

int
main(int argc, char **argv)
{
	if (argc != 6) {
		fprintf(stderr, "usage: bareclam DATABASE INDEX FROM COUNT cache|nocache\n");
		return 2;
	}
	size_t from = strtoul(argv[3], NULL, 10), count = strtoul(argv[4], NULL, 10), n = 0, at = 0;
	struct mail *mails = calloc(count ? count : 1, sizeof *mails);
	FILE *index = fopen(argv[2], "r");
	char line[1024], path[2048], label[8], name[1000];
	const char *slash = strrchr(argv[2], '/');

	if (index == NULL || mails == NULL) {
		perror(argv[2]);
		return 2;
	}
	while (n < count && fgets(line, sizeof line, index))
		if (sscanf(line, "%7s %999s", label, name) == 2 && at++ >= from) {
			snprintf(path, sizeof path, "%.*s%s", name[0] == '/' || !slash ? 0 : (int)(slash - argv[2]) + 1, argv[2], name);
			mails[n++] = read_mail(path);
		}
	fclose(index);

	unsigned signatures = 0, viruses = 0, failed = 0;
	struct cl_engine *engine;

	if (cl_init(CL_INIT_DEFAULT) != CL_SUCCESS || (engine = cl_engine_new()) == NULL ||
	    cl_load(argv[1], engine, &signatures, CL_DB_STDOPT) != CL_SUCCESS ||
	    (strcmp(argv[5], "nocache") == 0 && cl_engine_set_num(engine, CL_ENGINE_DISABLE_CACHE, 1) != CL_SUCCESS) ||
	    cl_engine_compile(engine) != CL_SUCCESS) {
		fprintf(stderr, "bareclam: %s cannot be loaded\n", argv[1]);
		return 2;
	}
	double cpu = cpu_s(), wall = wall_s();

	for (size_t i = 0; i < n; i++) {
		struct cl_scan_options options = { .general = CL_SCAN_GENERAL_HEURISTICS, .parse = ~0u,
			.heuristic = CL_SCAN_HEURISTIC_EXCEEDS_MAX };
		const char *virus = NULL;
		unsigned long scanned = 0;
		cl_fmap_t *map = cl_fmap_open_memory(mails[i].bytes, mails[i].n);
		cl_error_t result = map ? cl_scanmap_callback(map, NULL, &virus, &scanned, engine, &options, NULL) : CL_EMEM;

		viruses += result == CL_VIRUS;
		failed += result != CL_VIRUS && result != CL_CLEAN;
		if (map)
			cl_fmap_close(map);
	}
	cpu = cpu_s() - cpu;
	wall = wall_s() - wall;
	printf("{\"messages\": %zu, \"signatures\": %u, \"cpu_ms\": %.3f, \"per_s\": %.1f, \"viruses\": %u, \"failed\": %u}\n",
	    n, signatures, n ? cpu * 1000 / (double)n : 0, wall > 0 ? (double)n / wall : 0, viruses, failed);
	cl_engine_free(engine);
	return 0;
}
