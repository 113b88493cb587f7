/* limits.h - which token buckets a recipient meets, by either protocol, once.
 *
 * Sent by ours   (a login; a submission listener; own networks): the account, its domain, its customer. The account is the
 *                login; on a submission listener without one, the client. Own networks have no account
 * From outside   the client's network (/24, /64): by the limit of policyd.conf, and by a customer's own for what it sends him
 * To ours        the mailbox, without its extension; its "distinct" are senders
 * When           messages with the first recipient that is taken, recipients and distinct with each, bytes at the end of the
 *                message (on the policy port by SIZE, if there is no milter). Who names recipients and goes away has used them
 * Once           milter and policy port meet by client address, port, sender and recipient: who comes second finds what the
 *                first has counted. The two of one MTA must go to the same node
 */
#ifndef POLICYD_BROKER_LIMITS_H
#define POLICYD_BROKER_LIMITS_H

#include "policyd/broker/broker.h"
#include "policyd/broker/rcpt.h"
#include "policyd/store/buckets.h"

struct limits;
struct limits_wait;
enum { SENDER_ROOM = MAX_ADDRESS + 1 };

enum limits_side { SIDE_MILTER, SIDE_POLICY };

struct limits_envelope {                     /* spans and pointers live until the answer */
	const struct config *config;
	enum limits_side side;
	const struct ip *client;
	const char *login, *context, *sender;
	const char *reference;
	struct span instance;                /* policy port: what ties its questions of one mail together */
	bool first;                          /* milter: nobody of this mail has been counted yet */
	uint64_t bytes;
};

/* Who of ours sends it. */
struct limits_sender {
	bool ours, has_account;
	char account[SENDER_ROOM], domain[SENDER_ROOM];
	const struct policy *policy;         /* his own, as of a recipient */
};
void limits_sender(const struct broker *b, const struct limits_envelope *e, struct limits_sender *to);

struct limits_check {
	enum outcome outcome;                /* OUT_DELIVER: within its limits; else OUT_DEFER, OUT_REJECT, OUT_QUARANTINE */
	bool counted;                        /* the mail is: the next recipient is not its first */
	struct rcpt_check reply;             /* as said at RCPT; of OUT_QUARANTINE the same words, for the log */
};
typedef void (*limits_done)(void *arg, const struct limits_check *check);

struct limits *limits_open(void);
void limits_close(struct limits *l);

/* One recipient. `policy`: what is in force for him. NULL: `done` has been called already. */
struct limits_wait *limits_rcpt(struct broker *b, const struct limits_envelope *e, struct span recipient, const struct policy *policy,
    limits_done done, void *arg);

/* The end of a message: bytes, of all buckets that it meets or of none from the one on that has too few. */
struct limits_rcpt_of {
	struct span recipient;
	const struct policy *policy;
};
struct limits_wait *limits_message(struct broker *b, const struct limits_envelope *e, const struct limits_rcpt_of *rcpts, size_t count,
    limits_done done, void *arg);
void limits_cancel(struct limits_wait *w);

#endif
