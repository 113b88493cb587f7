/* Banned files taken out: a note in their place, every other byte as it was; or an honest no. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "policyd/base/limits.h"
#include "policyd/scan/banned.h"
#include "policyd/scan/strip.h"

#define HEAD "From: a@b.example\r\nSubject: x\r\nMIME-Version: 1.0\r\n"
#define MIXED HEAD "Content-Type: multipart/mixed; boundary=\"=b\"\r\n\r\npreamble\r\n"
#define TEXT "--=b\r\nContent-Type: text/plain\r\n\r\nhello\r\n"
#define EXE "--=b\r\nContent-Type: application/octet-stream; name=\"a.exe\"\r\nContent-Transfer-Encoding: base64\r\n\r\nTVqQAAMAAAA=\r\n"
#define PDF "--=b\r\nContent-Type: application/pdf; name=\"b.pdf\"\r\n\r\n%PDF-1.4\r\n"
/* PK.. stored: "x/run.exe", one byte */
#define ZIP "--=b\r\nContent-Type: application/zip; name=\"c.zip\"\r\nContent-Transfer-Encoding: base64\r\n\r\n" \
	"UEsDBBQAAAAAAAAAIQBDvrfoAQAAAAEAAAAJAAAAeC9ydW4uZXhlYVBLAQIUAxQAAAAAAAAAIQBD\r\nvrfoAQAAAAEAAAAJAAAAAAAAAAAAAACAAQAAAAB4L3J1bi5leGVQSwUGAAAAAAEAAQA3AAAAKAAA\r\nAAAA\r\n"
#define END "--=b--\r\nepilogue\r\n"
#define INNER "--=b\r\nContent-Type: message/rfc822\r\n\r\nFrom: c@d.example\r\nContent-Type: multipart/mixed; boundary=in\r\n\r\n" \
	"--in\r\n\r\nwords\r\n--in\r\nContent-Disposition: attachment; filename=deep.exe\r\n\r\nMZ\r\n--in--\r\n"

static const struct {
	const char *label, *list, *mail;
	bool can;
	const char *stays[4], *goes[4];      /* up to the first NULL */
} rows[] = {
	{ "nothing is banned", "js", MIXED TEXT EXE END, false, { NULL }, { NULL } },
	{ "one of three", "exe", MIXED TEXT EXE PDF END, true, { MIXED TEXT "--=b\r\n", "\r\n" PDF END, "\"a.exe\"", "reference REF." }, { "TVqQ", "octet-stream" } },
	{ "the last one", "exe", MIXED TEXT EXE END, true, { MIXED TEXT "--=b\r\n", "\r\n" END }, { "TVqQ" } },
	{ "two of three", "exe pdf", MIXED TEXT EXE PDF END, true, { TEXT, "\"a.exe\"", "\"b.pdf\" (application/pdf)", "\r\n" END }, { "TVqQ", "%PDF" } },
	{ "an archive that holds one", "exe", MIXED TEXT ZIP PDF END, true, { MIXED TEXT, PDF END, "\"c.zip\"" }, { "UEsDB" } },
	{ "in a mail in the mail", "exe", MIXED TEXT INNER END, true, { "\r\n\r\nwords\r\n--in\r\n", "\r\n--in--\r\n" END, "\"deep.exe\"" }, { "MZ\r\n" } },
	{ "nothing but the file", "exe", HEAD "Content-Type: application/octet-stream; name=a.exe\r\nContent-Transfer-Encoding: base64\r\n\r\nTVqQ\r\n", true,
	    { "From: a@b.example\r\nSubject: x\r\n", "\"a.exe\"", "\r\nMIME-Version: 1.0\r\n" }, { "TVqQ", "base64" } },
	{ "to some readers it is another boundary", "exe", HEAD "Content-Type: multipart/mixed; boundary=\"x\"; boundary=\"=b\"\r\n\r\n--x\r\n\r\n" TEXT EXE END "--x--\r\n", false,
	    { NULL }, { NULL } },
};

static bool
have(struct span text, const char *what)
{
	return span_find(text, span_of(what)) != SPAN_NONE;
}

static void
takes_out(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct arena *a = arena_open(MAX_SCAN_MEMORY);
		struct message msg;
		struct buf out = { 0 };

		message_parse(a, span_of(rows[i].mail), &msg);
		bool can = strip_mail(a, &out, &msg, rows[i].list, "REF");

		if (can != rows[i].can)
			fail_msg("%s: %d", rows[i].label, can);
		for (size_t k = 0; can && k < 4 && rows[i].stays[k]; k++)
			if (!have(buf_span(&out), rows[i].stays[k]))
				fail_msg("%s: not there: %s in %.*s", rows[i].label, rows[i].stays[k], (int)out.n, out.p);
		for (size_t k = 0; can && k < 4 && rows[i].goes[k]; k++)
			if (have(buf_span(&out), rows[i].goes[k]))
				fail_msg("%s: still there: %s", rows[i].label, rows[i].goes[k]);
		buf_free(&out);
		arena_close(a);
	}
}

/* A name is the sender's: it cannot end the line, the quotes or the note. */
static void
hostile_name(void **state)
{
	struct arena *a = arena_open(MAX_SCAN_MEMORY);
	struct message msg;
	struct buf out = { 0 };

	(void)state;
	message_parse(a, SPAN(MIXED TEXT "--=b\r\nContent-Type: x/y; name*=utf-8''a%0D%0A--=b%0D%0A%22%00.exe\r\n\r\nMZ\r\n" END), &msg);
	assert_true(strip_mail(a, &out, &msg, "exe", "REF"));
	assert_true(have(buf_span(&out), "The file \"a?" "?--=b?" "?"));
	assert_true(have(buf_span(&out), ".exe\""));
	buf_free(&out);
	arena_close(a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(takes_out), cmocka_unit_test(hostile_name) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
