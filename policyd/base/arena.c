#include "policyd/base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Under AddressSanitizer what nobody was given is poisoned, so that one byte past an allocation is seen here too. */
#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define ARENA_POISON
#endif
#endif
#if defined ARENA_POISON || defined __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
enum { GAP = 16 };
#else
#define ASAN_POISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
enum { GAP = 0 };
#endif

enum { BLOCK = 64 * 1024, ALIGN = 16 };

struct block {
	struct block *before;
	size_t size, used;
	_Alignas(16) char data[];
};

struct arena {
	struct block *top;
	size_t total, limit;                 /* bytes held in blocks */
};

/* Memory of a worker has run out: its supervisor sees the exit code and counts the mail as a bomb. */
static _Noreturn void
arena_full(size_t wanted, size_t limit)
{
	dprintf(STDERR_FILENO, "arena: %zu bytes wanted past the limit of %zu\n", wanted, limit);
	_exit(ARENA_EXIT);
}

struct arena *
arena_open(size_t limit_bytes)
{
	struct arena *a = calloc(1, sizeof *a);

	if (a == NULL)
		arena_full(sizeof *a, limit_bytes);
	a->limit = limit_bytes;
	return a;
}

static void
arena_pop(struct arena *a)
{
	struct block *gone = a->top;

	a->top = gone->before;
	a->total -= gone->size;
	ASAN_UNPOISON_MEMORY_REGION(gone->data, gone->size);
	free(gone);
}

void
arena_close(struct arena *a)
{
	if (a == NULL)
		return;
	while (a->top)
		arena_pop(a);
	free(a);
}

static size_t
round_up(size_t n)
{
	return (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
}

void *
arena_alloc(struct arena *a, size_t size)
{
	size_t asked = size ? size : 1;

	if (size > a->limit)
		arena_full(size, a->limit);
	size = round_up(asked) + GAP;
	if (a->top == NULL || a->top->size - a->top->used < size) {
		size_t want = size > BLOCK / 4 ? size : BLOCK;

		if (a->total + want > a->limit)
			arena_full(want, a->limit);
		struct block *b = malloc(sizeof *b + want);

		if (b == NULL)
			arena_full(want, a->limit);
		b->before = a->top;
		b->size = want;
		b->used = 0;
		a->top = b;
		a->total += want;
		ASAN_POISON_MEMORY_REGION(b->data, want);
	}
	void *p = a->top->data + a->top->used;

	a->top->used += size;
	ASAN_UNPOISON_MEMORY_REGION(p, asked);
	return p;
}

void *
arena_zalloc(struct arena *a, size_t size)
{
	void *p = arena_alloc(a, size);

	memset(p, 0, size);
	return p;
}

void *
arena_grow(struct arena *a, void *old, size_t old_size, size_t new_size)
{
	struct block *top = a->top;
	size_t old_round = round_up(old_size ? old_size : 1) + GAP, new_round = round_up(new_size ? new_size : 1) + GAP;

	if (old && top && (char *)old + old_round == top->data + top->used &&
	    new_size < a->limit && top->used - old_round + new_round <= top->size) {
		top->used += new_round - old_round;
		ASAN_POISON_MEMORY_REGION(old, new_round);
		ASAN_UNPOISON_MEMORY_REGION(old, new_size ? new_size : 1);
		return old;
	}
	void *p = arena_alloc(a, new_size);

	if (old && old_size)
		memcpy(p, old, old_size < new_size ? old_size : new_size);
	return p;
}

struct span
arena_copy(struct arena *a, struct span s)
{
	char *p = arena_alloc(a, s.n + 1);

	if (s.n)
		memcpy(p, s.p, s.n);
	p[s.n] = '\0';
	return (struct span){ p, s.n };
}

char *
arena_text(struct arena *a, struct span s)
{
	return (char *)arena_copy(a, s).p;
}

struct span
arena_printf(struct arena *a, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	int n = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (n < 0)
		return SPAN("");
	char *p = arena_alloc(a, (size_t)n + 1);

	va_start(args, format);
	vsnprintf(p, (size_t)n + 1, format, args);
	va_end(args);
	return (struct span){ p, (size_t)n };
}

struct arena_mark
arena_mark(const struct arena *a)
{
	return (struct arena_mark){ a->top, a->top ? a->top->used : 0, a->total };
}

void
arena_rewind(struct arena *a, struct arena_mark mark)
{
	while (a->top && a->top != mark.block)
		arena_pop(a);
	if (a->top) {
		a->top->used = mark.used;
		ASAN_POISON_MEMORY_REGION(a->top->data + mark.used, a->top->size - mark.used);
	}
}

size_t
arena_used(const struct arena *a)
{
	return a->total;
}
