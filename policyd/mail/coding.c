/* coding.c - which codings a body may be in, by its letters and by the words before it, and what it is then (decode_odd.h).
 *
 * A guess costs a look at the first LOOK bytes; a decoding of all of it is paid from the mail's budget. */
#include "policyd/base/limits.h"
#include "policyd/mail/decode_odd.h"
#include "policyd/mail/sweep.h"

/* Mostly letters of base64, capitals and small ones mixed as in no language, and hardly a blank: text has one in five. Where
 * the header says so, any but prose. */
static bool
looks_base64(struct span body, bool said)
{
	size_t letters = 0, capitals = 0, blanks = 0, others = 0;

	body = span_head(body, LOOK);
	for (size_t i = 0; i < body.n; i++) {
		char c = body.p[i];

		capitals += c >= 'A' && c <= 'Z';
		if (ascii_alnum(c) || c == '+' || c == '/' || c == '=')
			letters++;
		else if (c == ' ' || c == '\t')
			blanks++;
		else if (c != '\r' && c != '\n')
			others++;
	}
	if (said && letters >= 4 && (blanks * 7 < letters || others * 50 < letters))
		return true;
	return letters >= 16 && others * 4 < letters &&
	    ((blanks * 7 < letters && capitals * 6 > letters) || (blanks * 3 < letters && capitals * 4 > letters));
}

static bool
looks_quoted(struct span body)
{
	size_t equals = 0;

	body = span_head(body, LOOK);
	for (size_t i = 0; i + 1 < body.n; i++)
		equals += body.p[i] == '=';
	return equals > 1;
}

/* The word in a header that speaks of encoding; the value may stand in the next line. */
static bool
says(struct span head, const char *word)
{
	for (size_t at = 0, hit; (hit = span_find_nocase(span_from(head, at), SPAN("ncoding"))) != SPAN_NONE; at += hit + 7)
		if (span_find_nocase(span_head(span_from(head, at + hit), 80), span_of(word)) != SPAN_NONE)
			return true;
	return false;
}

/* Only letters, blanks, and padding at the end: all ways agree. */
static bool
is_clean_base64(struct span body)
{
	bool padded = false;

	for (size_t i = 0; i < body.n; i++) {
		char c = body.p[i];

		if (ascii_alnum(c) || c == '+' || c == '/') {
			if (padded)
				return false;
		} else if (c == '=') {
			padded = true;
		} else if (!ascii_space(c)) {
			return false;
		}
	}
	return true;
}

static bool
is_text(struct span data)
{
	struct span look = span_head(data, LOOK);
	size_t noise = 0;

	for (size_t i = 0; i < look.n; i++)
		noise += (unsigned char)look.p[i] >= 0x7f || ((unsigned char)look.p[i] < 0x20 && !ascii_space(look.p[i]));
	return noise * 20 < look.n;
}

/* A known kind of file, or a text: what nobody has called base64 is hardly any when it decodes to noise. */
static bool
is_promising(struct span data)
{
	return attachment_type(data).n > 0 || is_text(data);
}

enum { PLAIN_WAY = -1, TRIAL = 1024 };

static struct span
decode_way(struct arena *a, struct span body, int way)
{
	bool broken;

	return way == PLAIN_WAY ? decode_base64(a, body, &broken) : decode_base64_way(a, body, (enum base64_way)way);
}

static void
sweep_base64(struct sweep *s, struct span head, struct span body, bool said)
{
	struct arena *a = sweep_arena(s);
	bool clean = is_clean_base64(body);

	for (int way = PLAIN_WAY; way < (clean ? 0 : BASE64__WAYS); way++) {
		struct arena_mark mark = arena_mark(a);
		bool worth = said || clean || is_promising(decode_way(a, span_head(body, TRIAL), way));

		arena_rewind(a, mark);
		if (!worth)
			continue;
		if (!sweep_afford(s, body.n))
			return;
		sweep_keep(s, head, decode_way(a, body, way), "base64", SPAN(""), way == PLAIN_WAY);
	}
}

/* `again`: the same bytes from an earlier start were decoded, so only a file that starts here tells something new. */
static void
sweep_quoted(struct sweep *s, struct span head, struct span body, bool again)
{
	struct arena *a = sweep_arena(s);
	struct arena_mark mark = arena_mark(a);
	bool broken, worth = !again || is_file(attachment_type(decode_quoted(a, span_head(body, LOOK), false, &broken)));

	arena_rewind(a, mark);
	if (!worth || !sweep_afford(s, body.n))
		return;
	struct span data = decode_quoted(a, body, false, &broken);

	sweep_keep(s, head, data, "quoted-printable", SPAN(""), true);
	if (is_text(data))
		return;                      /* a sign more or less in a text hides no file */
	for (size_t drop = 0; broken && drop < 3 && sweep_afford(s, body.n); drop++)
		sweep_keep(s, head, decode_quoted_dropping(a, body, drop), "quoted-printable", SPAN(""), false);
}

void
sweep_body(struct sweep *s, struct span head, struct span body, bool again)
{
	struct arena *a = sweep_arena(s);
	struct span words = span_head(head, LOOK), name, data;

	if (body.n < LEAST || !sweep_afford(s, body.n))
		return;
	if (is_file(attachment_type(body)))
		sweep_keep(s, head, body, "8bit", SPAN(""), true);
	bool said = says(words, "64");

	if (looks_base64(body, said))
		sweep_base64(s, head, body, said);
	if (looks_quoted(body))
		sweep_quoted(s, head, body, again);
	bool begins = span_find(body, SPAN("begin ")) != SPAN_NONE;

	if (says(words, "uu") || begins || looks_uu(body)) {
		if (!sweep_afford(s, body.n))
			return;
		sweep_keep(s, head, decode_uu_lines(a, body), "x-uuencode", SPAN(""), true);
	}
	for (size_t at = 0; begins && decode_uu_next(a, body, &at, &name, &data) && sweep_afford(s, data.n);)
		sweep_keep(s, head, data, "x-uuencode", name, true);
	if (span_find_nocase(words, SPAN("binhex")) != SPAN_NONE || span_find_nocase(span_head(body, LOOK), SPAN("binhex")) != SPAN_NONE) {
		bool cut = false;

		if (!sweep_afford(s, body.n * 5))
			return;
		data = decode_binhex(a, body, &name, &cut);
		if (cut)
			sweep_limit(s, "binhex");
		sweep_keep(s, head, data, "binhex", name, true);
	}
	for (size_t at = 0; decode_yenc_next(a, body, &at, &name, &data) && sweep_afford(s, data.n);)
		sweep_keep(s, head, data, "yenc", name, true);
}
