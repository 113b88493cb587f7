#include "policyd/model/table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const char magic[8] = "PDMODEL";

void
table_clear(struct table *t)
{
	memset(t, 0, sizeof *t);
	memcpy(t->magic, magic, sizeof magic);
	t->version = TABLE_VERSION;
	t->size = sizeof *t;
	t->platt_a = 1;
}

bool
table_is_sound(const struct table *t)
{
	return memcmp(t->magic, magic, sizeof magic) == 0 && t->version == TABLE_VERSION && t->size == sizeof *t;
}

static void *
map(const char *path, int flags, int protection, char *why, size_t room)
{
	int fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct stat st;
	void *p = MAP_FAILED;

	if (fd < 0 || fstat(fd, &st) < 0) {
		snprintf(why, room, "%s: %s", path, strerror(errno));
	} else if (st.st_size != 0 && st.st_size != (off_t)sizeof(struct table)) {
		snprintf(why, room, "%s: is of another version (size %lld); move it away, the ledger in Redis rebuilds it", path,
		    (long long)st.st_size);
	} else if (st.st_size == 0 && ftruncate(fd, sizeof(struct table)) < 0) {
		snprintf(why, room, "%s: %s", path, strerror(errno));
	} else {
		p = mmap(NULL, sizeof(struct table), protection, MAP_SHARED, fd, 0);
		if (p == MAP_FAILED)
			snprintf(why, room, "%s: %s", path, strerror(errno));
	}
	if (fd >= 0)
		close(fd);
	return p == MAP_FAILED ? NULL : p;
}

struct table *
table_open(const char *path, char *why, size_t room)
{
	struct table *t = map(path, O_RDWR | O_CREAT, PROT_READ | PROT_WRITE, why, room);

	if (t && memcmp(t->magic, magic, sizeof magic) != 0)
		table_clear(t);
	if (t && t->version != TABLE_VERSION) {
		snprintf(why, room, "%s: version %u; expected %u", path, t->version, TABLE_VERSION);
		table_close(t);
		return NULL;
	}
	return t;
}

const struct table *
table_map(const char *path, char *why, size_t room)
{
	struct table *made = table_open(path, why, room);
	const struct table *t;

	if (made == NULL)
		return NULL;
	table_close(made);
	t = map(path, O_RDONLY, PROT_READ, why, room);
	return t;
}

void
table_close(const struct table *t)
{
	if (t)
		munmap((void *)t, sizeof *t);
}

struct table *
table_private(void)
{
	struct table *t = malloc(sizeof *t);

	if (t)
		table_clear(t);
	return t;
}

void
table_private_free(struct table *t)
{
	free(t);
}
