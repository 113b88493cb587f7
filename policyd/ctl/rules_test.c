/* rules_test.c - policyctl rules test: each rule on its own examples, as TAP or JUnit. */
#include <stdio.h>
#include <string.h>

#include "policyd/base/clock.h"
#include "policyd/ctl/rules_tool.h"
#include "policyd/mail/prepare.h"

struct result {
	char label[120], why[300];
	bool passed;
};

static void
run_test(struct rules *rules, size_t i, int t, struct arena *a, const struct kit *kit, struct result *out)
{
	struct rule_test test;
	struct scan *scan = ARENA_NEW(a, struct scan);
	struct class_score class = { 0 };

	*out = (struct result){ .label = "" };
	if (!rules_test(rules, i, t, a, &test, out->why, sizeof out->why))
		return;
	snprintf(out->label, sizeof out->label, "%s", test.label);
	scan->session = test.session;
	scan->envelope = test.envelope;
	rules_test_answers(&test, scan);
	rules_tool_scan(scan, a, kit, &class, test.raw);

	const struct symbol *broken = verdict_find(&scan->verdict, SPAN("RULE_FAILED"));
	const struct symbol *found = verdict_find(&scan->verdict, span_of(rules_info(rules, i).symbol));
	bool hit = rules_hit(rules, i);

	if (broken)
		snprintf(out->why, sizeof out->why, SPAN_FMT, SPAN_ARG(broken->evidence));
	else if (hit != test.hit)
		snprintf(out->why, sizeof out->why, test.hit ? "did not find it" : "found it where it must not: " SPAN_FMT,
		    SPAN_ARG(found ? found->evidence : SPAN("")));
	else if (test.evidence[0] && (!found || span_find(found->evidence, span_of(test.evidence)) == SPAN_NONE))
		snprintf(out->why, sizeof out->why, "the evidence is \"" SPAN_FMT "\", without \"%s\"",
		    SPAN_ARG(found ? found->evidence : SPAN("")), test.evidence);
	else
		out->passed = true;
}

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
	if (o->junit)
		puts("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"policyctl rules test\">");
	for (size_t i = 0; i < rules_count(rules); i++) {
		struct rule_info info = rules_info(rules, i);

		for (int t = 0; t < info.tests; t++) {
			struct result result;
			int64_t start_us = clock_us();

			run_test(rules, i, t, a, &kit, &result);
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
