/* smtp_client.h - mail to the MTA's listener, over one connection that is kept for the next.
 *
 * Shape   EHLO once; then XFORWARD (if offered), MAIL, RCPTs, DATA in one go where PIPELINING is offered
 * Units   milliseconds for the whole of one mail
 * Errors  smtp_reply.code 0: no answer (connect, time, connection lost) - try again later
 * Source  RFC 5321, 2920 (PIPELINING), 6531 (SMTPUTF8), 6152 (8BITMIME); Postfix XFORWARD_README
 */
#ifndef POLICYD_NET_SMTP_CLIENT_H
#define POLICYD_NET_SMTP_CLIENT_H

#include "policyd/base/buf.h"

enum { SMTP_MAILS_A_CONNECTION = 50, SMTP_IDLE_MS = 20 * 1000 };

struct smtp;

struct smtp_mail {
	struct span sender;                  /* without brackets; empty: null sender */
	struct span recipient;               /* the RCPT argument as it was given, brackets or not */
	struct span client_ip, helo;         /* of who sent it first, for XFORWARD; may be empty */
	struct span bytes;                   /* exact; lines may end CRLF or LF */
	struct span xforward;                /* "ADDR=... HELO=..." as a server before us was told; then client_ip and helo do not count */
	struct span ret, envid;              /* RFC 3461, for the message; as they came, may be empty */
	bool smtputf8;                       /* it came with SMTPUTF8 */
	/* Called before the dot that ends the mail, all else being sent; may wait. NULL: nothing to do. */
	void (*before_end)(const struct smtp_mail *mail);
	void *arg;                           /* for whoever set it */
};

struct smtp_reply {
	int code;
	char text[256];                      /* one line, as the server said it, or what went wrong */
	char queue_id[64];                   /* of Postfix' or Sendmail's 250, if it can be read */
};

struct smtp_rcpt {
	struct span address;                 /* as smtp_mail.recipient */
	struct span notify, orcpt;           /* RFC 3461; as they came, may be empty */
	struct smtp_reply *reply;            /* his own: refused at RCPT, or what was said after DATA */
};

struct smtp *smtp_open(const char *helo_name);              /* NULL: no memory */
void smtp_close(struct smtp *s);
/* `server` is "host:port", an address or "localhost". True: the server took the mail (2yz after DATA). */
bool smtp_deliver(struct smtp *s, const char *server, const struct smtp_mail *mail, int timeout_ms, struct smtp_reply *reply);
/* The same for several recipients, each with his own reply; mail->recipient does not count. True: it was taken for one at least. */
bool smtp_deliver_all(struct smtp *s, const char *server, const struct smtp_mail *mail, struct smtp_rcpt *rcpts, size_t count,
    int timeout_ms);
/* Does it greet us? Ends the connection. */
bool smtp_probe(struct smtp *s, const char *server, int timeout_ms, struct smtp_reply *reply);
void smtp_idle(struct smtp *s);                             /* ends a connection that nobody uses */

#endif
