/* wanted.h - before a mail is scored, the own tables of its customers and mailboxes are to be in this node's cache
 * (model/own_cache.h).
 *
 * The trainer is asked once per name and OWN_FRESH_MS; it asks Redis only for one who is not in its cache. Where no
 * answer comes in OWN_WAIT_MS the mail is scored by everybody's model, and that is counted.
 */
#ifndef POLICYD_BROKER_WANTED_H
#define POLICYD_BROKER_WANTED_H

#include "policyd/base/span.h"

enum { OWN_FRESH_MS = 10 * 1000, OWN_WAIT_MS = 300, OWN_ASKED_MOST = 4096 };

struct broker;
struct policy;
struct tx;
struct own_wait;

/* The number of the mailbox (its address without extension) where its policy wants a model of its own, of a customer; else 0. */
uint64_t wanted_mailbox(struct broker *b, const struct policy *policy, struct span address);

/* Calls go_on(tx) at once or when they are there; not at all when the mail has gone (tx_free, which forgets the wait). */
void wanted_then(struct tx *tx, void (*go_on)(struct tx *tx));
void wanted_forget(struct own_wait *wait);

#endif
