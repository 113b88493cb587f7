/* Links as browsers follow them, hosts as they are asked about, and authors as readers see them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "policyd/base/limits.h"
#include "policyd/mail/parse.h"
#include "policyd/mail/prepare.h"

static struct arena *arena;

static struct message *
parse(struct span text)
{
	struct message *msg = ARENA_NEW(arena, struct message);

	message_parse(arena, text, msg);
	return msg;
}

static struct message *
parse_body(const char *type, const char *body)
{
	return parse(arena_printf(arena, "From: a@shop.example\nContent-Type: %s; charset=utf-8\n\n%s\n", type, body));
}

static bool
has_host(const struct message *msg, const char *host)
{
	for (size_t i = 0; i < msg->link_count; i++)
		if (span_eq(msg->links[i].host, span_of(host)))
			return true;
	return false;
}

/* `host` NULL: there is no link at all */
static const struct { const char *label, *type, *body, *host; } links[] = {
	{ "text", "text/plain", "see http://a.example.com/x", "a.example.com" },
	{ "no scheme", "text/plain", "see a.example.com today", "a.example.com" },
	{ "www", "text/plain", "see www.unknown-suffix.invalidtld", "www.unknown-suffix.invalidtld" },
	{ "with a path", "text/plain", "example.com/path.", "example.com" },
	{ "with a port", "text/plain", "http://a.example.com:8080/", "a.example.com" },
	{ "an address is no link", "text/plain", "write to bob@a.example.com or www@b.example.com", NULL },
	{ "a file is no link", "text/plain", "open report.pdf or README.md, then run.sh", NULL },
	{ "two sentences are no link", "text/plain", "This is the end.Next we go on.It is so", NULL },
	{ "a number is no link", "text/plain", "1.234.567,89 and 3.14", NULL },
	{ "hxxp", "text/plain", "hxxps://a[.]example[.]com/x", "a.example.com" },
	{ "brackets for dots", "text/plain", "a[.]example(.)com", "a.example.com" },
	{ "ideographic dots", "text/plain", "http://a\xe3\x80\x82" "example\xe3\x80\x82" "com/", "a.example.com" },
	{ "zero width in a bare host", "text/plain", "a.exam\xe2\x80\x8bple.com", "a.example.com" },
	{ "Japanese behind it", "text/plain", "http://a.example.com\xe3\x80\x81\xe3\x81\x82", "a.example.com" },
	{ "wrapped in angle brackets", "text/plain", "<http://a.exam\nple.com/x>", "a.example.com" },
	{ "upper case", "text/plain", "HTTP://A.Example.COM", "a.example.com" },
	{ "decimal address", "text/plain", "http://3221226219/", "192.0.2.235" },
	{ "hexadecimal address", "text/plain", "http://0xC00002EB/", "192.0.2.235" },
	{ "octal address", "text/plain", "http://0300.0.02.0353/", "192.0.2.235" },
	{ "short address", "text/plain", "http://192.0.747/", "192.0.2.235" },
	{ "IPv6", "text/plain", "http://[2001:db8::1]/", "[2001:db8::1]" },
	{ "href", "text/html", "<a href=http://a.example.com/>x</a>", "a.example.com" },
	{ "backslashes", "text/html", "<a href=\"http:\\\\a.example.com\\x\">x</a>", "a.example.com" },
	{ "no slashes", "text/html", "<a href=\"http:a.example.com\">x</a>", "a.example.com" },
	{ "many slashes", "text/html", "<a href=\"http:////a.example.com\">x</a>", "a.example.com" },
	{ "line ends inside", "text/html", "<a href=\"ht\ntp://a.exa\tmple.com\">x</a>", "a.example.com" },
	{ "entities", "text/html", "<a href=\"&#104;ttp&colon;&sol;&sol;a&period;example.com\">x</a>", "a.example.com" },
	{ "percent", "text/html", "<a href=\"http://%61.ex%61mple.com\">x</a>", "a.example.com" },
	{ "percent, twice", "text/html", "<a href=\"http://%2561.example.com\">x</a>", "a.example.com" },
	{ "user", "text/html", "<a href=\"http://bank.example@a.example.com/\">x</a>", "a.example.com" },
	{ "soft hyphen", "text/html", "<a href=\"http://a.exa&shy;mple.com/\">x</a>", "a.example.com" },
	{ "full width", "text/html", "<a href=\"http://\xef\xbd\x81.example.com/\">x</a>", "a.example.com" },
	{ "mathematical", "text/html", "<a href=\"http://\xf0\x9d\x90\x9a.example.com/\">x</a>", "a.example.com" },
	{ "circled digits", "text/html", "<a href=\"http://\xe2\x91\xa0" "a.example.com/\">x</a>", "1a.example.com" },
	{ "IDN", "text/html", "<a href=\"http://b\xc3\xbc" "cher.example/\">x</a>", "xn--bcher-kva.example" },
	{ "protocol relative", "text/html", "<base href=\"http://b.example/\"><a href=\"//a.example.com/x\">x</a>", "a.example.com" },
	{ "relative to a base", "text/html", "<a href=\"x\">x</a><base href=\"http://b.example.com/\">", "b.example.com" },
	{ "mailto", "text/html", "<a href=\"mailto:a@a.example.com\">x</a>", NULL },
	{ "script", "text/html", "<a href=\"javascript:x('http://')\">x</a>", NULL },
	{ "event handler", "text/html", "<a onclick=\"location='http://a.example.com/'\">x</a>", "a.example.com" },
	{ "in a script", "text/html", "<script>window.open(\"https://a.example.com/x\")</script>", "a.example.com" },
	{ "form", "text/html", "<form action=\"http://a.example.com/\">", "a.example.com" },
	{ "button", "text/html", "<button formaction=\"http://a.example.com/\">", "a.example.com" },
	{ "refresh", "text/html", "<meta http-equiv=refresh content=\"0; URL='http://a.example.com/'\">", "a.example.com" },
	{ "refresh without url=", "text/html", "<meta http-equiv=refresh content=\"0;http://a.example.com/\">", "a.example.com" },
	{ "srcset", "text/html", "<img srcset=\"http://b.example.com/1 1x, http://a.example.com/2 2x\">", "a.example.com" },
	{ "style attribute", "text/html", "<p style=\"background:url('http://a.example.com/x.png')\">", "a.example.com" },
	{ "style sheet", "text/html", "<style>p{background:url(http://a.example.com/x)}</style>", "a.example.com" },
	{ "import", "text/html", "<style>@import \"http://a.example.com/x.css\";</style>", "a.example.com" },
	{ "Outlook's comment", "text/html", "<!--[if mso]><v:rect href=\"http://a.example.com/\"><![endif]-->", "a.example.com" },
	{ "svg", "text/html", "<svg><a xlink:href=\"http://a.example.com/\"><text>x</text></a></svg>", "a.example.com" },
	{ "in the text of a page", "text/html", "<p>go to a.example.com now</p>", "a.example.com" },
	{ "split in the text of a page", "text/html", "go to a.exam<b></b>ple.com now", "a.example.com" },
	{ "redirector", "text/html", "<a href=\"https://www.google.example/url?q=https%3A%2F%2Fa.example.com%2Fx&sa=D\">x</a>", "a.example.com" },
	{ "redirector, coded twice", "text/html", "<a href=\"https://r.example/?u=https%253A%252F%252Fa.example.com%252F\">x</a>", "a.example.com" },
	{ "redirector by path", "text/html", "<a href=\"https://r.example/http://a.example.com/x\">x</a>", "a.example.com" },
	{ "calendar", "text/calendar", "BEGIN:VEVENT\nDESCRIPTION:Join https://a.exam\n ple.com/x\\, now\nEND:VEVENT", "a.example.com" },
	{ "a page for telephones", "text/x-amp-html", "<a href=http://a.example.com/>x</a>", "a.example.com" },
};

static void
test_links(void **state)
{
	size_t wrong = 0;

	(void)state;
	for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
		struct message *msg = parse_body(links[i].type, links[i].body);

		if (links[i].host ? has_host(msg, links[i].host) : msg->link_count == 0)
			continue;
		print_message("%s: want %s\n", links[i].label, links[i].host ? links[i].host : "none");
		for (size_t k = 0; k < msg->link_count; k++)
			print_message("    " SPAN_FMT "\n", SPAN_ARG(msg->links[k].url));
		wrong++;
	}
	assert_int_equal(wrong, 0);
}

static const struct { const char *label, *html; enum mail_note note; bool want; } findings[] = {
	{ "text shows another domain", "<a href=http://evil.example.com/>www.bank.com</a>", NOTE_LINK_MISMATCH, true },
	{ "with a scheme", "<a href=http://evil.example.com/>https://bank.com/login</a>", NOTE_LINK_MISMATCH, true },
	{ "with invisible letters", "<a href=http://evil.example.com/>www.ba&#8203;nk.com</a>", NOTE_LINK_MISMATCH, true },
	{ "relative to another base", "<base href=http://evil.example.com/><a href=/login>www.bank.com</a>", NOTE_LINK_MISMATCH, true },
	{ "the same domain", "<a href=http://click.bank.com/x>www.bank.com</a>", NOTE_LINK_MISMATCH, false },
	{ "plain text", "<a href=http://click.bank.com/x>Log in. Now</a>", NOTE_LINK_MISMATCH, false },
	{ "an address", "<a href=http://click.bank.com/x>bob@shop.com</a>", NOTE_LINK_MISMATCH, false },
	{ "Cyrillic a in Latin", "<a href=http://b\xd0\xb0nk.example/>x</a>", NOTE_HOMOGRAPH, true },
	{ "the same as punycode", "<a href=http://xn--bnk-5cd.example/>x</a>", NOTE_HOMOGRAPH, true },
	{ "all Cyrillic, all look-alikes", "<a href=http://\xd1\x80\xd0\xb0\xd1\x83\xd1\x80\xd0\xb0\xd3\x8f.com/>x</a>", NOTE_HOMOGRAPH, true },
	{ "honest Cyrillic", "<a href=http://\xd0\xbf\xd0\xbe\xd0\xb3\xd0\xbe\xd0\xb4\xd0\xb0.\xd1\x80\xd1\x84/>x</a>", NOTE_HOMOGRAPH, false },
	{ "umlauts", "<a href=http://b\xc3\xbc" "cher.example/>x</a>", NOTE_HOMOGRAPH, false },
	{ "dotless i", "<a href=http://pa\xc4\xb1pal.example/>x</a>", NOTE_HOMOGRAPH, true },
};

static void
test_findings(void **state)
{
	size_t wrong = 0;

	(void)state;
	for (size_t i = 0; i < sizeof findings / sizeof *findings; i++)
		if (message_noted(parse_body("text/html", findings[i].html), findings[i].note) != findings[i].want) {
			print_message("%s: want %d\n", findings[i].label, findings[i].want);
			wrong++;
		}
	assert_int_equal(wrong, 0);
}

static void
test_hosts_asked(void **state)
{
	const struct link **hosts;
	struct span body = SPAN("<img src=http://pixel.example.com/><a href=http://www.shop.co.uk/>x</a><a href=http://shop.co.uk/y>y</a>");
	struct message *msg;
	char many[600 * 40];
	size_t n = 0;

	(void)state;
	msg = parse_body("text/html", body.p);
	assert_int_equal(message_hosts(msg, arena, &hosts), 3);
	assert_true(span_eq(hosts[0]->host, SPAN("www.shop.co.uk")) && span_eq(hosts[0]->domain, SPAN("shop.co.uk")));
	assert_true(span_eq(hosts[1]->host, SPAN("shop.co.uk")) && span_eq(hosts[2]->domain, SPAN("example.com")));
	for (int i = 0; i < 600; i++)
		n += (size_t)snprintf(many + n, sizeof many - n, "http://a%d.b%d.com/ ", i, i);
	assert_int_equal(message_hosts(parse_body("text/plain", many), arena, &hosts), MAX_HOSTS_TOLD);
}

static const struct { const char *raw, *name, *addr; size_t count; bool odd; } addresses[] = {
	{ "a@b.example", "", "a@b.example", 1, false },
	{ "Ann <a@b.example>", "Ann", "a@b.example", 1, false },
	{ "\"Lee, Ann\" <a@b.example>", "Lee, Ann", "a@b.example", 1, false },
	{ "\"A \\\"x\\\" B\" <a@b.example>", "A \"x\" B", "a@b.example", 1, false },
	{ "a@b.example (Ann (the first) Lee)", "Ann (the first) Lee", "a@b.example", 1, false },
	{ "Ann (x) <a(y)@b.example(z)>", "Ann", "a@b.example", 1, false },
	{ "=?utf-8?q?J=C3=B6rg?= <a@b.example>", "J\xc3\xb6rg", "a@b.example", 1, false },
	{ "a@b.example, c@d.example", "", "a@b.example", 2, false },
	{ "staff: a@b.example, c@d.example;", "", "a@b.example", 2, false },
	{ "none:;", "", "", 0, false },
	{ "\"a@b\"@c.example", "", "a@b@c.example", 1, true },
	{ "<\"a b\"@c.example>", "", "\"a b\"@c.example", 1, false },
	{ "<a@B.EXAMPLE.>", "", "a@b.example", 1, false },
	{ "<a@xn--bcher-kva.example>", "", "a@b\xc3\xbc" "cher.example", 1, false },
	{ "<@r.example,@s.example:a@b.example>", "", "a@b.example", 1, true },
	{ "<a@b.example> c@d.example", NULL, "a@b.example", 1, true },
	{ "<a@b.example> <c@d.example>", NULL, "c@d.example", 1, true },
	{ "<a@b.example>\\,<c@d.example>", NULL, "a@b.example", 2, true },
	{ "Ann <a@b.example", "Ann", "a@b.example", 1, true },
	{ "\"Ann <a@b.example>", NULL, NULL, 1, true },
	{ "a@b.example (", NULL, "a@b.example", 1, true },
	{ "a@b@c.example", "", "a@b@c.example", 1, true },
	{ "<>", "", "", 0, false },
	{ "", "", "", 0, false },
};

static void
test_addresses(void **state)
{
	size_t wrong = 0;

	(void)state;
	for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++) {
		struct address_list list;
		struct address none = { 0 };

		addresses_read(arena, span_of(addresses[i].raw), &list);
		const struct address *first = list.count ? &list.at[0] : &none;

		if (list.count == addresses[i].count && list.odd == addresses[i].odd &&
		    (addresses[i].name == NULL || span_eq(first->name, span_of(addresses[i].name))) &&
		    (addresses[i].addr == NULL || span_eq(first->addr, span_of(addresses[i].addr))))
			continue;
		print_message("%s: %zu of them, odd %d, \"" SPAN_FMT "\" <" SPAN_FMT ">\n", addresses[i].raw, list.count, list.odd, SPAN_ARG(first->name), SPAN_ARG(first->addr));
		wrong++;
	}
	assert_int_equal(wrong, 0);
}

#define REST "To: b@shop.example\n\nhello\n"
static const struct { const char *label, *mail; enum mail_note note; bool want; } authors[] = {
	{ "one", "From: a@b.example\n" REST, NOTE_FROM_AMBIGUOUS, false },
	{ "two of one domain", "From: a@b.example, c@b.example\n" REST, NOTE_FROM_AMBIGUOUS, false },
	{ "two", "From: a@b.example, c@d.example\n" REST, NOTE_FROM_AMBIGUOUS, true },
	{ "two fields", "From: a@b.example\nFrom: c@d.example\n" REST, NOTE_FROM_AMBIGUOUS, true },
	{ "blank before the colon", "From: a@b.example\nFrom : c@d.example\n" REST, NOTE_FROM_AMBIGUOUS, true },
	{ "blank before the name", "X: y\n From: a@b.example\nFrom: c@d.example\n" REST, NOTE_FROM_AMBIGUOUS, true },
	{ "blank before the first line", " From: a@b.example\nFrom: c@d.example\n" REST, NOTE_FROM_AMBIGUOUS, true },
	{ "name folded", "From\n : a@b.example\nFrom: c@d.example\n" REST, NOTE_FROM_AMBIGUOUS, true },
	{ "behind a bare CR", "Subject: x\rFrom: a@b.example\nFrom: c@d.example\n" REST, NOTE_FROM_AMBIGUOUS, true },
	{ "names in a signature", "DKIM-Signature: v=1; i=@b.example; h=To:\n From:Subject; d=b.example; i=@b.example\nFrom: a@b.example\n" REST, NOTE_FROM_AMBIGUOUS, false },
	{ "group", "From: staff: a@b.example;\n" REST, NOTE_FROM_AMBIGUOUS, true },
	{ "none", REST, NOTE_FROM_MISSING, true },
	{ "empty", "From: <>\n" REST, NOTE_FROM_MISSING, true },
	{ "NUL is seen elsewhere; a control character", "From: <a@b\x01.example>\n" REST, NOTE_CONTROL_CHAR, true },
	{ "another address for a name", "From: \"ceo@shop.example\" <x@evil.example>\n" REST, NOTE_DISPLAY_SPOOF, true },
	{ "in an encoded word", "From: =?utf-8?q?ceo=40shop.example?= <x@evil.example>\n" REST, NOTE_DISPLAY_SPOOF, true },
	{ "in full width", "From: =?utf-8?B?Y2Vv77ygc2hvcC5leGFtcGxl?= <x@evil.example>\n" REST, NOTE_DISPLAY_SPOOF, true },
	{ "in a comment", "From: x@evil.example (ceo@shop.example)\n" REST, NOTE_DISPLAY_SPOOF, true },
	{ "the same address for a name", "From: \"x@shop.example\" <x@mail.shop.example>\n" REST, NOTE_DISPLAY_SPOOF, false },
	{ "look-alikes in the name", "From: =?utf-8?B?UNCweVBhbA==?= <x@evil.example>\n" REST, NOTE_CONFUSABLE_NAME, true },
	{ "honest Cyrillic name", "From: =?utf-8?B?0JjQstCw0L0=?= <x@shop.example>\n" REST, NOTE_CONFUSABLE_NAME, false },
	{ "homograph", "From: <x@xn--bnk-5cd.example>\n" REST, NOTE_FROM_HOMOGRAPH, true },
};

static void
test_authors(void **state)
{
	size_t wrong = 0;

	(void)state;
	for (size_t i = 0; i < sizeof authors / sizeof *authors; i++)
		if (message_noted(parse(span_of(authors[i].mail)), authors[i].note) != authors[i].want) {
			print_message("%s: want %d\n", authors[i].label, authors[i].want);
			wrong++;
		}
	assert_int_equal(wrong, 0);
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
		cmocka_unit_test(test_links), cmocka_unit_test(test_findings), cmocka_unit_test(test_hosts_asked), cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_authors),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
