/* line.h - a worker's line to the broker while it has a job: what it asks, what it is told, in whatever order that comes.
 *
 * Shape   one socket, on which the broker's answers carry the job's id; what is not waited for just now is kept
 * Errors  a line that breaks ends the process: the broker gives the mail to another worker
 */
#ifndef POLICYD_WORKER_LINE_H
#define POLICYD_WORKER_LINE_H

#include "policyd/scan/scan.h"
#include "policyd/wire.h"

struct told;
struct line {
	struct asker asker;                  /* first: what a scan gets */
	int sock;
	uint32_t id;                         /* of the job */
	struct inbox *inbox;
	struct arena *arena;
	uint32_t batches;                    /* asked so far */
	struct told *told;                   /* come, but not taken yet */
};

void line_open(struct line *line, int sock, uint32_t id, struct inbox *inbox, struct arena *arena);

void send_or_end(int sock, uint32_t type, uint32_t id, struct buf *body);
/* u32 n, n x symbol, into the verdict. False: it is no such list. */
bool line_take_symbols(struct unpack *u, struct scan *scan);

#endif
