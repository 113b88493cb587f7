/* Decayed counts to points, who knows whom, and which network a client is in. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "policyd/scan/reputation.h"

static void
test_decay(void **state)
{
	struct reputation r = { 40, 8, 1000000 }, never = { 40, 8, 0 };

	(void)state;
	reputation_decay(&r, 1000000 + 7 * 86400);
	assert_true(fabs(r.good - 20) < 1e-9 && fabs(r.bad - 4) < 1e-9 && r.last_s == 1000000 + 7 * 86400);
	reputation_decay(&r, 1000000);       /* a clock that went back takes nothing away, and gives nothing */
	assert_true(fabs(r.good - 20) < 1e-9);
	reputation_decay(&never, 5);
	assert_true(never.good == 40);
}

static void
test_points(void **state)
{
	(void)state;
	for (int kind = 0; kind < REPUTATION__COUNT; kind++) {
		double before = -100;

		assert_true(reputation_points(&(struct reputation){ 2, 2.9, 1 }, kind) == 0);        /* too few to say anything */
		for (int bad = 0; bad <= 200; bad++) {       /* more bad ones are never better */
			double points = reputation_points(&(struct reputation){ 10, bad, 1 }, kind);

			assert_true(points >= before - 0.3 && points <= REPUTATION_BAD_MOST && points >= -REPUTATION_GOOD_MOST);
			before = points > before ? points : before;
		}
		assert_true(reputation_points(&(struct reputation){ 1e9, 0, 1 }, kind) == (kind == REPUTATION_NET ? 0 : -REPUTATION_GOOD_MOST));
		assert_true(reputation_points(&(struct reputation){ 0, 1e9, 1 }, kind) == REPUTATION_BAD_MOST);
		assert_true(fabs(reputation_points(&(struct reputation){ 50, 50, 1 }, kind)) < 1e-9);
	}
}

static void
test_known(void **state)
{
	static const struct { struct known k; double points; const char *symbol; } cases[] = {
		{ { 0, 0, false }, 0, NULL }, { { 0, 2, false }, 0, NULL }, { { 0, 3, false }, KNOWN_WRITES, "KNOWN_SENDER" },
		{ { 1, 0, false }, KNOWN_WRITTEN, "KNOWN_WRITTEN_TO" }, { { 1, 50, true }, KNOWN_REPLY, "KNOWN_REPLY" }, { { 0, 0, true }, KNOWN_REPLY, "KNOWN_REPLY" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_true(known_points(&cases[i].k) == cases[i].points);
		assert_true(cases[i].symbol ? strcmp(known_symbol(&cases[i].k), cases[i].symbol) == 0 : known_symbol(&cases[i].k) == NULL);
	}
}

static void
test_net(void **state)
{
	static const char *const cases[][2] = { { "198.51.100.77", "198.51.100.0/24" }, { "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64" },
	    { "::ffff:198.51.100.77", "198.51.100.0/24" } };

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char net[INET6_ADDRSTRLEN + 4];
		struct ip ip;

		assert_true(ip_parse(span_of(cases[i][0]), &ip));
		reputation_net(&ip, net);
		assert_string_equal(net, cases[i][1]);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_decay), cmocka_unit_test(test_points), cmocka_unit_test(test_known),
	    cmocka_unit_test(test_net) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
