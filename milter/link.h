/* link.h - the gate's one connection to the broker, shared by libmilter's threads.
 *
 * Shape   questions carry an id; a reader thread wakes the callback that waits for it
 * Errors  GATE_LOST: the broker has gone (it restarts); what it knew of the session is gone with it, and the
 *         link's generation has grown. GATE_LATE: no answer in time
 */
#ifndef MILTER_LINK_H
#define MILTER_LINK_H

#include "policyd/base/ipc.h"
#include "policyd/config.h"

enum gate_result { GATE_OK, GATE_LOST, GATE_LATE };

/* Starts the reader thread. False: no memory or no thread. */
bool gatelink_open(const struct config *config, const char *context);

/* How often the connection has been made: state given to another generation is unknown to the broker. */
uint64_t gatelink_generation(void);

/* One packet without an answer. False when the broker is not there. */
bool gatelink_tell(uint32_t type, struct buf *body);

/* A question: `progress` (may be NULL) is called every `step_ms` while it waits. The answer's body is the caller's
 * to free. `body` is freed. */
enum gate_result gatelink_ask(uint32_t type, struct buf *body, int fd, int timeout_ms, int step_ms,
    void (*progress)(void *arg), void *arg, uint32_t want, struct buf *answer);

#endif
