/* eval.c - policyctl eval: how good is the classifier on labelled mail. The measures are explained in eval_measure.h, the
 * ways of feedback in eval_run.h, what a corpus may be in eval_corpus.h. */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "policyd/base/limits.h"
#include "policyd/ctl/client.h"
#include "policyd/ctl/commands.h"
#include "policyd/ctl/eval_attack.h"
#include "policyd/ctl/eval_run.h"
#include "policyd/ctl/eval_unlearn.h"

static const char usage[] =
	"usage: policyctl eval [options] CORPUS...\n"
	"  CORPUS is an index (lines \"spam|ham PATH\"), a folder with one or with folders ham/ and spam/, a tar of such,\n"
	"  or ham:PATH or spam:PATH with a mail, folder, maildir, mbox or tar.\n"
	"  --order hash|index|shuffle  order of the mails (default hash: by SHA-256)\n"
	"  --seed N         of the shuffle (default 1)\n"
	"  --shuffles N     beside the order, the average and spread over N shuffles\n"
	"  --feedback WAY   immediate (default: classify, then learn), delay:N, share:F, first:N, none, folds:K\n"
	"  --train CORPUS   learn this first (may be repeated); with --feedback none: trained on one, tested on another\n"
	"  --noise F        a share F of the lessons has the wrong label\n"
	"  --guard          hold back lessons that contradict what is certain, as for labels of end users\n"
	"  --nodes N[:LAG]  N nodes take turns; each hears of new lessons every LAG mails only (default 10)\n"
	"  --customers HOW  each CORPUS is a customer, one arriving after the other: global, both, own\n"
	"  --attack WHAT    the first half is learnt, spam of the second attacked: above:N, below:N, random:N words, prose:N bytes\n"
	"  --unlearn F      two thirds are learnt and a share F of them taken back: what differs from never having learnt them\n"
	"  --strip FILE     header names to leave out, one a line\n"
	"  --portable       only features that mean the same at any site\n"
	"  --jobs N         parsers (default: processors)\n"
	"  --save FILE      the scores, for --compare\n"
	"  --compare FILE   with the scores of an earlier run of the same mails, by paired bootstrap\n"
	"  --plot FILE.svg  ROC and reliability (with --compare: of both)\n"
	"  --write FILE     the table that was learnt, for policyctl model import\n"
	"  --confidence F   of that table elsewhere: its log-odds times F (0 to 1), until lessons there correct it\n"
	"  --json           figures as JSON\n";

enum { RESAMPLES = 1000, TRAIN_MOST = 16 };

struct eval {
	struct corpus corpus, lessons;       /* lessons: --train */
	struct sample **order, **lesson_order;
	struct run run;
	struct arena *arena;
	const char *way, *order_name, *strip, *attack, *save, *compare, *plot, *write;
	const char *train[TRAIN_MOST];
	size_t train_count;
	uint64_t seed;
	double confidence, unlearn;
	int shuffles, jobs;
	bool json;
};

static int
by_digest(const void *a, const void *b)
{
	const struct sample *x = *(struct sample *const *)a, *y = *(struct sample *const *)b;

	return memcmp(x->digest, y->digest, sizeof x->digest);
}

static int
by_source(const void *a, const void *b)
{
	const struct sample *x = *(struct sample *const *)a, *y = *(struct sample *const *)b;

	return x->source != y->source ? (x->source < y->source ? -1 : 1) : by_digest(a, b);
}

static struct sample **
order_of(struct corpus *c)
{
	struct sample **order = malloc((c->count ? c->count : 1) * sizeof *order);

	for (size_t i = 0; order && i < c->count; i++)
		order[i] = &c->at[i];
	return order;
}

static void
put_in_order(struct eval *e, const char *name, uint64_t seed)
{
	for (size_t i = 0; i < e->corpus.count; i++)
		e->order[i] = &e->corpus.at[i];
	if (e->run.own != OWN_NONE || strcmp(name, "customers") == 0) {
		qsort(e->order, e->corpus.count, sizeof *e->order, by_source);
		return;
	}
	if (strcmp(name, "index") == 0)
		return;
	qsort(e->order, e->corpus.count, sizeof *e->order, by_digest);
	for (size_t i = e->corpus.count; i > 1 && strcmp(name, "shuffle") == 0; i--) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		size_t k = (size_t)(seed >> 33) % i;
		struct sample *t = e->order[i - 1];

		e->order[i - 1] = e->order[k];
		e->order[k] = t;
	}
}

static void
run_once(struct eval *e)
{
	table_clear(e->run.table);
	e->run.lessons = e->run.held = 0;
	e->run.model_us = 0;
	memset(e->run.trainings, 0, sizeof e->run.trainings);
	run_train(&e->run, e->lesson_order, e->lessons.count, e->arena);
	run_test(&e->run, e->order, e->corpus.count, e->arena);
}

/* ---- what is said ---- */

static json_t *
figures_json(const struct figures *f)
{
	return json_pack("{s:i,s:i,s:i,s:i,s:f,s:f,s:f,s:f,s:f,s:f}", "ham", (int)f->count[HAM], "spam", (int)f->count[SPAM], "ham_wrong",
	    (int)f->wrong[HAM], "spam_wrong", (int)f->wrong[SPAM], "one_minus_roca_percent", f->roca, "lam_percent", f->lam,
	    "miss_at_0.1_percent_ham", f->miss_01, "miss_at_0.01_percent_ham", f->miss_001, "ece", f->ece, "brier", f->brier);
}

static void
figures_line(const char *name, const struct figures *f)
{
	printf("%-22s %7zu %7zu %9.4f %7.3f %8.2f %8.2f %7.4f %5zu %5zu\n", name, f->count[HAM], f->count[SPAM], f->roca, f->lam, f->miss_01,
	    f->miss_001, f->ece, f->wrong[HAM], f->wrong[SPAM]);
}

static void
figures_title(void)
{
	printf("%-22s %7s %7s %9s %7s %8s %8s %7s %5s %5s\n", "", "ham", "spam", "1-ROCA%", "LAM%", "miss.1%", "miss.01%", "ECE", "hm", "sm");
}

/* Average and spread over shuffles, of 1-ROCA, LAM and the 0.1 % point. */
static void
say_shuffles(struct eval *e, json_t *out)
{
	double sum[3] = { 0 }, square[3] = { 0 };
	static const char *const names[3] = { "one_minus_roca_percent", "lam_percent", "miss_at_0.1_percent_ham" };

	for (int s = 1; s <= e->shuffles; s++) {
		struct figures f;

		put_in_order(e, "shuffle", (uint64_t)s);
		run_once(e);
		figures_of(e->run.judged, e->run.count, &f);
		const double now[3] = { f.roca, f.lam, f.miss_01 };

		for (int i = 0; i < 3; i++) {
			sum[i] += now[i];
			square[i] += now[i] * now[i];
		}
	}
	json_t *all = json_object();

	for (int i = 0; i < 3; i++) {
		double mean = sum[i] / e->shuffles, spread = sqrt(fmax(0, square[i] / e->shuffles - mean * mean));

		sum[i] = mean;
		square[i] = spread;
		json_object_set_new(all, names[i], json_pack("{s:f,s:f}", "mean", mean, "spread", spread));
	}
	json_object_set_new(out, "shuffles", all);
	if (!e->json)
		printf("mean of %d shuffles: 1-ROCA%% %.4f (+-%.4f)  LAM%% %.3f (+-%.3f)  miss at 0.1 %% ham %.2f (+-%.2f)\n", e->shuffles, sum[0],
		    square[0], sum[1], square[1], sum[2], square[2]);
}

static void
say_cost(const struct eval *e, json_t *out)
{
	const struct run *r = &e->run;
	double n = e->corpus.count ? (double)e->corpus.count : 1;

	json_object_set_new(out, "cost", json_pack("{s:f,s:f,s:f,s:i,s:[iii],s:i,s:i}", "parse_us", e->corpus.parse_us / n, "features_us",
	    e->corpus.feature_us / n, "model_us", r->model_us / n, "lessons", (int)r->lessons, "trainings", (int)r->trainings[0],
	    (int)r->trainings[1], (int)r->trainings[2], "held", (int)r->held, "table_kb", (int)(sizeof(struct table) / 1024)));
	if (!e->json)
		printf("CPU us a mail: parse %.0f, features %.0f, score and train %.0f · lessons %u (held %u), trained A %u B %u C %u · table %zu KB\n",
		    e->corpus.parse_us / n, e->corpus.feature_us / n, r->model_us / n, r->lessons, r->held, r->trainings[LEARNER_A],
		    r->trainings[LEARNER_B], r->trainings[LEARNER_C], sizeof(struct table) / 1024);
}

static void
say_last_customer(const struct eval *e, json_t *out)
{
	size_t first = 0;
	struct figures f;

	while (first < e->corpus.count && e->order[first]->source != e->corpus.sources - 1)
		first++;
	size_t n = e->run.count - first < 300 ? e->run.count - first : 300;

	figures_of(e->run.judged + first, n, &f);
	json_object_set_new(out, "latest_first_300", figures_json(&f));
	if (!e->json)
		figures_line("latest, first 300", &f);
}

/* ---- scores of another run ---- */

static bool
scores_save(const struct eval *e)
{
	FILE *f = fopen(e->save, "we");

	for (size_t i = 0; f && i < e->run.count; i++) {
		const struct judged *j = &e->run.judged[i];

		fprintf(f, "%016llx %s %.17g %.17g %s\n", (unsigned long long)j->id, j->label == SPAM ? "spam" : "ham", j->z, j->probability,
		    e->order[i]->path);
	}
	if (f == NULL || fclose(f) != 0) {
		fprintf(stderr, "policyctl eval: %s: %s\n", e->save, strerror(errno));
		return false;
	}
	return true;
}

static int
by_id(const void *a, const void *b)
{
	const struct judged *x = a, *y = b;

	return x->id != y->id ? (x->id < y->id ? -1 : 1) : x->label - y->label;
}

/* The saved scores, in the order of the ids, like `mine`; NULL when they are of other mails. */
static struct judged *
scores_load(const struct eval *e, const struct judged *mine)
{
	struct judged *j = calloc(e->run.count + 1, sizeof *j);
	FILE *f = fopen(e->compare, "re");
	char *line = NULL;
	size_t room = 0, n = 0;
	bool good = f != NULL && j != NULL;

	while (good && getline(&line, &room, f) > 0) {
		char label[8];
		unsigned long long id = 0;
		struct judged one = { 0 };

		good = n < e->run.count && sscanf(line, "%llx %7s %lf %lf", &id, label, &one.z, &one.probability) == 4;
		one.id = id;
		one.label = strcmp(label, "spam") == 0 ? SPAM : HAM;
		if (good)
			j[n++] = one;
	}
	if (good) {
		qsort(j, n, sizeof *j, by_id);
		good = n == e->run.count;
	}
	for (size_t i = 0; good && i < n; i++)
		good = j[i].id == mine[i].id && j[i].label == mine[i].label;
	if (!good)
		fprintf(stderr, "policyctl eval: %s: %s\n", e->compare, f == NULL ? strerror(errno) : "not the scores of the same mails");
	if (f)
		fclose(f);
	free(line);
	if (!good) {
		free(j);
		return NULL;
	}
	return j;
}

static void
say_difference(const char *name, const struct difference *d, bool json, json_t *out)
{
	json_object_set_new(out, name, json_pack("{s:f,s:f,s:f,s:f}", "mean", d->mean, "low", d->low, "high", d->high, "p", d->p));
	if (!json)
		printf("difference in %-8s %+.4f, 95 %% of resamples %+.4f ... %+.4f, p = %.3f\n", name, d->mean, d->low, d->high, d->p);
}

/* Against the saved run, and the plot of one or both. */
static bool
compare_and_plot(struct eval *e, json_t *out)
{
	struct judged *mine = malloc((e->run.count ? e->run.count : 1) * sizeof *mine), *other = NULL;
	struct difference roca, lam;
	bool good = mine != NULL;

	if (!good)
		return false;
	memcpy(mine, e->run.judged, e->run.count * sizeof *mine);
	qsort(mine, e->run.count, sizeof *mine, by_id);
	if (e->compare) {
		other = scores_load(e, mine);
		good = other && bootstrap(mine, other, e->run.count, RESAMPLES, 1, &roca, &lam);
		if (good) {
			json_t *d = json_object();

			say_difference("1-ROCA%", &roca, e->json, d);
			say_difference("LAM%", &lam, e->json, d);
			json_object_set_new(out, "difference", d);
		}
	}
	if (e->plot && good) {
		const struct plotted plotted[2] = { { "this run", mine, e->run.count }, { e->compare ? e->compare : "", other, e->run.count } };

		good = plot_write(e->plot, plotted, other ? 2 : 1);
		if (!good)
			fprintf(stderr, "policyctl eval: %s: %s\n", e->plot, strerror(errno));
	}
	free(mine);
	free(other);
	return good;
}

static bool
table_write(const struct eval *e)
{
	if (e->confidence < 1) {
		e->run.table->platt_a *= e->confidence;
		e->run.table->platt_b *= e->confidence;
	}
	FILE *f = fopen(e->write, "we");
	bool good = f && fwrite(e->run.table, sizeof *e->run.table, 1, f) == 1;

	good = f && fclose(f) == 0 && good;
	if (!good)
		fprintf(stderr, "policyctl eval: %s: %s\n", e->write, strerror(errno));
	return good;
}

/* ---- the attack ---- */

/* The first half is learnt; the second is scored as it is, then with the attack in its spam. */
static bool
run_attack(struct eval *e, json_t *out)
{
	size_t half = e->corpus.count / 2;
	struct figures clean, attacked;
	struct attack *attack = attack_open(e->attack, &e->corpus, e->order, half);
	struct sample **halves = e->order;

	if (attack == NULL)
		return false;
	e->run.feedback = FEEDBACK_NONE;
	run_train(&e->run, halves, half, e->arena);
	run_test(&e->run, halves + half, e->corpus.count - half, e->arena);
	figures_of(e->run.judged, e->run.count, &clean);
	for (int i = 0; i < e->corpus.parsers; i++)
		e->corpus.mapped[i] = (struct span){ NULL, 0 };      /* the first half's features are still in use: not unmapped */
	e->corpus.change = attack_change;
	e->corpus.change_arg = attack;
	bool good = corpus_read(&e->corpus, e->jobs);

	if (good) {
		run_test(&e->run, halves + half, e->corpus.count - half, e->arena);
		figures_of(e->run.judged, e->run.count, &attacked);
		double before = 100.0 * clean.wrong[SPAM] / fmax(1, clean.count[SPAM]), after = 100.0 * attacked.wrong[SPAM] / fmax(1, attacked.count[SPAM]);

		json_object_set_new(out, "clean", figures_json(&clean));
		json_object_set_new(out, "attacked", figures_json(&attacked));
		json_object_set_new(out, "missed_more_percent", json_real(after - before));
		if (!e->json) {
			figures_title();
			figures_line("second half", &clean);
			figures_line(e->attack, &attacked);
			printf("spam missed at z > 0: %.2f %%, under attack %.2f %% (%+.2f)\n", before, after, after - before);
		}
	}
	attack_close(attack);
	return good;
}

static bool
run_unlearn(struct eval *e, json_t *out)
{
	struct unlearnt u;

	if (!unlearn_measure(e->order, e->corpus.count, e->unlearn, e->seed, e->arena, &u))
		return false;
	double within = u.scored ? 100.0 * u.within / u.scored : 0;

	json_object_update_missing_new(out, json_pack("{s:i,s:i,s:i,s:i,s:i,s:f,s:f,s:i,s:i}", "lessons", (int)u.lessons, "taken_back", (int)u.taken_back,
	    "counters", (int)u.counters, "counters_differ", (int)u.counters_differ, "scored", (int)u.scored, "within_half_a_nat_percent", within,
	    "largest", u.largest, "flips", (int)u.flips, "flips_beyond_half_a_nat", (int)u.flips_beyond));
	if (!e->json)
		printf("%zu learnt, %zu of them taken back, against never having learnt these:\n%zu of %zu counters differ; of %zu scores %.2f %% lie within 0.5 nats "
		    "(the furthest %.2f apart); %zu decisions differ, %zu of them by more\n", u.lessons, u.taken_back, u.counters_differ, u.counters, u.scored,
		    within, u.largest, u.flips, u.flips_beyond);
	return true;
}

static bool
run_all(struct eval *e, json_t *out)
{
	struct figures f;

	put_in_order(e, e->order_name, e->seed);
	if (e->unlearn > 0)
		return run_unlearn(e, out);
	if (e->attack)
		return run_attack(e, out);
	run_once(e);
	figures_of(e->run.judged, e->run.count, &f);
	json_object_update_missing_new(out, figures_json(&f));
	if (!e->json) {
		figures_title();
		figures_line(e->order_name, &f);
	}
	if (e->run.own != OWN_NONE || strcmp(e->order_name, "customers") == 0)
		say_last_customer(e, out);
	say_cost(e, out);
	bool good = (e->save == NULL || scores_save(e)) && ((!e->compare && !e->plot) || compare_and_plot(e, out)) && (e->write == NULL || table_write(e));

	if (e->shuffles > 0)
		say_shuffles(e, out);
	return good;
}

/* ---- the command line ---- */

static int
bad_value(const char *option, const char *value, const char *expected)
{
	fprintf(stderr, "policyctl eval: --%s %s: expected %s\n", option, value, expected);
	return 2;
}

static bool
share(const char *text, double *value)
{
	char *end;

	*value = strtod(text, &end);
	return end != text && *end == '\0' && *value >= 0 && *value <= 1;
}

static int
read_options(struct eval *e, int argc, char **argv)
{
	static const struct option options[] = { { "order", 1, NULL, 'o' }, { "seed", 1, NULL, 's' }, { "shuffles", 1, NULL, 'n' },
	    { "feedback", 1, NULL, 'f' }, { "train", 1, NULL, 't' }, { "noise", 1, NULL, 'e' }, { "guard", 0, NULL, 'g' },
	    { "nodes", 1, NULL, 'N' }, { "customers", 1, NULL, 'c' }, { "unlearn", 1, NULL, 'u' }, { "attack", 1, NULL, 'a' }, { "strip", 1, NULL, 'x' }, { "portable", 0, NULL, 'p' },
	    { "jobs", 1, NULL, 'J' }, { "save", 1, NULL, 'S' }, { "compare", 1, NULL, 'C' }, { "plot", 1, NULL, 'P' },
	    { "write", 1, NULL, 'w' }, { "confidence", 1, NULL, 'k' }, { "json", 0, NULL, 'j' }, { "help", 0, NULL, 'h' }, { 0 } };

	optind = 0;
	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		switch (c) {
		case 'o':
			e->order_name = optarg;
			if (strcmp(optarg, "hash") != 0 && strcmp(optarg, "index") != 0 && strcmp(optarg, "shuffle") != 0)
				return bad_value("order", optarg, "hash, index or shuffle");
			break;
		case 's':
			e->seed = strtoull(optarg, NULL, 10);
			break;
		case 'n':
			e->shuffles = atoi(optarg);
			break;
		case 'f':
			if (!feedback_parse(optarg, &e->run))
				return bad_value("feedback", optarg, "immediate, delay:N, share:F, first:N, none or folds:K");
			break;
		case 't':
			if (e->train_count == TRAIN_MOST)
				return bad_value("train", optarg, "fewer of them");
			e->train[e->train_count++] = optarg;
			break;
		case 'e':
			if (!share(optarg, &e->run.noise))
				return bad_value("noise", optarg, "a share between 0 and 1");
			break;
		case 'N':
			if (!nodes_parse(optarg, &e->run))
				return bad_value("nodes", optarg, "1 to 64 nodes, and how many mails they are behind at most: 16:10");
			break;
		case 'g':
			e->run.guard = true;
			break;
		case 'c':
			e->order_name = "customers";
			e->run.own = strcmp(optarg, "both") == 0 ? OWN_BOTH : strcmp(optarg, "own") == 0 ? OWN_ONLY : OWN_NONE;
			if (e->run.own == OWN_NONE && strcmp(optarg, "global") != 0)
				return bad_value("customers", optarg, "global, both or own");
			break;
		case 'u':
			if (!share(optarg, &e->unlearn))
				return bad_value("unlearn", optarg, "a share between 0 and 1");
			break;
		case 'a':
			e->attack = optarg;
			break;
		case 'x':
			e->strip = optarg;
			break;
		case 'p':
			e->corpus.portable = e->lessons.portable = true;
			break;
		case 'J':
			e->jobs = atoi(optarg);
			break;
		case 'S':
			e->save = optarg;
			break;
		case 'C':
			e->compare = optarg;
			break;
		case 'P':
			e->plot = optarg;
			break;
		case 'w':
			e->write = optarg;
			break;
		case 'k':
			if (!share(optarg, &e->confidence))
				return bad_value("confidence", optarg, "a number between 0 and 1");
			break;
		case 'j':
			e->json = true;
			break;
		default:
			fputs(usage, c == 'h' ? stdout : stderr);
			return c == 'h' ? 0 : 2;
		}
	}
	if (optind == argc) {
		fputs(usage, stderr);
		return 2;
	}
	return -1;
}

static bool
read_mails(struct eval *e, int argc, char **argv)
{
	bool good = e->strip == NULL || (corpus_strip(&e->corpus, e->strip) && corpus_strip(&e->lessons, e->strip));

	for (size_t i = 0; i < e->train_count && good; i++)
		good = corpus_add(&e->lessons, e->train[i]);
	for (int i = optind; i < argc && good; i++)
		good = corpus_add(&e->corpus, argv[i]);
	good = good && (e->train_count == 0 || corpus_read(&e->lessons, e->jobs)) && corpus_read(&e->corpus, e->jobs);
	if (!good)
		return false;
	e->order = order_of(&e->corpus);
	e->lesson_order = order_of(&e->lessons);
	e->run.table = table_private();
	e->run.judged = calloc(e->corpus.count ? e->corpus.count : 1, sizeof *e->run.judged);
	if (e->lesson_order)
		qsort(e->lesson_order, e->lessons.count, sizeof *e->lesson_order, by_digest);
	return e->order && e->lesson_order && e->run.table && e->run.judged;
}

int
cmd_eval(int argc, char **argv)
{
	struct eval *e = calloc(1, sizeof *e);
	json_t *out = json_object();
	int code;

	if (e == NULL)
		return 1;
	e->corpus.spool = e->lessons.spool = -1;
	e->order_name = "hash";
	e->seed = 1;
	e->confidence = 1;
	e->json = ctl_json;
	e->jobs = (int)sysconf(_SC_NPROCESSORS_ONLN);
	e->arena = arena_open(MAX_SCAN_MEMORY);
	code = read_options(e, argc, argv);
	if (code < 0) {
		e->run.seed = e->seed;
		code = read_mails(e, argc, argv) && run_all(e, out) ? 0 : 1;
		if (code == 0 && e->json) {
			json_dumpf(out, stdout, JSON_INDENT(1) | JSON_PRESERVE_ORDER);
			puts("");
		}
	}
	json_decref(out);
	corpus_free(&e->corpus);
	corpus_free(&e->lessons);
	table_private_free(e->run.table);
	arena_close(e->arena);
	free(e->run.judged);
	free(e->order);
	free(e->lesson_order);
	free(e);
	return code;
}
