/* redis_server.h - the embedded Redis: ours alone, on a unix socket, gone when the master is.
 *
 * Shape   redis-server, or redis-check-rdb under that name: Debian's redis-tools has the whole server in it,
 *         and no service comes with it
 */
#ifndef POLICYD_REDIS_SERVER_H
#define POLICYD_REDIS_SERVER_H

#include <sys/types.h>

#include "policyd/config.h"

/* Forks and execs it as `uid`:`gid`, its log in <state>/redis/log. 0 and `why` when there is none to run. Before that
 * waits until a Redis of an earlier master has let go of the data (a lock that it inherited). */
pid_t redis_server_start(const struct config *config, uid_t uid, gid_t gid, char *why, size_t room);

/* True once it answers, within `timeout_ms`. */
bool redis_server_ready(const struct config *config, int timeout_ms);

#endif
