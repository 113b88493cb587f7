/* Twice the input costs at most about twice the time, whatever is repeated in it. CPU time, best of several; a shape that is
 * over its ratio is measured again, for the machine may have been busy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

#include "policyd/base/limits.h"
#include "policyd/mail/parse.h"
#include "policyd/mail/prepare.h"

#ifdef __SANITIZE_ADDRESS__                    /* its memmem looks at every byte's shadow: shapes are run for what it finds, not timed */
enum { SMALL = 20 * 1000, TURNS = 1, TRIES = 12, TIMED = false };
#else
enum { SMALL = 200 * 1000, TURNS = 3, TRIES = 12, TIMED = true };
#endif
static const double RATIO = 2.3, SHORT = 0.0004;    /* seconds: below, a measurement says nothing */

static void
run_html(struct arena *a, struct span in)
{
	struct message msg = { 0 };
	struct html_result out;

	html_read(a, &msg, in, 0, &out);
}

static void
run_text(struct arena *a, struct span in)
{
	struct message msg = { 0 };
	struct plain_counts counts;
	char language[4];

	links_of_text(a, &msg, in, LINK_TEXT, 0);
	language_guess(text_plain_counted(a, in, &counts), language);
}

static void
run_link(struct arena *a, struct span in)
{
	struct message msg = { 0 };

	for (struct span rest = in; rest.n > 0;)
		link_add(a, &msg, span_cut(&rest, '\n'), LINK_HTML, SPAN("www.bank.com"), 0);
}

static void
run_address(struct arena *a, struct span in)
{
	struct address_list list;

	for (struct span rest = in; rest.n > 0; rest = span_from(rest, MAX_HEADER_LINE))
		addresses_read(a, rest, &list);
}

static void
run_header(struct arena *a, struct span in)
{
	header_decode(a, in);
}

static void
run_charset(struct arena *a, struct span in)
{
	static const char *const names[] = { "", "utf-7", "iso-2022-jp", "gb18030", "big5", "utf-16", "ibm037", "windows-1255" };
	bool unknown, wrong;

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		charset_to_utf8(a, in, span_of(names[i]), &unknown, &wrong);
}

static void
run_mail(struct arena *a, struct span in)
{
	struct message msg;

	message_parse(a, in, &msg);
}

static const struct shape {
	const char *head, *unit, *tail;
	void (*run)(struct arena *a, struct span in);
} shapes[] = {
	{ "", "<div>", "", run_html }, { "", "<div><p>", "", run_html }, { "", "<i>", "", run_html }, { "", "<font><p>", "", run_html },
	{ "", "<b><i></b></i>", "", run_html }, { "", "<a href=http://x.example>", "", run_html }, { "", "<table><tr><td>", "", run_html },
	{ "<div><i>", "</u></span></p>", "", run_html }, { "<u><div>", "<i></u>", "", run_html }, { "<span><div>", "<i></span>", "", run_html },
	{ "<p ", "a=1 ", ">", run_html }, { "<p ", "style=x ", ">", run_html }, { "<p ", "a='\" b=\"'", ">", run_html }, { "<p style=\"", "color:red;", "\">", run_html },
	{ "<p style=\"", "(", "\">", run_html }, { "<p style=\"", "/*", "\">", run_html }, { "<p style=\"", "\\41 ", "\">", run_html },
	{ "<p style=\"", "font:a b ", "\">", run_html }, { "<p class=\"", "a ", "\">", run_html }, { "", "&#x41;", "", run_html },
	{ "", "&", "", run_html }, { "", "&aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "", run_html }, { "&#", "0", "", run_html }, { "", "<", "", run_html },
	{ "", "<!--", "", run_html }, { "", "<!-- --!", "", run_html }, { "<!--", "-", "", run_html }, { "", "<!--[if mso]>", "", run_html },
	{ "", "<![endif]-->", "", run_html }, { "", "<!--[if mso]><p><![endif]-->", "", run_html }, { "", "<a href='", "", run_html },
	{ "<script>", "</", "", run_html }, { "<script>", "</script ", "", run_html }, { "", "<script>", "", run_html }, { "", "<title>", "", run_html },
	{ "", "<style>a{}</style>", "", run_html }, { "<style>", "a{color:red}", "</style>", run_html }, { "<style>", "a,", "{color:red}</style>", run_html },
	{ "<style>", "a a ", "{color:red}</style>", run_html }, { "<style>", "@media{", "</style>", run_html }, { "<style>", "/*", "</style>", run_html },
	{ "<style>", "/**/", "</style>", run_html }, { "<style>", "[", "</style>", run_html }, { "<style>", "[class=a]{color:red}", "</style>", run_html },
	{ "<style>.a{color:red}.a .b{display:none}</style>", "<p class='a b'>", "", run_html }, { "x<style>.a{color:red}</style>", "<p class=a>", "", run_html },
	{ "<p style=\"", "url(", "\">", run_html }, { "<p style=\"", "url(", ")\">", run_html }, { "<style>", "@import '", "", run_html }, { "<img srcset=\"", "a,", "\">", run_html }, { "", "<base href=http://x.example/><a href=y>", "", run_html },
	{ "", "<details><summary>", "", run_html }, { "", "<li>", "", run_html }, { "<ul>", "<li><i>", "", run_html }, { "", "<input value=x>", "", run_html },
	{ "", "a", "", run_text }, { "", "a.", "", run_text }, { "", "a.b ", "", run_text }, { "", ":", "", run_text }, { "", "http://", "", run_text },
	{ "", "http://a.example/ ", "", run_text }, { "", "<http://a\n", "", run_text }, { "", "www.", "", run_text }, { "", "a@b.example ", "", run_text },
	{ "", "[.]", "", run_text }, { "", "a[.]b", "", run_text }, { "", "\xe2\x80\x8b", "", run_text }, { "", "a\xe2\x80\x8b", "", run_text },
	{ "", "a\xd0\xb0", "", run_text }, { "", "\xd0\xb0", "", run_text }, { "", "\xd0\xb0.", "", run_text }, { "", "\xef\xbd\x81", "", run_text },
	{ "", "\xcc\x81", "", run_text }, { "", "the ", "", run_text },
	{ "", "http://a.example/?u=http%3A%2F%2Fb.example\n", "", run_link }, { "", "http://%2525252561.example/\n", "", run_link },
	{ "http://", "%", "", run_link }, { "", "http://xn--bnk-5cd.example/\n", "", run_link }, { "http://", "a.", "", run_link }, { "", "x\n", "", run_link },
	{ "", "http://a.example/http:http:http:http:http:http:http:http:http:http:http:http:http:http:http:http:\n", "", run_link },
	{ "", "a:", "", run_address }, { "", "a:b;", "", run_address }, { "", "(", "", run_address }, { "", "(a)", "", run_address }, { "", "<", "", run_address },
	{ "", "\"", "", run_address }, { "", "\\", "", run_address }, { "", "a@b.example,", "", run_address }, { "", "@", "", run_address }, { "", ",", "", run_address },
	{ "", "<a@xn--bcher-kva.example>,", "", run_address },
	{ "", "=?utf-8?q?a?= ", "", run_header }, { "", "=?", "", run_header }, { "", "=?a?b?", "", run_header }, { "", "=?utf-8?q?a?=x", "", run_header },
	{ "", "=?a?q?=?b?q?", "", run_header },
	{ "", "\xff", "", run_charset }, { "", "\x1b$B", "", run_charset }, { "", "+AA-", "", run_charset }, { "", "\xc3\xa9", "", run_charset },
	{ "", "\x81", "", run_charset }, { "", "\xd8", "", run_charset }, { "", "a", "", run_charset }, { "", "\x40\xc1", "", run_charset },
	{ "From: ", "a <a@b.example>, ", "\n\nx\n", run_mail }, { "X: ", "y\r From: a@b.example\r", "\n\nx\n", run_mail }, { "Subject: ", "=?utf-8?q?a?= ", "\n\nx\n", run_mail },
	{ "", "From: a@b.example\n", "\nx\n", run_mail }, { "Content-Type: text/html\n\n", "<div style=display:none>", "", run_mail },
	{ "Content-Type: text/calendar\n\n", "URL:http://a.example/\n ", "", run_mail }, { "Content-Type: text/html; charset=utf-7\n\n", "+AGE-", "", run_mail },
};

static struct span
make(const struct shape *s, size_t size)
{
	size_t head = strlen(s->head), unit = strlen(s->unit), tail = strlen(s->tail), n = head;
	char *p = malloc(size + head + unit + tail + 1);

	assert_non_null(p);
	memcpy(p, s->head, head);
	for (; n < size; n += unit)
		memcpy(p + n, s->unit, unit);
	memcpy(p + n, s->tail, tail);
	return span_make(p, n + tail);
}

static double
best_time(const struct shape *s, struct span in)
{
	double best = 1e9;

	for (int i = 0; i < TURNS; i++) {
		struct arena *a = arena_open(MAX_SCAN_MEMORY);
		struct timespec from, to;

		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
		s->run(a, in);
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
		arena_close(a);

		double took = (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;

		best = took < best ? took : best;
	}
	return best;
}

static bool
is_linear(const struct shape *s)
{
	struct span in = make(s, SMALL), in2 = make(s, SMALL * 2);
	double once = 1e9, twice = 1e9;
	bool linear = false;

	for (int i = 0; i < TRIES && !linear; i++) {         /* a busy machine takes from one, then from the other: this pair, or the best of all */
		double t = best_time(s, in), t2 = best_time(s, in2);

		once = t < once ? t : once;
		twice = t2 < twice ? t2 : twice;
		linear = t2 <= t * RATIO || twice <= once * RATIO || twice < SHORT || !TIMED;
	}
	free((char *)in.p);
	free((char *)in2.p);
	if (linear)
		return true;
	print_message("\"%s\" \"%s\": %.2f ms, twice as much %.2f ms\n", s->head, s->unit, once * 1e3, twice * 1e3);
	return false;
}

static void
test_halving(void **state)
{
	size_t wrong = 0;

	(void)state;
	for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
		wrong += !is_linear(&shapes[i]);
	assert_int_equal(wrong, 0);
}

static int
setup(void **state)
{
	(void)state;
	mail_prepare();
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_halving) };

	return cmocka_run_group_tests(tests, setup, NULL);
}
