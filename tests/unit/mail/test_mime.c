/* Readings: the file is found whatever hides it, what is ambiguous is named, and honest mail is read once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "policyd/base/limits.h"
#include "policyd/mail/parse.h"
#include "policyd/mail/prepare.h"

/* "PK\3\4a file of some bytes" in each encoding */
#define PLAIN  "PK\3\4a file of some bytes"
#define BASE64 "UEsDBGEgZmlsZSBvZiBzb21lIGJ5dGVz"
#define FILE64 "Content-Type: application/octet-stream; name=a.zip\nContent-Transfer-Encoding: base64\n\n" BASE64 "\n"
#define HEAD   "From: a@shop.example\nMIME-Version: 1.0\n"
#define MIXED(boundary) HEAD "Content-Type: multipart/mixed; " boundary "\n\n"
#define IN(delimiter, part) delimiter "\nContent-Type: text/plain\n\nhello\n" delimiter "\n" part delimiter "--\n"
#define ENCODED(headers, body) MIXED("boundary=b") IN("--b", "Content-Type: application/octet-stream; name=a.zip\n" headers "\n\n" body "\n")

enum { NOTHING = -1 };

static const struct {
	const char *label, *mail;
	int reading;                         /* that has the file */
	int note;                            /* that must be there; NOTHING: no ambiguity at all */
} found[] = {
	{ "plain", MIXED("boundary=b") IN("--b", FILE64), 0, NOTHING },
	{ "quoted", MIXED("boundary=\"b b\"") IN("--b b", FILE64), 0, NOTHING },
	{ "continued", MIXED("boundary*0=b; boundary*1=c") IN("--bc", FILE64), 0, NOTHING },
	{ "folded", HEAD "Content-Type: multipart/mixed;\n boundary=b\n\n" IN("--b", FILE64), 0, NOTHING },
	{ "another boundary is used", MIXED("boundary=b") IN("--c", FILE64), 1, NOTE_OTHER_READING },
	{ "another boundary: named too", MIXED("boundary=b") IN("--c", FILE64), 1, NOTE_AMBIGUOUS_BOUNDARY },
	{ "two boundaries, the second is used", MIXED("boundary=b; boundary=c") IN("--c", FILE64), 1, NOTE_AMBIGUOUS_BOUNDARY },
	{ "escaped boundary", MIXED("boundary=\\b") IN("--b", FILE64), 1, NOTE_OTHER_READING },
	{ "boundary in a charset", MIXED("boundary*=utf-16be''%00b") IN("--%00b", FILE64), 1, NOTE_OTHER_READING },
	{ "inner boundary is the outer's end", MIXED("boundary=b") "--b\nContent-Type: multipart/mixed; boundary=b--\n\n" IN("--b--", FILE64) "--b--\n", 1, NOTE_OTHER_READING },
	{ "type without slash", HEAD "Content-Type: multipart; boundary=b\n\n" IN("--b", FILE64), 1, NOTE_OTHER_READING },
	{ "two types", HEAD "Content-Type: text/plain\nContent-Type: multipart/mixed; boundary=b\n\n" IN("--b", FILE64), 1, NOTE_AMBIGUOUS_TYPE },
	{ "header without colon", MIXED("boundary=b") IN("--b", "Content-Transfer-Encoding base64\nContent-Type: application/zip\n\n" BASE64 "\n"), 1, NOTE_OTHER_READING },
	{ "header begins with a tab", MIXED("boundary=b") IN("--b", "\vContent-Transfer-Encoding: base64\nContent-Type: application/zip\n\n" BASE64 "\n"), 1, NOTE_OTHER_READING },
	{ "header ends with a blank", ENCODED("Content-Transfer-Encoding : base64", BASE64), 0, NOTHING },
	{ "bare CR for line ends", HEAD "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\r--b\rContent-Type: application/zip\rContent-Transfer-Encoding: base64\r\r" BASE64 "\r--b--\n", 1, NOTE_BARE_LINE_END },
	{ "after the end", MIXED("boundary=b") "--b\n\nhello\n--b--\n" IN("--c", FILE64), 1, NOTE_OTHER_READING },
	{ "unknown encoding", ENCODED("Content-Transfer-Encoding: x-b64", BASE64), 1, NOTE_AMBIGUOUS_ENCODING },
	{ "two encodings", ENCODED("Content-Transfer-Encoding: 7bit\nContent-Transfer-Encoding: base64", BASE64), 1, NOTE_AMBIGUOUS_ENCODING },
	{ "two encodings, empty first", ENCODED("Content-Transfer-Encoding:\nContent-Transfer-Encoding: base64", BASE64), 1, NOTE_AMBIGUOUS_ENCODING },
	{ "comment in the encoding", ENCODED("Content-Transfer-Encoding: (x) base64", BASE64), 0, NOTHING },
	{ "base64, more behind the end", ENCODED("Content-Transfer-Encoding: base64", BASE64 "\n====UEsDBAoA"), 1, NOTE_AMBIGUOUS_ENCODING },
	{ "base64, padding for letters", ENCODED("Content-Transfer-Encoding: base64", "UEsDBGEgZmlsZSBvZiBzb21lIGJ5dGV=z"), 1, NOTE_AMBIGUOUS_ENCODING },
	{ "base64, padding within", ENCODED("Content-Transfer-Encoding: base64", "UEsD\nB=GEgZmlsZSBvZiBzb21lIGJ5dGVz"), 1, NOTE_AMBIGUOUS_ENCODING },
	{ "base64, lines of junk", ENCODED("Content-Transfer-Encoding: base64", "begin-base64 644 a\n" BASE64), 1, NOTE_AMBIGUOUS_ENCODING },
	{ "base64, junk to the line's end", ENCODED("Content-Transfer-Encoding: base64", "UEsD#abcd\nBGEgZmlsZSBvZiBzb21lIGJ5dGVz"), 1, NOTE_AMBIGUOUS_ENCODING },
	{ "quoted-printable, stray signs", ENCODED("Content-Transfer-Encoding: quoted-printable", "=P=K==03==04a file of some bytes"), 1, NOTE_AMBIGUOUS_ENCODING },
	{ "quoted-printable, half signs", ENCODED("Content-Transfer-Encoding: quoted-printable", "=0P=0K=0=03=0=04a file of some bytes"), 1, NOTE_AMBIGUOUS_ENCODING },
	{ "uuencode without begin", ENCODED("Content-Transfer-Encoding: x-uue", "84$L#!&$@9FEL92!O9B!S;VUE(&)Y=&5S"), 1, NOTE_AMBIGUOUS_ENCODING },
	{ "yenc", HEAD "Content-Type: text/plain\n\n=ybegin line=128 size=24 name=a.zip\nzu-.\x8bJ\x90\x93\x96\x8fJ\x99\x90J\x9d\x99\x97\x8fJ\x8c\xa3\x9e\x8f\x9d\n=yend size=24\n", 1, NOTE_OTHER_READING },
	{ "yenc, the second of two", HEAD "Content-Type: text/plain\n\n=ybegin line=128 size=1 name=b\nz\n=yend size=1\n=ybegin line=128 size=24 name=a.zip\nzu-.\x8bJ\x90\x93\x96\x8fJ\x99\x90J\x9d\x99\x97\x8fJ\x8c\xa3\x9e\x8f\x9d\n=yend size=24\n", 1, NOTE_OTHER_READING },
	{ "no encoding declared", ENCODED("X-Nothing: x", BASE64), 1, NOTE_OTHER_READING },
	{ "encoding in a header of another name", ENCODED("Content-Encoding: base64", BASE64), 1, NOTE_OTHER_READING },
	{ "comment in the header's name", ENCODED("Content-Transfer-Encoding(x): base64\n.", BASE64), 1, NOTE_OTHER_READING },
	{ "uuencode that nobody calls so", ENCODED("Content-Transfer-Encoding uu", "begin 644 a.zip\n84$L#!&$@9FEL92!O9B!S;VUE(&)Y=&5S\nend"), 1, NOTE_OTHER_READING },
	{ "multipart in base64", MIXED("boundary=b\nContent-Transfer-Encoding: base64") "LS1iCkNvbnRlbnQtVHlwZTogYXBwbGljYXRpb24vemlwCkNvbnRlbnQtVHJhbnNmZXItRW5jb2Rp\nbmc6IGJhc2U2NAoKVUVzREJHRWdabWxzWlNCdlppQnpiMjFsSUdKNWRHVnoKLS1iLS0K\n", 0, NOTE_AMBIGUOUS_ENCODING },
	{ "digest", HEAD "Content-Type: multipart/digest; boundary=b\n\n--b\n\n" FILE64 "--b--\n", 0, NOTHING },
	{ "no semicolon after the type", HEAD "Content-Type: multipart/mixed\n boundary=b\n\n" IN("--b", FILE64), 0, NOTHING },
	{ "piece of a message", HEAD "Content-Type: message/partial; id=x; number=1; total=2\n\n" FILE64, 0, NOTE_PARTIAL },
	{ "body elsewhere", HEAD "Content-Type: message/external-body; access-type=x\n\n" FILE64, 0, NOTE_EXTERNAL_BODY },
	{ "a saved mail", HEAD "Content-Type: application/octet-stream; name=x.eml\n\n" FILE64, 0, NOTHING },
	{ "a saved mail under another name", HEAD "Content-Type: application/octet-stream; name=x.bin\n\nMIME-Version: 1.0\n" FILE64, 0, NOTHING },
	{ "in a long preamble", MIXED("boundary=b") "--\nContent-Type: application/zip; x=\"a preamble that is more than a greeting\"\nContent-Transfer-Encoding: base64\n\n" BASE64 "\n--b\n\nhello\n--b--\n", 1, NOTE_OTHER_READING },
	{ "message in base64, its file in base64", HEAD "Content Type: x\n\nQ29udGVudC1UeXBlOiBhcHBsaWNhdGlvbi96aXAKQ29udGVudC1UcmFuc2Zlci1FbmNvZGlu\nZzogYmFzZTY0CgpVRXNEQkdFZ1ptbHNaU0J2WmlCemIyMWxJR0o1ZEdWego=\n", 1, NOTE_OTHER_READING },
};

static struct arena *arena;

static struct message *
parse(const char *text)
{
	struct message *msg = ARENA_NEW(arena, struct message);

	message_parse(arena, span_of(text), msg);
	return msg;
}

/* The first reading that has the file; -1: none. */
static int
reading_of_file(const struct message *msg)
{
	for (size_t i = 0; i < msg->part_count; i++)
		if (span_starts(msg->parts[i].data, SPAN(PLAIN)) && msg->parts[i].data.n <= sizeof PLAIN + 1)
			return msg->parts[i].reading;
	return -1;
}

static bool
is_ambiguous(const struct message *msg)
{
	return message_noted(msg, NOTE_OTHER_READING) || message_noted(msg, NOTE_AMBIGUOUS_BOUNDARY) ||
	       message_noted(msg, NOTE_AMBIGUOUS_ENCODING) || message_noted(msg, NOTE_AMBIGUOUS_TYPE) || message_noted(msg, NOTE_AMBIGUOUS_NAME);
}

static void
test_every_reading_has_its_file(void **state)
{
	size_t wrong = 0;

	(void)state;
	for (size_t i = 0; i < sizeof found / sizeof *found; i++) {
		struct message *msg = parse(found[i].mail);
		int reading = reading_of_file(msg);
		bool noted = found[i].note == NOTHING ? !is_ambiguous(msg) : message_noted(msg, (enum mail_note)found[i].note);

		if (reading == found[i].reading && noted)
			continue;
		print_message("%s: file in reading %d, want %d; %s\n", found[i].label, reading, found[i].reading, noted ? "" : "note is wrong");
		for (size_t k = 0; k < msg->note_count; k++)
			print_message("    %s " SPAN_FMT "\n", mail_note_names[msg->notes[k].what], SPAN_ARG(msg->notes[k].evidence));
		wrong++;
	}
	assert_int_equal(wrong, 0);
}

static const struct { const char *label, *header, *want; bool ambiguous; } names[] = {
	{ "plain", "attachment; filename=a.zip", "a.zip", false },
	{ "quoted", "attachment; filename=\"a b.zip\"", "a b.zip", false },
	{ "extended", "attachment; filename*=utf-8''%e2%82%ac.zip", "\xe2\x82\xac.zip", false },
	{ "extended beats plain", "attachment; filename=a.png; filename*=utf-8''a.zip", "a.zip", false },
	{ "pieces", "attachment; filename*0=a.; filename*1=zip", "a.zip", false },
	{ "pieces of two kinds", "attachment; filename*0*=utf-8''a; filename*1=\".zip\"", "a.zip", false },
	{ "utf-16", "attachment; filename*=UTF-16''%00a%00.%00z%00i%00p", "a.zip", false },
	{ "pieces out of order", "attachment; filename*1=zip; filename*0=a.", "a.zip", true },
	{ "a piece is missing", "attachment; filename*0=a.; filename*2=zip", "a.zip", true },
	{ "pieces from 1", "attachment; filename*1=a.; filename*2=zip", "a.zip", true },
	{ "pieces against plain", "attachment; filename=a.png; filename*0=a.; filename*1=zip", "a.zip", true },
	{ "twice", "attachment; filename=a.png; filename=a.zip", "a.png", true },
	{ "quote within", "attachment; filename=\"a\".zip", "a", true },
	{ "escaped semicolon", "attachment; filename=a\\;.zip", "a\\", true },
	{ "semicolon within", "attachment; filename=a;.zip", "a", true },
	{ "no end of quotes", "attachment; filename=\"a.zip", "a.zip", false },
	{ "no end of quotes, two kinds", "attachment; filename=\"a.png; name=b.zip", "a.png; name=b.zip", true },
	{ "comment in the name", "attachment; filename()=a.zip", "a.zip", false },
	{ "brackets, as sloppy mailers write them", "attachment; filename=my file (1).zip", "my file (1).zip", false },
	{ "brackets hide the end", "attachment; filename=a.png (.zip)", "a.png (.zip)", true },
	{ "twice, of one kind", "attachment; filename=a.zip; filename=b.zip", "a.zip", false },
	{ "the header twice", "attachment; filename=a.png\nContent-Disposition: attachment; filename=a.zip", "a.png", true },
	{ "a fuller one in the type", "attachment; filename=a\nContent-Type: text/plain; name=a.zip", "a.zip", false },
	{ "apostrophes", "attachment; filename='a.zip'", "'a.zip'", true },
};

static void
test_names(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		char mail[500];

		snprintf(mail, sizeof mail, "Content-Type: application/zip\nContent-Disposition: %s\n\nx\n", names[i].header);
		struct message *msg = parse(mail);

		if (!span_eq(msg->parts[0].file_name, span_of(names[i].want)) || message_noted(msg, NOTE_AMBIGUOUS_NAME) != names[i].ambiguous)
			fail_msg("%s: \"" SPAN_FMT "\", ambiguous %d", names[i].label, SPAN_ARG(msg->parts[0].file_name), message_noted(msg, NOTE_AMBIGUOUS_NAME));
	}
}

/* What honest mail has: no second reading, no doubt. */
static const struct { const char *label, *mail; } honest[] = {
	{ "signature", HEAD "\nHello\n-- \nAnn\n--\nfooter: none\n" },
	{ "dashes in a part", MIXED("boundary=b") "--b\n\nHello\n--------\nWhat: ever\n--b--\n" },
	{ "list footer below base64", HEAD "Content-Transfer-Encoding: base64\n\nSGVsbG8sIHRoaXMgaXMgdGV4dA==\n_______________\nlist mailing list\n" },
	{ "sloppy quoted-printable", HEAD "Content-Type: text/html\nContent-Transfer-Encoding: quoted-printable\n\n<a href=\"http://a.example/?a=b\">x</a>=20\n" },
	{ "bounce with the mail as text", HEAD "\nReturned.\n\n--- Below this line is a copy of the message.\n\nContent-Type: multipart/mixed; boundary=c\n\n--c\nContent-Type: text/plain\n\nhello\n--c--\n" },
	{ "signature in armor", MIXED("boundary=b") "--b\n\nHello\n--b\nContent-Type: application/pgp-signature\n\n-----BEGIN PGP SIGNATURE-----\n\niQIzBAEBCgAdFiEEcMHKrhOLLGUVQDYqNhvDUN4DEyAFAmTpP0sACgkQNhvDUN4D\n=abcd\n-----END PGP SIGNATURE-----\n--b--\n" },
	{ "one long word", HEAD "\nPneumonoultramicroscopicsilicovolcanoconiosis\n" },
	{ "crlf", "From: a@shop.example\r\nContent-Type: multipart/mixed; boundary=\"b\"\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nHello\r\n--b--\r\n" },
};

static void
test_honest_mail_is_not_ambiguous(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof honest / sizeof *honest; i++) {
		struct message *msg = parse(honest[i].mail);

		if (is_ambiguous(msg))
			fail_msg("%s: %s", honest[i].label, mail_note_names[msg->notes[0].what]);
	}
	assert_false(parse(honest[0].mail)->odd);
	assert_false(parse(honest[1].mail)->odd);
	assert_false(parse(honest[sizeof honest / sizeof *honest - 1].mail)->odd);
}

/* Text that only a lenient client finds is still read: rules and the scorer see it. */
static void
test_other_readings_have_text(void **state)
{
	const struct message *msg = parse(HEAD "Content-Type multipart/mixed; boundary=b\n\n--b\nContent-Type: text/html\n"
	    "Content-Transfer-Encoding: base64\n\nPGh0bWw+PGEgaHJlZj0iaHR0cDovL3Nob3AuZXhhbXBsZS8iPmNoZWFwIHdhdGNoZXM8L2E+PC9odG1sPg==\n--b--\n");

	(void)state;
	assert_true(span_find(msg->text, SPAN("cheap watches")) != SPAN_NONE);
	assert_int_equal(msg->link_count, 1);
}

static void
test_names_that_deceive(void **state)
{
	(void)state;
	assert_true(message_noted(parse("Content-Type: application/octet-stream; name*=utf-8''a.%EF%BD%85%EF%BD%98%EF%BD%85\n\nx\n"), NOTE_CONFUSABLE_FILE));
	assert_true(message_noted(parse("Content-Type: application/octet-stream; name*=utf-8''a.%D0%B5xe\n\nx\n"), NOTE_CONFUSABLE_FILE));
	assert_false(message_noted(parse("Content-Type: application/pdf; name*=utf-8''%EF%BC%A1.pdf\n\nx\n"), NOTE_CONFUSABLE_FILE));
	const struct message *msg = parse("Content-Type: application/octet-stream; name=a.exe\nContent-Disposition: attachment; filename=a.txt\n\nx\n");

	assert_true(span_eq(msg->parts[0].file_name, SPAN("a.txt")));
	assert_true(span_eq(msg->parts[0].other_name, SPAN("a.exe")));
	msg = parse(HEAD "\nbegin 644 \xe9t\xe9.zip\n#0V%T\nend\n");
	assert_true(span_eq(msg->parts[1].file_name, SPAN("\xc3\xa9t\xc3\xa9.zip")));
	msg = parse("Content-Disposition: attachment; filename=\"a.exe\"; filename*=utf-8''a.txt\n\nx\n");
	assert_true(span_eq(msg->parts[0].other_name, SPAN("a.exe")));
	assert_false(message_noted(msg, NOTE_AMBIGUOUS_NAME));
}

static void
test_bounds_are_findings(void **state)
{
	char *text = malloc(4 << 20);
	size_t n = (size_t)sprintf(text, "%s", MIXED("boundary=b"));

	(void)state;
	for (size_t i = 0; i < MAX_PARTS + 10; i++)
		n += (size_t)sprintf(text + n, "--b\n\nx\n");
	struct message *msg = parse(text);

	assert_true(message_noted(msg, NOTE_LIMIT));
	assert_in_range(msg->part_count, MAX_PARTS, MAX_PARTS);
	n = (size_t)sprintf(text, "%s", MIXED("boundary=b0"));
	for (int i = 0; i < MAX_PART_DEPTH + 10; i++)
		n += (size_t)sprintf(text + n, "--b%d\nContent-Type: multipart/mixed; boundary=b%d\n\n", i, i + 1);
	assert_true(message_noted(parse(text), NOTE_LIMIT));
	n = (size_t)sprintf(text, HEAD "Content-Type: text/plain");
	for (int i = 0; i < MAX_PARAMS + 10; i++)
		n += (size_t)sprintf(text + n, "; a%d=b", i);
	strcpy(text + n, "\n\nx\n");
	assert_true(message_noted(parse(text), NOTE_LIMIT));
	n = (size_t)sprintf(text, HEAD "\n");      /* each block has its own memory, not that of all that follow */
	for (int i = 0; i < 60000; i++)
		n += (size_t)sprintf(text + n, "begin 644 a\n#0V%%T\nend\n");
	parse(text);
	assert_in_range(arena_used(arena), 0, 64 << 20);
	free(text);
}

static int
setup(void **state)
{
	(void)state;
	mail_prepare();
	arena = arena_open(256 << 20);
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
		cmocka_unit_test(test_every_reading_has_its_file), cmocka_unit_test(test_names),
		cmocka_unit_test(test_honest_mail_is_not_ambiguous), cmocka_unit_test(test_other_readings_have_text),
		cmocka_unit_test(test_names_that_deceive), cmocka_unit_test(test_bounds_are_findings),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
