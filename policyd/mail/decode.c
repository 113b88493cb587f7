#include <string.h>

#include "policyd/mail/parse.h"

static int8_t base64_value[256];
static bool base64_ready;

static void
base64_prepare(void)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	if (base64_ready)
		return;
	memset(base64_value, -1, sizeof base64_value);
	for (int i = 0; i < 64; i++)
		base64_value[(unsigned char)letters[i]] = (int8_t)i;
	base64_ready = true;
}

/* Padding in the middle starts again, as clients that join base64 pieces do; what is no base64 is skipped. */
struct span
decode_base64(struct arena *a, struct span in, bool *broken)
{
	char *out = arena_alloc(a, in.n / 4 * 3 + 4);
	size_t n = 0;
	uint32_t bits = 0;
	int have = 0;
	bool padded = false;

	base64_prepare();
	*broken = false;
	for (size_t i = 0; i < in.n; i++) {
		unsigned char c = (unsigned char)in.p[i];
		int v = base64_value[c];

		if (v >= 0) {
			if (padded) {
				*broken = true;
				padded = false;
			}
			bits = bits << 6 | (uint32_t)v;
			if (++have == 4) {
				out[n++] = (char)(bits >> 16);
				out[n++] = (char)(bits >> 8);
				out[n++] = (char)bits;
				have = 0;
				bits = 0;
			}
		} else if (c == '=') {
			if (have >= 2)
				out[n++] = (char)(have == 3 ? bits >> 10 : bits >> 4);
			if (have == 3)
				out[n++] = (char)(bits >> 2);
			have = 0;
			bits = 0;
			padded = true;
		} else if (!ascii_space((char)c)) {
			*broken = true;
		}
	}
	if (have >= 2) {                     /* without its padding */
		out[n++] = (char)(have == 3 ? bits >> 10 : bits >> 4);
		if (have == 3)
			out[n++] = (char)(bits >> 2);
		*broken = true;
	}
	return span_make(out, n);
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

static bool
uu_line(struct span line, char *out, size_t *n)
{
	if (line.n == 0)
		return false;
	size_t want = (size_t)(line.p[0] - 32) & 63, at = 1, start = *n;

	if (want == 0)
		return false;
	while (*n - start < want && at < line.n) {
		unsigned v[4] = { 0 };

		for (int k = 0; k < 4; k++, at++)
			v[k] = at < line.n ? (unsigned)(line.p[at] - 32) & 63 : 0;
		char triple[3] = { (char)(v[0] << 2 | v[1] >> 4), (char)(v[1] << 4 | v[2] >> 2), (char)(v[2] << 6 | v[3]) };

		for (int k = 0; k < 3 && *n - start < want; k++)
			out[(*n)++] = triple[k];
	}
	return true;
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
		char *out = arena_alloc(a, rest.n + 64);
		size_t n = 0;

		for (;;) {
			struct span before = rest;

			line = span_cut(&rest, '\n');
			if (line.n > 0 && line.p[line.n - 1] == '\r')
				line.n--;
			if (before.n == 0 || span_eq(line, SPAN("end")))
				break;
			uu_line(line, out, &n);
		}
		*at = text.n - rest.n;
		*name = words;
		*data = span_make(out, n);
		return true;
	}
	return false;
}
