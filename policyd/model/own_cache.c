#include "policyd/model/own_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static struct own_cache *
map(const char *path, int protection, char *why, size_t room)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	void *p = MAP_FAILED;

	if (fd >= 0 && ftruncate(fd, sizeof(struct own_cache)) == 0)     /* it is a cache: another version's content is worth nothing */
		p = mmap(NULL, sizeof(struct own_cache), protection, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		snprintf(why, room, "%s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return p == MAP_FAILED ? NULL : p;
}

struct own_cache *
own_cache_open(const char *path, char *why, size_t room)
{
	struct own_cache *c = map(path, PROT_READ | PROT_WRITE, why, room);

	for (int i = 0; c && i < OWN_SLOTS; i++) {
		c->slot[i].sequence &= ~1u;
		if (c->slot[i].name[0])
			own_drop(&c->slot[i]);
	}
	return c;
}

struct own_cache *
own_cache_map(const char *path, char *why, size_t room)
{
	return map(path, PROT_READ, why, room);
}

void
own_cache_close(struct own_cache *c)
{
	if (c)
		munmap(c, sizeof *c);
}

void
own_name(const char *customer, uint64_t mailbox, char to[OWN_NAME])
{
	if (mailbox)
		snprintf(to, OWN_NAME, "%.63s/%016llx", customer, (unsigned long long)mailbox);
	else
		snprintf(to, OWN_NAME, "%.63s", customer);
}

static size_t
set_of(const char *name)
{
	uint64_t h = 1469598103934665603u;

	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * 1099511628211u;
	return (h >> 32) % (OWN_SLOTS / OWN_WAYS) * OWN_WAYS;
}

const struct own_slot *
own_find(const struct own_cache *c, const char *name, uint32_t *sequence)
{
	const struct own_slot *s = &c->slot[set_of(name)];

	for (int i = 0; i < OWN_WAYS; i++, s++) {
		*sequence = __atomic_load_n(&s->sequence, __ATOMIC_ACQUIRE);
		if ((*sequence & 1) == 0 && strncmp(s->name, name, OWN_NAME) == 0)
			return s;
	}
	return NULL;
}

bool
own_unchanged(const struct own_slot *s, uint32_t sequence)
{
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return __atomic_load_n(&s->sequence, __ATOMIC_RELAXED) == sequence;
}

struct own_slot *
own_take(struct own_cache *c, const char *name, int64_t now_ms)
{
	struct own_slot *set = &c->slot[set_of(name)], *oldest = set;

	for (int i = 0; i < OWN_WAYS; i++) {
		if (strncmp(set[i].name, name, OWN_NAME) == 0) {
			set[i].wanted_ms = now_ms;
			return &set[i];
		}
		if (set[i].name[0] == '\0' ? oldest->name[0] != '\0' : oldest->name[0] != '\0' && set[i].wanted_ms < oldest->wanted_ms)
			oldest = &set[i];
	}
	own_write_begin(oldest);
	snprintf(oldest->name, sizeof oldest->name, "%s", name);
	oldest->version = 0;
	oldest->wanted_ms = now_ms;
	memset(&oldest->table, 0, sizeof oldest->table);
	own_write_end(oldest);
	return oldest;
}

void
own_drop(struct own_slot *s)
{
	own_write_begin(s);
	s->name[0] = '\0';
	own_write_end(s);
}

void
own_write_begin(struct own_slot *s)
{
	__atomic_store_n(&s->sequence, s->sequence + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
}

void
own_write_end(struct own_slot *s)
{
	__atomic_store_n(&s->sequence, s->sequence + 1, __ATOMIC_RELEASE);
}
