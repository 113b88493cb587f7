/* pool.h - mail to the MTA over several connections at once, each kept for the next mail (smtp_client.h).
 *
 * Shape   a queue and up to POOL_CONNECTIONS threads, each with one connection; they start when mail waits for one and end
 *         when there has been none for a while. Spans of a job must stay until `done`
 * Units   milliseconds from when a thread takes the mail up
 * Errors  smtp_reply says what the server said, code 0: it gave no answer
 */
#ifndef POLICYD_DELIVER_POOL_H
#define POLICYD_DELIVER_POOL_H

#include "policyd/net/smtp_client.h"

enum { POOL_CONNECTIONS = 20 };

struct pool;

struct pool_job {
	struct pool_job *next;
	char server[256];
	struct smtp_mail mail;
	/* In the pool's thread: the job is whoever asked's again. */
	void (*done)(struct pool_job *job, bool taken, const struct smtp_reply *reply);
};

struct pool *pool_open(const char *helo_name, int mail_ms);     /* NULL: no memory */
void pool_put(struct pool *p, struct pool_job *job);
/* Waits for what threads have in hand; what waits in the queue is not sent, and `done` is not called for it. */
void pool_close(struct pool *p);

#endif
