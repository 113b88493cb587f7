/* question.h - what a scan asks while it runs: DNS and Redis are the broker's, a worker has neither.
 *
 * Shape   many questions in one packet, W_ASK; the broker asks them side by side and answers all of them together, W_TOLD.
 *         Several such batches may be open at once: ask before ClamAV, take after it
 * Answers as in rr.h; those of Redis are texts: one of GET and HGET, "1" of SISMEMBER when it is a member
 * Bounds  MAX_QUESTIONS a batch, MAX_ASKED a mail: what is over it is RR_UNKNOWN. The broker's deadline is dns.timeout_ms
 * Redis   only read, only below a prefix that the broker puts before the key (store/keys.h): the site's own, or that of a
 *         customer who is among the mail's recipients; another's is RR_UNKNOWN
 */
#ifndef POLICYD_SCAN_QUESTION_H
#define POLICYD_SCAN_QUESTION_H

#include "policyd/base/arena.h"
#include "policyd/base/ipc.h"
#include "policyd/scan/rr.h"

struct scan;

/* What is asked: an enum rr_type, or one of these. */
/* ASK_SENDER: one text, struct auth_sender as it is: who client and sender are. `name`: the address of the client behind a trusted
 * relay, `field` its HELO; empty: the client. */
enum question_kind { ASK_GET = 1001, ASK_HGET, ASK_SISMEMBER, ASK_SENDER };

struct question {
	uint32_t kind;
	struct span name;                    /* a name of DNS; a key */
	struct span field;                   /* HGET, SISMEMBER: of the key */
	struct span customer;                /* whose keys; empty: the site's */
};

/* Whom a scan can ask. */
struct asker {
	/* A question that the broker answers by findings (W_ASK_... of wire.h); takes `body`. */
	void (*ask_findings)(struct asker *asker, uint32_t question, struct buf *body);
	/* They are added to the verdict. False: no answer in time. */
	bool (*take_findings)(struct asker *asker, struct scan *scan, uint32_t question, int timeout_ms);

	/* A batch; the number to take it by, never 0. */
	uint32_t (*ask)(struct asker *asker, const struct question *questions, size_t count);
	/* Its `count` answers, in their order, living in the arena. False: none in time, all are RR_UNKNOWN. */
	bool (*take)(struct asker *asker, uint32_t batch, struct arena *a, struct rr_answer *answers, size_t count, int timeout_ms);
};

/* A body of W_ASK or W_TOLD behind its number. */
void question_pack(struct buf *b, const struct question *q);
void question_unpack(struct unpack *u, struct question *q);          /* borrowed from the packet */
void answer_pack(struct buf *b, const struct rr_answer *answer);
/* Copied into the arena. A packet that is broken gives RR_UNKNOWN. */
void answer_unpack(struct unpack *u, struct arena *a, struct rr_answer *answer);

#endif
