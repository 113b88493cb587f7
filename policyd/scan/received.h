/* received.h - whom one Received header names as the client that its writer got the mail from.
 *
 * Shape   the header's value as it stands in the mail. Who wrote it must be known and trusted: then the address it saw
 *         is told from what the client said of itself (HELO, ident), in the ways of Postfix, Sendmail, Exim, qmail
 *         and Exchange
 * Errors  RECEIVED_UNCLEAR: there is a client, but no address that its writer can be held to
 * Source  RFC 5321, 4.4; RFC 3848 (protocol names that end in "A": the client had logged in)
 */
#ifndef POLICYD_SCAN_RECEIVED_H
#define POLICYD_SCAN_RECEIVED_H

#include "policyd/scan/session.h"

enum received {
	RECEIVED_FROM,                       /* from `client` */
	RECEIVED_LOGIN,                      /* from one who had logged in there */
	RECEIVED_LOCAL,                      /* not by a network: a program on that machine */
	RECEIVED_NOTE,                       /* says nothing of a client; the next header of the same hop does */
	RECEIVED_UNCLEAR,
};

/* Never the decoded value: an encoded word in a HELO would turn into brackets of the attacker's choice. */
enum received received_parse(struct span raw, struct ip *client);

/* One hop as its writer has it: spans into the header, as written. What the client said of itself (helo) is its own word,
 * `name` is what the writer's DNS called the address. Only hops from the top that trusted machines wrote say more than
 * their writer wished. */
struct hop {
	enum received what;
	struct ip client;                    /* where `what` is RECEIVED_FROM */
	struct span helo, name;              /* name: empty when it has none, or "unknown" */
	struct span by, with, id, recipient;
	int64_t date;                        /* unix s; 0: none that can be read */
};
void received_hop(struct span raw, struct hop *hop);

#endif
