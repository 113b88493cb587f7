/* index.h - the quarantine's index: a SQLite file beside the segments, for listings; made anew from them at any time.
 *
 * Tables  mail     one per stored mail: where it is, and what it says of itself
 *         rcpt     one per recipient of it: his state, points and thresholds
 *         daily    counts by day, customer and class
 *         owned    mails and octets by customer, kept by triggers
 *         held     entries by customer and state, kept by triggers
 *         segment  how far each file has been read
 * Errors  index_* answer false and say it in the log: the truth is in the segments, a rebuild mends it
 */
#ifndef QUARANTINE_STORE_INDEX_H
#define QUARANTINE_STORE_INDEX_H

#include <jansson.h>

#include "policyd/wire.h"
#include "quarantine/store/segment.h"
#include "quarantine/store/sql.h"

/* Numbers stand in the segments: new ones are added at the end. */
enum entry_state { STATE_NEW, STATE_RELEASING, STATE_RELEASED, STATE_DELETED, STATE_EXPIRED, STATE_SEEN, STATE_REQUESTED, STATE__COUNT };
extern const char *const entry_state_names[STATE__COUNT];

#define STATES_OPEN (1u << STATE_NEW | 1u << STATE_SEEN | 1u << STATE_REQUESTED)

enum entry_vote { VOTE_NONE, VOTE_HAM, VOTE_SPAM, VOTE__COUNT };
extern const char *const entry_vote_names[VOTE__COUNT];     /* "", "ham", "spam" */

enum { ID_ROOM = 32, ACTOR_ROOM = 128, NOTE_ROOM = 400 };

struct index;

struct index *index_open(const char *path, char *why, size_t room);
void index_close(struct index *x);
struct sql *index_sql(struct index *x);      /* for list.c and stats.c */

/* A full disk, a read that failed: was anything not as it should be since this was last asked? Then what is in the segments
 * may not all be here. Damaged: the file is no whole database; index_discard removes it, and the next start makes it anew. */
bool index_trouble(struct index *x);
bool index_damaged(const struct index *x);
void index_discard(const struct index *x);

/* Names of files that the index knows and the disk does not, `room` of them at most. */
size_t index_segments(struct index *x, struct segments *on_disk, char (*names)[SEG_NAME_ROOM], size_t room);

bool index_begin(struct index *x);
bool index_commit(struct index *x);
void index_rollback(struct index *x);
bool index_clear(struct index *x, int64_t oldest_day);      /* counts of days before stay: their mail is gone */

struct index_rcpt {
	uint32_t n;
	char raw[MAX_ADDRESS + 1], address[MAX_ADDRESS + 1], customer[64], class_name[16], actor[ACTOR_ROOM];
	enum entry_state state, before;
	enum entry_vote vote;
	int64_t time_s, changed_s;
	uint64_t change_seq;                 /* of the record that says its state */
	uint32_t retention_days;
};

/* What a record of kind SEG_STATE says. */
struct index_change {
	uint64_t seq;                        /* of the record: an older one never undoes a newer */
	enum entry_state state, before;
	enum entry_vote vote;
	int64_t changed_s;
	const char *actor, *note;
};

/* `body`: digest of what follows the header, or empty. */
bool index_add(struct index *x, const char *id, uint64_t seq, const struct store_request *r, struct span body, const struct seg_place *place);
/* False: no such entry (yet). */
bool index_change(struct index *x, const char *id, uint32_t n, const struct index_change *change);
bool index_note(struct index *x, const char *id, uint32_t n, const char *note);     /* not durable: how a release gets on */
bool index_count(struct index *x, const char *id);          /* one more arrival of the same mail */
void index_segment(struct index *x, const char *name, uint64_t done, uint64_t damaged);
uint64_t index_segment_done(struct index *x, const char *name);
uint64_t index_last_seq(struct index *x);

/* A retry: same client, sender, digest, since `since_s`, and this recipient still new there: its id. */
bool index_find_retry(struct index *x, const struct store_request *r, const struct store_recipient *to, int64_t since_s, char id[ID_ROOM]);

/* Where the mail of an id is, and who it is for (malloc'd). False: no such id. */
bool index_find(struct index *x, const char *id, struct seg_place *place, struct index_rcpt **rcpts, size_t *count);

/* Each recipient that is being released: for going on after a restart. */
void index_releasing(struct index *x, void (*each)(void *arg, const char *id, uint32_t n), void *arg);
/* A few at a time; true while there is more. */
bool index_expire(struct index *x, int64_t now_s, int most);
bool index_tidy(struct index *x, int most);                 /* rows of dropped files */
void index_forget_segment(struct index *x, const char *name);       /* its file was dropped */

/* votes: the oldest that is no lesson yet; what the model was taught of it so far */
bool index_untaught(struct index *x, char id[ID_ROOM], struct index_rcpt *rcpt, enum entry_vote *taught);
bool index_taught(struct index *x, const char *id, uint32_t n, enum entry_vote vote);

/* quotas */
struct index_old {
	char id[ID_ROOM];
	struct index_rcpt rcpt;
};
int64_t index_open_entries(struct index *x, const char *customer);  /* new, seen or requested */
uint64_t index_bytes(struct index *x, const char *customer);        /* of his in the segments */
int64_t index_alike(struct index *x, const char *customer, struct span body, int64_t most);
/* His oldest that nobody has asked for (of one body, unless that is empty); how many. */
size_t index_oldest(struct index *x, const char *customer, struct span body, struct index_old *old, size_t most);

/* list.c: requests.h says what goes in and out. NULL and a sentence: the question is wrong. */
json_t *index_list(struct index *x, const json_t *request, char *why, size_t room);
json_t *index_entries(struct index *x, const char *id, const json_t *request);      /* of one mail, those in scope */
bool entry_in_scope(const json_t *request, struct span address, struct span customer);

/* stats.c */
json_t *index_stats(struct index *x, const json_t *request);
json_t *index_rules(struct index *x, const json_t *request);
/* An entry came in, or went from one state or vote to another. */
void stats_stored(struct index *x, int64_t time_s, struct span customer, struct span class_name, uint64_t bytes);
void stats_changed(struct index *x, const struct index_rcpt *rcpt, const struct index_change *change);
void stats_forget(struct index *x, int64_t now_s);

#endif
