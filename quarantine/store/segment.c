#include "quarantine/store/segment.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>
#include <zstd.h>

#define FREE_LEAST_BYTES (64u << 20)
enum { FREE_LEAST_PERCENT = 5, ZSTD_LEVEL = 3, SUM = 16 };

struct file {
	char name[SEG_NAME_ROOM];
	int fd;                              /* -1: free slot */
	uint64_t size, synced;
	bool dirty, broken;
};

struct segments {
	char dir[512];
	int dir_fd;
	bool dir_dirty;
	struct file files[SEG_OPEN];
	ZSTD_CCtx *zstd;
};

static bool
fail(char *why, size_t room, const char *what, const char *name)
{
	snprintf(why, room, "%s: %s: %s", name, what, strerror(errno));
	return false;
}

struct segments *
segments_open(const char *dir, char *why, size_t room)
{
	struct segments *s = calloc(1, sizeof *s);

	if (s == NULL)
		return NULL;
	snprintf(s->dir, sizeof s->dir, "%s", dir);
	for (int i = 0; i < SEG_OPEN; i++)
		s->files[i].fd = -1;
	s->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	s->zstd = ZSTD_createCCtx();
	if (s->dir_fd < 0 || s->zstd == NULL) {
		fail(why, room, "open", dir);
		segments_close(s);
		return NULL;
	}
	return s;
}

void
segments_close(struct segments *s)
{
	for (int i = 0; i < SEG_OPEN; i++)
		if (s->files[i].fd >= 0)
			close(s->files[i].fd);
	if (s->dir_fd >= 0)
		close(s->dir_fd);
	ZSTD_freeCCtx(s->zstd);
	free(s);
}

static void
checksum(const uint8_t head[SEG_HEAD], struct span meta, struct span body, uint8_t sum[SUM])
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	unsigned n;

	EVP_DigestInit_ex(ctx, EVP_sha256(), NULL);
	EVP_DigestUpdate(ctx, head, 48);
	EVP_DigestUpdate(ctx, meta.p, meta.n);
	EVP_DigestUpdate(ctx, body.p, body.n);
	EVP_DigestFinal_ex(ctx, digest, &n);
	EVP_MD_CTX_free(ctx);
	memcpy(sum, digest, SUM);
}

static void
put(uint8_t *to, uint64_t value, int bytes)
{
	for (int i = 0; i < bytes; i++)
		to[i] = (uint8_t)(value >> 8 * i);
}

static uint64_t
get(const uint8_t *from, int bytes)
{
	uint64_t value = 0;

	for (int i = 0; i < bytes; i++)
		value |= (uint64_t)from[i] << 8 * i;
	return value;
}

/* The file of this day and retention. A new one each start: what an earlier process left behind is never appended to,
 * so a torn tail stays where it is. */
static struct file *
file_for(struct segments *s, int64_t time_ms, unsigned retention_days, char *why, size_t room)
{
	time_t when = (time_t)(time_ms / 1000);
	struct tm tm;
	char prefix[SEG_NAME_ROOM], name[SEG_NAME_ROOM];
	struct file *slot = NULL;

	gmtime_r(&when, &tm);
	snprintf(prefix, sizeof prefix, "%04d%02d%02d-%04u-", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
	    retention_days > 9999 ? 9999 : retention_days);
	for (int i = 0; i < SEG_OPEN; i++) {
		struct file *f = &s->files[i];

		if (f->fd >= 0 && !f->broken && f->size < SEG_ROTATE_BYTES && strncmp(f->name, prefix, strlen(prefix)) == 0)
			return f;
		if (f->fd < 0)
			slot = f;
		else if (!f->dirty && (slot == NULL || slot->fd >= 0))
			slot = f;
	}
	if (slot == NULL) {
		snprintf(why, room, "too many segments are open");
		return NULL;
	}
	if (slot->fd >= 0)
		close(slot->fd);
	slot->fd = -1;
	for (unsigned number = 0; number < 10000 && slot->fd < 0; number++) {
		snprintf(name, sizeof name, "%s%04u.seg", prefix, number);
		slot->fd = openat(s->dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (slot->fd < 0 && errno != EEXIST)
			break;
	}
	if (slot->fd < 0) {
		fail(why, room, "cannot make a segment", s->dir);
		return NULL;
	}
	*slot = (struct file){ .fd = slot->fd };
	memcpy(slot->name, name, sizeof name);
	s->dir_dirty = true;
	return slot;
}

bool
segments_append(struct segments *s, uint16_t type, uint64_t seq, int64_t time_ms, unsigned retention_days,
    struct span meta, struct span mail, struct seg_place *place, char *why, size_t room)
{
	struct file *f = file_for(s, time_ms, retention_days, why, room);
	size_t bound = ZSTD_compressBound(mail.n), packed_n = 0;
	char *packed = mail.n ? malloc(bound) : NULL;
	uint8_t head[SEG_HEAD] = { 0 };

	if (f == NULL || (mail.n && packed == NULL)) {
		free(packed);
		if (f)
			snprintf(why, room, "no memory");
		return false;
	}
	if (mail.n)
		packed_n = ZSTD_compressCCtx(s->zstd, packed, bound, mail.p, mail.n, ZSTD_LEVEL);
	struct span body = span_make(packed, packed_n);

	put(head, SEG_MAGIC, 4);
	put(head + 4, SEG_VERSION, 2);
	put(head + 6, type, 2);
	put(head + 8, mail.n ? SEG_ZSTD : 0, 4);
	put(head + 16, seq, 8);
	put(head + 24, (uint64_t)time_ms, 8);
	put(head + 32, meta.n, 4);
	put(head + 36, body.n, 4);
	put(head + 40, mail.n, 8);
	checksum(head, meta, body, head + 48);
	struct iovec parts[3] = { { head, SEG_HEAD }, { (void *)meta.p, meta.n }, { (void *)body.p, body.n } };
	size_t total = SEG_HEAD + meta.n + body.n;
	ssize_t n = ZSTD_isError(packed_n) ? -1 : pwritev(f->fd, parts, 3, (off_t)f->size);
	bool written = n == (ssize_t)total;

	if (written) {
		memcpy(place->name, f->name, sizeof place->name);
		place->offset = f->size;
		place->length = total;
		f->size += total;
		f->dirty = true;
	} else {
		/* Part of it may be there: what follows would be behind rubbish. Cut it off, or give the file up. */
		int saved = n < 0 ? errno : ENOSPC;

		if (ftruncate(f->fd, (off_t)f->size) < 0)
			f->broken = true;
		errno = saved;
		fail(why, room, "cannot be written", f->name);
	}
	free(packed);
	return written;
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
		good = fail(why, room, "fsync", s->dir);
	s->dir_dirty = false;
	return good;
}

static bool
parse(struct buf *bytes, struct seg_record *record, char *why, size_t room)
{
	const uint8_t *head = (const uint8_t *)bytes->p;
	uint8_t sum[SUM];

	record->type = (uint16_t)get(head + 6, 2);
	record->flags = (uint32_t)get(head + 8, 4);
	record->seq = get(head + 16, 8);
	record->time_ms = get(head + 24, 8);
	record->size = get(head + 40, 8);
	size_t meta = (size_t)get(head + 32, 4), body = (size_t)get(head + 36, 4);

	if (get(head, 4) != SEG_MAGIC || get(head + 4, 2) != SEG_VERSION || bytes->n != SEG_HEAD + meta + body) {
		snprintf(why, room, "damaged: its head is not one");
		return false;
	}
	record->meta = span_make(bytes->p + SEG_HEAD, meta);
	record->body = span_make(bytes->p + SEG_HEAD + meta, body);
	checksum(head, record->meta, record->body, sum);
	if (memcmp(sum, head + 48, SUM) != 0) {
		snprintf(why, room, "damaged: its checksum is wrong");
		return false;
	}
	return true;
}

static int
open_segment(struct segments *s, const char *name)
{
	return strchr(name, '/') ? -1 : openat(s->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

bool
segments_read(struct segments *s, const struct seg_place *place, struct buf *bytes, struct seg_record *record, char *why, size_t room)
{
	int fd = open_segment(s, place->name);
	bool good = false;

	buf_clear(bytes);
	if (fd < 0)
		return fail(why, room, "open", place->name);
	if (place->length < SEG_HEAD || place->length > SEG_META_MOST * 2ull || !buf_reserve(bytes, place->length))
		snprintf(why, room, "no memory, or the index is wrong");
	else if (pread(fd, bytes->p, place->length, (off_t)place->offset) != (ssize_t)place->length)
		snprintf(why, room, "damaged: it is cut short");
	else {
		bytes->n = place->length;
		good = parse(bytes, record, why, room);
	}
	close(fd);
	return good;
}

bool
segment_unpack(const struct seg_record *record, struct buf *out, char *why, size_t room)
{
	buf_clear(out);
	if (record->size > SEG_META_MOST * 16ull || !buf_reserve(out, record->size + 1)) {
		snprintf(why, room, "no memory");
		return false;
	}
	size_t n = record->size ? ZSTD_decompress(out->p, record->size, record->body.p, record->body.n) : 0;

	if (ZSTD_isError(n) || n != record->size) {
		snprintf(why, room, "damaged: it cannot be unpacked");
		return false;
	}
	out->n = n;
	return true;
}

int
segments_next(struct segments *s, const char *name, uint64_t offset, struct buf *bytes, struct seg_record *record, uint64_t *next)
{
	int fd = open_segment(s, name), result = 0;
	uint8_t head[SEG_HEAD];
	struct stat st;
	char why[128];

	*next = offset;
	if (fd < 0)
		return 0;
	if (fstat(fd, &st) == 0 && pread(fd, head, sizeof head, (off_t)offset) == SEG_HEAD) {
		uint64_t length = SEG_HEAD + get(head + 32, 4) + get(head + 36, 4);

		result = -1;
		if (get(head, 4) == SEG_MAGIC && offset + length <= (uint64_t)st.st_size) {
			struct seg_place place = { .offset = offset, .length = length };

			snprintf(place.name, sizeof place.name, "%s", name);
			if (segments_read(s, &place, bytes, record, why, sizeof why))
				result = 1;
			*next = offset + length;
		} else {                         /* look for the next head, if this is not simply a torn tail */
			char chunk[64 * 1024];
			const uint32_t magic = SEG_MAGIC;
			uint64_t at = offset + 1;
			ssize_t n;

			*next = (uint64_t)st.st_size;
			while ((n = pread(fd, chunk, sizeof chunk, (off_t)at)) > 4) {
				size_t hit = span_find(span_make(chunk, (size_t)n), span_make(&magic, 4));

				if (hit != SPAN_NONE) {
					*next = at + hit;
					break;
				}
				at += (uint64_t)n - 3;
			}
			if (*next == (uint64_t)st.st_size)
				result = 0;
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
segments_drop(struct segments *s, const char *name)
{
	for (int i = 0; i < SEG_OPEN; i++)
		if (s->files[i].fd >= 0 && strcmp(s->files[i].name, name) == 0) {
			close(s->files[i].fd);
			s->files[i].fd = -1;
		}
	return unlinkat(s->dir_fd, name, 0) == 0;
}

bool
segments_full(struct segments *s)
{
	struct statvfs st;

	if (fstatvfs(s->dir_fd, &st) < 0)
		return true;
	uint64_t free_bytes = (uint64_t)st.f_bavail * st.f_frsize, all = (uint64_t)st.f_blocks * st.f_frsize;
	uint64_t least = all / 100 * FREE_LEAST_PERCENT;

	return free_bytes < (least < FREE_LEAST_BYTES ? least : FREE_LEAST_BYTES);
}
