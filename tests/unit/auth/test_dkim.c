/* Signatures by other hands (data/make-dkim.py), whole and spoilt; and what a signer of ill will can ask of us. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <time.h>
#include <cmocka.h>

#include "policyd/auth/dkim.h"
#include "tests/unit/auth/zone.h"

static void
run_case(const json_t *test, const json_t *txt, bool late, size_t *failed)
{
	struct arena *a = arena_open(64 << 20);
	struct zone *z = ARENA_NEW(a, struct zone);
	struct message *msg = ARENA_NEW(a, struct message);
	struct auth *auth = ARENA_NEW(a, struct auth);
	const json_t *want = json_object_get(test, "want");
	int rounds = 0;

	*z = (struct zone){ .answers = { zone_look }, .a = a, .txt = txt, .late = late };
	message_parse(a, span_of(json_string_value(json_object_get(test, "mail"))), msg);
	struct signed_mail mail = { .headers = &msg->headers, .body = msg->parts[0].raw };

	while (!dkim_check(a, &z->answers, &mail, 1790000000, auth))
		assert_true(++rounds < 50);
	if (auth->dkim_count != json_array_size(want)) {
		fprintf(stderr, "%s: %u signatures\n", json_string_value(json_object_get(test, "name")), auth->dkim_count);
		++*failed;
	}
	for (size_t i = 0; i < auth->dkim_count; i++) {
		const char *wanted = json_string_value(json_array_get(want, i));

		if (wanted == NULL || strcmp(wanted, dkim_result_names[auth->dkim[i].result]) != 0) {
			fprintf(stderr, "%s, late %d: got %s (%s), wanted %s\n", json_string_value(json_object_get(test, "name")), late,
			    dkim_result_names[auth->dkim[i].result], auth->dkim[i].reason, wanted);
			++*failed;
		}
	}
	assert_true(auth_valid(auth));
	arena_close(a);
}

static void
test_samples(void **state)
{
	json_error_t error;
	json_t *all = json_load_file("tests/unit/auth/data/dkim-samples.json", 0, &error), *test;
	size_t i, failed = 0;

	(void)state;
	if (all == NULL)
		fail_msg("line %d: %s", error.line, error.text);
	json_array_foreach(json_object_get(all, "cases"), i, test) {
		run_case(test, json_object_get(all, "txt"), false, &failed);
		run_case(test, json_object_get(all, "txt"), true, &failed);
	}
	assert_true(i > 100);
	json_decref(all);
	assert_int_equal(failed, 0);
}

/* A body of 48 MB and a hundred signatures that each want another part of it hashed: ten are looked at, and the work is bounded. */
static void
test_much_to_hash(void **state)
{
	enum { BODY = 48 * 1024 * 1024, SIGNATURES = 100 };
	struct arena *a = arena_open(256 << 20);
	struct zone *z = ARENA_NEW(a, struct zone);
	struct header *at = ARENA_ARRAY(a, struct header, SIGNATURES);
	struct header_list headers = { at, SIGNATURES };
	struct auth *auth = ARENA_NEW(a, struct auth);
	char *body = arena_alloc(a, BODY);
	json_error_t error;
	json_t *samples = json_load_file("tests/unit/auth/data/dkim-samples.json", 0, &error);
	size_t too_much = 0;

	(void)state;
	assert_non_null(samples);
	for (size_t i = 0; i < BODY; i++)
		body[i] = i % 78 == 77 ? '\n' : ' ';         /* blanks, which the relaxed form looks at one by one */
	for (size_t i = 0; i < SIGNATURES; i++)
		at[i] = (struct header){ .name = SPAN("DKIM-Signature"), .raw = arena_printf(a, "v=1; a=rsa-sha256; c=relaxed/simple; d=good.example; s=rsa; "
		    "h=from; l=%zu; bh=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=; b=AAAA", BODY / 2 + i) };
	*z = (struct zone){ .answers = { zone_look }, .a = a, .txt = json_object_get(samples, "txt") };
	struct signed_mail mail = { .headers = &headers, .body = span_make(body, BODY) };
	clock_t start = clock();

	assert_true(dkim_check(a, &z->answers, &mail, 1790000000, auth));
	assert_true((double)(clock() - start) / CLOCKS_PER_SEC < 5);
	assert_int_equal(auth->dkim_count, AUTH_DKIM_MOST);
	for (size_t i = 0; i < auth->dkim_count; i++)
		too_much += auth->dkim[i].result == DKIM_POLICY;
	assert_true(mail.hashed <= (uint64_t)MAX_HASHED + BODY && too_much > 0);
	json_decref(samples);
	arena_close(a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_samples), cmocka_unit_test(test_much_to_hash) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
