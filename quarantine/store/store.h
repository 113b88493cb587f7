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
	struct arena *arena;
	uint64_t seq;
	struct pending *first, **last;       /* written at the next commit, all with one sync */
	struct event *commit, *tick;
	struct inbox inbox;
	struct release *releases;
};

/* store.c: a state change, durable when this returns true. */
bool store_state(struct store *s, const char *id, const struct index_rcpt *rcpt, enum entry_state state, const char *note);
/* Bring the index up to what the segments hold; `anew` empties it first. */
void store_recover(struct store *s, bool anew);

/* release.c: put mail back on its way. `done` gets one result a recipient (may be NULL). */
typedef void (*release_done)(void *arg, const char *address, enum entry_state state, const char *reply);
bool release_start(struct store *s, const char *id, const struct index_rcpt *rcpt, release_done done, void *arg, char *why,
    size_t room);
void release_tick(struct store *s);
void release_resume(struct store *s);
void release_forget(struct store *s, void *arg);            /* whoever asked has gone */

/* requests.c */
void store_request_connection(struct store *s, uint32_t id, struct span json, int *fds, int fd_count);

#endif
