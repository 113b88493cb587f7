/* customers.h - whose policy is it? Every recipient's effective policy, from Redis, held in memory.
 *
 * Shape   Redis (keys.h): records of customers, domains and mailboxes in partitions {p:NN}, each partition with
 *         a stream of its changes. Here: all records in a hash map, followed by the streams; effective policies
 *         are interned, so equal ones are one pointer and one class id, and never move or go away
 * Errors  Redis away: what was last known goes on (from <state>/policies.snapshot at a start), and says so
 * Source  design.md "Policy": mailbox > domain > customer > default
 */
#ifndef POLICYD_STORE_CUSTOMERS_H
#define POLICYD_STORE_CUSTOMERS_H

#include <jansson.h>

#include "policyd/config.h"

struct customers;
struct event_base;
struct redis_async;

struct customers *customers_open(struct event_base *base, struct redis_async *redis, const struct config *config);
void customers_config(struct customers *c, const struct config *config);
void customers_close(struct customers *c);

/* The policy of a recipient, by the raw RCPT argument (brackets allowed) or plain address. Never NULL. */
const struct policy *customers_lookup(struct customers *c, struct span address, uint32_t *class_id);

/* The canonical form used for look-ups and listings: no brackets, folded, unquoted; cut to `room`. */
void customers_canonical(struct span address, char *to, size_t room);

/* {"cmd": "policy.get|set|unset|explain|list", ...}: `done` gets the reply (owned by the callee) once, maybe from
 * inside the call. A write is answered after Redis took it and it is in force here. */
typedef void (*customers_reply)(void *arg, json_t *reply);
void customers_request(struct customers *c, json_t *request, customers_reply done, void *arg);

json_t *customers_status(const struct customers *c);

#endif
