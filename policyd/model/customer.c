#include "policyd/model/customer.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

enum { VERSION = 1, LEVEL = 6 };

/* The struct as a run of bytes: gap to the next byte that is not zero, then that byte. Values and gaps in two streams,
 * which compress better apart. */
static void
put_number(struct buf *b, size_t n)
{
	for (; n >= 0x80; n >>= 7)
		buf_add_char(b, (char)(n | 0x80));
	buf_add_char(b, (char)n);
}

static bool
take_number(struct span *s, size_t *n)
{
	*n = 0;
	for (int shift = 0; shift < 28 && s->n > 0; shift += 7) {
		unsigned char c = (unsigned char)*s->p;

		*s = span_from(*s, 1);
		*n |= (size_t)(c & 0x7f) << shift;
		if (c < 0x80)
			return true;
	}
	return false;
}

void
customer_pack(struct buf *b, const struct customer *c)
{
	const unsigned char *bytes = (const unsigned char *)c;
	struct buf gaps = { 0 }, values = { 0 }, plain = { 0 };
	size_t last = 0;

	for (size_t i = 0; i < sizeof *c; i++)
		if (bytes[i]) {
			put_number(&gaps, i - last);
			buf_add_char(&values, (char)bytes[i]);
			last = i;
		}
	put_number(&plain, values.n);
	buf_add_span(&plain, buf_span(&gaps));
	buf_add_span(&plain, buf_span(&values));
	size_t room = ZSTD_compressBound(plain.n);

	buf_add_char(b, VERSION);
	if (!plain.failed && !gaps.failed && !values.failed && buf_reserve(b, room)) {
		size_t n = ZSTD_compress(b->p + b->n, room, plain.p, plain.n, LEVEL);

		b->failed |= ZSTD_isError(n) != 0;
		b->n += ZSTD_isError(n) ? 0 : n;
	} else {
		b->failed = true;
	}
	buf_free(&gaps);
	buf_free(&values);
	buf_free(&plain);
}

static bool
spread(struct span plain, struct customer *c)
{
	unsigned char *bytes = (unsigned char *)c;
	size_t count, at = 0, gap;

	if (!take_number(&plain, &count) || count > plain.n)
		return false;
	struct span gaps = span_head(plain, plain.n - count), values = span_from(plain, plain.n - count);

	for (size_t i = 0; i < count; i++) {
		if (!take_number(&gaps, &gap) || gap >= sizeof *c - at)
			return false;
		at += gap;
		bytes[at] = (unsigned char)values.p[i];
	}
	return true;
}

bool
customer_unpack(struct span packed, struct customer *c)
{
	size_t most = 4 * sizeof *c;
	char *plain = malloc(most);
	bool good = false;

	memset(c, 0, sizeof *c);
	if (plain && packed.n > 1 && packed.p[0] == VERSION) {
		size_t n = ZSTD_decompress(plain, most, packed.p + 1, packed.n - 1);

		good = !ZSTD_isError(n) && spread(span_make(plain, n), c);
	}
	free(plain);
	return good;
}
