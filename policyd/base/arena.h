/* arena.h - the memory of one scan: allocate, never free, rewind as a whole.
 *
 * Shape   a chain of blocks; addresses stay valid until arena_rewind or arena_close
 * Units   bytes; every allocation is aligned to 16
 * Errors  never NULL: past its limit the process ends with exit code ARENA_EXIT.
 *         So arenas belong in workers, where an end costs one mail a retry (limits.h: MAX_SCAN_MEMORY),
 *         and in command-line tools; gate and broker use malloc and check it.
 */
#ifndef POLICYD_BASE_ARENA_H
#define POLICYD_BASE_ARENA_H

#include "policyd/base/span.h"

enum { ARENA_EXIT = 86 };

struct arena;
struct arena_mark {
	void *block;
	size_t used, total;
};

struct arena *arena_open(size_t limit_bytes);               /* caller closes */
void arena_close(struct arena *a);
void *arena_alloc(struct arena *a, size_t size);            /* not cleared */
void *arena_zalloc(struct arena *a, size_t size);           /* cleared */
/* A larger copy of `old`: for growing arrays. In place when `old` was the last allocation. */
void *arena_grow(struct arena *a, void *old, size_t old_size, size_t new_size);
struct span arena_copy(struct arena *a, struct span s);     /* and a NUL behind it */
char *arena_text(struct arena *a, struct span s);           /* the same, as a C string */
struct span arena_printf(struct arena *a, const char *format, ...) __attribute__((format(printf, 2, 3)));
struct arena_mark arena_mark(const struct arena *a);
void arena_rewind(struct arena *a, struct arena_mark mark);
size_t arena_used(const struct arena *a);

#define ARENA_NEW(a, type) ((type *)arena_zalloc((a), sizeof(type)))
#define ARENA_ARRAY(a, type, count) ((type *)arena_zalloc((a), sizeof(type) * (count)))

#endif
