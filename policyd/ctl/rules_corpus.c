/* rules_corpus.c - policyctl rules corpus, bench, diff: what rules do on labelled mail, what they cost, what a change of them changes. */
#include <stdio.h>
#include <stdlib.h>

#include "policyd/ctl/rules_measure.h"
#include "policyd/scan/decide.h"

static double
percent(double n, double of)
{
	return of ? 100.0 * n / of : 0;
}

static bool
read_lists(struct mail_list *list, char *const *indexes, int count)
{
	for (int i = 0; i < count; i++)
		if (!mail_list_read(list, indexes[i]))
			return false;
	return true;
}

/* --- corpus --- */

struct more {                                /* of a symbol, beside its hits */
	uint32_t alone;                      /* mails of its own side in which no other rule of that side fires */
	uint32_t decides;                    /* spam that is tagged with it and would not be without */
	uint32_t with;                       /* the symbol most often found together with it, and how often */
	uint32_t together;
};

static bool
is_rule(const struct measured_symbol *s)
{
	return s->rule >= 0 && !s->helper;
}

static void
count_alone(const struct measured *m, const struct mail_list *list, size_t i, double tag, struct more *more)
{
	const struct measured_mail *mail = &m->mails[i];
	uint32_t only = 0, on_side = 0;

	for (size_t k = 0; k < mail->count; k++) {
		const struct measured_hit *hit = &m->hits[mail->first + k];
		const struct measured_symbol *s = &m->symbols[hit->symbol];

		if (!is_rule(s))
			continue;
		if (s->nice != list->at[i].spam) {       /* a rule of spam in spam, a nice one in ham */
			on_side++;
			only = hit->symbol;
		}
		if (list->at[i].spam && mail->points >= tag && mail->points - hit->points < tag)
			more[hit->symbol].decides++;
	}
	if (on_side == 1)
		more[only].alone++;
}

/* Which other rule is most often found in the same mails. */
static void
count_together(const struct measured *m, struct more *more)
{
	uint32_t *pairs = calloc(m->symbol_count * m->symbol_count + 1, sizeof *pairs);

	for (size_t i = 0; pairs && i < m->mail_count; i++) {
		const struct measured_hit *hits = m->hits + m->mails[i].first;

		for (size_t a = 0; a < m->mails[i].count; a++)
			for (size_t b = 0; b < m->mails[i].count; b++)
				if (a != b && !m->symbols[hits[b].symbol].helper)
					pairs[hits[a].symbol * m->symbol_count + hits[b].symbol]++;
	}
	for (size_t a = 0; pairs && a < m->symbol_count; a++)
		for (size_t b = 0; b < m->symbol_count; b++)
			if (pairs[a * m->symbol_count + b] > more[a].together)
				more[a].together = pairs[a * m->symbol_count + b], more[a].with = (uint32_t)b;
	free(pairs);
}

/* "counts": it fires, and more often on its own side. */
static bool
counts(const struct measured *m, const struct measured_symbol *s)
{
	double ham = percent(s->hits[0], m->of[0]), spam = percent(s->hits[1], m->of[1]);

	return s->nice ? ham > spam : spam > ham;
}

static void
print_symbol(const struct measured *m, const struct measured_symbol *s, const struct more *more)
{
	double ham = percent(s->hits[0], m->of[0]), spam = percent(s->hits[1], m->of[1]);
	uint32_t all = s->hits[0] + s->hits[1];

	printf("%-32s %6.2f %7u %7u %8.3f %8.3f %6.3f %6u %6u %6.2f", s->name, s->points, s->hits[0], s->hits[1], ham, spam,
	    ham + spam > 0 ? spam / (ham + spam) : 0, more->alone, more->decides, (double)s->spent_us / (m->of[0] + m->of[1] + 1e-9));
	if (more->together > 0)
		printf("  %3.0f %% %s", percent(more->together, all), m->symbols[more->with].name);
	printf("%s\n", is_rule(s) && !counts(m, s) ? "  does not count" : "");
}

static void
print_summary(const struct measured *m, const struct mail_list *list)
{
	const double thresholds[] = { 4, 7, 15 };
	size_t rules = 0, counting = 0, unscannable = 0;

	for (size_t i = 0; i < m->symbol_count; i++) {
		rules += is_rule(&m->symbols[i]);
		counting += is_rule(&m->symbols[i]) && counts(m, &m->symbols[i]);
	}
	printf("%zu rules, %zu count (fire, and more often on their side)\n", rules, counting);
	for (size_t i = 0; i < m->mail_count; i++)
		unscannable += m->mails[i].unscannable;
	for (size_t t = 0; t < sizeof thresholds / sizeof *thresholds; t++) {
		uint32_t over[2] = { 0 };

		for (size_t i = 0; i < m->mail_count; i++)
			over[list->at[i].spam] += m->mails[i].read && m->mails[i].points >= thresholds[t];
		printf("rules alone at %4.1f points: %5.2f %% of %u spam, %.3f %% of %u ham\n", thresholds[t], percent(over[1], m->of[1]),
		    m->of[1], percent(over[0], m->of[0]), m->of[0]);
	}
	printf("%zu unscannable; %.3f ms CPU a mail (reading, parse, rules, score)\n", unscannable,
	    (double)m->cpu_us / 1000 / (m->of[0] + m->of[1] + 1e-9));
	if (m->of[0] + m->of[1] < m->mail_count)
		printf("%zu mails could not be read\n", m->mail_count - m->of[0] - m->of[1]);
}

static void
print_mails(const struct measured *m, const struct mail_list *list, enum show show)
{
	for (size_t i = 0; i < m->mail_count; i++) {
		const struct measured_mail *mail = &m->mails[i];
		bool shown = show == SHOW_ALL || show == SHOW_HITS || (show == SHOW_FALSE_POSITIVES && !list->at[i].spam && mail->points >= 4);

		if (!mail->read || !shown)
			continue;
		if (show == SHOW_HITS)
			printf("%s\t", list->at[i].path);
		else
			printf("%s %.2f %s:", list->at[i].spam ? "spam" : "ham", mail->points, list->at[i].path);
		for (size_t k = 0; k < mail->count; k++) {
			const struct measured_hit *hit = &m->hits[mail->first + k];
			const struct measured_symbol *s = &m->symbols[hit->symbol];

			if (show == SHOW_HITS)
				printf(" %s", s->name);
			else if (!s->helper)
				printf(" %s=%.1f", s->name, (double)hit->points);
		}
		printf("\n");
	}
}

int
rules_corpus(const struct config *config, char *const *indexes, int index_count, const struct rules_options *o)
{
	struct mail_list list = { 0 };
	struct measured m = { 0 };
	struct rules *rules = rules_tool_load(config);
	struct more *more = NULL;
	int code = 1;

	if (rules && read_lists(&list, indexes, index_count) && rules_measure(rules, config, &list, o->jobs, o->show != SHOW_HITS, &m) &&
	    (more = calloc(m.symbol_count + 1, sizeof *more)) != NULL) {
		code = m.failed_jobs > 0;
		if (o->show != SHOW_NONE)
			print_mails(&m, &list, o->show);
		if (o->show != SHOW_HITS) {
			for (size_t i = 0; i < m.mail_count; i++)
				count_alone(&m, &list, i, 4, more);
			count_together(&m, more);
			printf("%-32s %6s %7s %7s %8s %8s %6s %6s %6s %6s  %s\n", "symbol", "points", "ham", "spam", "ham %", "spam %", "S/O", "alone",
			    "tips", "us", "most often with");
			for (int pass = 0; pass <= 1; pass++)    /* rules, then what C found */
				for (size_t i = 0; i < m.symbol_count; i++)
					if ((m.symbols[i].rule < 0) == pass && !m.symbols[i].helper)
						print_symbol(&m, &m.symbols[i], &more[i]);
			print_summary(&m, &list);
		}
		if (m.failed_jobs > 0)
			fprintf(stderr, "policyctl rules corpus: %d processes did not finish\n", m.failed_jobs);
	}
	free(more);
	measured_free(&m);
	mail_list_free(&list);
	rules_free(rules);
	return code;
}

/* --- bench --- */

static int
by_cost(const void *a, const void *b)
{
	const struct measured_symbol *x = a, *y = b;

	return x->spent_us < y->spent_us ? 1 : x->spent_us > y->spent_us ? -1 : 0;
}

int
rules_bench(const struct config *config, char *const *indexes, int index_count, const struct rules_options *o)
{
	struct mail_list list = { 0 };
	struct measured m = { 0 };
	struct rules *rules = rules_tool_load(config);
	int code = 1;
	int64_t sum_us = 0;

	if (rules)
		rules_patterns_alone(rules, o->alone);
	if (rules && read_lists(&list, indexes, index_count) && rules_measure(rules, config, &list, 1, !o->quiet, &m)) {
		double mails = m.of[0] + m.of[1] + 1e-9;
		struct patterns_info p = rules_patterns(rules);

		qsort(m.symbols, m.symbol_count, sizeof *m.symbols, by_cost);
		for (size_t i = 0; i < m.symbol_count && !o->quiet; i++) {
			sum_us += m.symbols[i].spent_us;
			if (m.symbols[i].spent_us > 0)
				printf("%8.2f us a mail  %s\n", (double)m.symbols[i].spent_us / mails, m.symbols[i].name);
		}
		printf("%zu patterns over %zu views: %zu exact, %zu prefiltered, %zu by PCRE2 alone; %.1f MB, built in %.0f ms\n", p.patterns,
		    p.views, p.exact, p.prefilter, p.alone, (double)p.bytes / 1e6, (double)p.build_us / 1000);
		if (!o->quiet)
			printf("%.1f us a mail in the rules one by one\n", (double)sum_us / mails);
		printf("%.0f mails, %zu rules: %.1f us a mail in the stage of rules, %.1f us CPU all told\n", mails, rules_count(rules),
		    (double)m.stage_us / mails, (double)m.cpu_us / mails);
		code = m.failed_jobs > 0;
	}
	measured_free(&m);
	mail_list_free(&list);
	rules_free(rules);
	return code;
}

/* --- diff: which mails change their outcome --- */

static enum outcome
outcome_of(const struct policy *policy, const struct measured_mail *mail)
{
	struct judgement judgement = { .points = mail->points, .classes = mail->unscannable ? CLASS_UNSCANNABLE : 0 };

	return decide(policy, &judgement);
}

static bool
measure_dir(const char *dir, const struct mail_list *list, const struct rules_options *o, struct measured *m)
{
	static struct config config;
	char *dirs[] = { (char *)dir };
	struct rules *rules = rules_tool_config(o->config_file, dirs, 1, &config) ? rules_tool_load(&config) : NULL;
	bool ok;

	if (o->customer)
		snprintf(config.policy_default.customer, sizeof config.policy_default.customer, "%s", o->customer);
	ok = rules && rules_measure(rules, &config, list, o->jobs, false, m);
	rules_free(rules);
	return ok;
}

static void
print_difference(const struct measured *a, const struct measured *b, size_t i)
{
	for (int side = 0; side <= 1; side++) {
		const struct measured *here = side ? b : a, *there = side ? a : b;

		for (size_t k = 0; k < here->mails[i].count; k++) {
			const struct measured_hit *hit = &here->hits[here->mails[i].first + k];
			const char *name = here->symbols[hit->symbol].name;
			double other = 0;
			bool found = false;

			for (size_t n = 0; n < there->mails[i].count && !found; n++) {
				const struct measured_hit *h = &there->hits[there->mails[i].first + n];

				found = strcmp(there->symbols[h->symbol].name, name) == 0;
				other = (double)h->points;
			}
			if (!found && !here->symbols[hit->symbol].helper)
				printf(" %c%s=%.1f", side ? '+' : '-', name, (double)hit->points);
			else if (side && found && other != (double)hit->points)
				printf(" %s=%.1f->%.1f", name, other, (double)hit->points);
		}
	}
}

int
rules_diff(const char *old, const char *new, char *const *indexes, int index_count, const struct rules_options *o)
{
	struct mail_list list = { 0 };
	struct measured a = { 0 }, b = { 0 };
	struct policy policy;
	uint32_t changed[2] = { 0 }, moved[2][OUT__COUNT][OUT__COUNT] = { 0 };
	int code = 1;

	policy_default(&policy);
	if (read_lists(&list, indexes, index_count) && measure_dir(old, &list, o, &a) && measure_dir(new, &list, o, &b)) {
		for (size_t i = 0; i < list.count; i++) {
			enum outcome before = outcome_of(&policy, &a.mails[i]), after = outcome_of(&policy, &b.mails[i]);
			bool spam = list.at[i].spam;

			if (!a.mails[i].read || !b.mails[i].read || before == after)
				continue;
			changed[spam]++;
			moved[spam][before][after]++;
			printf("%s %s -> %s (%.1f -> %.1f) %s:", spam ? "spam" : "ham", outcome_names[before], outcome_names[after],
			    a.mails[i].points, b.mails[i].points, list.at[i].path);
			print_difference(&a, &b, i);
			printf("\n");
		}
		for (int spam = 0; spam <= 1; spam++)
			for (int from = 0; from < OUT__COUNT; from++)
				for (int to = 0; to < OUT__COUNT; to++)
					if (moved[spam][from][to])
						printf("%u %s: %s -> %s\n", moved[spam][from][to], spam ? "spam" : "ham", outcome_names[from],
						    outcome_names[to]);
		printf("%s%s%u of %u ham and %u of %u spam change their outcome\n", o->customer ? o->customer : "", o->customer ? ": " : "",
		    changed[0], b.of[0], changed[1], b.of[1]);
		code = a.failed_jobs + b.failed_jobs > 0;
	}
	measured_free(&a);
	measured_free(&b);
	mail_list_free(&list);
	return code;
}
