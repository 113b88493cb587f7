/* store.h - what the parts of the store process share. */
#ifndef QUARANTINE_STORE_STORE_H
#define QUARANTINE_STORE_STORE_H

#include "policyd/base/audit.h"
#include "policyd/base/link.h"
#include "policyd/child.h"
#include "quarantine/store/index.h"

struct event;

struct store {
	struct child *self;
	struct event_base *base;
	struct segments *segments;
	struct index *index;
	struct link *deliver;
	struct link *broker;                 /* through control.sock: scans before a release */
	struct arena *arena;
	uint64_t seq;
	struct pending *first, **last;       /* written at the next commit, all with one sync */
	struct event *commit, *tick;
	struct inbox inbox;
	struct release *releases, **last_release;
	bool failed;                         /* ends, to start anew */
	bool behind;                         /* the index lacks something that the segments have */
	int64_t catch_up_ms;
	bool teaching;                       /* a vote is with the broker, to be a lesson */
	int64_t teach_at_ms;
	unsigned teach_tries;                /* of the vote that is due */
	struct audit *audit;                 /* of what policyctl does; NULL: it cannot be opened */
	struct nodes *nodes;                  /* the list that nodes share; NULL: there is none */
	struct eviction *evictions;          /* due when the present round is on the disk */
	unsigned releasing;                  /* with a worker or deliver now */
};

/* store.c: state changes, all durable when this is true; one sync for all of them. False (logged): count on none. */
struct state_change {
	const char *id;
	const struct index_rcpt *rcpt;
	struct index_change to;
};
bool store_changes(struct store *s, struct state_change *changes, size_t count);     /* numbers them */
/* The mail of an entry: read, checked, unpacked into `mail`; its request (in `a`) tells the rest. */
bool store_read(struct store *s, const struct seg_place *place, struct arena *a, struct store_request *request, struct buf *mail,
    char *why, size_t room);
/* keep.c: one mail into the quarantine. False: it is not there for all; why says what was short. */
struct stored {
	char (*ids)[ID_ROOM];                /* one a recipient, malloc'd */
	uint32_t count;
	bool again;                          /* all of it was there before */
};
bool store_mail(struct store *s, const struct store_request *r, struct span mail, struct stored *out, char *why, size_t room);
void store_evict(struct store *s);
/* The meta of a SEG_MAIL record. */
struct stored_meta {
	char id[ID_ROOM];
	struct store_request request;
	struct span body;                    /* digest, or empty */
	uint64_t header_bytes, offset, length;
};
bool stored_unpack(struct unpack *u, struct arena *a, struct stored_meta *meta);
/* The meta of a SEG_STATE record. False: of a later version, or none. */
struct stored_change {
	char id[ID_ROOM], note[NOTE_ROOM], actor[ACTOR_ROOM];
	uint32_t n;
	struct index_change to;              /* points into the texts above; its seq is the record's */
};
bool stored_unpack_change(struct span meta, struct stored_change *change);
/* recover.c: what has expired goes, a little at a time. */
void store_expire(struct store *s);
/* Bring the index up to what the segments hold; `anew` empties it first. */
void store_recover(struct store *s, bool anew);
/* Ends the index's transaction; what could not be written there is caught up later, out of the segments. */
void store_settle(struct store *s);
void store_catch_up(struct store *s);

/* nodes.c: an entry is here, or has changed; -1: all recipients of that mail. After it is durable. */
void nodes_open(struct store *s);
void nodes_put(struct store *s, const char *id, int64_t n);
void nodes_tick(struct store *s);

/* lesson.c */
void lesson_tick(struct store *s);

/* release.c: put mail back on its way, which is in state "releasing" already. `done` (or NULL) gets one result. */
struct release_result {
	const char *id;
	const struct index_rcpt *rcpt;       /* with the state it has now */
	const char *reply, *queue_id;
};
typedef void (*release_done)(void *arg, const struct release_result *result);
enum { RELEASE_RISKY = 1 };                  /* also when today's scan finds a virus in it */
bool release_add(struct store *s, const char *id, const struct index_rcpt *rcpt, unsigned flags, release_done done, void *arg);
void release_tick(struct store *s);
void release_resume(struct store *s);
void release_forget(struct store *s, const void *arg);      /* whoever asked waits no more */

#endif
