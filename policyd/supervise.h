/* supervise.h - the master: starts the others, starts them again, hands them settings, and holds the sockets.
 *
 * Shape   one poll loop; a table of processes; it reads no mail and parses nothing but the settings
 */
#ifndef POLICYD_SUPERVISE_H
#define POLICYD_SUPERVISE_H

#include "policyd/base/ipc.h"
#include "policyd/child.h"

enum proc_kind { PROC_STORE, PROC_DELIVER, PROC_TRAINER, PROC_BROKER, PROC_ZYGOTE, PROC_GATE, PROC_REVIEW, PROC_REDIS, PROC__KINDS };
enum { MAX_PROCS = 10 + MAX_LISTENERS };

struct proc {
	enum proc_kind kind;
	char name[48];
	uint32_t index;                      /* of a gate: its listener */
	pid_t pid;                           /* 0: not running */
	int sock;                            /* our end of its socket pair, -1 */
	int listen_fd, policy_fd;            /* held for it over its restarts */
	uint64_t generation;                 /* of the settings it says it has */
	int64_t started_ms, start_at_ms;     /* start_at_ms: when to start it (again) */
	int failures;                        /* in a row, short lives */
	uint64_t restarts;
	bool used, leaving;                  /* leaving: its end is wanted */
};

struct caller;                               /* control.c: one connection of policyctl */

struct reload {
	bool active, again;
	int fd;                              /* sealed new settings */
	struct config config;
	int64_t deadline_ms;
	bool told;                           /* the zygote has it; the others were told */
	struct proc *zygote;                 /* who must take it first: the present one, or a fresh one beside it */
};

struct master {
	struct config config;                /* in force */
	int config_fd;
	struct proc procs[MAX_PROCS];
	int metrics_fd, signals, lock, control, report;
	uid_t uid;
	gid_t gid;
	bool stopping;
	int64_t stop_deadline_ms;
	struct reload reload;
	struct caller *callers;
	struct inbox inbox;
	char **argv;
};

/* opening.c: user, directories, lock, sockets, metrics. False and one clear line. */
bool master_open(struct master *m, const struct config *config, char *why, size_t room);
/* Until told to stop. Returns the exit code. */
int master_run(struct master *m);

void master_stop(struct master *m);

/* The table: the one of that kind that is to stay; a new row (NULL: none is left); its start; a message without a body. */
struct proc *master_proc(struct master *m, enum proc_kind kind);
struct proc *proc_add(struct master *m, enum proc_kind kind, const char *name, int listen_fd);
void proc_start(struct master *m, struct proc *p, int config_fd);
void proc_send(struct proc *p, uint32_t type, int fd);

/* reload.c: read the file again and put it in force; who asks is told by control_reloaded. */
void master_reload(struct master *m);
void reload_check(struct master *m);                        /* after every event: is a step due? */
void reload_answer(struct master *m, struct proc *zygote, uint32_t type, struct unpack *u);
void reload_end(struct master *m, const char *why);         /* NULL: it is in force */

/* control.c: policyctl's socket, served in the same loop. */
struct pollfd;
size_t control_poll(struct master *m, struct pollfd *fds, size_t room);
void control_serve(struct master *m, const struct pollfd *fds, size_t count);
void control_reloaded(struct master *m, const char *why);   /* NULL: it is in force */
void control_close(struct master *m);

extern const char *const proc_kind_names[PROC__KINDS];

#endif
