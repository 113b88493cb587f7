/* lmtp.h - the stage that the MTA's queue brings token addresses to: each recipient's own variant goes back to the MTA.
 *
 * Shape   one thread a connection, at most LMTP_CONNECTIONS: LHLO, XFORWARD, MAIL, RCPT, DATA; after the data one reply a
 *         recipient: exactly what the listener without milters has said of him. Nothing is kept: until that reply the mail is
 *         the MTA's, and what goes wrong here is a 4xx for those it concerns
 * Bounds  LMTP_RECIPIENTS a mail, LMTP_LINE bytes a command, config message_limit_bytes and what the MTA adds
 * Errors  a token that is altered or run out: 550. Broker, workers or listener away: 451. A mail that has passed here
 *         PASSAGES_MOST times: 554, it goes in circles
 * Source  RFC 2033 (LMTP), 3461 (DSN), 6531 (SMTPUTF8); Postfix XFORWARD_README
 */
#ifndef POLICYD_DELIVER_LMTP_H
#define POLICYD_DELIVER_LMTP_H

#include <pthread.h>

#include "policyd/child.h"
#include "policyd/scan/variant.h"

enum { LMTP_CONNECTIONS = 20, LMTP_RECIPIENTS = 1000, LMTP_LINE = 4096, PASSAGES_MOST = 3 };

struct stage {                               /* shared by the threads of deliver */
	pthread_mutex_t lock;
	pthread_cond_t probe_back;
	char reinject[PATH_ROOM], domain[128], host_name[128], run[PATH_ROOM], state[PATH_ROOM];
	uint64_t message_limit;
	uint8_t key[SECRET_BYTES];
	int connections, busy;               /* busy: mails between the end of their data and the last reply */
	bool stopping;
	uint64_t nonce;                      /* of the probe that is out */
	bool nonce_back;
};

bool stage_open(struct stage *s, const struct config *config);
void stage_config(struct stage *s, const struct config *config);
/* Serves one connection in a thread of its own, which closes it. */
void lmtp_serve(struct stage *s, int sock);
/* No new mails; waits for those in hand. */
void stage_stop(struct stage *s, int wait_ms);

/* probe.c: a thread that sends probes through the MTA and tells the broker whether they come back. */
void probe_start(struct stage *s);

/* A connection to the broker that has said hello, or -1. */
int stage_broker(const char *run);

#endif
