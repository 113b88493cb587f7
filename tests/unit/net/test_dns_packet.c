/* What a resolver answers, taken apart. Packets are written here by hand, names with and without pointers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "policyd/net/dns_packet.h"

static uint8_t packet[65536];
static size_t size;

static void
put(const void *bytes, size_t n)
{
	assert_true(size + n <= sizeof packet);
	memcpy(packet + size, bytes, n);
	size += n;
}

static void
put16(unsigned v)
{
	uint8_t b[] = { (uint8_t)(v >> 8), (uint8_t)v };

	put(b, 2);
}

static void
put_name(const char *name)
{
	while (*name) {
		size_t n = strcspn(name, ".");
		uint8_t length = (uint8_t)n;

		put(&length, 1);
		put(name, n);
		name += n + (name[n] == '.');
	}
	put("", 1);
}

static void
begin(unsigned rcode, unsigned answers, unsigned authority, const char *name, unsigned type)
{
	size = 0;
	put16(4711);
	put16(0x8180 | rcode);
	put16(1);
	put16(answers);
	put16(authority);
	put16(0);
	put_name(name);
	put16(type);
	put16(1);
}

static void
record(const char *owner, unsigned type, unsigned ttl, const void *data, size_t n)
{
	put_name(owner);
	put16(type);
	put16(1);
	put16(ttl >> 16);
	put16(ttl & 0xffff);
	put16((unsigned)n);
	put(data, n);
}

static void
name_record(const char *owner, unsigned type, unsigned ttl, unsigned preference, const char *name)
{
	size_t length_at;

	put_name(owner);
	put16(type);
	put16(1);
	put16(ttl >> 16);
	put16(ttl & 0xffff);
	length_at = size;
	put16(0);
	if (type == RR_MX)
		put16(preference);
	put_name(name);
	packet[length_at] = (uint8_t)((size - length_at - 2) >> 8);
	packet[length_at + 1] = (uint8_t)(size - length_at - 2);
}

static bool
parse(enum rr_type type, const char *name, struct dns_found *found)
{
	uint8_t *copy = malloc(size);        /* so that a sanitizer sees a byte too far */

	memcpy(copy, packet, size);
	bool good = dns_packet_parse(copy, size, type, name, found);

	free(copy);
	return good;
}

static void
test_addresses(void **state)
{
	struct dns_found found;
	const uint8_t four[] = { 192, 0, 2, 1 }, six[16] = { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 };

	(void)state;
	begin(0, 3, 0, "Mail.Shop.Example", RR_A);
	record("mail.shop.example", RR_A, 300, four, 4);
	record("elsewhere.example", RR_A, 10, four, 4);
	record("MAIL.shop.example", RR_A, 200, four, 4);
	assert_true(parse(RR_A, "mail.shop.example", &found));
	assert_int_equal(found.count, 2);
	assert_int_equal(found.ttl_s, 200);
	assert_int_equal(found.at[0].ip.family, AF_INET);
	assert_memory_equal(found.at[0].ip.bytes, four, 4);
	free(found.at);
	begin(0, 1, 0, "mail.shop.example", RR_AAAA);
	record("mail.shop.example", RR_AAAA, 300, six, 16);
	assert_true(parse(RR_AAAA, "mail.shop.example", &found));
	assert_memory_equal(found.at[0].ip.bytes, six, 16);
	free(found.at);
	begin(0, 1, 0, "mail.shop.example", RR_A);
	record("mail.shop.example", RR_A, 300, six, 16);     /* an address of 16 bytes is none */
	assert_false(parse(RR_A, "mail.shop.example", &found));
}

static void
test_texts(void **state)
{
	struct dns_found found;

	(void)state;
	begin(0, 2, 0, "shop.example", RR_TXT);
	record("shop.example", RR_TXT, 60, "\x07v=spf1 \x04-all", 13);
	record("shop.example", RR_TXT, 60, "\x00", 1);
	assert_true(parse(RR_TXT, "shop.example", &found));
	assert_int_equal(found.count, 2);
	assert_true(span_eq(found.at[0].text, SPAN("v=spf1 -all")));
	assert_int_equal(found.at[1].text.n, 0);
	free(found.at);
	begin(0, 1, 0, "shop.example", RR_TXT);
	record("shop.example", RR_TXT, 60, "\x20short", 6);
	assert_false(parse(RR_TXT, "shop.example", &found));
}

static void
test_names(void **state)
{
	struct dns_found found;

	(void)state;
	begin(0, 4, 0, "shop.example", RR_MX);
	name_record("shop.example", RR_MX, 60, 20, "b.shop.example");
	name_record("shop.example", RR_MX, 60, 10, "A.Shop.Example");
	name_record("shop.example", RR_MX, 60, 30, "");
	name_record("shop.example", RR_MX, 60, 15, "odd name.example");
	assert_true(parse(RR_MX, "shop.example", &found));
	assert_int_equal(found.count, 4);
	assert_true(span_eq(found.at[0].text, SPAN("a.shop.example")));
	assert_int_equal(found.at[1].text.n, 0);             /* no host has such a name; it counts all the same */
	assert_true(span_eq(found.at[2].text, SPAN("b.shop.example")));
	assert_int_equal(found.at[3].text.n, 0);
	free(found.at);
	begin(0, 1, 0, "1.2.0.192.in-addr.arpa", RR_PTR);
	record("1.2.0.192.in-addr.arpa", RR_PTR, 60, "\x04mail\xc0\x16", 7);       /* 12 + 10: "in-addr.arpa" of the question */
	assert_true(parse(RR_PTR, "1.2.0.192.in-addr.arpa", &found));
	assert_true(span_eq(found.at[0].text, SPAN("mail.in-addr.arpa")));
	free(found.at);
}

static void
test_pointers_end(void **state)
{
	struct dns_found found;
	uint8_t self[2];

	(void)state;
	begin(0, 1, 0, "a.example", RR_PTR);
	self[0] = 0xc0;
	self[1] = (uint8_t)(size + 11 + 10); /* where the data will stand: itself */
	record("a.example", RR_PTR, 60, self, 2);
	assert_false(parse(RR_PTR, "a.example", &found));
	self[1] = 0xff;                      /* ahead, and beyond the end */
	begin(0, 1, 0, "a.example", RR_PTR);
	record("a.example", RR_PTR, 60, self, 2);
	assert_false(parse(RR_PTR, "a.example", &found));
}

static void
test_aliases(void **state)
{
	struct dns_found found;
	const uint8_t four[] = { 192, 0, 2, 1 };

	(void)state;
	begin(0, 3, 0, "www.example", RR_A); /* in any order */
	record("c.example", RR_A, 300, four, 4);
	name_record("b.example", 5, 50, 0, "c.example");
	name_record("www.example", 5, 70, 0, "B.example");
	assert_true(parse(RR_A, "www.example", &found));
	assert_int_equal(found.count, 1);
	assert_int_equal(found.ttl_s, 50);
	free(found.at);
	begin(0, 1, 0, "www.example", RR_A); /* the target is another server's */
	name_record("www.example", 5, 70, 0, "c.other.example");
	assert_true(parse(RR_A, "www.example", &found));
	assert_int_equal(found.count, 0);
	assert_string_equal(found.next, "c.other.example");
	begin(3, 1, 0, "www.example", RR_A); /* it is not there */
	name_record("www.example", 5, 70, 0, "c.other.example");
	assert_true(parse(RR_A, "www.example", &found));
	assert_string_equal(found.next, "");
	begin(0, 2, 0, "a.example", RR_A);   /* round and round */
	name_record("a.example", 5, 70, 0, "b.example");
	name_record("b.example", 5, 70, 0, "a.example");
	assert_false(parse(RR_A, "a.example", &found));
}

static void
test_not_there(void **state)
{
	struct dns_found found;
	uint8_t soa[22] = { 0, 0 };          /* two root names, serial, refresh, retry, expire, minimum */

	(void)state;
	soa[20] = 0x02;
	soa[21] = 0x58;                      /* 600 */
	begin(3, 0, 1, "no.example", RR_A);
	record("example", 6, 3600, soa, sizeof soa);
	assert_true(parse(RR_A, "no.example", &found));
	assert_int_equal(found.count, 0);
	assert_int_equal(found.ttl_s, 600);
	begin(0, 0, 1, "no.example", RR_TXT);
	record("example", 6, 30, soa, sizeof soa);
	assert_true(parse(RR_TXT, "no.example", &found));
	assert_int_equal(found.ttl_s, 30);
	begin(0, 0, 0, "no.example", RR_TXT);
	assert_true(parse(RR_TXT, "no.example", &found));
	assert_int_equal(found.ttl_s, DNS_TTL_NOT_GIVEN);
}

static void
test_every_cut(void **state)
{
	struct dns_found found;

	(void)state;
	begin(0, 2, 0, "shop.example", RR_MX);
	name_record("shop.example", RR_MX, 60, 20, "b.shop.example");
	name_record("shop.example", RR_MX, 60, 10, "a.shop.example");
	for (size_t whole = size; size > 0; size--)
		if (parse(RR_MX, "shop.example", &found)) {
			assert_int_equal(size, whole);
			free(found.at);
		}
}

static void
test_bounds(void **state)
{
	struct dns_found found;
	const uint8_t four[] = { 192, 0, 2, 1 };

	(void)state;
	begin(0, MAX_DNS_RECORDS + 1, 0, "a.b", RR_A);
	for (int i = 0; i <= MAX_DNS_RECORDS; i++)
		record("a.b", RR_A, 60, four, 4);
	assert_false(parse(RR_A, "a.b", &found));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses), cmocka_unit_test(test_texts), cmocka_unit_test(test_names),
		cmocka_unit_test(test_pointers_end), cmocka_unit_test(test_aliases), cmocka_unit_test(test_not_there),
		cmocka_unit_test(test_every_cut), cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
