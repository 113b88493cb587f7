/* segment.h - the truth of the quarantine: append-only files of records (record.h).
 *
 * Shape   <state>/quarantine/YYYYMMDD-DDDD-NNNN.seg: day, days of retention, number. Days of retention are rounded up to
 *         one of a few classes, so that few files are open
 * Errors  false and a sentence. A sync that fails is final: what it was to make durable is cut off, and that file gets no
 *         more records (the second fsync would say that all is well)
 *
 * Nothing is ever changed in place. A process starts new files: a torn last record of an earlier one stays where it is and
 * is not there. A file is dropped whole when all in it has expired.
 */
#ifndef QUARANTINE_STORE_SEGMENT_H
#define QUARANTINE_STORE_SEGMENT_H

#include "quarantine/store/record.h"

enum { SEG_ROTATE_BYTES = 256 * 1024 * 1024, SEG_NAME_ROOM = 32, SEG_OPEN = 24, SEG_BODIES_MOST = 200000 };

struct seg_place {                           /* where a record is */
	char name[SEG_NAME_ROOM];
	uint64_t offset, length;
};

/* A mail's body that the open file has already, for others of the same campaign and customer. */
struct seg_body {
	uint8_t digest[32];
	uint32_t key;                        /* id of the customer's key */
	uint32_t alike;                      /* entries with it, if whoever stores counts them */
	uint64_t offset, length;
};

struct segments;

struct segments *segments_open(const char *dir, char *why, size_t room);
void segments_close(struct segments *s);
struct keys *segments_keys(struct segments *s);

/* Appends to the file of that day and retention; durable only after segments_sync. */
bool segments_append(struct segments *s, const struct record *r, struct span mail, unsigned retention_days, const struct key *key,
    struct seg_place *place, char *why, size_t room);
bool segments_sync(struct segments *s, char *why, size_t room);
/* The body with that digest in the file where the next record of this time and retention goes; NULL: none. */
struct seg_body *segments_body(struct segments *s, int64_t time_ms, unsigned retention_days, const struct seg_body *like);
/* The record at `place`, just appended, has this body. */
void segments_keep_body(struct segments *s, const struct seg_place *place, const struct seg_body *body);

/* Reads, checks and opens one record; `bytes` owns it. */
bool segments_read(struct segments *s, const struct seg_place *place, struct buf *bytes, struct record *record, char *why, size_t room);

/* The record at `offset` of a file, for rebuilding: 1 read, 0 the end (or a torn tail), -1 damaged, -2 of a later version:
 * `*next` is where to look further. */
int segments_next(struct segments *s, const char *name, uint64_t offset, struct buf *bytes, struct record *record, uint64_t *next);

/* What a file's name says: day (since 1970), days of retention (may be NULL). */
bool segment_day(const char *name, int64_t *day, unsigned *retention_days);

/* Calls back for every segment file, by name. */
void segments_list(struct segments *s, void (*each)(void *arg, const char *name, uint64_t size), void *arg);
bool segments_has(struct segments *s, const char *name);
bool segments_drop(struct segments *s, const char *name);   /* an expired one */

/* How much room there is: enough; so little that what is worth least is no longer taken; none. */
enum seg_room { ROOM_ENOUGH, ROOM_LOW, ROOM_NONE };
enum seg_room segments_room(struct segments *s);

#endif
