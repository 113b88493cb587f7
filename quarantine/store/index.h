/* index.h - the quarantine's index: a SQLite file beside the segments, for listings; made anew from them at any time.
 *
 * Tables  mail(id, seq, time_s, segment, offset, length, size, client, sender, class, message_id, header_from, subject,
 *              symbols, digest, queue_id, count)   rcpt(id, n, raw, address, domain, customer, points, state, note,
 *              expires_s)   segment(name, done, damaged)
 * Errors  index_* answer false and say it in the log: the truth is in the segments, a rebuild mends it
 */
#ifndef QUARANTINE_STORE_INDEX_H
#define QUARANTINE_STORE_INDEX_H

#include <jansson.h>

#include "policyd/wire.h"
#include "quarantine/store/segment.h"

enum entry_state { STATE_NEW, STATE_RELEASING, STATE_RELEASED, STATE_DELETED, STATE_EXPIRED, STATE__COUNT };
extern const char *const entry_state_names[STATE__COUNT];

enum { ID_ROOM = 32 };

struct index;

struct index *index_open(const char *path, char *why, size_t room);
void index_close(struct index *x);

bool index_begin(struct index *x);
bool index_commit(struct index *x);
bool index_clear(struct index *x);

bool index_add(struct index *x, const char *id, uint64_t seq, const struct store_request *r, const struct seg_place *place);
bool index_state(struct index *x, const char *id, uint32_t n, enum entry_state state, const char *note);
bool index_count(struct index *x, const char *id);          /* one more arrival of the same mail */
void index_segment(struct index *x, const char *name, uint64_t done, uint64_t damaged);
uint64_t index_segment_done(struct index *x, const char *name);
uint64_t index_last_seq(struct index *x);

/* A retry: same client, sender, digest, since `since_s`, and this recipient still new there: its id. */
bool index_find_retry(struct index *x, const struct store_request *r, struct span raw, int64_t since_s, char id[ID_ROOM]);

struct index_rcpt {
	uint32_t n;
	char raw[MAX_ADDRESS + 1], address[MAX_ADDRESS + 1];
	enum entry_state state;
	unsigned retention_days;
};
/* Where the mail of an id is, and who it is for (malloc'd). False: no such id. */
bool index_find(struct index *x, const char *id, struct seg_place *place, struct index_rcpt **rcpts, size_t *count);

/* Filters of quarantine.list; a JSON array of entries, newest first. */
json_t *index_list(struct index *x, json_t *request);
json_t *index_show(struct index *x, const char *id);
json_t *index_stats(struct index *x);
/* Each recipient that is being released: for going on after a restart. */
void index_releasing(struct index *x, void (*each)(void *arg, const char *id, uint32_t n), void *arg);
void index_expire(struct index *x, int64_t now_s);
void index_forget_segment(struct index *x, const char *name);

#endif
