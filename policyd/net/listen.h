/* listen.h - listening sockets from their names in the settings.
 *
 * Shape   "unix:/path", "inet:port@address", "inet6:port@address" (libmilter's way of writing them)
 * Errors  -1 and one sentence in `why`
 *
 * TCP sockets have TCP_NODELAY (accepted ones inherit it): a milter that adds headers waits 43 ms a mail without.
 */
#ifndef POLICYD_NET_LISTEN_H
#define POLICYD_NET_LISTEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Is it written as one? */
bool listen_check(const char *name, char *why, size_t room);

/* A stale unix socket is replaced; one on which somebody answers is not. `group` may be empty. */
int listen_open(const char *name, uint32_t mode, const char *group, char *why, size_t room);

#endif
