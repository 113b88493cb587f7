#include "policyd/ctl/rules_measure.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "policyd/base/clock.h"
#include "policyd/mail/prepare.h"

/* What a process writes of each mail to its own temporary file; the parent reads them when all are done. */
struct record {
	uint32_t mail;
	uint32_t hits;                       /* so many struct record_hit follow */
	double points;
	uint32_t unscannable;
};
struct record_hit {
	char name[64];
	double points;
	int32_t rule;
};

struct shared {                              /* between the processes */
	_Atomic uint32_t done;
	_Atomic int64_t cpu_us, stage_us;
	_Atomic int64_t spent_us[];          /* of each rule */
};

static void
write_hit(FILE *to, const char *name, size_t n, double points, int rule)
{
	struct record_hit hit = { .points = points, .rule = rule };

	memcpy(hit.name, name, n < sizeof hit.name ? n : sizeof hit.name - 1);
	fwrite(&hit, sizeof hit, 1, to);
}

static void
write_mail(FILE *to, const struct rules *rules, const struct scan *scan, uint32_t mail)
{
	struct record record = { .mail = mail, .points = scan->classes[0].points,
	    .unscannable = (scan->verdict.classes & CLASS_UNSCANNABLE) != 0 };

	for (size_t i = 0; i < rules_count(rules); i++)
		record.hits += rules_hit(rules, i) && rules_info(rules, i).helper;
	record.hits += (uint32_t)scan->verdict.count;
	fwrite(&record, sizeof record, 1, to);
	for (size_t i = 0; i < scan->verdict.count; i++) {
		const struct symbol *s = &scan->verdict.at[i];

		write_hit(to, s->name.p, s->name.n, s->points, -2);      /* the parent knows which rule */
	}
	for (size_t i = 0; i < rules_count(rules); i++)
		if (rules_hit(rules, i) && rules_info(rules, i).helper)
			write_hit(to, rules_info(rules, i).symbol, strlen(rules_info(rules, i).symbol), 0, (int32_t)i);
}

static void
run_job(const struct mail_list *list, int job, int jobs, struct rules *rules, const struct config *config, FILE *to, struct shared *shared)
{
	struct arena *a = arena_open(MAX_SCAN_MEMORY);
	struct arena_mark start = arena_mark(a);
	struct kit kit = { .config = config, .rules = rules };
	int64_t start_us = clock_cpu_us();

	for (size_t i = (size_t)job; i < list->count; i += (size_t)jobs) {
		struct scan *scan = ARENA_NEW(a, struct scan);
		struct class_score class = { .log_odds = list->at[i].log_odds, .model_known = list->at[i].model_known };
		struct span raw;

		if (rules_tool_read(a, list->at[i].path, &raw)) {
			rules_tool_scan(scan, a, &kit, &class, raw);
			write_mail(to, rules, scan, (uint32_t)i);
		}
		atomic_fetch_add(&shared->done, 1);
		arena_rewind(a, start);
	}
	atomic_fetch_add(&shared->cpu_us, clock_cpu_us() - start_us);
	atomic_fetch_add(&shared->stage_us, rules_spent_us(rules));
	for (size_t i = 0; i < rules_count(rules); i++)
		atomic_fetch_add(&shared->spent_us[i], rules_info(rules, i).spent_us);
	arena_close(a);
	fflush(to);
}

static void
show_progress(const struct shared *shared, size_t all)
{
	uint32_t done = atomic_load(&shared->done);
	int width = all ? (int)(40 * done / all) : 40;

	fprintf(stderr, "\r[%.*s%*s] %u of %zu", width, "########################################", 40 - width, "", done, all);
}

/* Wait for all, with a bar where a person looks. Returns how many did not finish. */
static int
wait_for(const pid_t *pids, int jobs, const struct shared *shared, size_t all)
{
	bool bar = isatty(STDERR_FILENO);
	int failed = 0;

	for (int job = 0; job < jobs; job++) {
		int status = 1;
		pid_t pid = 0;

		while (pids[job] > 0 && (pid = waitpid(pids[job], &status, bar ? WNOHANG : 0)) == 0) {
			struct timespec tick = { 0, 100 * 1000 * 1000 };

			show_progress(shared, all);
			nanosleep(&tick, NULL);
		}
		failed += pid != pids[job] || status != 0;
	}
	if (bar)
		fprintf(stderr, "\r%60s\r", "");
	return failed;
}

/* --- the parent's side --- */

static bool
grow(void *array, size_t count, size_t *room, size_t size)
{
	void **at = array;

	if (count < *room)
		return true;
	size_t more = *room ? *room * 2 : 1024;
	void *p = realloc(*at, more * size);

	if (p == NULL)
		return false;
	*at = p;
	*room = more;
	return true;
}

/* The symbol's number: a rule's own, or the next for what C found. */
static int
symbol_number(struct measured *m, const struct record_hit *hit, int *last)
{
	for (size_t i = 0; i < m->symbol_count; i++) {
		size_t at = ((size_t)*last + i) % m->symbol_count;       /* hits of a mail come in the order of the rules */

		if (strcmp(m->symbols[at].name, hit->name) == 0) {
			*last = (int)at;
			return (int)at;
		}
	}
	if (!grow(&m->symbols, m->symbol_count, &m->symbol_room, sizeof *m->symbols))
		return -1;
	m->symbols[m->symbol_count] = (struct measured_symbol){ .points = hit->points, .rule = -1, .nice = hit->points < 0 };
	snprintf(m->symbols[m->symbol_count].name, sizeof hit->name, "%s", hit->name);
	return (int)m->symbol_count++;
}

static bool
read_records(struct measured *m, const struct mail_list *list, FILE *from)
{
	struct record record;

	rewind(from);
	while (fread(&record, sizeof record, 1, from) == 1 && record.mail < m->mail_count) {
		struct measured_mail *mail = &m->mails[record.mail];
		bool spam = list->at[record.mail].spam;
		int last = 0;

		*mail = (struct measured_mail){ true, record.unscannable, record.points, m->hit_count, record.hits };
		m->of[spam]++;
		for (uint32_t i = 0; i < record.hits; i++) {
			struct record_hit hit;
			int symbol;

			if (fread(&hit, sizeof hit, 1, from) != 1 || (symbol = symbol_number(m, &hit, &last)) < 0 ||
			    !grow(&m->hits, m->hit_count, &m->hit_room, sizeof *m->hits))
				return false;
			m->hits[m->hit_count++] = (struct measured_hit){ (uint32_t)symbol, (float)hit.points };
			m->symbols[symbol].hits[spam]++;
		}
	}
	return true;
}

static bool
list_rules(struct measured *m, const struct rules *rules, const struct shared *shared)
{
	for (size_t i = 0; i < rules_count(rules); i++) {
		struct rule_info info = rules_info(rules, i);

		if (!grow(&m->symbols, m->symbol_count, &m->symbol_room, sizeof *m->symbols))
			return false;
		m->symbols[m->symbol_count] = (struct measured_symbol){ .points = info.points, .rule = (int)i, .helper = info.helper,
		    .nice = info.points < 0, .spent_us = atomic_load(&shared->spent_us[i]) };
		snprintf(m->symbols[m->symbol_count].name, sizeof m->symbols->name, "%s", info.symbol);
		m->symbol_count++;
	}
	return true;
}

bool
rules_measure(struct rules *rules, const struct config *config, const struct mail_list *list, int jobs, bool timed, struct measured *out)
{
	size_t shared_size = sizeof(struct shared) + rules_count(rules) * sizeof(int64_t);
	struct shared *shared = mmap(NULL, shared_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	FILE *files[64] = { 0 };
	pid_t pids[64];
	bool ok = shared != MAP_FAILED;

	*out = (struct measured){ .mails = calloc(list->count + 1, sizeof *out->mails), .mail_count = list->count };
	ok = ok && out->mails;
	jobs = jobs > 64 ? 64 : jobs;
	mail_prepare();
	if (timed)
		rules_time(rules);
	fflush(stdout);
	for (int job = 0; ok && job < jobs; job++) {
		ok = (files[job] = tmpfile()) != NULL;
		if (ok && (pids[job] = fork()) == 0) {
			run_job(list, job, jobs, rules, config, files[job], shared);
			_exit(0);
		}
	}
	if (ok) {
		out->failed_jobs = wait_for(pids, jobs, shared, list->count);
		out->cpu_us = atomic_load(&shared->cpu_us);
		out->stage_us = atomic_load(&shared->stage_us);
		ok = list_rules(out, rules, shared);
	}
	for (int job = 0; job < jobs; job++)
		if (files[job]) {
			ok = ok && read_records(out, list, files[job]);
			fclose(files[job]);
		}
	if (shared != MAP_FAILED)
		munmap(shared, shared_size);
	if (!ok)
		fprintf(stderr, "policyctl rules: %s\n", strerror(errno ? errno : ENOMEM));
	return ok;
}

void
measured_free(struct measured *m)
{
	free(m->symbols);
	free(m->hits);
	free(m->mails);
}
