/* events.h - libmilter's callbacks: a client's steps fill session and envelope, the broker's answers become
 * replies and edits. libmilter moves connections between threads: all state is in the connection's own struct. */
#ifndef MILTER_EVENTS_H
#define MILTER_EVENTS_H

#include "policyd/config.h"

/* Settings shared by the callbacks of this process; a swap takes effect at the next MAIL. */
void events_config(const struct config *config);            /* takes over a mapping by config_map */

/* Register with libmilter. `context` is that of the listener. */
bool events_register(const char *name, const char *context);

int events_active(void);                                    /* callbacks running now */

#endif
