/* What a reader sees of a page, what he does not, in the ways of browsers; each hiding, and what only looks like one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "policyd/base/limits.h"
#include "policyd/mail/parse.h"
#include "policyd/mail/prepare.h"
#include "policyd/mail/style.h"

static struct arena *arena;

static const struct { const char *label, *html; bool seen; } words[] = {
	{ "plain", "<p>word</p>", true },
	{ "split by comments", "wo<!-- x -->rd", true },
	{ "split by elements", "w<span></span>o<b>r</b>d", true },
	{ "comment that ends at once", "<!-->word", true },
	{ "comment ended by --!>", "<!-- x --!>word", true },
	{ "in a comment", "<!-- word -->", false },
	{ "decimal, no semicolon", "&#119;ord", true },
	{ "hexadecimal, many zeros", "&#x0000000000000000000077;ord", true },
	{ "display", "<div style=\"display:none\">word</div>", false },
	{ "display, important", "<div style=\"display: none !important\">word</div>", false },
	{ "important wins", "<div style=\"display:none!important;display:block\">word</div>", false },
	{ "later wins", "<div style=\"display:none;display:block\">word</div>", true },
	{ "escaped property", "<div style=\"\\64 isplay:none\">word</div>", false },
	{ "comment in a style", "<div style=\"display:/* x */none\">word</div>", false },
	{ "entity in a style", "<div style=\"display&#58;none\">word</div>", false },
	{ "visibility", "<div style=visibility:hidden>word</div>", false },
	{ "visible inside", "<div style=visibility:hidden>x<b style=visibility:visible>word</b></div>", true },
	{ "opacity", "<p style=\"opacity:0.0\">word", false },
	{ "opacity of a half", "<p style=\"opacity:.5\">word", true },
	{ "filter", "<p style=\"filter:alpha(opacity=0)\">word", false },
	{ "size 0", "<span style=\"font-size:0\">word</span>", false },
	{ "size 1px", "<span style=\"font-size:1px\">word</span>", false },
	{ "size 0.01em", "<span style=\"font-size:0.01em\">word</span>", false },
	{ "font shorthand", "<span style=\"font:0/0 a\">word</span>", false },
	{ "font shorthand, readable", "<span style=\"font:bold 14px/20px Arial\">word</span>", true },
	{ "size set anew", "<td style=\"font-size:0\"><span style=\"font-size:14px\">word</span>", true },
	{ "size of nothing is nothing", "<td style=\"font-size:0\"><span style=\"font-size:100%\">word</span>", false },
	{ "font size attribute", "<font size=\"1\">word</font>", true },
	{ "white on white", "<p style=\"color:#fff\">word", false },
	{ "nearly white on white", "<p style=\"color:rgb(250, 250, 250)\">word", false },
	{ "white by name", "<font color=white>word</font>", false },
	{ "white on black", "<table bgcolor=\"#000000\"><tr><td style=\"color:#fff\">word", true },
	{ "black on black", "<table bgcolor=black><tr><td>word", false },
	{ "white on a picture", "<table background=\"http://x.example/a.png\"><tr><td style=color:#fff>word", true },
	{ "white on a gradient", "<div style=\"background:linear-gradient(red,blue);color:white\">word", true },
	{ "hsl", "<p style=\"color:hsl(0 0% 100%)\">word", false },
	{ "a link on blue", "<td bgcolor=\"#0000ee\"><a href=\"x\">word</a>", false },
	{ "a link in white text", "<td style=\"color:#fff\"><a href=\"x\">word</a>", true },
	{ "transparent", "<p style=\"color:transparent\">word", false },
	{ "transparent by alpha", "<p style=\"color:rgba(0,0,0,0.02)\">word", false },
	{ "transparent by hex alpha", "<p style=\"color:#00000005\">word", false },
	{ "moved out", "<p style=\"position:absolute;left:-9999px\">word", false },
	{ "left without position", "<p style=\"left:-9999px\">word", true },
	{ "indent", "<p style=\"text-indent:-9999px\">word", false },
	{ "indent of a paragraph", "<p style=\"text-indent:-20px\">word", true },
	{ "margin", "<p style=\"margin-left:-9999px\">word", false },
	{ "no height", "<p style=\"max-height:0;overflow:hidden\">word", false },
	{ "no height, but it runs over", "<p style=\"max-height:0\">word", true },
	{ "clip", "<p style=\"position:absolute;clip:rect(0 0 0 0)\">word", false },
	{ "clip path", "<p style=\"clip-path:inset(50%)\">word", false },
	{ "scale", "<p style=\"transform:scale(0)\">word", false },
	{ "mirrored", "<p style=\"transform:scale(-1,1)\">word", true },
	{ "mso-hide", "<p style=\"mso-hide:all\">word", false },
	{ "hidden attribute", "<p hidden>word", false },
	{ "class", "<style>.h{display:none}</style><p class=\"a h\">word", false },
	{ "id", "<style>#h{display:none}</style><p id=h>word", false },
	{ "element", "<style>q{display:none}</style><q>word</q>", false },
	{ "any", "<style>*{font-size:0}</style><p>word", false },
	{ "list of selectors", "<style>.x,p.h,.y{display:none}</style><p class=h>word", false },
	{ "two classes", "<style>.a.b{display:none}</style><p class=\"a\">word", true },
	{ "inside of another", "<style>.out .h{display:none}</style><div class=out><p class=h>word", false },
	{ "not inside of another", "<style>.out .h{display:none}</style><p class=h>word", true },
	{ "attribute selector", "<style>[class~=\"h\"]{display:none}</style><p class=h>word", false },
	{ "hover", "<style>.h:hover{display:none}</style><p class=h>word", true },
	{ "specific beats later", "<style>#h{display:block} .h{display:none}</style><p class=h id=h>word", true },
	{ "inline beats sheet", "<style>.h{display:none}</style><p class=h style=display:block>word", true },
	{ "sheet's important beats inline", "<style>.h{display:none!important}</style><p class=h style=display:block>word", false },
	{ "sheet behind the text", "<p class=h>word</p><style>.h{display:none}</style>", false },
	{ "sheet in a comment", "<!-- <style>.h{display:none}</style> --><p class=h>word", true },
	{ "sheet in Outlook's comment", "<!--[if mso]><style>.h{display:none}</style><![endif]--><p class=h>word", true },
	{ "for phones only", "<style>@media (max-width:480px){.h{display:none}}</style><p class=h>word", true },
	{ "for the screen", "<style>@media screen{.h{display:none}}</style><p class=h>word", false },
	{ "rule behind a block that does not hold", "<style>@media print{.x{color:red}} .h{display:none}</style><p class=h>word", false },
	{ "Outlook only", "<!--[if mso]><p>word</p><![endif]-->", false },
	{ "all but Outlook", "<!--[if !mso]><!--><p>word</p><!--<![endif]-->", true },
	{ "after Outlook's tables", "<table><tr><td><!--[if mso]></td></tr></table><![endif]-->word", true },
	{ "title", "<title>word</title>", false },
	{ "template", "<template>word</template>", false },
	{ "noscript: mail runs no scripts", "<noscript>word</noscript>", true },
	{ "details", "<details><summary>x</summary>word</details>", false },
	{ "its summary", "<details><summary>word</summary>x</details>", true },
	{ "details open", "<details open><summary>x</summary>word</details>", true },
	{ "after details", "<details>x</details>word", true },
	{ "after a hidden paragraph", "<p style=display:none>x<p>word", true },
	{ "after a hidden item", "<ul><li style=display:none>x<li>word</ul>", true },
	{ "after a hidden cell", "<table><tr><td style=display:none>x<td>word</table>", true },
	{ "after a hidden row", "<table><tr style=display:none><td>x<tr><td>word</table>", true },
	{ "closed over open inline elements", "<div style=display:none><i><b><u>x</div>word", true },
	{ "closed beneath a block", "<font style=\"font-size:0\"><div>x</font>word</div>", true },
	{ "</span> does not close a block's parent", "<span style=display:none><div>x</span>word</div></span>", false },
	{ "</div> does not leave its cell", "<div style=display:none><table><tr><td>x</div>word</table>", false },
	{ "no self-closing", "<span style=\"display:none\"/>word", false },
	{ "void elements hide nothing", "<br style=\"display:none\">word", true },
	{ "unknown elements", "<x-y style=display:none>x</x-y>word", true },
	{ "65 attributes before the style", "<p a b c d e f g h i j k l m n o p q r s t u v w x y z a1 a2 a3 a4 a5 a6 a7 a8 a9 b1 b2 b3 b4 b5 b6 b7 b8 b9 "
	    "c1 c2 c3 c4 c5 c6 c7 c8 c9 d1 d2 d3 d4 d5 d6 d7 d8 d9 e1 e2 e3 style=display:none>word", false },
	{ "first attribute counts", "<p style=\"color:red\" style=\"display:none\">word", true },
	{ "a lone <", "1 < 2 word", true },
	{ "a button's label", "<input type=submit value=\"word\">", true },
	{ "a hidden field", "<input type=hidden value=\"word\">", false },
	{ "text after the page", "</body></html>word", true },
};

static struct html_result
read_page(struct message *msg, const char *html)
{
	struct html_result out;

	*msg = (struct message){ 0 };
	html_read(arena, msg, span_of(html), 0, &out);
	return out;
}

static void
test_what_is_seen(void **state)
{
	size_t wrong = 0;

	(void)state;
	for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
		struct message msg;
		struct html_result out = read_page(&msg, words[i].html);

		if ((span_find(out.visible, SPAN("word")) != SPAN_NONE) == words[i].seen)
			continue;
		print_message("%s: want %s; visible \"" SPAN_FMT "\", hidden \"" SPAN_FMT "\"\n", words[i].label, words[i].seen ? "seen" : "hidden",
		    SPAN_ARG(out.visible), SPAN_ARG(out.hidden));
		wrong++;
	}
	assert_int_equal(wrong, 0);
}

/* Nesting as deep as anybody likes hides nothing and opens nothing. */
static void
test_depth(void **state)
{
	static char html[200 * 1000];
	size_t n = 0;
	struct message msg;

	(void)state;
	for (int i = 0; i < 20000; i++)
		n += (size_t)sprintf(html + n, "<div>");
	sprintf(html + n, "<a href=\"http://deep.example/\">word</a><p style=\"display:none\">other</p>");
	struct html_result out = read_page(&msg, html);

	assert_true(span_find(out.visible, SPAN("word")) != SPAN_NONE);
	assert_true(span_find(out.visible, SPAN("other")) == SPAN_NONE);
	assert_int_equal(msg.link_count, 1);
}

static void
test_text_in_order(void **state)
{
	struct message msg;
	struct html_result out = read_page(&msg, "<h1>A&amp;B</h1> <table><tr><td>c</td><td>d</td></tr></table>e<br>f&nbsp;g &notit; &copy2 &#150;");

	(void)state;
	assert_true(span_eq(out.visible, SPAN("A&B\nc d\ne\nf g \xc2\xacit; \xc2\xa9" "2 \xe2\x80\x93")));
}

static void
test_hidden_text_is_a_finding(void **state)
{
	struct message msg;

	(void)state;
	read_page(&msg, "<title>a long title is no part of the page, and is no reason for anything at all to be found in it</title>hi");
	assert_false(message_noted(&msg, NOTE_HIDDEN_TEXT));
	read_page(&msg, "<p style=display:none>sixty letters and more that nobody who opens this mail will ever see of it</p>hi");
	assert_true(message_noted(&msg, NOTE_HIDDEN_TEXT));
}

static const struct { const char *text; uint32_t want; } colors[] = {
	{ "#fff", 0xffffffff }, { "#12345678", 0x78123456 }, { "ABCDEF", 0xffabcdef }, { "RebeccaPurple", 0xff663399 },
	{ "transparent", 0 }, { "rgb(1,2,3)", 0xff010203 }, { "rgb(100% 0% 0% / 50%)", 0x80ff0000 }, { "rgba(1,2,3,0)", 0x00010203 },
	{ "hsl(120, 100%, 50%)", 0xff00ff00 }, { "hsl(-120 100% 50%)", 0xff0000ff }, { "aliceblue", 0xfff0f8ff }, { "yellowgreen", 0xff9acd32 },
};

static void
test_colors(void **state)
{
	uint32_t color;

	(void)state;
	for (size_t i = 0; i < sizeof colors / sizeof *colors; i++) {
		assert_true(style_color(span_of(colors[i].text), &color));
		if (color != colors[i].want)
			print_message("%s is %08x\n", colors[i].text, color);
		assert_int_equal(color, colors[i].want);
	}
	assert_false(style_color(SPAN("inherit"), &color));
	assert_false(style_color(SPAN("#ff"), &color));
}

static const struct { const char *text; size_t used; uint32_t code; } references[] = {
	{ "&amp;", 5, '&' }, { "&ampx", 4, '&' }, { "&AElig;", 7, 0xc6 }, { "&zwnj;", 6, 0x200c }, { "&nope;", 0, 0 }, { "&#65", 4, 65 },
	{ "&#x41;", 6, 65 }, { "&#;", 0, 0 }, { "&#128;", 6, 0x20ac }, { "&#xd800;", 8, 0xfffd }, { "&#99999999999;", 14, 0xfffd },
	{ "&CounterClockwiseContourIntegral;", 33, 0x2233 }, { "&ZeroWidthSpace;", 16, 0x200b }, { "&period;", 8, '.' }, { "&a", 0, 0 },
};

static void
test_references(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof references / sizeof *references; i++) {
		uint32_t code = 0;

		assert_int_equal(html_entity(span_of(references[i].text), false, &code), references[i].used);
		assert_int_equal(code, references[i].code);
	}
	uint32_t code;

	assert_int_equal(html_entity(SPAN("&copy=2"), true, &code), 0);      /* "?a=1&copy=2" */
	assert_int_equal(html_entity(SPAN("&copy;=2"), true, &code), 6);
}

static int
setup(void **state)
{
	(void)state;
	mail_prepare();
	arena = arena_open(MAX_SCAN_MEMORY);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	arena_close(arena);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_seen), cmocka_unit_test(test_depth), cmocka_unit_test(test_text_in_order),
		cmocka_unit_test(test_hidden_text_is_a_finding), cmocka_unit_test(test_colors), cmocka_unit_test(test_references),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
