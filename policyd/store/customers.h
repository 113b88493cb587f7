/* customers.h - whose policy is it? Every recipient's effective policy, from Redis, held in memory.
 *
 * Shape   Redis (keys.h): records of tiers, customers, domains and mailboxes in partitions {p:NN}, each partition with
 *         a stream of its changes. Here: all records in one table, followed by the streams; effective policies
 *         are interned, so equal ones are one pointer and one class id. A pointer is good until the event loop turns, and
 *         as long as somebody holds (customers_hold) who did so before it was looked up
 * Levels  default, tier, customer, wildcard (*.example; of the same customer, or for domains of nobody), domain, mailbox,
 *         extension: the nearest value counts, unless a level above has locked the field or bounds it (min.FIELD,
 *         max.FIELD); lists are looked at from the nearest on
 * Names   of a recipient: his own record; the same mailbox in the domain that this one is an alias of; without his
 *         extension, by the domain's delimiters; the domain's catch-all; his domain; a wildcard above it. An alias has the
 *         policy of where it leads; for several, unless it has its own, the strictest that they agree on
 * Errors  Redis away: what was last known goes on (from <state>/policies.snapshot at a start), and says so
 */
#ifndef POLICYD_STORE_CUSTOMERS_H
#define POLICYD_STORE_CUSTOMERS_H

#include <jansson.h>

#include "policyd/config.h"
#include "policyd/store/entries.h"

struct customers;
struct event_base;
struct redis_async;

/* `base` NULL: only what the snapshot has, for a tool that looks. */
struct customers *customers_open(struct event_base *base, struct redis_async *redis, const struct config *config);
void customers_config(struct customers *c, const struct config *config);
void customers_close(struct customers *c);

/* The policy of a recipient, by the raw RCPT argument (brackets allowed) or plain address. Never NULL. */
const struct policy *customers_lookup(struct customers *c, struct span address, uint32_t *class_id);

/* What is looked up from now on stays until it is let go. */
struct classes;
struct classes *customers_hold(struct customers *c);
void customers_let_go(struct customers *c, struct classes *held);

/* Is it one of ours: does a record speak of this mailbox, its domain, or a wildcard above? */
bool customers_know(const struct customers *c, struct span address);
/* The policy for what this sender, one of ours, sends out (policy_outbound). */
const struct policy *customers_outbound(struct customers *c, struct span sender, uint32_t *class_id);

/* user+FOLDER@domain, by the delimiter of the domain; as it is when it has an extension, or can have none. */
void customers_folder(const struct customers *c, struct span address, const char *folder, char *to, size_t room);

/* The same with what a table outside says of him (source.h; an object of fields, NULL: nothing): nearer than his domain,
 * farther than a record of his own, locks and bounds hold. What may not be is not taken: `why` says it (else empty). */
const struct policy *customers_sourced(struct customers *c, struct span address, json_t *values, char *why, size_t room, uint32_t *class_id);
/* user+ext without its extension, by the domain's delimiters; empty: there is none. */
void customers_base(const struct customers *c, struct span address, char *to, size_t room);

/* Is this recipient one whom a canary has (a share of the mailboxes has another policy for a while)? Then what he would have without
 * it, which record's canary it is, its name for counting, and how many percent of the mail may be held more before it ends. */
struct canary_draw {
	const struct policy *without;
	char key[MAX_ADDRESS + 16], id[24];
	int most;
};
bool customers_canary(struct customers *c, struct span address, struct canary_draw *draw);
/* One mail to such a recipient: what he got by it, and what he would have got. Counted in Redis; more than the canary may hold ends it. */
void customers_canary_mail(struct customers *c, const struct canary_draw *draw, enum outcome with, enum outcome without, const char *example);

enum { CANARY_LEAST = 20, CANARY_MOST = 5 };  /* mails before its rule is applied; percent of them, unless it says otherwise */

/* What his lists say of a mail, the nearest level first. `which` (may be NULL): the entry. */
enum listed customers_listed(const struct customers *c, const struct policy *policy, const struct entry_facts *facts, int64_t now_s,
    const char **which);

/* The canonical form used for look-ups and listings: no brackets, folded, unquoted; cut to `room`. */
void customers_canonical(struct span address, char *to, size_t room);

/* {"cmd": "policy.NAME", ...}, see customers_request.c: `done` gets the reply (owned by the callee) once, maybe from
 * inside the call. A write is answered after Redis took it and it is in force here. */
typedef void (*customers_reply)(void *arg, json_t *reply);
void customers_request(struct customers *c, json_t *request, customers_reply done, void *arg);

/* A change ("key", "values" as in policy.set) stands in the table while `meanwhile` runs, and is taken back: nothing is written.
 * NULL, or why it may not be. Policies that `meanwhile` looks up are held as others are. */
json_t *customers_with(struct customers *c, json_t *request, void (*meanwhile)(void *arg), void *arg);

enum { POLICY_LIST_ALL = 100000 };           /* "limit" of policy.list within one customer */

json_t *customers_status(const struct customers *c);

#endif
