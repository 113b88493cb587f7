/* TOTP by RFC 6238's own vectors, passwords, rights. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "quarantine/review/permit.h"
#include "quarantine/review/users.h"

static void
test_totp(void **state)
{
	/* RFC 6238, appendix B: "12345678901234567890" as base32; eight digits there, the last six here */
	static const struct { uint64_t time_s; const char *code; } vectors[] = { { 59, "287082" }, { 1111111109, "081804" }, { 1111111111, "050471" },
	    { 1234567890, "005924" }, { 2000000000, "279037" }, { 20000000000, "353130" } };
	char code[8];

	(void)state;
	for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
		assert_true(totp_code("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", vectors[i].time_s / 30, code));
		assert_string_equal(code, vectors[i].code);
	}
	assert_false(totp_code("not base32!", 1, code));
	assert_false(totp_code("", 1, code));
}

static void
test_passwords(void **state)
{
	char hash[HASH_ROOM], other[HASH_ROOM];

	(void)state;
	assert_true(password_hash("correct horse", hash));
	assert_true(password_hash("correct horse", other));
	assert_string_not_equal(hash, other);
	assert_true(password_check("correct horse", hash));
	assert_false(password_check("correct horsf", hash));
	assert_false(password_check("", hash));
	assert_false(password_check("correct horse", NULL));
	assert_false(password_check("correct horse", "scrypt$1$1$1$x$y"));
	/* RFC 7914 section 12, third vector's parameters are too slow here; the format with small ones */
	assert_false(password_check("a", "scrypt$16$1$1$00000000000000000000000000000000$"
	    "0000000000000000000000000000000000000000000000000000000000000000"));
}

static void
test_rights(void **state)
{
	(void)state;
	for (int role = ROLE_NONE; role < ROLE__COUNT; role++) {
		/* Nobody delivers a virus from a browser; what we do not know is handled as one. */
		assert_int_equal(permit_rights((enum role)role, "virus", true) & (MAY_RELEASE | MAY_ALLOW), 0);
		assert_int_equal(permit_rights((enum role)role, "something new", true), permit_rights((enum role)role, "virus", true));
	}
	assert_int_equal(permit_rights(ROLE_NONE, "spam", true), 0);
	assert_int_equal(permit_rights(ROLE_OWNER, "phish", false) & (MAY_RELEASE | MAY_REQUEST), MAY_REQUEST);
	assert_int_equal(permit_rights(ROLE_OWNER, "spam", false) & MAY_RELEASE, MAY_RELEASE);
	assert_int_equal(permit_rights(ROLE_ADMIN, "spam", false) & MAY_PREVIEW, 0);
	assert_int_equal(permit_rights(ROLE_ADMIN, "spam", true) & MAY_PREVIEW, MAY_PREVIEW);
	assert_int_equal(permit_rights(ROLE_SUPPORT, "spam", true) & (MAY_PREVIEW | MAY_DELETE | MAY_DOWNLOAD), 0);
	assert_int_equal(role_of("root"), ROLE_NONE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_totp), cmocka_unit_test(test_passwords), cmocka_unit_test(test_rights) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
