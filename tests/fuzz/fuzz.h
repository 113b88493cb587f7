/* fuzz.h - what the fuzz targets share.
 *
 * Shape   one target a parser: fuzz_NAME.c defines LLVMFuzzerTestOneInput; libFuzzer drives it (make fuzz), or replay.c
 *         on committed inputs where there is no clang (make fuzz-replay)
 * Errors  a target aborts when a promise of the parser's header is broken; the sanitizers see the rest. The arena is
 *         poisoned between allocations (base/arena.c), so one byte too far in it is seen as well
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stdio.h>
#include <stdlib.h>

#include "policyd/base/arena.h"
#include "policyd/base/limits.h"
#include "policyd/base/span.h"
#include "policyd/base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_PROMISE(condition)                                                                             \
	do {                                                                                                \
		if (!(condition)) {                                                                         \
			fprintf(stderr, "%s:%d: broken promise: %s\n", __FILE__, __LINE__, #condition);     \
			abort();                                                                            \
		}                                                                                           \
	} while (0)

/* Reads every byte: a span that is not wholly memory of ours ends here. */
static inline void
fuzz_touch(struct span s)
{
	static volatile unsigned sink;
	unsigned sum = 0;

	for (size_t i = 0; i < s.n; i++)
		sum += (unsigned char)s.p[i];
	sink = sink + sum;
}

static inline void
fuzz_utf8(struct span s)
{
	FUZZ_PROMISE(utf8_valid(s));
}

/* A copy in its own allocation, so that reading past the input is seen. */
static inline struct span
fuzz_input(struct arena *a, const uint8_t *data, size_t size)
{
	char *p = arena_alloc(a, size);

	if (size > 0)
		memcpy(p, data, size);
	return span_make(p, size);
}

/* Cut one byte off the front: targets choose among ways by it. */
static inline unsigned
fuzz_choice(const uint8_t **data, size_t *size)
{
	unsigned choice = 0;

	if (*size > 0) {
		choice = **data;
		++*data;
		--*size;
	}
	return choice;
}

#endif
