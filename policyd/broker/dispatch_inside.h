/* dispatch_inside.h - what dispatch.c (mails and their workers) and dispatch_zygotes.c (where workers come from) share.
 * Not for others. */
#ifndef POLICYD_BROKER_DISPATCH_INSIDE_H
#define POLICYD_BROKER_DISPATCH_INSIDE_H

#include <event2/event.h>

#include "policyd/broker/dispatch.h"

struct work {                                /* one mail's job */
	struct dispatch *dispatch;
	struct work *next;                   /* in the queue */
	struct buf body;
	int mail_fd;
	uint32_t id;
	int64_t deadline_ms;
	int tries, crashes;
	enum lane lane;
	struct worker *worker;               /* who has it; NULL while queued */
	job_callback done;                   /* NULL: forgotten */
	job_asked asked;
	bool asking;                         /* its worker has asked: answers may be under way */
	void *arg;
};

struct worker {
	struct worker *next;
	struct zygote *zygote;
	struct dispatch *dispatch;
	uint32_t pid;
	int sock;
	struct event *readable;
	struct work *work;                   /* NULL: idle */
	uint64_t generation;                 /* of the settings it was forked with */
	uint32_t revision;                   /* of its rules' maps */
	bool has_digest, killed;
	uint8_t digest[32];
	int64_t since_ms;                    /* busy or idle */
};

struct zygote {
	struct zygote *next;
	struct dispatch *dispatch;
	int sock;
	struct event *readable;
	uint64_t generation;
	uint32_t revision;                   /* counts W_ANEW */
	uint32_t cage;
	struct { bool loaded; uint32_t signatures; int64_t time_s, changed_s; } av;
	bool retired;
	uint32_t workers;
};

struct dispatch {
	struct event_base *base;
	const struct config *config;
	struct event *tick;
	struct zygote *zygotes;
	struct worker *workers;
	struct line { struct work *first, **last; uint32_t queued, running; } lines[LANE__COUNT];
	uint32_t forking, worker_count, next_id;
	int64_t fork_asked_ms, complained_ms;
	struct poison *poison;
	struct inbox inbox;
	void (*changed)(void *arg);
	void *changed_arg;
};

/* Idle workers take queued mail; where they are too few, the zygote forks more. */
void dispatch_pump(struct dispatch *d);

/* Forked with settings or rules of an earlier generation: it gets no more mail. */
bool worker_outdated(const struct worker *worker);
void worker_add(struct zygote *z, uint32_t pid, int sock);
void worker_remove(struct worker *gone);
/* Its worker ended. Once is an accident and gets a fresh worker; twice on the same bytes is the mail. */
void work_crashed(struct dispatch *d, struct worker *worker);

#endif
