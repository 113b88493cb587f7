/* dispatch.h - mails to caged workers: a bounded queue, deadlines, one retry after a crash, the poison ledger.
 *
 * Shape   a job is one packet and one sealed mail; its answer is the worker's packet
 * Errors  JOB_POISON: two workers ended on the same content (now, or before by the ledger, which outlives restarts)
 *         JOB_LATE: no answer before the deadline;  a full queue refuses the job at once
 */
#ifndef POLICYD_BROKER_DISPATCH_H
#define POLICYD_BROKER_DISPATCH_H

#include <jansson.h>

#include "policyd/config.h"
#include "policyd/scan/lane.h"
#include "policyd/wire.h"

struct event_base;
struct dispatch;
struct work;

enum job_result { JOB_DONE, JOB_POISON, JOB_LATE };

/* `answer` only with JOB_DONE, and valid during the call. */
typedef void (*job_callback)(void *arg, enum job_result result, struct packet *answer);

/* What the worker asks while it has the job; answer by work_tell. NULL: it has gone, or needs no answer any more. */
typedef void (*job_asked)(void *arg, struct packet *question);

/* `changed` is called whenever a zygote says which generation it has. */
struct dispatch *dispatch_open(struct event_base *base, const struct config *config, void (*changed)(void *arg), void *arg);
/* Do new workers run with these settings, or later ones? */
bool dispatch_has(const struct dispatch *d, uint64_t generation);
void dispatch_config(struct dispatch *d, const struct config *config);

/* A zygote said hello on `sock` (taken over); `hello` stands behind the generation. Older generations get no new
 * mail and end when what they have in hand is done. */
void dispatch_zygote(struct dispatch *d, int sock, uint64_t generation, struct unpack *hello);

/* Takes `body`; `mail_fd` stays the caller's and must be open until the callback or work_forget.
 * NULL: the queue is full (M_OVERLOAD) or there is no memory; the callback will not be called.
 * `asked` NULL: this kind of job asks nothing. */
struct work *dispatch_submit(struct dispatch *d, struct buf *body, int mail_fd, int64_t deadline_ms,
    job_callback done, job_asked asked, void *arg);

/* The same in a lane: what is asked by dispatch_submit is trickle. Bulk has its share of the workers and of the queue. */
struct work *dispatch_submit_lane(struct dispatch *d, enum lane lane, struct buf *body, int mail_fd, int64_t deadline_ms,
    job_callback done, job_asked asked, void *arg);

/* An answer to the worker that has the job; takes `body`. Nothing happens when none has it. */
void work_tell(struct work *work, uint32_t type, struct buf *body);

/* The asker is gone: no callback. The worker finishes for nothing. */
void work_forget(struct work *work);

json_t *dispatch_status(const struct dispatch *d);

#endif
