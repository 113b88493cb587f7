/* eval.c - policyctl eval: how good is the classifier, by the TREC protocol: classify, then train with the truth.
 *
 * 1-ROCA%  100 x the share of (ham, spam) pairs that are ranked the wrong way, ties half (Cormack and Lynam 2005)
 * LAM%     logistic average of ham and spam misclassification, (k + .5) / (n + 1)
 * miss     spam missed at the threshold where 0.1 % of ham is misclassified */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <jansson.h>
#include <math.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "policyd/base/clock.h"
#include "policyd/base/ipc.h"
#include "policyd/base/limits.h"
#include "policyd/ctl/commands.h"
#include "policyd/mail/prepare.h"
#include "policyd/model/learners.h"

struct item {
	char *path;
	int label;
	uint8_t digest[SHA256_DIGEST_LENGTH];
	double score;
};

struct run {
	struct item *items;
	size_t count, room;
	char strip[128][64];                 /* header names to leave out, lower case; "x-foo*" is a prefix */
	size_t strip_count;
	int64_t parse_us, feature_us, model_us;
	uint64_t features;
	unsigned trainings[LEARNERS];
};

static const char usage[] =
	"usage: policyctl eval [options] INDEX...\n"
	"  INDEX is a file of lines \"spam|ham PATH\" (paths relative to it)\n"
	"  --order hash|index|shuffle   order of the messages (default hash: by SHA-256)\n"
	"  --seed N                     of the shuffle (default 1)\n"
	"  --strip FILE                 header names to leave out, one a line\n"
	"  --json                       figures as JSON\n";

static struct span
strip_headers(const struct run *run, struct arena *a, struct span raw)
{
	char *out = arena_alloc(a, raw.n + 1);
	size_t n = 0;
	bool skip = false, body = run->strip_count == 0;

	if (body)
		return raw;
	for (struct span rest = raw; rest.n > 0;) {
		struct span before = rest, line = span_cut(&rest, '\n');
		size_t length = before.n - rest.n;

		if (!body && (line.n == 0 || (line.n == 1 && line.p[0] == '\r')))
			body = true;
		if (!body && line.p[0] != ' ' && line.p[0] != '\t') {
			struct span name = line;

			skip = false;
			name = span_cut(&name, ':');
			for (size_t i = 0; i < run->strip_count; i++) {
				struct span pattern = span_of(run->strip[i]);
				bool prefix = pattern.n > 0 && pattern.p[pattern.n - 1] == '*';

				skip |= prefix ? span_starts_nocase(name, span_head(pattern, pattern.n - 1)) : span_eq_nocase(name, pattern);
			}
			skip |= span_starts(line, SPAN("From "));
		}
		if (body || !skip) {
			memcpy(out + n, before.p, length);
			n += length;
		}
	}
	return span_make(out, n);
}

static bool
read_strip(struct run *run, const char *path)
{
	FILE *f = fopen(path, "re");
	char line[256];

	if (f == NULL) {
		fprintf(stderr, "policyctl eval: %s: %s\n", path, strerror(errno));
		return false;
	}
	while (fgets(line, sizeof line, f) && run->strip_count < 128) {
		struct span name = span_trim(span_of(line));

		if (name.n == 0 || name.p[0] == '#' || name.n >= 64)
			continue;
		snprintf(run->strip[run->strip_count++], 64, SPAN_FMT, SPAN_ARG(name));
	}
	fclose(f);
	return true;
}

static bool
read_index(struct run *run, const char *path)
{
	FILE *f = fopen(path, "re");
	char *line = NULL, *slash = strrchr(path, '/');
	size_t room = 0;

	if (f == NULL) {
		fprintf(stderr, "policyctl eval: %s: %s\n", path, strerror(errno));
		return false;
	}
	for (ssize_t n; (n = getline(&line, &room, f)) > 0;) {
		struct span rest = span_trim(span_make(line, (size_t)n)), kind = span_cut(&rest, ' ');
		char full[4096];

		rest = span_trim(rest);
		if (kind.n == 0)
			continue;
		if (rest.n == 0 || (!span_eq(kind, SPAN("spam")) && !span_eq(kind, SPAN("ham")))) {
			fprintf(stderr, "policyctl eval: %s: \"%.80s\"; expected \"spam PATH\" or \"ham PATH\"\n", path, line);
			fclose(f);
			free(line);
			return false;
		}
		if (rest.p[0] == '/' || slash == NULL)
			snprintf(full, sizeof full, SPAN_FMT, SPAN_ARG(rest));
		else
			snprintf(full, sizeof full, "%.*s/" SPAN_FMT, (int)(slash - path), path, SPAN_ARG(rest));
		if (run->count == run->room) {
			run->room = run->room ? run->room * 2 : 1024;
			run->items = realloc(run->items, run->room * sizeof *run->items);
		}
		run->items[run->count++] = (struct item){ .path = strdup(full), .label = span_eq(kind, SPAN("spam")) ? SPAM : HAM };
	}
	free(line);
	fclose(f);
	return true;
}

static int
by_digest(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	return memcmp(x->digest, y->digest, sizeof x->digest);
}

static int
by_score(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	return x->score < y->score ? -1 : x->score > y->score;
}

static void
digest_all(struct run *run)
{
	for (size_t i = 0; i < run->count; i++) {
		int fd = open(run->items[i].path, O_RDONLY | O_CLOEXEC);
		struct span raw = fd < 0 ? SPAN("") : map_fd(fd);

		SHA256((const unsigned char *)raw.p, raw.n, run->items[i].digest);
		if (fd >= 0) {
			unmap(raw);
			close(fd);
		}
	}
}

static void
shuffle(struct run *run, uint64_t seed)
{
	qsort(run->items, run->count, sizeof *run->items, by_digest);
	for (size_t i = run->count; i > 1; i--) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		size_t k = (size_t)(seed >> 33) % i;
		struct item t = run->items[i - 1];

		run->items[i - 1] = run->items[k];
		run->items[k] = t;
	}
}

static bool
run_one(struct run *run, struct table *table, struct item *item, struct arena *arena)
{
	struct message msg;
	struct session nobody = { 0 };
	struct features features;
	struct learner_scores scores;
	int fd = open(item->path, O_RDONLY | O_CLOEXEC);
	struct span raw = fd < 0 ? (struct span){ NULL, 0 } : map_fd(fd);
	uint64_t seed;

	if (fd >= 0)
		close(fd);
	if (raw.p == NULL) {
		fprintf(stderr, "policyctl eval: %s: %s\n", item->path, strerror(errno));
		return false;
	}
	struct span kept = strip_headers(run, arena, raw);
	int64_t start = clock_cpu_us();

	message_parse(arena, kept, &msg);
	run->parse_us += clock_cpu_us() - start;
	start = clock_cpu_us();
	features_extract(arena, &msg, &nobody, &features);
	run->feature_us += clock_cpu_us() - start;
	start = clock_cpu_us();
	learners_score(table, &features, &scores);
	item->score = scores.z;
	memcpy(&seed, item->digest, sizeof seed);
	unsigned trained = learners_train(table, &features, item->label, seed);

	run->model_us += clock_cpu_us() - start;
	run->features += features.words.count + features.pairs.count + features.structure.count;
	for (int i = 0; i < LEARNERS; i++)
		run->trainings[i] += trained >> i & 1;
	unmap(raw);
	return true;
}

static double
logit(double p)
{
	return log(p / (1 - p));
}

static void
report(struct run *run, bool json)
{
	size_t count[2] = { 0 }, wrong[2] = { 0 }, spam_below = 0, miss = 0;
	double pairs_wrong = 0;

	for (size_t i = 0; i < run->count; i++) {
		const struct item *item = &run->items[i];

		count[item->label]++;
		wrong[item->label] += (item->score > 0) != (item->label == SPAM);
	}
	qsort(run->items, run->count, sizeof *run->items, by_score);
	for (size_t i = 0; i < run->count;) {          /* runs of equal scores count half */
		size_t k = i, spam = 0, ham = 0;

		for (; k < run->count && run->items[k].score == run->items[i].score; k++)
			run->items[k].label == SPAM ? spam++ : ham++;
		pairs_wrong += (double)ham * ((double)spam_below + spam / 2.0);
		spam_below += spam;
		i = k;
	}
	/* A ham is ranked wrongly for every spam below it. */
	double roca = count[HAM] && count[SPAM] ? 100 * pairs_wrong / ((double)count[HAM] * (double)count[SPAM]) : 0;
	double hm = (wrong[HAM] + 0.5) / (count[HAM] + 1.0), sm = (wrong[SPAM] + 0.5) / (count[SPAM] + 1.0);
	double lam = 100 / (1 + exp(-(logit(hm) + logit(sm)) / 2));
	size_t allowed = (size_t)(count[HAM] * 0.001), hams = 0, i = run->count;

	while (i > 0 && hams + (run->items[i - 1].label == HAM) <= allowed)
		hams += run->items[--i].label == HAM;
	for (size_t k = 0; k < i; k++)
		miss += run->items[k].label == SPAM;
	double missed = count[SPAM] ? 100.0 * miss / count[SPAM] : 0, n = run->count ? (double)run->count : 1;

	if (json) {
		json_t *o = json_pack("{s:i,s:i,s:f,s:f,s:f,s:i,s:i,s:f,s:f,s:f,s:f}", "ham", (int)count[HAM], "spam", (int)count[SPAM],
		    "one_minus_roca_percent", roca, "lam_percent", lam, "miss_at_0.1_percent_ham", missed, "ham_wrong",
		    (int)wrong[HAM], "spam_wrong", (int)wrong[SPAM], "parse_us", run->parse_us / n, "features_us",
		    run->feature_us / n, "model_us", run->model_us / n, "features", run->features / n);

		json_dumpf(o, stdout, JSON_INDENT(1));
		puts("");
		json_decref(o);
		return;
	}
	printf("messages  %zu ham, %zu spam\n1-ROCA%%   %.4f\nLAM%%      %.3f\nmissed at 0.1 %% ham  %.2f %%\n", count[HAM], count[SPAM], roca, lam, missed);
	printf("at z > 0  %zu ham wrong, %zu spam wrong\n", wrong[HAM], wrong[SPAM]);
	printf("CPU us    parse %.0f, features %.0f, score and train %.0f; %.0f features a message\n", run->parse_us / n,
	    run->feature_us / n, run->model_us / n, run->features / n);
	printf("trained   A %u, B %u times; table %zu KB\n", run->trainings[LEARNER_A], run->trainings[LEARNER_B], sizeof(struct table) / 1024);
}

int
cmd_eval(int argc, char **argv)
{
	static const struct option options[] = { { "order", 1, NULL, 'o' }, { "seed", 1, NULL, 's' }, { "strip", 1, NULL, 'x' },
	    { "json", 0, NULL, 'j' }, { "help", 0, NULL, 'h' }, { 0 } };
	struct run *run = calloc(1, sizeof *run);
	const char *order = "hash";
	uint64_t seed = 1;
	bool json = false, good = true;

	optind = 0;
	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		if (c == 'o')
			order = optarg;
		else if (c == 's')
			seed = strtoull(optarg, NULL, 10);
		else if (c == 'x')
			good = good && read_strip(run, optarg);
		else if (c == 'j')
			json = true;
		else {
			fputs(usage, c == 'h' ? stdout : stderr);
			free(run);
			return c == 'h' ? 0 : 2;
		}
	}
	for (int i = optind; good && i < argc; i++)
		good = read_index(run, argv[i]);
	if (!good || run->count == 0) {
		if (good)
			fputs(usage, stderr);
		free(run);
		return 2;
	}
	struct table *table = table_private();
	struct arena *arena = arena_open(MAX_SCAN_MEMORY);
	struct arena_mark mark = arena_mark(arena);

	mail_prepare();
	digest_all(run);
	if (strcmp(order, "shuffle") == 0)
		shuffle(run, seed);
	else if (strcmp(order, "hash") == 0)
		qsort(run->items, run->count, sizeof *run->items, by_digest);
	for (size_t i = 0; good && i < run->count; i++) {
		good = run_one(run, table, &run->items[i], arena);
		arena_rewind(arena, mark);
		if (isatty(STDERR_FILENO) && i % 200 == 0)
			fprintf(stderr, "\r%zu of %zu", i, run->count);
	}
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r                    \r");
	if (good)
		report(run, json);
	for (size_t i = 0; i < run->count; i++)
		free(run->items[i].path);
	free(run->items);
	free(run);
	table_private_free(table);
	arena_close(arena);
	return good ? 0 : 1;
}
