/* supervise.c - the table of processes: started, started again, told, ended; the master's one loop. */
#include "policyd/supervise.h"

#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "policyd/base/clock.h"
#include "policyd/base/log.h"
#include "policyd/base/metrics.h"
#include "policyd/redis_server.h"
#include "policyd/wire.h"

enum {
	SHORT_LIFE_MS = 5000, BACKOFF_MOST_MS = 5000, STOP_MS = 15 * 1000, REDIS_READY_MS = 5000,
	POLL_MOST = MAX_PROCS + 64,
};

const char *const proc_kind_names[PROC__KINDS] = {
	[PROC_STORE] = "store", [PROC_DELIVER] = "deliver", [PROC_TRAINER] = "trainer", [PROC_BROKER] = "broker",
	[PROC_ZYGOTE] = "zygote", [PROC_GATE] = "gate", [PROC_REVIEW] = "review",
	[PROC_REDIS] = "redis",
};
static int (*const mains[PROC__KINDS])(struct child *) = {
	[PROC_STORE] = store_main, [PROC_DELIVER] = deliver_main, [PROC_TRAINER] = trainer_main,
	[PROC_BROKER] = broker_main, [PROC_ZYGOTE] = zygote_main, [PROC_GATE] = gate_main,
	[PROC_REVIEW] = review_main,
};

struct proc *
master_proc(struct master *m, enum proc_kind kind)
{
	for (int i = 0; i < MAX_PROCS; i++)
		if (m->procs[i].used && m->procs[i].kind == kind && !m->procs[i].leaving)
			return &m->procs[i];
	return NULL;
}

struct proc *
proc_add(struct master *m, enum proc_kind kind, const char *name, int listen_fd)
{
	for (int i = 0; i < MAX_PROCS; i++) {
		struct proc *p = &m->procs[i];

		if (p->used)
			continue;
		*p = (struct proc){ .kind = kind, .used = true, .sock = -1, .listen_fd = listen_fd, .policy_fd = -1 };
		snprintf(p->name, sizeof p->name, "%s", name);
		return p;
	}
	return NULL;
}

/* What `ps` shows. The room is that of the command line, which nobody needs any more. */
static void
set_title(char **argv, const char *name)
{
	size_t room = 0;

	for (int i = 0; argv[i]; i++)
		if (i == 0 || argv[i] == argv[0] + room)
			room += strlen(argv[i]) + 1;
	if (room > 1) {
		memset(argv[0], 0, room);
		snprintf(argv[0], room, "policyd: %s", name);
	}
	char comm[16];

	snprintf(comm, sizeof comm, "pd-%.12s", name);
	prctl(PR_SET_NAME, comm);
}

/* The zygote keeps root for its cage, if it has it, and gives it up there (worker/cage.c). */
static bool
become_user(const struct master *m, const struct proc *p)
{
	if (geteuid() != 0 || m->uid == 0 || p->kind == PROC_ZYGOTE)
		return true;
	return setgroups(0, NULL) == 0 && setgid(m->gid) == 0 && setuid(m->uid) == 0;
}

static _Noreturn void
run_child(struct master *m, struct proc *p, int sock, int config_fd, pid_t master_pid)
{
	struct child self = { .name = p->name, .master = sock, .listen_fd = p->listen_fd, .policy_fd = p->policy_fd,
	    .index = p->index };
	sigset_t none;
	static char name[48];

	snprintf(name, sizeof name, "%s", p->name);
	self.name = name;
	log_open(m->config.log_syslog ? LOG_TO_SYSLOG : LOG_TO_STDERR, m->config.log_debug ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO, name);
	if (!become_user(m, p))
		_exit(71);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != master_pid)         /* it died before we could ask to die with it */
		_exit(0);
	for (int i = 0; i < MAX_PROCS; i++) {
		struct proc *other = &m->procs[i];

		if (!other->used)
			continue;
		if (other->sock >= 0 && other->sock != sock)
			close(other->sock);
		if (other != p && other->listen_fd >= 0 && other->listen_fd != self.listen_fd)
			close(other->listen_fd);
		if (other != p && other->policy_fd >= 0)
			close(other->policy_fd);
	}
	control_close(m);
	close(m->signals);
	close(m->lock);
	signal(SIGHUP, SIG_IGN);
	signal(SIGINT, SIG_IGN);             /* a terminal's Ctrl-C is the master's affair */
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	set_title(m->argv, p->name);
	self.config = config_map(config_fd);
	if (self.config == NULL)
		_exit(70);
	close(config_fd);
	int code = mains[p->kind](&self);

	fflush(NULL);
	_exit(code);
}

static void
proc_failed(struct proc *p)
{
	int wait = p->failures == 0 ? 0 : 100 << (p->failures < 6 ? p->failures : 6);

	p->pid = 0;
	if (p->sock >= 0)
		close(p->sock);
	p->sock = -1;
	p->start_at_ms = clock_ms() + (wait < BACKOFF_MOST_MS ? wait : BACKOFF_MOST_MS);
	p->failures++;
}

void
proc_start(struct master *m, struct proc *p, int config_fd)
{
	int pair[2];
	char why[256];
	pid_t self = getpid();

	p->started_ms = clock_ms();
	if (p->kind == PROC_REDIS) {
		p->pid = redis_server_start(&m->config, m->uid, m->gid, why, sizeof why);
		if (p->pid == 0) {
			log_error("redis: %s", why);
			proc_failed(p);
		}
		return;
	}
	if (ipc_pair(pair) < 0) {
		log_error("%s: cannot start: %s", p->name, strerror(errno));
		proc_failed(p);
		return;
	}
	p->pid = fork();
	if (p->pid == 0) {
		close(pair[0]);
		p->sock = -1;
		run_child(m, p, pair[1], config_fd, self);
	}
	close(pair[1]);
	p->sock = pair[0];
	if (p->pid < 0) {
		log_error("%s: cannot start: %s", p->name, strerror(errno));
		proc_failed(p);
	}
}

void
proc_send(struct proc *p, uint32_t type, int fd)
{
	struct packet packet = { .type = type, .fds = { fd }, .fd_count = fd >= 0 };

	if (p->sock >= 0)
		ipc_send(p->sock, &packet);
}

static void
from_child(struct master *m, struct proc *p)
{
	struct packet packet;
	enum ipc_result result = ipc_recv(p->sock, &m->inbox, &packet);
	struct unpack u = { packet.body, false };

	if (result == IPC_AGAIN)
		return;
	if (result == IPC_CLOSED) {          /* its end is seen by SIGCHLD */
		close(p->sock);
		p->sock = -1;
		return;
	}
	if (packet.type == W_READY) {
		p->generation = unpack_u64(&u);
		p->failures = 0;
	} else if (packet.type == W_LINK) {
		char path[PATH_ROOM + 16];

		snprintf(path, sizeof path, "%s/broker.sock", m->config.run);
		int fd = ipc_connect(path);

		proc_send(p, W_LINK, fd);
		if (fd >= 0)
			close(fd);
	} else if (p->kind == PROC_ZYGOTE) {
		reload_answer(m, p, packet.type, &u);
	} else if (packet.type == W_REFUSED) {
		log_error("%s refused the new settings", p->name);
	}
	packet_close_fds(&packet);
}

static void
proc_ended(struct master *m, struct proc *p, int status)
{
	bool wanted = p->leaving || m->stopping;
	bool long_lived = clock_ms() - p->started_ms > SHORT_LIFE_MS;

	if (!wanted && WIFSIGNALED(status))
		log_warning("%s[%d] ended by signal %d; starting it again", p->name, (int)p->pid, WTERMSIG(status));
	else if (!wanted)
		log_warning("%s[%d] ended with code %d; starting it again", p->name, (int)p->pid, WEXITSTATUS(status));
	p->generation = 0;
	if (long_lived)
		p->failures = 0;
	bool fresh = m->reload.active && p == m->reload.zygote && p != master_proc(m, PROC_ZYGOTE);

	proc_failed(p);
	if (wanted) {
		p->used = !p->leaving;
		p->start_at_ms = 0;
		return;
	}
	metrics_add(M_RESTARTS, 1);
	p->restarts++;
	if (fresh) {
		p->used = false;
		reload_end(m, "the fresh zygote ended while it loaded; see the log");
	}
}

static void
reap(struct master *m)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (int i = 0; i < MAX_PROCS; i++)
			if (m->procs[i].used && m->procs[i].pid == pid)
				proc_ended(m, &m->procs[i], status);
}

static void
start_due(struct master *m)
{
	for (int i = 0; i < MAX_PROCS && !m->stopping; i++) {
		struct proc *p = &m->procs[i];
		bool reloading = m->reload.active && p == m->reload.zygote && m->reload.fd >= 0;

		if (p->used && p->pid <= 0 && p->start_at_ms <= clock_ms())
			proc_start(m, p, reloading ? m->reload.fd : m->config_fd);
	}
}

static int
next_due_ms(const struct master *m)
{
	int64_t due = clock_ms() + 1000;

	for (int i = 0; i < MAX_PROCS && !m->stopping; i++)
		if (m->procs[i].used && m->procs[i].pid <= 0 && m->procs[i].start_at_ms < due)
			due = m->procs[i].start_at_ms;
	if (m->stopping)
		due = clock_ms() + 20;
	return clock_left_ms(due);
}

/* ---- stopping: gates first, so that no new mail comes; Redis last ---- */

void
master_stop(struct master *m)
{
	if (m->stopping)
		return;
	log_info("stopping");
	m->stopping = true;
	m->stop_deadline_ms = clock_ms() + STOP_MS;
}

static bool
any_alive(const struct master *m, unsigned kinds)
{
	for (int i = 0; i < MAX_PROCS; i++)
		if (m->procs[i].used && m->procs[i].pid > 0 && (kinds >> m->procs[i].kind & 1))
			return true;
	return false;
}

/* One rank after the other is asked to end; true when all have. */
static bool
stop_step(struct master *m)
{
	static const unsigned ranks[] = {
		1u << PROC_GATE | 1u << PROC_REVIEW, 1u << PROC_ZYGOTE | 1u << PROC_BROKER,
		1u << PROC_STORE | 1u << PROC_DELIVER | 1u << PROC_TRAINER, 1u << PROC_REDIS,
	};
	bool late = clock_ms() > m->stop_deadline_ms;

	for (size_t rank = 0; rank < sizeof ranks / sizeof *ranks; rank++) {
		if (!any_alive(m, ranks[rank]))
			continue;
		for (int i = 0; i < MAX_PROCS; i++) {
			struct proc *p = &m->procs[i];

			if (!p->used || p->pid <= 0 || !(ranks[rank] >> p->kind & 1))
				continue;
			if (late)
				kill(p->pid, SIGKILL);
			else if (!p->leaving && p->kind == PROC_REDIS)
				kill(p->pid, SIGTERM);
			else if (!p->leaving)
				proc_send(p, W_STOP, -1);
			p->leaving = true;
		}
		return false;
	}
	return true;
}

static void
on_signal(struct master *m)
{
	struct signalfd_siginfo info;

	while (read(m->signals, &info, sizeof info) == sizeof info) {
		if (info.ssi_signo == SIGHUP)
			master_reload(m);
		else if (info.ssi_signo != SIGCHLD)
			master_stop(m);
	}
	reap(m);
}

int
master_run(struct master *m)
{
	if (master_proc(m, PROC_REDIS)) {    /* first, so that the others find it */
		proc_start(m, master_proc(m, PROC_REDIS), m->config_fd);
		if (!redis_server_ready(&m->config, REDIS_READY_MS))
			log_warning("redis: not ready yet; going on without it");
	}
	while (!(m->stopping && stop_step(m))) {
		struct pollfd fds[POLL_MOST];
		struct proc *who[MAX_PROCS];
		size_t n = 1, procs = 0;

		start_due(m);
		fds[0] = (struct pollfd){ m->signals, POLLIN, 0 };
		for (int i = 0; i < MAX_PROCS; i++)
			if (m->procs[i].used && m->procs[i].sock >= 0) {
				who[procs++] = &m->procs[i];
				fds[n++] = (struct pollfd){ m->procs[i].sock, POLLIN, 0 };
			}
		size_t callers = control_poll(m, fds + n, POLL_MOST - n);

		if (poll(fds, n + callers, next_due_ms(m)) < 0 && errno != EINTR)
			return 1;
		for (size_t i = 0; i < procs; i++)
			if (fds[i + 1].revents && who[i]->used && who[i]->sock == fds[i + 1].fd)
				from_child(m, who[i]);
		if (fds[0].revents)
			on_signal(m);
		control_serve(m, fds + n, callers);
		reload_check(m);
	}
	control_close(m);
	log_info("stopped");
	return 0;
}
