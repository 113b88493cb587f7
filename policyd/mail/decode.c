#include <string.h>

#include "policyd/mail/decode_odd.h"
#include "policyd/mail/parse.h"

/* Four letters at a time, as the lines of every large attachment are: a table for each of the four places holds the letter's
 * bits where they belong in the three bytes, so one OR joins them, and the top byte tells whether one of them was no letter. */
enum { NO_LETTER = 1 << 24 };
static uint32_t base64_bits[4][256];

static void
base64_prepare(void)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	static bool ready;

	if (ready)
		return;
	for (int place = 0; place < 4; place++) {
		for (int c = 0; c < 256; c++)
			base64_bits[place][c] = NO_LETTER;
		for (uint32_t i = 0; i < 64; i++)
			base64_bits[place][(unsigned char)letters[i]] = i << (6 * (3 - place));
	}
	ready = true;
}

/* The longest run of full groups at `p`: bytes read; `*out` moves on. */
static size_t
base64_run(const unsigned char *p, size_t n, char **out)
{
	const unsigned char *start = p, *end = p + n / 4 * 4;
	char *to = *out;

	for (; p < end; p += 4) {
		uint32_t bits = base64_bits[0][p[0]] | base64_bits[1][p[1]] | base64_bits[2][p[2]] | base64_bits[3][p[3]];

		if (bits & NO_LETTER)
			break;
		to[0] = (char)(bits >> 16);
		to[1] = (char)(bits >> 8);
		to[2] = (char)bits;
		to += 3;
	}
	*out = to;
	return (size_t)(p - start);
}

/* Padding in the middle starts again, as clients that join base64 pieces do; what is no base64 is skipped. */
struct span
decode_base64(struct arena *a, struct span in, bool *broken)
{
	char *start = arena_alloc(a, in.n / 4 * 3 + 4), *out = start;
	uint32_t bits = 0;
	int have = 0;
	bool padded = false;

	base64_prepare();
	*broken = false;
	for (size_t i = 0; i < in.n; i++) {
		if (have == 0 && !padded)
			i += base64_run((const unsigned char *)in.p + i, in.n - i, &out);
		if (i == in.n)
			break;
		unsigned char c = (unsigned char)in.p[i];
		uint32_t v = base64_bits[3][c];

		if (v != NO_LETTER) {
			if (padded) {
				*broken = true;
				padded = false;
			}
			bits = bits << 6 | v;
			if (++have == 4) {
				*out++ = (char)(bits >> 16);
				*out++ = (char)(bits >> 8);
				*out++ = (char)bits;
				have = 0;
				bits = 0;
			}
		} else if (c == '=') {
			if (have >= 2)
				*out++ = (char)(have == 3 ? bits >> 10 : bits >> 4);
			if (have == 3)
				*out++ = (char)(bits >> 2);
			have = 0;
			bits = 0;
			padded = true;
		} else if (!ascii_space((char)c)) {
			*broken = true;
		}
	}
	if (have >= 2) {                     /* without its padding */
		*out++ = (char)(have == 3 ? bits >> 10 : bits >> 4);
		if (have == 3)
			*out++ = (char)(bits >> 2);
		*broken = true;
	}
	return span_make(start, (size_t)(out - start));
}

static int
hex_value(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

struct span
decode_quoted(struct arena *a, struct span in, bool header, bool *broken)
{
	char *out = arena_alloc(a, in.n + 1);
	size_t n = 0;

	*broken = false;
	for (size_t i = 0; i < in.n; i++) {
		char c = in.p[i];

		if (header && c == '_') {
			out[n++] = ' ';
		} else if (c == '=' && i + 2 < in.n && hex_value(in.p[i + 1]) >= 0 && hex_value(in.p[i + 2]) >= 0) {
			out[n++] = (char)(hex_value(in.p[i + 1]) << 4 | hex_value(in.p[i + 2]));
			i += 2;
		} else if (c == '=' && !header) {
			size_t end = i + 1;          /* a soft line break, with blanks before its end or not */

			while (end < in.n && (in.p[end] == ' ' || in.p[end] == '\t' || in.p[end] == '\r'))
				end++;
			if (end >= in.n || in.p[end] == '\n') {
				i = end;
			} else {
				*broken = true;
				out[n++] = c;
			}
		} else {
			out[n++] = c;
		}
	}
	return span_make(out, n);
}

/* Where the line "end" begins; all when there is none. */
static size_t
uu_end(struct span rest)
{
	for (size_t at = 0, hit; (hit = span_find(span_from(rest, at), SPAN("end"))) != SPAN_NONE; at += hit + 3) {
		size_t start = at + hit, after = start + 3;

		if ((start == 0 || rest.p[start - 1] == '\n') && (after == rest.n || rest.p[after] == '\r' || rest.p[after] == '\n'))
			return start;
	}
	return rest.n;
}

bool
decode_uu_next(struct arena *a, struct span text, size_t *at, struct span *name, struct span *data)
{
	while (*at < text.n) {
		struct span rest = span_from(text, *at), line = span_cut(&rest, '\n');

		*at = text.n - rest.n;
		if (rest.n == 0 && line.n == 0)
			return false;
		if (!span_starts(line, SPAN("begin ")) || line.n < 11)
			continue;
		struct span words = span_trim(span_from(line, 6)), mode = span_cut(&words, ' ');
		bool octal = mode.n == 3 || mode.n == 4;

		for (size_t i = 0; i < mode.n; i++)
			octal &= mode.p[i] >= '0' && mode.p[i] <= '7';
		if (!octal || words.n == 0)
			continue;
		struct span block = span_head(rest, uu_end(rest));
		char *out = arena_alloc(a, block.n + 64);
		size_t n = 0;

		*at = text.n - rest.n + block.n;
		while (block.n > 0) {
			line = span_cut(&block, '\n');
			if (line.n > 0 && line.p[line.n - 1] == '\r')
				line.n--;
			n += uu_line_decode(line, out + n);
		}
		*name = words;
		*data = span_make(out, n);
		return true;
	}
	return false;
}
