/* mailspeed.c - how fast a mail is read, beside GMime doing its part of the same work.
 *
 *   mailspeed [JSON-FILE]
 *
 * Three mails, made here and the same in every run: one with 24 MB of base64, one with 6 MB of HTML, one of 4 KB as people
 * send them. Ours is message_parse: part tree, decoded bodies, text in UTF-8, hidden text, links with their registrable
 * domains, types of attachments. GMime's part: part tree, decoded bodies, text in UTF-8; it has no reader of HTML and finds no
 * links. CPU time, best and median of ROUNDS turns, ours and theirs in turns. Exit code 1 when a target is missed. */
#include <gmime/gmime.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "policyd/base/limits.h"
#include "policyd/mail/message.h"
#include "policyd/mail/prepare.h"

enum { ROUNDS = 9, MB = 1000 * 1000 };

struct text {
	char *p;
	size_t n, room;
};

static void
add(struct text *t, const char *s, size_t n)
{
	if (t->n + n > t->room) {
		t->room = (t->n + n) * 2;
		if ((t->p = realloc(t->p, t->room)) == NULL)
			abort();
	}
	memcpy(t->p + t->n, s, n);
	t->n += n;
}

static void
add_text(struct text *t, const char *s)
{
	add(t, s, strlen(s));
}

static uint32_t
next_random(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

/* Words of a made-up language: their lengths are those of English. */
static void
add_words(struct text *t, size_t count, uint32_t *state)
{
	static const char *const syllables[] = { "ka", "lo", "mi", "ter", "sun", "a", "re", "vin", "do", "est", "il", "po" };

	for (size_t i = 0; i < count; i++) {
		for (uint32_t n = next_random(state) % 3 + 1; n > 0; n--)
			add_text(t, syllables[next_random(state) % 12]);
		add_text(t, i + 1 == count ? ". " : " ");
	}
}

static void
add_base64(struct text *t, size_t bytes, uint32_t *state)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char line[78];

	for (size_t done = 0; done < bytes; done += sizeof line) {
		for (int i = 0; i < 76; i++)
			line[i] = letters[next_random(state) & 63];
		memcpy(line + 76, "\r\n", 2);
		add(t, line, sizeof line);
	}
}

static const char head[] =
	"Received: from mx1.shop.example (mx1.shop.example [192.0.2.10])\r\n\tby mx.customer.example (Postfix) with ESMTPS id 4F1A2B3C4D\r\n"
	"\tfor <bob@customer.example>; Mon, 2 Nov 2026 10:11:12 +0000 (UTC)\r\n"
	"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=shop.example; s=s1; h=from:to:subject:date;\r\n"
	"\tbh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=dGhpcyBpcyBub3QgYSBzaWduYXR1cmUgYnV0IGxvb2tzIGxpa2Ugb25l\r\n"
	"From: =?utf-8?Q?Shop_K=C3=BCche?= <news@shop.example>\r\nTo: Bob <bob@customer.example>\r\n"
	"Subject: =?utf-8?B?SWhyZSBCZXN0ZWxsdW5nIGlzdCB1bnRlcndlZ3M=?=\r\nDate: Mon, 2 Nov 2026 10:11:12 +0000\r\n"
	"Message-ID: <20261102101112.12345@shop.example>\r\nMIME-Version: 1.0\r\n";

/* One block of a newsletter: a table cell with styles, a picture, a link. */
static void
add_block(struct text *t, int number, uint32_t *state)
{
	char line[400];

	snprintf(line, sizeof line, "<table width=\"600\" cellpadding=\"0\" cellspacing=\"0\" style=\"width:600px;margin:0 auto\"><tr>\r\n"
	    "<td class=\"item c%d\" style=\"font-family:Arial,sans-serif;font-size:14px;color:#333333;padding:10px 20px\">\r\n", number % 10);
	add_text(t, line);
	add_text(t, "<p style=\"margin:0 0 12px\">");
	add_words(t, 24, state);
	add_text(t, "&nbsp;&euro;&#160;19,95</p>\r\n");
	snprintf(line, sizeof line, "<a href=\"https://click.shop.example/c/%d?u=a1b2c3&amp;m=42\" style=\"color:#0066cc;text-decoration:none\">", number % 300);
	add_text(t, line);
	add_words(t, 3, state);
	snprintf(line, sizeof line, "</a> <img src=\"https://img.shop.example/p/%d.png\" width=\"120\" height=\"80\" alt=\"\"></td></tr></table>\r\n", number % 300);
	add_text(t, line);
}

static void
add_page(struct text *t, size_t bytes, uint32_t *state)
{
	size_t start = t->n;

	add_text(t, "<!DOCTYPE html><html><head><meta charset=\"utf-8\"><title>News</title><style>\r\n"
	    "body{margin:0;background:#fff} .item{line-height:1.4} .c3{color:#222} @media (max-width:480px){.item{display:block}}\r\n"
	    ".pre{display:none;font-size:0;max-height:0}</style></head><body>\r\n<div class=\"pre\">");
	add_words(t, 8, state);
	add_text(t, "</div>\r\n");
	for (int i = 0; t->n - start < bytes; i++)
		add_block(t, i, state);
	add_text(t, "</body></html>\r\n");
}

static struct text
mail_base64(void)
{
	struct text t = { 0 };
	uint32_t state = 1;

	add_text(&t, head);
	add_text(&t, "Content-Type: multipart/mixed; boundary=\"=_part\"\r\n\r\n--=_part\r\nContent-Type: text/plain\r\n\r\nSee attached.\r\n"
	    "--=_part\r\nContent-Type: application/octet-stream; name=data.bin\r\nContent-Disposition: attachment; filename=data.bin\r\n"
	    "Content-Transfer-Encoding: base64\r\n\r\n");
	add_base64(&t, 24 * MB, &state);
	add_text(&t, "--=_part--\r\n");
	return t;
}

static struct text
mail_html(void)
{
	struct text t = { 0 };
	uint32_t state = 2;

	add_text(&t, head);
	add_text(&t, "Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n");
	add_page(&t, 6 * MB, &state);
	return t;
}

static struct text
mail_typical(void)
{
	struct text t = { 0 };
	uint32_t state = 3;

	add_text(&t, head);
	add_text(&t, "Content-Type: multipart/alternative; boundary=\"=_alt\"\r\n\r\n--=_alt\r\nContent-Type: text/plain; charset=utf-8\r\n"
	    "Content-Transfer-Encoding: quoted-printable\r\n\r\n");
	add_words(&t, 90, &state);
	add_text(&t, "Gr=C3=BC=C3=9Fe\r\nhttps://www.shop.example/order/4711?ref=3Dmail\r\n\r\n--=_alt\r\n"
	    "Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n");
	add_page(&t, 1900, &state);
	add_text(&t, "--=_alt--\r\n");
	return t;
}

static double
cpu_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* As a worker does it: one arena for all mails, rewound between them. */
static size_t
read_ours(const struct text *mail, int times)
{
	static struct arena *arena;
	size_t links = 0;

	if (arena == NULL)
		arena = arena_open(MAX_SCAN_MEMORY);
	for (int i = 0; i < times; i++) {
		struct arena_mark start = arena_mark(arena);
		struct message msg;

		message_parse(arena, span_make(mail->p, mail->n), &msg);
		links += msg.link_count;
		arena_rewind(arena, start);
	}
	return links;
}

static void
read_gmime_part(GMimeObject *parent, GMimeObject *part, gpointer sum)
{
	(void)parent;
	if (!GMIME_IS_PART(part))
		return;
	GMimeDataWrapper *content = g_mime_part_get_content((GMimePart *)part);
	GMimeStream *memory = g_mime_stream_mem_new();

	if (content) {
		const char *charset = g_mime_object_get_content_type_parameter(part, "charset");
		GMimeStream *out = memory;

		if (GMIME_IS_TEXT_PART(part)) {
			GMimeFilter *to_utf8 = g_mime_filter_charset_new(charset ? charset : "us-ascii", "utf-8");

			out = g_mime_stream_filter_new(memory);
			if (to_utf8) {
				g_mime_stream_filter_add((GMimeStreamFilter *)out, to_utf8);
				g_object_unref(to_utf8);
			}
		}
		g_mime_data_wrapper_write_to_stream(content, out);
		g_mime_stream_flush(out);
		if (out != memory)
			g_object_unref(out);
	}
	*(size_t *)sum += g_mime_stream_mem_get_byte_array((GMimeStreamMem *)memory)->len;
	g_object_unref(memory);
}

static size_t
read_gmime(const struct text *mail, int times)
{
	size_t sum = 0;

	for (int i = 0; i < times; i++) {
		GMimeStream *stream = g_mime_stream_mem_new_with_buffer(mail->p, mail->n);
		GMimeParser *parser = g_mime_parser_new_with_stream(stream);
		GMimeMessage *message = g_mime_parser_construct_message(parser, NULL);

		sum += strlen(g_mime_message_get_subject(message));
		g_mime_message_foreach(message, read_gmime_part, &sum);
		g_object_unref(message);
		g_object_unref(parser);
		g_object_unref(stream);
	}
	return sum;
}

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static const struct test {
	const char *name, *unit;
	struct text (*make)(void);
	double target;
	int times;
} tests[] = {
	{ "base64 body, 24 MB", "MB/s", mail_base64, 300, 1 },
	{ "HTML page, 6 MB", "MB/s", mail_html, 80, 1 },
	{ "typical mail, 4 KB", "us", mail_typical, 120, 500 },
};

static double
figure(const struct test *test, const struct text *mail, double seconds)
{
	return test->unit[0] == 'M' ? (double)mail->n / MB / seconds : seconds * 1e6 / test->times;
}

int
main(int argc, char **argv)
{
	FILE *json = argc > 1 ? fopen(argv[1], "w") : NULL;
	bool missed = false;

	mail_prepare();
	g_mime_init();
	printf("%-22s %6s %12s %12s %12s %12s\n", "", "", "policyd", "median", "GMime", "target");
	if (json)
		fprintf(json, "{ \"rounds\": %d, \"cases\": [\n", ROUNDS);
	for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
		struct text mail = tests[i].make();
		double ours[ROUNDS], theirs[ROUNDS];

		for (int r = 0; r < ROUNDS; r++) {
			double start = cpu_seconds();

			read_ours(&mail, tests[i].times);
			ours[r] = cpu_seconds() - start;
			start = cpu_seconds();
			read_gmime(&mail, tests[i].times);
			theirs[r] = cpu_seconds() - start;
		}
		qsort(ours, ROUNDS, sizeof *ours, by_value);
		qsort(theirs, ROUNDS, sizeof *theirs, by_value);
		double best = figure(&tests[i], &mail, ours[0]), median = figure(&tests[i], &mail, ours[ROUNDS / 2]), peer = figure(&tests[i], &mail, theirs[0]);
		bool met = tests[i].unit[0] == 'M' ? best >= tests[i].target : best <= tests[i].target;

		missed |= !met;
		printf("%-22s %6s %12.1f %12.1f %12.1f %5s %6.0f  %s\n", tests[i].name, tests[i].unit, best, median, peer,
		    tests[i].unit[0] == 'M' ? "at least" : "at most", tests[i].target, met ? "met" : "MISSED");
		if (json)
			fprintf(json, "  { \"case\": \"%s\", \"unit\": \"%s\", \"bytes\": %zu, \"policyd\": %.2f, \"policyd_median\": %.2f, \"gmime\": %.2f, \"target\": %.0f, \"met\": %s }%s\n",
			    tests[i].name, tests[i].unit, mail.n, best, median, peer, tests[i].target, met ? "true" : "false", i + 1 < sizeof tests / sizeof *tests ? "," : "");
		free(mail.p);
	}
	if (json) {
		fprintf(json, "] }\n");
		fclose(json);
	}
	return missed;
}
