/* decode_odd.c - see the header. Each is one loop over its input. */
#include "policyd/mail/decode_odd.h"

static int
base64_letter(char c)
{
	static int8_t value[256];

	if (value['B'] == 0) {
		static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

		memset(value, -1, sizeof value);
		for (int i = 0; i < 64; i++)
			value[(unsigned char)letters[i]] = (int8_t)i;
	}
	return value[(unsigned char)c];
}

struct tuple {                               /* four letters becoming three bytes */
	char *out;
	size_t n;
	uint32_t bits;
	int letters, places;                 /* letters with a value, letters and '=' together */
	bool cut;
};

static void
tuple_end(struct tuple *t)
{
	if (t->letters >= 2)
		t->out[t->n++] = (char)(t->bits << (6 * (4 - t->letters)) >> 16);
	if (t->letters >= 3)
		t->out[t->n++] = (char)(t->bits << (6 * (4 - t->letters)) >> 8);
	if (t->letters == 4)
		t->out[t->n++] = (char)t->bits;
	t->bits = 0;
	t->letters = t->places = 0;
	t->cut = false;
}

static void
tuple_add(struct tuple *t, int value)
{
	if (value >= 0 && !t->cut) {
		t->bits = t->bits << 6 | (uint32_t)value;
		t->letters++;
	}
	if (++t->places == 4)
		tuple_end(t);
}

static bool
has_junk(struct span in, size_t at)
{
	for (; at < in.n && in.p[at] != '\n' && in.p[at] != '\r'; at++)
		if (base64_letter(in.p[at]) < 0 && in.p[at] != '=' && !ascii_space(in.p[at]))
			return true;
	return false;
}

static size_t
skip_line(struct span in, size_t at)
{
	while (at < in.n && in.p[at] != '\n' && in.p[at] != '\r')
		at++;
	return at;
}

struct span
decode_base64_way(struct arena *a, struct span in, enum base64_way way)
{
	struct tuple t = { .out = arena_alloc(a, in.n + 4) };
	bool line_start = true;

	for (size_t i = 0; i < in.n; i++) {
		char c = in.p[i];
		int value = base64_letter(c);

		if (way == BASE64_URL && (c == '-' || c == '_'))
			value = c == '-' ? 62 : 63;
		if (c == '\n' || c == '\r') {
			line_start = true;
			continue;
		}
		if (line_start && way == BASE64_DROP_LINE && has_junk(in, i)) {
			i = skip_line(in, i) - 1;
			continue;
		}
		line_start = false;
		if (value >= 0) {
			tuple_add(&t, value);
		} else if (c == '=') {
			if (way == BASE64_SKIP_PAD)
				continue;
			if (way == BASE64_PAD_ZERO) {
				tuple_add(&t, 0);
			} else if (way == BASE64_TUPLE_JOIN) {
				tuple_add(&t, -1);
			} else if (way == BASE64_TUPLE_CUT) {
				t.cut = true;
				tuple_add(&t, -1);
			} else if (t.letters >= 2) {
				tuple_end(&t);
				if (way == BASE64_STOP)
					break;
			} else if (way == BASE64_STOP && t.n > 0) {
				break;       /* padding where none is due: the end all the same */
			}
		} else if (way == BASE64_CUT_LINE && !ascii_space(c)) {
			i = skip_line(in, i) - 1;
		}
	}
	tuple_end(&t);
	return span_make(t.out, t.n);
}

static int
hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

struct span
decode_quoted_dropping(struct arena *a, struct span in, size_t bytes)
{
	char *out = arena_alloc(a, in.n + 1);
	size_t n = 0;

	for (size_t i = 0; i < in.n; i++) {
		if (in.p[i] != '=') {
			out[n++] = in.p[i];
			continue;
		}
		if (i + 2 < in.n && hex_digit(in.p[i + 1]) >= 0 && hex_digit(in.p[i + 2]) >= 0) {
			out[n++] = (char)(hex_digit(in.p[i + 1]) << 4 | hex_digit(in.p[i + 2]));
			i += 2;
		} else if (i + 1 < in.n && in.p[i + 1] == '\n') {
			i++;
		} else if (i + 1 < in.n && in.p[i + 1] == '\r') {
			i += i + 2 < in.n && in.p[i + 2] == '\n' ? 2 : 1;
		} else {
			i += bytes;
		}
	}
	return span_make(out, n);
}

size_t
uu_line_decode(struct span line, char *out)
{
	size_t want = line.n ? (size_t)(line.p[0] - 32) & 63 : 0, n = 0, at = 1;

	while (n < want && at < line.n) {
		unsigned v[4] = { 0 };

		for (int k = 0; k < 4; k++, at++)
			v[k] = at < line.n ? (unsigned)(line.p[at] - 32) & 63 : 0;
		const char triple[3] = { (char)(v[0] << 2 | v[1] >> 4), (char)(v[1] << 4 | v[2] >> 2), (char)(v[2] << 6 | v[3]) };

		for (int k = 0; k < 3 && n < want; k++)
			out[n++] = triple[k];
	}
	return n;
}

/* The next line, ended by LF, CR LF or a bare CR. */
static struct span
next_line(struct span *rest)
{
	size_t end = skip_line(*rest, 0);
	struct span line = span_head(*rest, end);

	if (end + 1 < rest->n && rest->p[end] == '\r' && rest->p[end + 1] == '\n')
		end++;
	*rest = span_from(*rest, end + 1);
	return line;
}

/* Does the line hold as many letters as its first one says, give or take the blanks that transports cut? */
static bool
is_uu(struct span line)
{
	if (line.n < 2 || line.p[0] < 33 || line.p[0] > 96)
		return false;
	size_t letters = (((size_t)(line.p[0] - 32) & 63) + 2) / 3 * 4;

	for (size_t i = 1; i < line.n; i++)
		if (line.p[i] < 32 || line.p[i] > 96)
			return false;
	return letters > 0 && line.n - 1 + 4 >= letters && line.n - 1 <= letters + 2;
}

bool
looks_uu(struct span body)
{
	struct span first = next_line(&body), second = next_line(&body), third = next_line(&body);

	return first.n > 40 && is_uu(first) && (second.n == 0 || is_uu(second) || is_uu(third));
}

struct span
decode_uu_lines(struct arena *a, struct span in)
{
	char *out = arena_alloc(a, in.n + 64);
	size_t n = 0, good = 0, bad = 0;

	while (in.n > 0) {
		struct span line = next_line(&in);

		if (is_uu(line)) {
			n += uu_line_decode(line, out + n);
			good++;
		} else if (line.n > 1) {
			bad++;
		}
	}
	return good > bad ? span_make(out, n) : SPAN("");
}

/* BinHex: letters of six bits, then run length coding by 0x90, then a header, then the data fork. */
static size_t
binhex_bytes(struct span in, char *out)
{
	static const char letters[] = "!\"#$%&'()*+,-012345689@ABCDEFGHIJKLMNPQRSTUVXYZ[`abcdefhijklmpqr";
	uint32_t bits = 0;
	int have = 0;
	size_t n = 0;

	for (size_t i = 0; i < in.n && in.p[i] != ':'; i++) {
		const char *at = in.p[i] ? strchr(letters, in.p[i]) : NULL;

		if (at == NULL)
			continue;
		bits = bits << 6 | (uint32_t)(at - letters);
		have += 6;
		if (have >= 8) {
			have -= 8;
			out[n++] = (char)(bits >> have);
		}
	}
	return n;
}

static uint32_t
big_endian(const char *p)
{
	const unsigned char *u = (const unsigned char *)p;

	return (uint32_t)u[0] << 24 | (uint32_t)u[1] << 16 | (uint32_t)u[2] << 8 | u[3];
}

struct span
decode_binhex(struct arena *a, struct span in, struct span *name, bool *cut)
{
	struct span rest = in, line = SPAN("");

	*name = SPAN("");
	while (rest.n > 0) {
		struct span here = rest;

		line = next_line(&rest);
		if (line.n > 10 && line.p[0] == ':') {
			rest = span_from(here, 1);
			break;
		}
	}
	if (line.n <= 10 || line.p[0] != ':')
		return SPAN("");
	char *packed = arena_alloc(a, rest.n + 1);
	size_t packed_n = binhex_bytes(rest, packed), room = in.n * 4 + 512, n = 0;      /* a run is at most 255, 3 bytes each */
	char *out = arena_alloc(a, room);

	for (size_t i = 0; i < packed_n; i++) {
		if (n + 256 > room) {
			*cut = true;
			break;
		}
		if ((unsigned char)packed[i] != 0x90 || i + 1 == packed_n) {
			out[n++] = packed[i];
			continue;
		}
		unsigned times = (unsigned char)packed[++i];

		if (times == 0) {
			out[n++] = (char)0x90;
		} else if (n > 0) {
			memset(out + n, out[n - 1], times - 1);
			n += times - 1;
		}
	}
	size_t name_n = n ? (unsigned char)out[0] : 0, head = 1 + name_n + 1 + 4 + 4 + 2 + 4 + 4 + 2;

	if (name_n > 63 || head > n)
		return SPAN("");
	*name = span_make(out + 1, name_n);
	return span_head(span_from(span_make(out, n), head), big_endian(out + 1 + name_n + 1 + 4 + 4 + 2));
}

bool
decode_yenc_next(struct arena *a, struct span in, size_t *at, struct span *name, struct span *data)
{
	size_t begin = span_find(span_from(in, *at), SPAN("=ybegin ")), n = 0;

	if (begin == SPAN_NONE)
		return false;
	struct span rest = span_from(in, *at + begin), line = next_line(&rest);
	size_t named = span_find(line, SPAN(" name=")), end = span_find(rest, SPAN("=yend"));
	struct span block = span_head(rest, end);
	char *out = arena_alloc(a, block.n + 1);

	*name = named != SPAN_NONE ? span_trim(span_from(line, named + 6)) : SPAN("");
	*at = in.n - rest.n + block.n;
	while (block.n > 0) {
		line = next_line(&block);
		if (span_starts(line, SPAN("=ypart ")))
			continue;
		for (size_t i = 0; i < line.n; i++) {
			unsigned char c = (unsigned char)line.p[i];

			if (c == '=' && i + 1 < line.n)
				c = (unsigned char)((unsigned char)line.p[++i] - 64);
			out[n++] = (char)(c - 42);
		}
	}
	*data = span_make(out, n);
	return true;
}
