/* A stranger's HTML can do nothing when it comes out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "policyd/mail/sanitize.h"

static const struct { const char *label, *html, *want; } cases[] = {
	{ "plain", "<p>Hello <b>you</b></p>", "<p>Hello <b>you</b></p>" },
	{ "closed at the end", "<div><b>x", "<div><b>x</b></div>" },
	{ "crossed", "<b><i>x</b>y</i>", "<b><i>x</i></b>y" },
	{ "end without beginning", "</div>x</p>", "x" },
	{ "script", "a<script>alert(1)</script>b", "ab" },
	{ "script in capitals, a blank in its end", "a<SCRIPT\n>alert(1)</sCript  >b", "ab" },
	{ "script that never ends", "a<script>alert(1)", "a" },
	{ "script in a comment", "a<!-- <script>x</script> -->b", "ab" },
	{ "nested to hide", "<scr<script>x</script>ipt>alert(1)</script>", "xipt&gt;alert(1)" },
	{ "handlers", "<p onclick=alert(1) style=\"background:url(x)\">y</p>", "<p>y</p>" },
	{ "svg", "<svg><a xlink:href=javascript:x>y</a></svg>z", "z" },
	{ "style", "<style>@import 'x';</style>y", "y" },
	{ "base, meta, link", "<base href=//x><meta http-equiv=refresh content=0><link rel=stylesheet href=x>y", "y" },
	{ "form", "<form action=//x><input name=a><button>go</button></form>y", "y" },
	{ "iframe", "<iframe srcdoc='<script>x</script>'></iframe>y", "y" },
	{ "image", "<img src=//x onerror=y alt='a &amp; \"b\"'>", "<span class=\"img\">[a &amp; &quot;b&quot;]</span>" },
	{ "link", "<a href='http://user@evil.example/x?y'>bank</a>", "<span class=\"link\">bank</span> <span class=\"to\">[evil.example]</span>" },
	{ "link in entities", "<a href='&#106;avascript:alert(1)'>x</a>", "<span class=\"link\">x</span> <span class=\"to\">[javascript:alert(1)]</span>" },
	{ "link in a link", "<a href=http://a.example>x<a href=http://b.example>y</a>", "<span class=\"link\">xy</span> <span class=\"to\">[a.example]</span>" },
	{ "entities", "&lt;script&gt; &amp;lt; &#60;b&#62;", "&lt;script&gt; &amp;lt; &lt;b&gt;" },
	{ "a lone bracket", "1 < 2 <3", "1 &lt; 2 &lt;3" },
	{ "quotes hide a bracket", "<p title=\"><script>x</script>\">y", "<p>y</p>" },
	{ "a quote that never ends", "<p title=\">y", "<p>y</p>" },
	{ "table", "<table><tr><td colspan=2 width=expression(1)>x", "<table><tr><td colspan=\"2\">x</td></tr></table>" },
	{ "a colspan that is none", "<td colspan='2\" onx=\"'>x", "<td>x</td>" },
	{ "dir", "<div dir=RTL align=\"left;x\">x</div>", "<div dir=\"rtl\">x</div>" },
	{ "unknown element", "<blink>x</blink><x-y onfoo=1>z</x-y>", "xz" },
	{ "processing instruction", "<?xml version=1?><!DOCTYPE html>x", "x" },
	{ "cdata", "<![CDATA[<script>x</script>]]>y", "x]]&gt;y" },
	{ "turned text", "a\xe2\x80\xae" "b", "a\xef\xbf\xbd" "b" },
	{ "unfinished tag", "x<p ", "x" },
	{ "slash for a blank", "<img/src=x/onerror=alert(1)//>", "<span class=\"img\">[\xf0\x9f\x96\xbc]</span>" },
};

static void
test_cases(void **state)
{
	struct arena *a = arena_open(16 << 20);

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf out = { 0 };

		html_sanitize(a, span_of(cases[i].html), &out);
		buf_add_char(&out, '\0');
		if (strcmp(out.p, cases[i].want) != 0)
			fail_msg("%s:\n  %s\n  wanted\n  %s", cases[i].label, out.p, cases[i].want);
		buf_free(&out);
	}
	arena_close(a);
}

static void
test_bounds(void **state)
{
	struct arena *a = arena_open(256 << 20);
	size_t n = 4 << 20;
	char *deep = malloc(n);
	struct buf out = { 0 };

	(void)state;
	for (size_t i = 0; i + 5 <= n; i += 5)
		memcpy(deep + i, "<div>", 5);
	html_sanitize(a, span_make(deep, n - n % 5), &out);
	assert_int_equal(out.n, SANITIZE_DEPTH * (5 + 6));
	buf_clear(&out);
	memset(deep, '&', n);
	html_sanitize(a, span_make(deep, n), &out);
	assert_true(out.n < SANITIZE_MOST + 4096);
	buf_free(&out);
	free(deep);
	arena_close(a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_cases), cmocka_unit_test(test_bounds) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
