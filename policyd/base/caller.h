/* caller.h - a connection of policyctl that the master has handed over (W_CONTROL): its questions as they come.
 *
 * Shape   each question is a W_REQUEST with a JSON text; how it is answered is for `question` to settle
 * Errors  a connection that ends, or sends anything else, is closed after `gone`
 */
#ifndef POLICYD_BASE_CALLER_H
#define POLICYD_BASE_CALLER_H

#include "policyd/base/ipc.h"

struct event_base;

struct caller_kind {
	void (*question)(void *arg, uint32_t id, struct span json);
	void (*gone)(void *arg);             /* nobody hears an answer any more; the socket is closed when this returns */
};

/* The first of `fds` is the connection, answers go there; the others are closed. `first` is the question that came with it.
 * False: no memory, `gone` is not called, all are closed. */
bool caller_adopt(struct event_base *base, int *fds, int fd_count, uint32_t id, struct span first, const struct caller_kind *kind, void *arg);

enum { CALLER_FROM = 24 };
/* "uid 0": who that is, by the kernel's word. */
void caller_from(int sock, char to[CALLER_FROM]);

#endif
