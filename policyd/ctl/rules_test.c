/* rules_test.c - policyctl rules test: each rule on its own examples, as TAP or JUnit. */
#include <stdio.h>
#include <string.h>

#include "policyd/base/clock.h"
#include "policyd/base/log.h"
#include "policyd/ctl/rules_tool.h"
#include "policyd/mail/prepare.h"

struct result {
	char label[120], why[300];
	bool passed;
};

static void
print_xml(const char *text)
{
	for (; *text; text++)
		switch (*text) {
		case '<': fputs("&lt;", stdout); break;
		case '>': fputs("&gt;", stdout); break;
		case '&': fputs("&amp;", stdout); break;
		case '"': fputs("&quot;", stdout); break;
		default:  putchar((unsigned char)*text < 0x20 ? ' ' : *text);
		}
}

static void
print_tap(const struct rule_info *info, int number, int t, const struct result *r)
{
	printf("%sok %d - %s %d%s%s\n", r->passed ? "" : "not ", number, info->symbol, t + 1, r->label[0] ? ": " : "", r->label);
	if (!r->passed)
		printf("# %s: %s\n", info->where, r->why);
}

static void
print_junit(const struct rule_info *info, int t, const struct result *r, double seconds)
{
	printf("  <testcase classname=\"%s\" name=\"%s %d", info->group[0] ? info->group : "rules", info->symbol, t + 1);
	if (r->label[0]) {
		printf(": ");
		print_xml(r->label);
	}
	printf("\" time=\"%.4f\"", seconds);
	if (r->passed) {
		puts("/>");
		return;
	}
	printf(">\n    <failure message=\"");
	print_xml(r->why);
	printf("\">");
	print_xml(info->where);
	puts("</failure>\n  </testcase>");
}

int
rules_tests(const struct config *config, const struct rules_options *o)
{
	struct rules *rules = rules_tool_load(config);
	struct arena *a = arena_open(MAX_SCAN_MEMORY);
	struct arena_mark start = arena_mark(a);
	struct kit kit = { .config = config, .rules = rules };
	int number = 0, failed = 0;

	if (rules == NULL) {
		arena_close(a);
		return 1;
	}
	mail_prepare();
	log_open(LOG_TO_STDERR, LOG_LEVEL_NONE, "policyctl");    /* what a rule says when it fails stands beside its test */
	if (o->junit)
		puts("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"policyctl rules test\">");
	for (size_t i = 0; i < rules_count(rules); i++) {
		struct rule_info info = rules_info(rules, i);

		for (int t = 0; t < info.tests; t++) {
			struct result result;
			int64_t start_us = clock_us();

			result.passed = rules_test_run(rules, i, t, a, &kit, result.label, sizeof result.label, result.why, sizeof result.why);
			failed += !result.passed;
			number++;
			if (o->junit)
				print_junit(&info, t, &result, (double)(clock_us() - start_us) / 1e6);
			else
				print_tap(&info, number, t, &result);
			arena_rewind(a, start);
		}
	}
	if (o->junit)
		puts("</testsuite>");
	else
		printf("1..%d\n%d passed, %d failed\n", number, number - failed, failed);
	rules_free(rules);
	arena_close(a);
	return failed > 0;
}
