/* link.h - questions from an event loop to another of our processes over one SEQPACKET connection.
 *
 * Shape   each question has an id, a deadline and a callback; several are in flight at once
 * Errors  the callback gets NULL when no answer came in time. A connection that breaks (the other process
 *         restarts) is made again, and what was unanswered is asked again: so the other side must
 *         recognise a question that it has already acted on
 */
#ifndef POLICYD_BASE_LINK_H
#define POLICYD_BASE_LINK_H

#include "policyd/base/ipc.h"

struct event_base;
struct link;

/* `answer` is valid during the call only; its descriptors are closed after it unless taken (set fd_count = 0). */
typedef void (*link_callback)(void *arg, struct packet *answer);

struct link *link_open(struct event_base *base, const char *path);   /* NULL: no memory */
/* The same, connected only while there is something to ask: for sockets that drop who says nothing (control.sock). */
struct link *link_open_lazy(struct event_base *base, const char *path);
void link_close(struct link *link);                                  /* unanswered callbacks are not called */

/* Takes `body` (freed later); descriptors stay the caller's and must be open until the callback.
 * False: no memory, the callback will not be called. */
bool link_ask(struct link *link, uint32_t type, struct buf *body, const int *fds, int fd_count, int timeout_ms,
    link_callback done, void *arg);

bool link_up(const struct link *link);

#endif
