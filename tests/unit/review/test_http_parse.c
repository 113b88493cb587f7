/* One request has one reading, or none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "quarantine/review/http_parse.h"

#define HOST "Host: x\r\n"

static const struct {
	const char *label, *text;
	enum http_parsed want;
	int status;
} heads[] = {
	{ "plain", "GET / HTTP/1.1\r\n" HOST "\r\n", HTTP_WHOLE, 0 },
	{ "not whole", "GET / HTTP/1.1\r\n" HOST, HTTP_MORE, 0 },
	{ "1.0 without host", "GET / HTTP/1.0\r\n\r\n", HTTP_WHOLE, 0 },
	{ "1.1 without host", "GET / HTTP/1.1\r\n\r\n", HTTP_BAD, 400 },
	{ "two hosts", "GET / HTTP/1.1\r\n" HOST HOST "\r\n", HTTP_BAD, 400 },
	{ "two lengths", "POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 1\r\n\r\n", HTTP_BAD, 400 },
	{ "a signed length", "POST / HTTP/1.1\r\n" HOST "Content-Length: +1\r\n\r\n", HTTP_BAD, 400 },
	{ "a list of lengths", "POST / HTTP/1.1\r\n" HOST "Content-Length: 1, 1\r\n\r\n", HTTP_BAD, 400 },
	{ "too long a body", "POST / HTTP/1.1\r\n" HOST "Content-Length: 99999999\r\n\r\n", HTTP_BAD, 413 },
	{ "chunked", "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n", HTTP_BAD, 501 },
	{ "chunked and a length", "POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP_BAD, 501 },
	{ "folded", "GET / HTTP/1.1\r\n" HOST "A: b\r\n c\r\n\r\n", HTTP_BAD, 400 },
	{ "blank before the colon", "GET / HTTP/1.1\r\nHost : x\r\n\r\n", HTTP_BAD, 400 },
	{ "bare line feed", "GET / HTTP/1.1\r\n" HOST "A: b\nC: d\r\n\r\n", HTTP_BAD, 400 },
	{ "bare carriage return", "GET / HTTP/1.1\r\n" HOST "A: b\rC: d\r\n\r\n", HTTP_BAD, 400 },
	{ "no colon", "GET / HTTP/1.1\r\n" HOST "A\r\n\r\n", HTTP_BAD, 400 },
	{ "absolute target", "GET http://x/ HTTP/1.1\r\n" HOST "\r\n", HTTP_BAD, 400 },
	{ "fragment", "GET /#a HTTP/1.1\r\n" HOST "\r\n", HTTP_BAD, 400 },
	{ "8-bit target", "GET /\xc3\xa4 HTTP/1.1\r\n" HOST "\r\n", HTTP_BAD, 400 },
	{ "two blanks", "GET  / HTTP/1.1\r\n" HOST "\r\n", HTTP_BAD, 400 },
	{ "another version", "GET / HTTP/2.0\r\n" HOST "\r\n", HTTP_BAD, 505 },
	{ "no version", "GET /\r\n\r\n", HTTP_BAD, 400 },
	{ "expects a thing", "POST / HTTP/1.1\r\n" HOST "Expect: magic\r\n\r\n", HTTP_BAD, 417 },
};

static void
test_heads(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
		struct http_head head;
		size_t used;
		int status = 0;
		enum http_parsed got = http_parse(span_of(heads[i].text), &head, &used, &status);

		if (got != heads[i].want || (got == HTTP_BAD && status != heads[i].status))
			fail_msg("%s: %d with %d", heads[i].label, got, status);
	}
}

static void
test_bounds(void **state)
{
	static char big[MAX_HTTP_HEAD * 2];
	struct http_head head;
	size_t used, n = (size_t)snprintf(big, sizeof big, "GET / HTTP/1.1\r\nA: ");
	int status = 0;

	(void)state;
	memset(big + n, 'a', sizeof big - n);
	assert_int_equal(http_parse(span_make(big, MAX_HTTP_HEAD - 1), &head, &used, &status), HTTP_MORE);
	assert_int_equal(http_parse(span_make(big, MAX_HTTP_HEAD), &head, &used, &status), HTTP_BAD);
	assert_int_equal(status, 431);
	n = (size_t)snprintf(big, sizeof big, "GET / HTTP/1.1\r\n");
	for (int i = 0; i <= MAX_HTTP_HEADERS; i++)
		n += (size_t)snprintf(big + n, sizeof big - n, "A: b\r\n");
	n += (size_t)snprintf(big + n, sizeof big - n, "\r\n");
	assert_int_equal(http_parse(span_make(big, n), &head, &used, &status), HTTP_BAD);
	assert_int_equal(status, 431);
}

static void
test_forms(void **state)
{
	static const struct { const char *form, *name, *want; } forms[] = {
		{ "a=1&b=2", "b", "2" }, { "a=x+y%20z", "a", "x y z" }, { "a=%C3%A4", "a", "\xc3\xa4" }, { "a=", "a", "" }, { "b=1", "a", NULL },
		{ "a=%00", "a", NULL }, { "a=%4", "a", NULL }, { "a=%zz", "a", NULL }, { "a=0123456789012345", "a", NULL }, { "a=1&a=2", "a", "1" },
		{ "A=1", "a", NULL }, { "a=%41%42", "a", "AB" },
	};
	char to[16];

	(void)state;
	for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
		bool got = form_value(span_of(forms[i].form), forms[i].name, to, sizeof to);

		if (got != (forms[i].want != NULL) || (got && strcmp(to, forms[i].want) != 0))
			fail_msg("%s: %d \"%s\"", forms[i].form, got, to);
	}
	assert_true(form_nth(SPAN("id=a&x=1&id=b"), "id", 1, to, sizeof to));
	assert_string_equal(to, "b");
	assert_true(cookie_value(SPAN("x=1; policyd=abc; y=2"), "policyd", to, sizeof to));
	assert_string_equal(to, "abc");
	assert_false(cookie_value(SPAN("xpolicyd=abc"), "policyd", to, sizeof to));
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_heads), cmocka_unit_test(test_bounds), cmocka_unit_test(test_forms) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
