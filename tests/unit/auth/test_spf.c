/* The openspf.org suites (data/README.md), each case twice: with all answers at hand, and with every answer late once. */
#include <arpa/inet.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "policyd/auth/spf.h"

struct zone {
	struct answers answers;
	struct arena *a;
	const json_t *data;
	bool late;                           /* the first time a question is asked, its answer is not here yet */
	char asked[256][300];
	size_t asked_count, looks;
};

static const char *
type_name(enum rr_type type)
{
	return type == RR_A ? "A" : type == RR_AAAA ? "AAAA" : type == RR_MX ? "MX" : type == RR_PTR ? "PTR" : "TXT";
}

static bool
is_late(struct zone *z, enum rr_type type, const char *name)
{
	char key[300];

	snprintf(key, sizeof key, "%s %.280s", type_name(type), name);
	for (size_t i = 0; i < z->asked_count; i++)
		if (strcmp(z->asked[i], key) == 0)
			return false;
	if (!z->late)
		return false;
	assert_true(z->asked_count < 256);
	memcpy(z->asked[z->asked_count++], key, sizeof key);
	return true;
}

static struct rr_answer
look(struct answers *self, enum rr_type type, struct span name)
{
	struct zone *z = (struct zone *)self;
	const char *key = arena_text(z->a, name);
	const json_t *records = NULL, *list = NULL;
	struct rr *rr;

	z->looks++;
	if (is_late(z, type, key))
		return (struct rr_answer){ .status = RR_PENDING };
	for (int hops = 0; hops < 8; hops++) {       /* a resolver follows aliases, and gives up on a loop */
		const char *alias;

		records = json_object_get(z->data, key);
		list = json_object_get(records, type_name(type));
		if (list || (alias = json_string_value(json_array_get(json_object_get(records, "CNAME"), 0))) == NULL)
			break;
		char *next = arena_text(z->a, span_of(alias));

		for (char *p = next; *p; p++)
			*p = ascii_lower(*p);
		if (next[0] && next[strlen(next) - 1] == '.')
			next[strlen(next) - 1] = '\0';
		key = next;
	}
	size_t count = json_array_size(list);

	if (count == 0)
		return (struct rr_answer){ .status = json_object_get(records, "TIMEOUT") ? RR_UNKNOWN : RR_NONE };
	rr = ARENA_ARRAY(z->a, struct rr, count);
	for (size_t i = 0; i < count; i++) {
		const json_t *value = json_array_get(list, i);

		rr[i].text = span_make(json_string_value(value), json_string_length(value));
		if (type == RR_AAAA) {
			rr[i].ip.family = AF_INET6;
			assert_int_equal(inet_pton(AF_INET6, rr[i].text.p, rr[i].ip.bytes), 1);
		} else if (type == RR_A) {
			assert_true(ip_parse(rr[i].text, &rr[i].ip));
		}
	}
	return (struct rr_answer){ RR_FOUND, rr, count };
}

static const char *
text(const json_t *o, const char *name)
{
	const char *value = json_string_value(json_object_get(o, name));

	return value ? value : "";
}

static void
run_case(const json_t *test, const json_t *zone, bool late, size_t *failed)
{
	struct arena *a = arena_open(64 << 20);
	struct zone *z = ARENA_NEW(a, struct zone);
	struct spf_query query = { .sender = span_of(text(test, "mailfrom")), .helo = span_of(text(test, "helo")), .receiver = SPAN("receiver.example") };
	struct spf_verdict verdict;
	const json_t *want = json_object_get(test, "result");
	const char *words = text(test, "explanation");
	bool good = false;

	*z = (struct zone){ .answers = { look }, .a = a, .data = zone, .late = late };
	assert_true(ip_parse(span_of(text(test, "host")), &query.client));
	int rounds = 0;

	do
		spf_check(a, &z->answers, &query, &verdict);
	while (verdict.result == SPF_PENDING && ++rounds < 200);
	for (size_t i = 0; i < json_array_size(want); i++)
		good |= strcmp(json_string_value(json_array_get(want, i)), spf_result_names[verdict.result]) == 0;
	/* "DEFAULT" is the checker's own text where the domain has none of its own */
	if (verdict.result == SPF_FAIL && words[0])
		good &= strcmp(words, "DEFAULT") == 0 ? verdict.explanation.n == 0 : span_eq(verdict.explanation, span_of(words));
	if (!good) {
		fprintf(stderr, "%s: %s, late %d: got %s \"" SPAN_FMT "\", wanted %s \"%s\"\n", text(test, "name"), text(test, "mailfrom"), late,
		    spf_result_names[verdict.result], SPAN_ARG(verdict.explanation), json_string_value(json_array_get(want, 0)), words);
		++*failed;
	}
	assert_true(z->looks < 3000);
	arena_close(a);
}

static void
run_suite(const char *path, size_t least)
{
	json_error_t error;
	json_t *suite = json_load_file(path, JSON_ALLOW_NUL, &error), *section, *test;
	size_t i, k, count = 0, failed = 0;

	if (suite == NULL)
		fail_msg("%s:%d: %s", path, error.line, error.text);
	json_array_foreach(suite, i, section)
		json_array_foreach(json_object_get(section, "tests"), k, test) {
			run_case(test, json_object_get(section, "zone"), false, &failed);
			run_case(test, json_object_get(section, "zone"), true, &failed);
			count++;
		}
	json_decref(suite);
	assert_true(count >= least);
	assert_int_equal(failed, 0);
}

static void
test_rfc7208(void **state)
{
	(void)state;
	run_suite("tests/unit/auth/data/rfc7208-tests.json", 203);
}

static void
test_rfc4408(void **state)
{
	(void)state;
	run_suite("tests/unit/auth/data/rfc4408-tests.json", 191);
}

static json_t *
one_name(json_t *zone, const char *name, const char *type, json_t *records)
{
	json_object_set_new(zone, name, json_pack("{s:o}", type, records));
	return zone;
}

/* What a domain of ill will can write: each must end, soon, in a permanent error or a plain answer. */
static void
test_hostile(void **state)
{
	(void)state;
	static const struct { const char *label, *piece, *head, *want; size_t times; } records[] = {
		{ "includes itself", "include:a.example ", "v=spf1 ", "permerror", 1 },
		{ "includes itself a hundred times", "include:a.example ", "v=spf1 ", "permerror", 100 },
		{ "redirects to itself", "redirect=a.example", "v=spf1 ", "permerror", 1 },
		{ "a thousand mx", "mx:%{l}.a.example ", "v=spf1 ", "permerror", 400 },
		{ "a thousand void names", "a:%{d}.void.example ", "v=spf1 ", "permerror", 300 },
		{ "macros upon macros", "%{s}%{d}%{i}", "v=spf1 exists:", "neutral", 600 },
		{ "addresses", "ip4:192.0.2.1 ", "v=spf1 ", "neutral", 500 },
		{ "longer than any", "ip4:192.0.2.1 ", "v=spf1 ", "permerror", 5000 },
		{ "blanks", "       ", "v=spf1 ", "neutral", 1000 },
		{ "qualifiers", "+", "v=spf1 ", "permerror", 1000 },
		{ "open macro", "%{", "v=spf1 exists:", "permerror", 1000 },
		{ "digits", "9", "v=spf1 exists:%{d", "permerror", 1000 },
	};

	for (size_t i = 0; i < sizeof records / sizeof *records; i++) {
		size_t n = strlen(records[i].head), each = strlen(records[i].piece), failed = 0;
		char *record = malloc(n + each * records[i].times + 1);

		assert_non_null(record);
		memcpy(record, records[i].head, n);
		for (size_t k = 0; k < records[i].times; k++, n += each)
			memcpy(record + n, records[i].piece, each);
		record[n] = '\0';
		json_t *zone = one_name(json_object(), "a.example", "TXT", json_pack("[s]", record));
		json_t *test = json_pack("{s:s, s:s, s:s, s:s, s:[s]}", "name", records[i].label, "mailfrom", "a@a.example", "helo", "h.example",
		    "host", "198.51.100.1", "result", records[i].want);

		run_case(test, zone, false, &failed);
		run_case(test, zone, true, &failed);
		assert_int_equal(failed, 0);
		json_decref(zone);
		json_decref(test);
		free(record);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_rfc7208), cmocka_unit_test(test_rfc4408), cmocka_unit_test(test_hostile) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
