/* store.h - what the parts of the store process share. */
#ifndef QUARANTINE_STORE_STORE_H
#define QUARANTINE_STORE_STORE_H

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
	unsigned releasing;                  /* with a worker or deliver now */
};

/* store.c: state changes, all durable when this is true; one sync for all of them. False (logged): count on none. */
struct state_change {
	const char *id;
	const struct index_rcpt *rcpt;
	struct index_change to;
};
bool store_changes(struct store *s, const struct state_change *changes, size_t count);
/* The mail of an entry: read, checked, unpacked into `mail`; its request (in `a`) tells the rest. */
bool store_read(struct store *s, const struct seg_place *place, struct arena *a, struct store_request *request, struct buf *mail,
    char *why, size_t room);
/* Bring the index up to what the segments hold; `anew` empties it first. */
void store_recover(struct store *s, bool anew);

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
