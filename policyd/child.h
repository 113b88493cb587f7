/* child.h - what every process kind starts with. main.c forks them; none execs.
 *
 * A child ends at once when the master does (parent-death signal), and exits 0 on W_STOP.
 * It watches `master` for W_CONFIG, W_CONTROL and W_STOP and answers W_READY when it serves.
 */
#ifndef POLICYD_CHILD_H
#define POLICYD_CHILD_H

#include "policyd/config.h"

struct child {
	const char *name;                    /* "broker", "gate mx" */
	const struct config *config;         /* mapped; the child replaces it on W_CONFIG */
	int master;                          /* SOCK_SEQPACKET */
	int listen_fd;                       /* milter socket, or <run>/NAME.sock; -1: none */
	int policy_fd;                       /* broker: policy delegation; deliver: LMTP; or -1 */
	uint32_t index;                      /* gate: which of config->milter */
};

/* Process kinds: each runs until told to stop and returns the exit code. */
int gate_main(struct child *self);           /* milter/gate.c */
int broker_main(struct child *self);         /* policyd/broker/broker.c */
int zygote_main(struct child *self);         /* policyd/worker/zygote.c */
int store_main(struct child *self);          /* quarantine/store/store.c */
int deliver_main(struct child *self);        /* policyd/deliver/deliver.c */
int review_main(struct child *self);         /* quarantine/review/review.c */
int trainer_main(struct child *self);        /* policyd/trainer/trainer.c */

#endif
