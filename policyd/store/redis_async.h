/* redis_async.h - Redis from an event loop: never blocks, reconnects, gives up on what takes too long.
 *
 * Shape   hiredis' reader and formatter on a libevent socket; replies in the order of commands
 * Units   config redis_command_ms a command
 * Errors  the callback gets NULL when there was no answer (not connected, too late, connection lost) or an
 *         error reply as redisReply of REDIS_REPLY_ERROR. When the oldest has no answer in its time the connection is dropped and made again
 *         with back-off (50 ms to 1 s): a late answer is never taken for another's
 */
#ifndef POLICYD_STORE_REDIS_ASYNC_H
#define POLICYD_STORE_REDIS_ASYNC_H

#include <stdbool.h>
#include <stddef.h>

#include "policyd/config.h"

struct event_base;
struct redisReply;
struct redis_async;

typedef void (*redis_callback)(void *arg, const struct redisReply *reply);

/* NULL: no memory. Connects by itself: config redis_url, or <run>/redis.sock when that is empty. */
struct redis_async *redis_async_open(struct event_base *base, const struct config *config);
void redis_async_close(struct redis_async *r);
bool redis_async_up(const struct redis_async *r);

/* Commands that have no answer yet. */
size_t redis_async_waiting(const struct redis_async *r);

/* Called at every (re)connect, when commands go through again. */
void redis_async_on_up(struct redis_async *r, void (*up)(void *arg), void *arg);

/* One command of `argc` binary-safe words. done may be NULL (fire and forget). `timeout_ms` 0: the config's. */
void redis_async_command(struct redis_async *r, int timeout_ms, redis_callback done, void *arg, int argc,
    const char *const *argv, const size_t *lengths);

#endif
