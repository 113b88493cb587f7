#include "quarantine/store/segment.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "policyd/base/map.h"

#define FREE_LEAST_BYTES (64u << 20)
enum { FREE_LEAST_PERCENT = 5, LOW_TIMES = 2 };     /* low: less than twice what is full */

struct file {
	char name[SEG_NAME_ROOM];
	int fd;                              /* -1: free slot */
	uint64_t size, synced;
	bool dirty, broken;
	struct map bodies;                   /* by digest: struct seg_body */
};

struct segments {
	char dir[512];
	int dir_fd;
	bool dir_dirty;
	struct file files[SEG_OPEN];
	struct keys *keys;
	struct buf out;
};

static bool
fail(char *why, size_t room, const char *what, const char *name)
{
	snprintf(why, room, "%s: %s: %s", name, what, strerror(errno));
	return false;
}

static void
file_close(struct file *f)
{
	struct seg_body *body;

	for (size_t i = 0; (body = map_next(&f->bodies, &i)) != NULL;)
		free(body);
	map_free(&f->bodies);
	if (f->fd >= 0)
		close(f->fd);
	*f = (struct file){ .fd = -1 };
}

struct segments *
segments_open(const char *dir, char *why, size_t room)
{
	struct segments *s = calloc(1, sizeof *s);
	char path[600];

	if (s == NULL) {
		snprintf(why, room, "no memory");
		return NULL;
	}
	snprintf(s->dir, sizeof s->dir, "%s", dir);
	for (int i = 0; i < SEG_OPEN; i++)
		s->files[i].fd = -1;
	s->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (s->dir_fd < 0)
		fail(why, room, "open", dir);
	snprintf(path, sizeof path, "%s/keys", dir);
	s->keys = s->dir_fd >= 0 ? keys_open(path, why, room) : NULL;
	if (s->keys == NULL) {
		segments_close(s);
		return NULL;
	}
	return s;
}

void
segments_close(struct segments *s)
{
	for (int i = 0; i < SEG_OPEN; i++)
		file_close(&s->files[i]);
	if (s->dir_fd >= 0)
		close(s->dir_fd);
	keys_close(s->keys);
	buf_free(&s->out);
	free(s);
}

struct keys *
segments_keys(struct segments *s)
{
	return s->keys;
}

static void
make_prefix(int64_t time_ms, unsigned retention_days, char prefix[SEG_NAME_ROOM])
{
	static const unsigned classes[] = { 1, 3, 7, 14, 30, 60, 90, 180, 365, 730, 9999 };
	time_t when = (time_t)(time_ms / 1000);
	struct tm tm;
	size_t i = 0;

	gmtime_r(&when, &tm);
	while (classes[i] < retention_days && classes[i] < 9999)
		i++;
	snprintf(prefix, SEG_NAME_ROOM, "%04d%02d%02d-%04u-", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, classes[i]);
}

static struct file *
file_find(struct segments *s, const char *prefix)
{
	for (int i = 0; i < SEG_OPEN; i++) {
		struct file *f = &s->files[i];

		if (f->fd >= 0 && !f->broken && f->size < SEG_ROTATE_BYTES && strncmp(f->name, prefix, strlen(prefix)) == 0)
			return f;
	}
	return NULL;
}

/* A place among the open files: a free one, else that of one with nothing unsynced, the fullest or broken first. */
static struct file *
file_slot(struct segments *s)
{
	struct file *slot = NULL;

	for (int i = 0; i < SEG_OPEN; i++) {
		struct file *f = &s->files[i];

		if (f->fd < 0)
			return f;
		if (!f->dirty && (slot == NULL || f->broken || (!slot->broken && f->size > slot->size)))
			slot = f;
	}
	return slot;
}

static struct file *
file_for(struct segments *s, int64_t time_ms, unsigned retention_days, char *why, size_t room)
{
	char prefix[SEG_NAME_ROOM], name[SEG_NAME_ROOM];
	int fd = -1;

	make_prefix(time_ms, retention_days, prefix);
	struct file *f = file_find(s, prefix), *slot = f ? f : file_slot(s);

	if (f)
		return f;
	if (slot == NULL) {
		snprintf(why, room, "too many segments are open");
		return NULL;
	}
	for (unsigned number = 0; number < 10000 && fd < 0; number++) {
		snprintf(name, sizeof name, "%s%04u.seg", prefix, number);
		fd = openat(s->dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd < 0 && errno != EEXIST)
			break;
	}
	if (fd < 0) {
		fail(why, room, "cannot make a segment", s->dir);
		return NULL;
	}
	file_close(slot);
	slot->fd = fd;
	memcpy(slot->name, name, sizeof name);
	s->dir_dirty = true;
	return slot;
}

bool
segments_append(struct segments *s, const struct record *r, struct span mail, unsigned retention_days, const struct key *key,
    struct seg_place *place, char *why, size_t room)
{
	struct file *f = file_for(s, r->time_ms, retention_days, why, room);

	buf_clear(&s->out);
	if (f == NULL || !record_build(r, mail, key, &s->out, why, room))
		return false;
	ssize_t n = pwrite(f->fd, s->out.p, s->out.n, (off_t)f->size);

	if (n != (ssize_t)s->out.n) {
		/* Part of it may be there: what follows would be behind rubbish. Cut it off, or give the file up. */
		int saved = n < 0 ? errno : ENOSPC;

		if (ftruncate(f->fd, (off_t)f->size) < 0)
			f->broken = true;
		errno = saved;
		return fail(why, room, "cannot be written", f->name);
	}
	memcpy(place->name, f->name, sizeof place->name);
	place->offset = f->size;
	place->length = s->out.n;
	f->size += s->out.n;
	f->dirty = true;
	return true;
}

static uint64_t
body_slot(const struct seg_body *body)
{
	uint64_t slot;

	memcpy(&slot, body->digest, sizeof slot);
	return slot ^ body->key;
}

struct seg_body *
segments_body(struct segments *s, int64_t time_ms, unsigned retention_days, const struct seg_body *like)
{
	char prefix[SEG_NAME_ROOM];

	make_prefix(time_ms, retention_days, prefix);
	struct file *f = file_find(s, prefix);
	struct seg_body *found = f ? map_get(&f->bodies, body_slot(like)) : NULL;

	return found && found->key == like->key && memcmp(found->digest, like->digest, sizeof like->digest) == 0 ? found : NULL;
}

/* What cannot be remembered is stored once more, no harm done. */
void
segments_keep_body(struct segments *s, const struct seg_place *place, const struct seg_body *body)
{
	struct file *f = file_find(s, place->name);
	struct seg_body *copy = f && f->bodies.count < SEG_BODIES_MOST && !map_get(&f->bodies, body_slot(body)) ? malloc(sizeof *copy) : NULL;

	if (copy == NULL)
		return;
	*copy = *body;
	copy->offset = place->offset;
	copy->length = place->length;
	if (!map_put(&f->bodies, body_slot(copy), copy))
		free(copy);
}

bool
segments_sync(struct segments *s, char *why, size_t room)
{
	bool good = true;

	for (int i = 0; i < SEG_OPEN; i++) {
		struct file *f = &s->files[i];

		if (f->fd < 0 || !f->dirty)
			continue;
		if (fdatasync(f->fd) < 0) {
			/* What is on the disk now nobody knows, and a second fsync would say all is well: what was not
			 * synced before is cut off, and the file gets no more. */
			good = fail(why, room, "fsync", f->name);
			f->broken = true;
			if (ftruncate(f->fd, (off_t)f->synced) == 0)
				f->size = f->synced;
		}
		f->synced = f->size;
		f->dirty = false;
	}
	if (s->dir_dirty && fsync(s->dir_fd) < 0)
		return fail(why, room, "fsync", s->dir);         /* and again next time, before anything is told */
	s->dir_dirty = false;
	return good;
}

static int
open_segment(struct segments *s, const char *name)
{
	return strchr(name, '/') ? -1 : openat(s->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

static bool
read_at(struct segments *s, int fd, uint64_t offset, uint64_t length, struct buf *bytes, struct record *record, char *why, size_t room)
{
	buf_clear(bytes);
	if (length > RECORD_BODY_MOST * 2ull || !buf_reserve(bytes, length)) {
		snprintf(why, room, "no memory, or the index is wrong");
		return false;
	}
	if (pread(fd, bytes->p, length, (off_t)offset) != (ssize_t)length) {
		snprintf(why, room, "damaged: it is cut short");
		return false;
	}
	bytes->n = length;
	return record_open(bytes, s->keys, record, why, room);
}

bool
segments_read(struct segments *s, const struct seg_place *place, struct buf *bytes, struct record *record, char *why, size_t room)
{
	int fd = open_segment(s, place->name);

	if (fd < 0)
		return fail(why, room, "open", place->name);
	bool good = read_at(s, fd, place->offset, place->length, bytes, record, why, room);

	close(fd);
	return good;
}

/* Behind something that is no record: where the next magic stands, or the end. */
static uint64_t
find_head(int fd, uint64_t at, uint64_t end)
{
	char chunk[64 * 1024];
	const uint32_t magic = RECORD_MAGIC;
	ssize_t n;

	while ((n = pread(fd, chunk, sizeof chunk, (off_t)at)) > 4) {
		size_t hit = span_find(span_make(chunk, (size_t)n), span_make(&magic, 4));

		if (hit != SPAN_NONE)
			return at + hit;
		at += (uint64_t)n - 3;
	}
	return end;
}

/* Whatever the version: a record is followed by another, or by the end. Else its length is not to be believed. */
static bool
starts_here(int fd, uint64_t at, uint64_t end)
{
	uint8_t head[RECORD_HEAD] = { 0 };
	uint16_t version;

	return end - at < 4 || (pread(fd, head, sizeof head, (off_t)at) >= 4 && record_length(head, &version) > 0);
}

int
segments_next(struct segments *s, const char *name, uint64_t offset, struct buf *bytes, struct record *record, uint64_t *next)
{
	int fd = open_segment(s, name), result = 0;
	uint8_t head[RECORD_HEAD];
	uint16_t version;
	struct stat st;
	char why[256];

	*next = offset;
	if (fd < 0)
		return 0;
	if (fstat(fd, &st) == 0 && pread(fd, head, sizeof head, (off_t)offset) == RECORD_HEAD) {
		uint64_t length = record_length(head, &version), end = (uint64_t)st.st_size;

		if (length > 0 && offset + length <= end && version > RECORD_VERSION && starts_here(fd, offset + length, end)) {
			result = -2;
			*next = offset + length;
		} else if (length > 0 && offset + length <= end && read_at(s, fd, offset, length, bytes, record, why, sizeof why)) {
			result = 1;
			*next = offset + length;
		} else {
			/* A length that is wrong must not hide what follows: look for the next head inside it as well. */
			*next = find_head(fd, offset + 1, end);
			result = *next == end && (length == 0 || offset + length > end) ? 0 : -1;
		}
	}
	close(fd);
	return result;
}

static int
by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int
is_segment(const struct dirent *e)
{
	return span_ends(span_of(e->d_name), SPAN(".seg")) && strlen(e->d_name) < SEG_NAME_ROOM;
}

bool
segment_day(const char *name, int64_t *day, unsigned *retention_days)
{
	unsigned year, month, date, retention;

	if (sscanf(name, "%4u%2u%2u-%4u-", &year, &month, &date, &retention) != 4)
		return false;
	struct tm tm = { .tm_year = (int)year - 1900, .tm_mon = (int)month - 1, .tm_mday = (int)date };

	*day = timegm(&tm) / 86400;
	if (retention_days)
		*retention_days = retention;
	return true;
}

void
segments_list(struct segments *s, void (*each)(void *arg, const char *name, uint64_t size), void *arg)
{
	struct dirent **names;
	int n = scandir(s->dir, &names, is_segment, by_name);

	for (int i = 0; i < n; i++) {
		struct stat st;

		if (fstatat(s->dir_fd, names[i]->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode))
			each(arg, names[i]->d_name, (uint64_t)st.st_size);
		free(names[i]);
	}
	if (n >= 0)
		free(names);
}

bool
segments_has(struct segments *s, const char *name)
{
	struct stat st;

	return fstatat(s->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
}

bool
segments_drop(struct segments *s, const char *name)
{
	for (int i = 0; i < SEG_OPEN; i++)
		if (s->files[i].fd >= 0 && strcmp(s->files[i].name, name) == 0)
			file_close(&s->files[i]);
	return unlinkat(s->dir_fd, name, 0) == 0;
}

enum seg_room
segments_room(struct segments *s)
{
	struct statvfs st;

	if (fstatvfs(s->dir_fd, &st) < 0)
		return ROOM_NONE;
	uint64_t left = (uint64_t)st.f_bavail * st.f_frsize, all = (uint64_t)st.f_blocks * st.f_frsize;
	uint64_t least = all / 100 * FREE_LEAST_PERCENT;

	if (least > FREE_LEAST_BYTES)
		least = FREE_LEAST_BYTES;
	return left < least || (st.f_files && st.f_favail < 16) ? ROOM_NONE : left < LOW_TIMES * least ? ROOM_LOW : ROOM_ENOUGH;
}
