/* buf.h - growing bytes on the heap, for the processes that must not end when memory does.
 *
 * Errors  an allocation that fails sets `failed`, and all later writes do nothing:
 *         build first, ask once at the end
 */
#ifndef POLICYD_BASE_BUF_H
#define POLICYD_BASE_BUF_H

#include "policyd/base/span.h"

struct buf {
	char *p;
	size_t n, room;
	bool failed;
};

void buf_free(struct buf *b);
void buf_clear(struct buf *b);                              /* keeps the memory */
bool buf_reserve(struct buf *b, size_t more);
void buf_add(struct buf *b, const void *p, size_t n);
void buf_add_char(struct buf *b, char c);
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_drop(struct buf *b, size_t n);                     /* forget the first n bytes */

static inline void
buf_add_span(struct buf *b, struct span s)
{
	buf_add(b, s.p, s.n);
}

static inline struct span
buf_span(const struct buf *b)
{
	return (struct span){ b->p, b->n };
}

#endif
