/* policytable.c - the policy table of a big provider: bytes, look-ups, a customer-wide change, the snapshot.
 *
 * usage: policytable DIR [MAILBOXES [CUSTOMERS]]     DIR: where the snapshot goes */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "policyd/base/clock.h"
#include "policyd/store/customers_table.h"

static struct config config;

static double
resident_mb(void)
{
	long pages = 0, total;
	FILE *f = fopen("/proc/self/statm", "r");

	if (f == NULL || fscanf(f, "%ld %ld", &total, &pages) != 2)
		pages = 0;
	if (f)
		fclose(f);
	return (double)pages * (double)sysconf(_SC_PAGESIZE) / 1e6;
}

static void
apply(struct customers *c, const char *key, const char *json)
{
	if (!customers_apply(c, key, span_of(json)))
		exit(1);
}

/* Customers of 10 mailboxes and one domain on average; every mailbox has a record, one in four with wishes of its own. */
static void
fill(struct customers *c, unsigned mailboxes, unsigned customers)
{
	char key[128], json[256];

	apply(c, "tier:gold", "{\"max.retention_days\":\"60\",\"min.virus\":\"quarantine\"}");
	for (unsigned i = 0; i < customers; i++) {
		snprintf(key, sizeof key, "customer:c%u", i);
		snprintf(json, sizeof json, "{\"tier\":\"gold\",\"tag\":\"%g\",\"quarantine\":\"%g\"}", 3 + i % 5 * 0.5, 6 + i % 7 * 0.5);
		apply(c, key, json);
		snprintf(key, sizeof key, "domain:company-%u.example", i);
		snprintf(json, sizeof json, "{\"customer\":\"c%u\",\"subject_tag\":\"[SPAM] \"}", i);
		apply(c, key, json);
	}
	for (unsigned i = 0; i < mailboxes; i++) {
		static const char *const wishes[] = { "{\"tag\":\"2\"}", "{\"discard\":\"off\"}", "{\"filter\":\"false\"}", "{\"retention_days\":\"30\",\"tag\":\"2.5\"}" };

		snprintf(key, sizeof key, "mailbox:first.last%u@company-%u.example", i, i % customers);
		apply(c, key, i % 4 == 0 ? wishes[i / 4 % 4] : "{}");
	}
}

static unsigned
dice(unsigned *seed)
{
	return *seed = *seed * 1664525 + 1013904223;
}

enum { NAMES = 1 << 18 };              /* more than a cache holds the records of */

/* Of this thread: others who work on this machine do not count. */
static double
cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* A look-up's CPU time, the best of `rounds`. */
static double
lookups(struct customers *c, const char *before, const char *behind, const char *host, unsigned mailboxes, unsigned customers, unsigned rounds)
{
	char (*names)[80] = calloc(NAMES, sizeof *names);
	unsigned seed = 7;
	double best = 0;
	uint32_t class_id, sum = 0;

	for (unsigned i = 0; i < NAMES; i++) {
		unsigned m = dice(&seed) % mailboxes;

		snprintf(names[i], sizeof names[i], "<%s%u%s@%s-%u.example>", before, m, behind, host, m % customers);
	}
	for (unsigned k = 0; k < rounds; k++) {
		double start = cpu_ns();

		for (unsigned i = 0; i < NAMES; i++) {
			customers_lookup(c, span_of(names[i]), &class_id);
			sum += class_id;
		}
		double ns = (cpu_ns() - start) / NAMES;

		best = k == 0 || ns < best ? ns : best;
	}
	free(names);
	return sum ? best : 0;
}

int
main(int argc, char **argv)
{
	unsigned mailboxes = argc > 2 ? (unsigned)atoi(argv[2]) : 1000000, customers = argc > 3 ? (unsigned)atoi(argv[3]) : 100000;
	double before = resident_mb();
	uint32_t class_id;

	if (argc < 2)
		return 2;
	snprintf(config.state, sizeof config.state, "%s", argv[1]);
	policy_default(&config.policy_default);
	struct customers *c = customers_open(NULL, NULL, &config);

	fill(c, mailboxes, customers);
	printf("%u mailboxes of %u customers: %.0f MB after the load\n", mailboxes, customers, resident_mb() - before);
	printf("look-up, first of a mailbox, compiled then: %.0f ns\n", lookups(c, "First.Last", "", "company", mailboxes, customers, 1));
	printf("look-up, again: %.0f ns\n", lookups(c, "First.Last", "", "company", mailboxes, customers, 9));
	printf("look-up, with an extension: %.0f ns\n", lookups(c, "first.last", "+lists", "company", mailboxes, customers, 9));
	printf("look-up, of a mailbox without a record: %.0f ns\n", lookups(c, "nobody", "", "company", mailboxes, customers, 9));
	printf("look-up, of a foreign domain: %.0f ns\n", lookups(c, "nobody", "", "else", mailboxes, customers, 9));
	int64_t start = clock_us();

	apply(c, "customer:c7", "{\"tier\":\"gold\",\"tag\":\"1\",\"quarantine\":\"9\"}");
	if (customers_lookup(c, SPAN("first.last7@company-7.example"), &class_id)->quarantine != 9)
		return 1;
	printf("a change at a customer, until it is in force for its mailboxes here: %lld us\n", (long long)(clock_us() - start));
	for (unsigned i = 0; i < mailboxes; i++) {
		char name[80];

		snprintf(name, sizeof name, "first.last%u@company-%u.example", i, i % customers);
		customers_lookup(c, span_of(name), &class_id);
	}
	printf("all mailboxes asked for: %.0f MB, %u classes, %zu fieldsets\n", resident_mb() - before, (unsigned)c->classes->index.count, c->by_fields.count);
	start = clock_us();
	snapshot_save(c);
	printf("snapshot written: %lld ms\n", (long long)(clock_us() - start) / 1000);
	customers_close(c);
	double cpu = cpu_ns();

	start = clock_us();
	c = customers_open(NULL, NULL, &config);
	printf("started from the snapshot: %lld ms (%.0f of CPU), %u records\n", (long long)(clock_us() - start) / 1000, (cpu_ns() - cpu) / 1e6, c->present_count);
	customers_close(c);
	return 0;
}
