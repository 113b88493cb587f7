/* redis.h - Redis from a process that may wait: one connection, every command under a deadline.
 *
 * Errors  redis_command answers NULL when there is no answer (the connection is then made again at the next command,
 *         at most every RETRY), or a reply of REDIS_REPLY_ERROR. Replies are the caller's (freeReplyObject)
 * Cluster a node that says MOVED is left for the one it names, and the command repeated there: so a connection serves keys
 *         of one hash tag best. redis_append does not repeat: send one redis_command of that tag before
 */
#ifndef POLICYD_STORE_REDIS_H
#define POLICYD_STORE_REDIS_H

#include <hiredis/hiredis.h>

#include "policyd/config.h"

struct redis;

struct redis *redis_open(const struct config *config, int timeout_ms);     /* connects at the first command */
void redis_close(struct redis *r);
const char *redis_why(const struct redis *r);                              /* of the last NULL */

redisReply *redis_command(struct redis *r, int argc, const char *const *argv, const size_t *lengths);
/* Many at once: append each, then take as many replies, in order. redis_append answers false when there is no connection. */
bool redis_append(struct redis *r, int argc, const char *const *argv, const size_t *lengths);
redisReply *redis_next(struct redis *r);

/* The same with C strings. */
redisReply *redis_say(struct redis *r, int argc, const char *const *argv);

#endif
