/* lmtp_visit.h - one connection of the MTA and its present mail: lmtp.c speaks with it, lmtp_copy.c makes and delivers the copies. */
#ifndef POLICYD_DELIVER_LMTP_VISIT_H
#define POLICYD_DELIVER_LMTP_VISIT_H

#include "policyd/deliver/lmtp.h"
#include "policyd/net/smtp_client.h"
#include "policyd/wire.h"

enum { LMTP_COMMAND_MS = 300 * 1000, LMTP_IN_ROOM = 64 * 1024 };

struct target {                              /* one token address of the present mail */
	struct variant variant;
	char recipient[MAX_ADDRESS + 1];
	char notify[64], orcpt[2 * MAX_ADDRESS];
	bool probe, done;
	uint64_t nonce;
	struct smtp_reply reply;
};

struct visit {
	struct stage *stage;
	int sock, broker;
	struct smtp *smtp;
	struct inbox inbox;
	char in[LMTP_IN_ROOM];
	size_t in_n;
	bool greeted, mail;

	/* as the mail began */
	char reinject[PATH_ROOM], domain[128], host_name[128];
	uint64_t limit;
	char xforward[1024];
	char sender[MAX_ADDRESS + 1], ret[16], envid[256];
	bool smtputf8;
	struct target *targets;
	size_t count, room;
};

/* The listener's answer for one recipient, or our own. */
void lmtp_answer(struct target *t, int code, const char *text);
/* All recipients of the first one's variant, in one transaction with the listener; `fd`: the mail. Each is answered. */
void lmtp_deliver(struct visit *s, size_t first, int fd);

#endif
