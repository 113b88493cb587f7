/* The arc_test_suite (data/README.md), each case with all keys at hand, and with each of them late once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "policyd/auth/arc.h"
#include "tests/unit/auth/zone.h"

static const char *
text(const json_t *o, const char *name)
{
	const char *value = json_string_value(json_object_get(o, name));

	return value ? value : "";
}

static void
run_case(const char *name, const json_t *test, const json_t *txt, bool late, size_t *failed)
{
	struct arena *a = arena_open(64 << 20);
	struct zone *z = ARENA_NEW(a, struct zone);
	struct message *msg = ARENA_NEW(a, struct message);
	struct arc_verdict verdict;
	const char *want = text(test, "cv");
	int rounds = 0;

	*z = (struct zone){ .answers = { zone_look }, .a = a, .txt = txt, .late = late };
	message_parse(a, span_of(text(test, "message")), msg);
	struct signed_mail mail = { .headers = &msg->headers, .body = msg->parts[0].raw };

	while (!arc_check(a, &z->answers, &mail, 1500000000, &verdict))
		assert_true(++rounds < 200);
	/* an empty one: the chain says itself that it failed, and nobody has to add to it */
	enum arc_result wanted = strcmp(want, "Pass") == 0 ? ARC_PASS : strcmp(want, "None") == 0 ? ARC_NONE : ARC_FAIL;

	if (verdict.result != wanted) {
		fprintf(stderr, "%s, late %d: got %s (%s), wanted %s\n", name, late, arc_result_names[verdict.result], verdict.why, want);
		++*failed;
	}
	arena_close(a);
}

static void
test_suite(void **state)
{
	json_error_t error;
	json_t *suite = json_load_file("tests/unit/auth/data/arc-draft-validation-tests.json", 0, &error), *section, *test;
	size_t i, count = 0, failed = 0;
	const char *name;

	(void)state;
	if (suite == NULL)
		fail_msg("line %d: %s", error.line, error.text);
	json_array_foreach(suite, i, section)
		json_object_foreach(json_object_get(section, "tests"), name, test) {
			run_case(name, test, json_object_get(section, "txt-records"), false, &failed);
			run_case(name, test, json_object_get(section, "txt-records"), true, &failed);
			count++;
		}
	json_decref(suite);
	assert_int_equal(count, 171);
	assert_int_equal(failed, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_suite) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
