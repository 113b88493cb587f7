/* delegate.h - Postfix's policy delegation protocol: requests in, actions out.
 *
 * Shape   "name=value" lines, an empty line ends a request; answer "action=...\n\n"; connections persist
 * Bounds  MAX_POLICY_REQUEST, MAX_POLICY_ATTRS, MAX_POLICY_CLIENTS; an unfinished request ends after
 *         POLICY_UNFINISHED_MS, an idle connection after POLICY_IDLE_MS
 * Errors  a bad request is answered "DUNNO" and logged: the milter still decides
 * Source  Postfix SMTPD_POLICY_README
 */
#ifndef POLICYD_BROKER_DELEGATE_H
#define POLICYD_BROKER_DELEGATE_H

#include "policyd/config.h"

struct delegate;
struct delegate_call;                        /* one request that waits for its answer */
struct event_base;

struct delegate_request {                    /* spans live until the answer */
	struct span protocol_state, queue_id, sender, recipient, client_address, client_port, client_name, helo_name,
	    sasl_username, instance, size, policy_context;
};

/* Called for each good request; answer now or later by delegate_answer, once. */
typedef void (*delegate_ask)(void *arg, struct delegate_call *call, const struct delegate_request *request);
/* The connection went away before the answer: forget the call. */
typedef void (*delegate_gone)(void *arg, struct delegate_call *call);

struct delegate *delegate_open(struct event_base *base, int listen_fd, delegate_ask ask, delegate_gone gone, void *arg);
void delegate_close(struct delegate *d);

/* `action` as Postfix takes it: "DUNNO", "550 5.7.1 ...". CR, LF, NUL and what is not ASCII are made harmless. */
void delegate_answer(struct delegate_call *call, const char *action);
void **delegate_data(struct delegate_call *call);           /* a place for the asker's own pointer, NULL at first */

#endif
