/* segment.h - the truth of the quarantine: append-only files of checksummed records.
 *
 * Shape   <state>/quarantine/YYYYMMDD-DDDD-NNNN.seg: day, retention in days, number. A record:
 *
 *           0 u32 magic   4 u16 version   6 u16 type    8 u32 flags   12 u32 key id (0: not encrypted)
 *          16 u64 seq    24 u64 time ms  32 u32 meta bytes   36 u32 body bytes   40 u64 mail size
 *          48 u8[16] first half of SHA-256 over bytes 0..47 and what follows   64 meta, then body (zstd)
 *
 *         little-endian. SEG_MAIL: meta is the id and the store request (wire.h), the body its exact bytes.
 *         SEG_STATE: meta is id, u32 recipient, u8 state, text note, u8 state before, u8 vote, u64 changed (s), text actor;
 *         no body
 * Errors  false and a sentence. A sync that fails is final: that file gets no more records (errno of fsync is lost
 *         the second time)
 *
 * Nothing is ever changed in place. A torn last record is not there; a file is dropped whole when its day has expired.
 */
#ifndef QUARANTINE_STORE_SEGMENT_H
#define QUARANTINE_STORE_SEGMENT_H

#include "policyd/base/buf.h"
#include "policyd/base/span.h"

enum { SEG_MAGIC = 0x31514450, SEG_VERSION = 1, SEG_HEAD = 64, SEG_MAIL = 1, SEG_STATE = 2, SEG_ZSTD = 1,
    SEG_ROTATE_BYTES = 256 * 1024 * 1024, SEG_NAME_ROOM = 32, SEG_OPEN = 16, SEG_META_MOST = 64 * 1024 * 1024 };

struct seg_place {                           /* where a record is */
	char name[SEG_NAME_ROOM];
	uint64_t offset, length;
};

struct seg_record {
	uint16_t type;
	uint64_t seq, time_ms, size;
	struct span meta;                    /* into `bytes` */
	struct span body;                    /* as stored */
	uint32_t flags;
};

struct segments;

struct segments *segments_open(const char *dir, char *why, size_t room);
void segments_close(struct segments *s);

/* Appends to the file of that day and retention; durable only after segments_sync. */
bool segments_append(struct segments *s, uint16_t type, uint64_t seq, int64_t time_ms, unsigned retention_days,
    struct span meta, struct span mail, struct seg_place *place, char *why, size_t room);
bool segments_sync(struct segments *s, char *why, size_t room);

/* Reads and checks one record; `bytes` owns it. */
bool segments_read(struct segments *s, const struct seg_place *place, struct buf *bytes, struct seg_record *record,
    char *why, size_t room);
/* The mail of a record, unpacked into `out`. */
bool segment_unpack(const struct seg_record *record, struct buf *out, char *why, size_t room);

/* The record at `offset` of a file, for rebuilding: 1 read, 0 the end (or a torn tail), -1 damaged: `*next` is where to
 * look further. */
int segments_next(struct segments *s, const char *name, uint64_t offset, struct buf *bytes, struct seg_record *record,
    uint64_t *next);

/* What a file's name says: day (since 1970), days of retention (may be NULL). */
bool segment_day(const char *name, int64_t *day, unsigned *retention_days);

/* Calls back for every segment file, by name. */
void segments_list(struct segments *s, void (*each)(void *arg, const char *name, uint64_t size), void *arg);
bool segments_drop(struct segments *s, const char *name);   /* an expired one */
/* Free room below the least that must stay? */
bool segments_full(struct segments *s);

#endif
