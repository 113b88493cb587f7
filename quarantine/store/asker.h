/* asker.h - one connection that asks (requests.h), and what its questions are answered by. */
#ifndef QUARANTINE_STORE_ASKER_H
#define QUARANTINE_STORE_ASKER_H

#include "quarantine/store/store.h"

struct asker {
	struct store *store;
	int sock;
	int open;                            /* questions in work; each holds it */
	bool gone;                           /* nobody hears the answers */
	char from[24];                       /* "uid 0": policyctl of that user; empty: a process of ours, which keeps its own log */
};

void asker_reply(struct asker *a, uint32_t id, json_t *reply);                  /* takes `reply` */
void asker_reply_fd(struct asker *a, uint32_t id, json_t *reply, int fd);       /* `fd` or -1 goes with it */
void asker_error(struct asker *a, uint32_t id, const char *why, int code);
void asker_done(struct asker *a);                                               /* a question less in work */

/* audit.c: into the audit log, if it is policyctl that asks. False: it cannot be written. */
bool asker_audit(struct asker *a, const json_t *request, const char *action, const char *target, const char *customer);
void asker_audit_change(struct asker *a, const json_t *request, const char *op, const json_t *results);

/* nodes.c */
void nodes_list(struct asker *a, uint32_t id, json_t *request);
void nodes_where(struct asker *a, uint32_t id);

/* change.c */
void change_start(struct asker *a, uint32_t id, json_t *request);

#endif
