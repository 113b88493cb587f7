/* rcpt.h - what one recipient's policy says at RCPT, the same for milter and policy server. Pure. */
#ifndef POLICYD_BROKER_RCPT_H
#define POLICYD_BROKER_RCPT_H

#include "policyd/auth/auth.h"
#include "policyd/config.h"
#include "policyd/scan/decide.h"

enum rcpt_action { RCPT_ACCEPT, RCPT_REJECT, RCPT_DEFER };

struct rcpt_check {
	enum rcpt_action action;
	char code[4], xcode[12];             /* "550", "5.7.1" */
	char text[MAX_REPLY_TEXT];           /* one line, printable ASCII */
};

/* An address in the domain of token addresses: nobody from outside writes there (the MTA's queue does). */
bool rcpt_reserved(const struct config *config, struct span recipient);

/* Does this policy want to wait for the DNS lists before it answers? */
bool rcpt_needs_lists(const struct policy *policy);

/* The same for SPF. */
bool rcpt_needs_sender(const struct policy *policy);

/* `lists` NULL: nothing was asked about this client. `sender` NULL: the same, or DNS has not told in time. `listed`: what the recipient's own lists say of client and sender.
 * `reference` is what a person can quote. */
void rcpt_decide(const struct config *config, const struct policy *policy, const struct dnsbl_result *lists,
    const struct auth_sender *sender, const struct ip *client, enum listed listed, const char *reference, struct rcpt_check *out);

#endif
