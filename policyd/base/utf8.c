#include "policyd/base/utf8.h"

uint32_t
utf8_decode(struct span s, size_t *length)
{
	static const uint32_t least[5] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n;
	uint32_t code;

	*length = 0;
	if (s.n == 0)
		return 0xfffd;
	unsigned char c = (unsigned char)s.p[0];

	if (c < 0x80) {
		*length = 1;
		return c;
	}
	if (c >= 0xc2 && c < 0xe0)
		n = 2, code = c & 0x1f;
	else if (c >= 0xe0 && c < 0xf0)
		n = 3, code = c & 0x0f;
	else if (c >= 0xf0 && c < 0xf5)
		n = 4, code = c & 0x07;
	else
		return 0xfffd;
	if (s.n < n)
		return 0xfffd;
	for (size_t i = 1; i < n; i++) {
		unsigned char next = (unsigned char)s.p[i];

		if ((next & 0xc0) != 0x80)
			return 0xfffd;
		code = code << 6 | (next & 0x3f);
	}
	if (code < least[n] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
		return 0xfffd;
	*length = n;
	return code;
}

size_t
utf8_length(struct span s)
{
	size_t n;

	utf8_decode(s, &n);
	return n;
}

size_t
utf8_encode(uint32_t code, char out[4])
{
	if (code < 0x80) {
		out[0] = (char)code;
		return 1;
	}
	if (code < 0x800) {
		out[0] = (char)(0xc0 | code >> 6);
		out[1] = (char)(0x80 | (code & 0x3f));
		return 2;
	}
	if (code < 0x10000) {
		out[0] = (char)(0xe0 | code >> 12);
		out[1] = (char)(0x80 | (code >> 6 & 0x3f));
		out[2] = (char)(0x80 | (code & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | code >> 18);
	out[1] = (char)(0x80 | (code >> 12 & 0x3f));
	out[2] = (char)(0x80 | (code >> 6 & 0x3f));
	out[3] = (char)(0x80 | (code & 0x3f));
	return 4;
}

size_t
ascii_length(struct span s)
{
	const uint64_t high = 0x8080808080808080u;
	size_t i = 0;
	uint64_t a, b;

	for (; i + 16 <= s.n; i += 16) {
		memcpy(&a, s.p + i, 8);
		memcpy(&b, s.p + i + 8, 8);
		if ((a | b) & high)
			break;
	}
	while (i < s.n && (unsigned char)s.p[i] < 0x80)
		i++;
	return i;
}

bool
utf8_valid(struct span s)
{
	for (size_t i = 0, n; i < s.n; i += n) {
		if ((unsigned char)s.p[i] < 0x80) {
			n = ascii_length(span_from(s, i));
			continue;
		}
		n = utf8_length(span_from(s, i));
		if (n == 0)
			return false;
	}
	return true;
}

struct span
utf8_head(struct span s, size_t n)
{
	if (n >= s.n)
		return s;
	while (n > 0 && ((unsigned char)s.p[n] & 0xc0) == 0x80)
		n--;
	return span_head(s, n);
}
