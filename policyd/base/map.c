#include "policyd/base/map.h"

#include <stdlib.h>

static size_t
home(const struct map *m, uint64_t key)
{
	key = (key ^ key >> 31) * 0x9e3779b97f4a7c15u;
	return (size_t)(key >> 32) & (m->room - 1);
}

/* The slot of `key`, or the free one where it would go. The table is never full. */
static struct map_slot *
probe(const struct map *m, uint64_t key)
{
	size_t i = home(m, key);

	while (m->slots[i].value && m->slots[i].key != key)
		i = (i + 1) & (m->room - 1);
	return &m->slots[i];
}

void *
map_get(const struct map *m, uint64_t key)
{
	return m->room ? probe(m, key)->value : NULL;
}

static bool
grow(struct map *m)
{
	struct map bigger = { .room = m->room ? m->room * 2 : 16, .count = m->count };

	bigger.slots = calloc(bigger.room, sizeof *bigger.slots);
	if (bigger.slots == NULL)
		return false;
	for (size_t i = 0; i < m->room; i++)
		if (m->slots[i].value)
			*probe(&bigger, m->slots[i].key) = m->slots[i];
	free(m->slots);
	*m = bigger;
	return true;
}

bool
map_put(struct map *m, uint64_t key, void *value)
{
	if (m->count * 2 >= m->room && !grow(m))
		return false;
	struct map_slot *slot = probe(m, key);

	m->count += slot->value == NULL;
	*slot = (struct map_slot){ key, value };
	return true;
}

void *
map_take(struct map *m, uint64_t key)
{
	struct map_slot *slot = m->room ? probe(m, key) : NULL;

	if (slot == NULL || slot->value == NULL)
		return NULL;
	void *value = slot->value;
	size_t hole = (size_t)(slot - m->slots), i = hole;

	m->count--;
	m->slots[hole].value = NULL;
	/* Close the gap: whoever stands behind it and belongs at or before it moves up. */
	for (;;) {
		i = (i + 1) & (m->room - 1);
		if (m->slots[i].value == NULL)
			return value;
		size_t want = home(m, m->slots[i].key);

		if (((i - want) & (m->room - 1)) >= ((i - hole) & (m->room - 1))) {
			m->slots[hole] = m->slots[i];
			m->slots[i].value = NULL;
			hole = i;
		}
	}
}

void
map_free(struct map *m)
{
	free(m->slots);
	*m = (struct map){ 0 };
}

void *
map_next(const struct map *m, size_t *at)
{
	while (*at < m->room) {
		void *value = m->slots[(*at)++].value;

		if (value)
			return value;
	}
	return NULL;
}
