/* Maps: what is in them and what is not, by type; what is said of lines that do not belong there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "lua/maps.h"

static void
finds(void **state)
{
	static const struct { enum map_type type; const char *lines, *value, *want; } cases[] = {
		{ MAP_DOMAINS, "shop.example  a shop\n# x\nother.test # y\n", "Shop.Example", "shop.example  a shop" },
		{ MAP_DOMAINS, "shop.example\n", "mail.shop.example", "shop.example" },
		{ MAP_DOMAINS, "shop.example\n", "myshop.example", NULL },
		{ MAP_DOMAINS, "shop.example\n", "ann@mail.shop.example", "shop.example" },
		{ MAP_DOMAINS, ".shop.example\n", "a.shop.example", ".shop.example" },
		{ MAP_DOMAINS, "shop.example", "example", NULL },
		{ MAP_DOMAINS, "", "shop.example", NULL },
		{ MAP_DOMAINS, "shop.example\n", "", NULL },
		{ MAP_ADDRESSES, "ann@shop.example\n@firm.example\nb.example\n", "ANN@shop.example", "ann@shop.example" },
		{ MAP_ADDRESSES, "ann@shop.example\n", "bob@shop.example", NULL },
		{ MAP_ADDRESSES, "@firm.example\n", "x@firm.example", "@firm.example" },
		{ MAP_ADDRESSES, "@firm.example\n", "x@a.firm.example", NULL },
		{ MAP_ADDRESSES, "firm.example\n", "x@a.firm.example", "firm.example" },
		{ MAP_CIDR, "192.0.2.0/24 net\n192.0.2.7 one\n", "192.0.2.7", "192.0.2.7 one" },
		{ MAP_CIDR, "192.0.2.0/24 net\n192.0.2.7 one\n", "192.0.2.8", "192.0.2.0/24 net" },
		{ MAP_CIDR, "192.0.2.0/24\n", "192.0.3.1", NULL },
		{ MAP_CIDR, "192.0.2.130/25\n", "192.0.2.200", "192.0.2.130/25" },
		{ MAP_CIDR, "2001:db8::/33\n", "2001:db8:7fff::1", "2001:db8::/33" },
		{ MAP_CIDR, "2001:db8::/33\n", "2001:db8:8000::1", NULL },
		{ MAP_CIDR, "0.0.0.0/0\n", "198.51.100.1", "0.0.0.0/0" },
		{ MAP_CIDR, "0.0.0.0/0\n", "2001:db8::1", NULL },
		{ MAP_CIDR, "192.0.2.0/24\n", "no address", NULL },
		{ MAP_EXACT, "Two Words\n", "two words", "two words" },
		{ MAP_EXACT, "Two Words\n", "two", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char why[200];
		struct named_map *m = named_map_read("x.map", cases[i].type, span_of(cases[i].lines), why, sizeof why);
		struct span entry = { 0 };

		if (m == NULL)
			fail_msg("%s: %s", cases[i].lines, why);
		bool has = named_map_has(m, span_of(cases[i].value), &entry);

		if (has != (cases[i].want != NULL) || (has && !span_eq(entry, span_of(cases[i].want))))
			fail_msg("%s in %s: \"" SPAN_FMT "\"", cases[i].value, cases[i].lines, SPAN_ARG(entry));
		named_map_free(m);
	}
}

static void
refuses(void **state)
{
	static const struct { enum map_type type; const char *lines, *want; } bad[] = {
		{ MAP_CIDR, "192.0.2.0/24\n192.0.2.0/33\n", "x.map:2: \"192.0.2.0/33\" where an address or network" },
		{ MAP_CIDR, "\n# c\nshop.example\n", "x.map:3:" }, { MAP_DOMAINS, "a@b.example\n", "where a domain is expected" },
		{ MAP_DOMAINS, "localhost\n", "where a domain" }, { MAP_ADDRESSES, "ann@host\n", "an address or domain" },
	};
	char why[200];

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_null(named_map_read("x.map", bad[i].type, span_of(bad[i].lines), why, sizeof why));
		if (strstr(why, bad[i].want) == NULL)
			fail_msg("%s: %s", bad[i].lines, why);
	}
	assert_null(named_map_load("/nonexistent/x.map", MAP_CIDR, why, sizeof why));
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(finds), cmocka_unit_test(refuses) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
