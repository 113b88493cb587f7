/* span.h - borrowed bytes.
 *
 * Shape   pointer and length; never NUL-terminated by promise; n == 0 may have p == NULL
 * Errors  none: a search that fails answers SPAN_NONE or an empty span
 */
#ifndef POLICYD_BASE_SPAN_H
#define POLICYD_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span {
	const char *p;
	size_t n;
};

#define SPAN_NONE SIZE_MAX
#define SPAN(literal) ((struct span){ (literal), sizeof(literal) - 1 })
#define SPAN_FMT "%.*s"
#define SPAN_ARG(s) (int)(s).n, (s).p ? (s).p : ""

static inline struct span
span_of(const char *text)
{
	return (struct span){ text, text ? strlen(text) : 0 };
}

static inline struct span
span_make(const void *p, size_t n)
{
	return (struct span){ p, n };
}

/* From `from` to the end; empty when `from` is past it. */
static inline struct span
span_from(struct span s, size_t from)
{
	return from >= s.n ? (struct span){ s.p ? s.p + s.n : NULL, 0 } : (struct span){ s.p + from, s.n - from };
}

/* The first `n` bytes, or all when there are fewer. */
static inline struct span
span_head(struct span s, size_t n)
{
	return (struct span){ s.p, n < s.n ? n : s.n };
}

bool span_eq(struct span a, struct span b);
bool span_eq_nocase(struct span a, struct span b);          /* ASCII case only */
bool span_starts(struct span s, struct span prefix);
bool span_starts_nocase(struct span s, struct span prefix);
bool span_ends(struct span s, struct span suffix);
bool span_ends_nocase(struct span s, struct span suffix);
size_t span_find_char(struct span s, char c);               /* index or SPAN_NONE */
size_t span_find_last(struct span s, char c);
size_t span_find(struct span s, struct span what);
size_t span_find_nocase(struct span s, struct span what);
struct span span_trim(struct span s);                       /* without leading and trailing SP HT CR LF */

/* Cut off and return what stands before the first `c`; `*rest` keeps what follows it.
 * Without a `c` all is returned and `*rest` is empty. */
struct span span_cut(struct span *rest, char c);

/* FNV-1a folded to 64 bits: for hash tables of ours, never against an opponent who picks keys. */
uint64_t span_hash(struct span s, uint64_t seed);

/* Decimal digits only; false on anything else or overflow. */
bool span_u64(struct span s, uint64_t *value);

static inline char
ascii_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static inline bool
ascii_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static inline bool
ascii_alnum(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

#endif
