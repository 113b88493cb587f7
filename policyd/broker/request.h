/* request.h - what the files that answer policyctl share (requests.c: connections and short answers; request_scan.c;
 * request_learn.c). Not for others. */
#ifndef POLICYD_BROKER_REQUEST_H
#define POLICYD_BROKER_REQUEST_H

#include "policyd/broker/broker.h"
#include "policyd/broker/dispatch.h"

struct caller {                              /* one connection of policyctl */
	struct broker *broker;
	int sock;
	struct event *readable;
	struct inbox inbox;
	int open;                            /* requests in work */
	bool gone;
	bool reports;                        /* it came by report.sock: it may report mail, as the user it names, and nothing else */
};

struct request {
	struct caller *caller;
	uint32_t id;
	json_t *json;
	int fd;                              /* the mail, or -1 */
	struct tx *tx;                       /* of a scan: a transaction that nobody sent */
	json_t *account;                     /* of a scan that is to be explained */

	/* of a lesson */
	char customer[64];                   /* whose model learns; empty: all customers' */
	uint64_t mailbox;                    /* with a model of its own; or 0 */
	unsigned mails, lessons;             /* all; those still at the trainer's */
	unsigned results[7];                 /* by lesson_results */
	char why[256];
};

/* Takes `reply`. Ends the request. */
void request_reply(struct request *r, json_t *reply);
json_t *request_error(const char *why, int code);
const char *request_field(const struct request *r, const char *name);        /* "" where there is no such text */
/* Its mail, without session, envelope or policies of its own, to a worker. When none is free the request ends here. */
void request_submit(struct request *r, enum job kind, job_callback done);

void request_scan(struct request *r);
void request_learn(struct request *r);                      /* unlearn as well */
void request_released(struct request *r);

#endif
