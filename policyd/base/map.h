/* map.h - 64-bit numbers to pointers: open addressing, grows by itself.
 *
 * Errors  map_put answers false when memory is short; nothing is changed then
 */
#ifndef POLICYD_BASE_MAP_H
#define POLICYD_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map_slot {
	uint64_t key;
	void *value;                         /* NULL: free */
};

struct map {                                 /* start zeroed */
	struct map_slot *slots;
	size_t room, count;
};

void *map_get(const struct map *m, uint64_t key);           /* NULL: not there */
bool map_put(struct map *m, uint64_t key, void *value);     /* value is not NULL; replaces */
void *map_take(struct map *m, uint64_t key);                /* removes and returns it */
void map_free(struct map *m);

/* Each value, in no order: for (size_t i = 0; (v = map_next(m, &i)) != NULL;) - no change of the map inside. */
void *map_next(const struct map *m, size_t *at);

#endif
