#include "policyd/supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "policyd/base/clock.h"
#include "policyd/base/log.h"
#include "policyd/base/metrics.h"
#include "policyd/net/listen.h"
#include "policyd/redis_server.h"
#include "policyd/wire.h"

enum {
	SHORT_LIFE_MS = 5000, BACKOFF_MOST_MS = 5000, STOP_MS = 15 * 1000, RELOAD_MS = 120 * 1000, REDIS_READY_MS = 5000,
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

static struct proc *
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

static void
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

static void
send_proc(struct proc *p, uint32_t type, int fd)
{
	struct packet packet = { .type = type, .fds = { fd }, .fd_count = fd >= 0 };

	if (p->sock >= 0)
		ipc_send(p->sock, &packet);
}

/* ---- reload ----
 * First the zygote takes the new settings (rules, patterns, virus database: what can be broken); only when it has,
 * the others are told. So a bad reload changes nothing anywhere. */

static void
reload_end(struct master *m, const char *why)
{
	struct reload *r = &m->reload;

	if (why) {
		log_error("reload refused, the old settings stay in force: %s", why);
		metrics_add(M_RELOADS_REFUSED, 1);
		if (r->fd >= 0)
			close(r->fd);
		if (r->zygote && r->zygote != master_proc(m, PROC_ZYGOTE) && r->zygote->pid > 0)
			kill(r->zygote->pid, SIGKILL);
	} else {
		metrics_add(M_RELOADS, 1);
		log_info("reloaded %s: generation %llu", m->config.file, (unsigned long long)m->config.generation);
	}
	r->active = false;
	r->zygote = NULL;
	r->fd = -1;
	control_reloaded(m, why);
	if (r->again) {
		r->again = false;
		master_reload(m);
	}
}

/* What a running system cannot change under its feet. */
static const char *
needs_restart(const struct config *old, const struct config *new)
{
	bool same_listeners = old->milter_count == new->milter_count &&
	    memcmp(old->milter, new->milter, sizeof old->milter) == 0 && strcmp(old->policy, new->policy) == 0 &&
	    strcmp(old->review, new->review) == 0 && strcmp(old->deliver_lmtp, new->deliver_lmtp) == 0;

	if (!same_listeners)
		return "listen or deliver.lmtp";
	if (strcmp(old->state, new->state) != 0 || strcmp(old->run, new->run) != 0)
		return "state or run";
	if (strcmp(old->user, new->user) != 0 || strcmp(old->worker_user, new->worker_user) != 0)
		return "user";
	if (strcmp(old->redis_url, new->redis_url) != 0)
		return "redis.url";
	return NULL;
}

void
master_reload(struct master *m)
{
	struct reload *r = &m->reload;
	struct proc *zygote = master_proc(m, PROC_ZYGOTE);
	char why[1024];
	const char *fixed;

	if (r->active) {
		r->again = true;
		return;
	}
	r->active = true;
	r->told = false;
	r->zygote = NULL;
	r->fd = -1;
	r->deadline_ms = clock_ms() + RELOAD_MS;
	if (!config_load(m->config.file, &r->config, why, sizeof why)) {
		reload_end(m, why);
		return;
	}
	if ((fixed = needs_restart(&m->config, &r->config)) != NULL) {
		snprintf(why, sizeof why, "%s: %s cannot be changed while running; restart policyd for it", m->config.file, fixed);
		reload_end(m, why);
		return;
	}
	r->config.generation = m->config.generation + 1;
	r->fd = config_seal(&r->config);
	if (r->fd < 0) {
		reload_end(m, "no memory for the new settings");
		return;
	}
	if (zygote == NULL || zygote->sock < 0 || zygote->generation == 0) {
		if (zygote && zygote->pid > 0)       /* it is still loading the old ones */
			kill(zygote->pid, SIGKILL);
		r->zygote = zygote;                  /* starts again, with the new ones */
		return;
	}
	r->zygote = zygote;
	send_proc(zygote, W_CONFIG, r->fd);
}

/* The zygote has taken them: now everybody. */
static void
reload_tell(struct master *m)
{
	struct reload *r = &m->reload;

	r->told = true;
	for (int i = 0; i < MAX_PROCS; i++) {
		struct proc *p = &m->procs[i];

		if (p->used && p != r->zygote && p->kind == PROC_ZYGOTE)
			p->leaving = true;           /* the broker lets it go when its mail is done */
		else if (p->used && p->kind != PROC_ZYGOTE && p->kind != PROC_REDIS)
			send_proc(p, W_CONFIG, r->fd);
	}
	close(m->config_fd);
	m->config_fd = r->fd;
	m->config = r->config;
}

static void
reload_check(struct master *m)
{
	struct reload *r = &m->reload;

	if (!r->active || r->fd < 0)
		return;
	if (!r->told && r->zygote && r->zygote->generation == r->config.generation)
		reload_tell(m);
	if (r->told) {
		bool all = true;

		for (int i = 0; i < MAX_PROCS; i++) {
			const struct proc *p = &m->procs[i];

			if (p->used && p->pid > 0 && p->sock >= 0 && p->kind != PROC_ZYGOTE)
				all &= p->generation == m->config.generation;
		}
		if (all || clock_ms() > r->deadline_ms)
			reload_end(m, NULL);
	} else if (clock_ms() > r->deadline_ms) {
		reload_end(m, "the workers' zygote gave no answer in time");
	}
}

static void
from_zygote(struct master *m, struct proc *p, uint32_t type, struct unpack *u)
{
	struct reload *r = &m->reload;
	uint64_t generation = unpack_u64(u);
	char why[1024];

	if (type == W_FRESH && r->active && p == r->zygote) {
		struct proc *fresh = proc_add(m, PROC_ZYGOTE, "zygote", -1);

		if (fresh == NULL) {
			reload_end(m, "too many zygotes: an old one has not ended yet");
			return;
		}
		r->zygote = fresh;
		proc_start(m, fresh, r->fd);
	} else if (type == W_FRESH && !r->active) {
		log_info("the virus database has changed: reloading");
		master_reload(m);
	} else if (type == W_REFUSED) {
		unpack_text(u, why, sizeof why);
		if (r->active && p == r->zygote && generation == r->config.generation)
			reload_end(m, why);
	}
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

		send_proc(p, W_LINK, fd);
		if (fd >= 0)
			close(fd);
	} else if (p->kind == PROC_ZYGOTE) {
		from_zygote(m, p, packet.type, &u);
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
				send_proc(p, W_STOP, -1);
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

/* ---- opening ---- */

static bool
make_dir(const char *path, mode_t mode, uid_t uid, gid_t gid, char *why, size_t room)
{
	struct stat st;

	if (mkdir(path, mode) < 0 && errno != EEXIST) {
		snprintf(why, room, "%s: cannot make the directory: %s", path, strerror(errno));
		return false;
	}
	if (lstat(path, &st) < 0 || !S_ISDIR(st.st_mode)) {
		snprintf(why, room, "%s: is no directory", path);
		return false;
	}
	if (geteuid() != 0 && st.st_uid != geteuid()) {
		snprintf(why, room, "%s: belongs to user %u; expected %u (chown it, or start as its owner)", path, st.st_uid, geteuid());
		return false;
	}
	if (st.st_mode & 022) {
		snprintf(why, room, "%s: others can write there (mode %04o); expected %04o", path, st.st_mode & 07777, mode);
		return false;
	}
	if (chmod(path, mode) < 0 || (geteuid() == 0 && uid != st.st_uid && chown(path, uid, gid) < 0)) {
		snprintf(why, room, "%s: %s", path, strerror(errno));
		return false;
	}
	return true;
}

static bool
open_dirs(struct master *m, char *why, size_t room)
{
	static const char *const names[] = { "redis", "quarantine", "quarantine/keys", "spool", "model", "review" };
	const struct config *c = &m->config;
	char path[PATH_ROOM + 32];

	/* Passed through by the MTA and by policyctl's group; what lies inside is closed to them. */
	if (!make_dir(c->state, 0711, m->uid, m->gid, why, room) || !make_dir(c->run, 0711, m->uid, m->gid, why, room))
		return false;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		snprintf(path, sizeof path, "%s/%s", c->state, names[i]);
		if (!make_dir(path, 0700, m->uid, m->gid, why, room))
			return false;
	}
	snprintf(path, sizeof path, "%s/lock", c->state);
	m->lock = open(path, O_CREAT | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (m->lock < 0 || flock(m->lock, LOCK_EX | LOCK_NB) < 0) {
		snprintf(why, room, "%s: %s", path, errno == EWOULDBLOCK ? "another policyd runs on this state directory" : strerror(errno));
		return false;
	}
	return true;
}

static int
own_socket(struct master *m, const char *name, int mode, char *why, size_t room)
{
	char path[PATH_ROOM + 16];

	snprintf(path, sizeof path, "%s/%s.sock", m->config.run, name);
	int fd = ipc_listen(path, mode);

	if (fd < 0)
		snprintf(why, room, "%s: %s", path, strerror(errno));
	else if (geteuid() == 0 && m->uid != 0 && chown(path, m->uid, m->gid) < 0)
		log_warning("%s: %s", path, strerror(errno));
	return fd;
}

static bool
open_control(struct master *m, char *why, size_t room)
{
	const char *group = m->config.control_group;
	char path[PATH_ROOM + 16];

	m->control = own_socket(m, "control", group[0] ? 0660 : 0600, why, room);
	if (m->control < 0 || group[0] == '\0')
		return m->control >= 0;
	const struct group *gr = getgrnam(group);

	snprintf(path, sizeof path, "%s/control.sock", m->config.run);
	if (gr == NULL || chown(path, (uid_t)-1, gr->gr_gid) < 0) {
		snprintf(why, room, "control.group: \"%s\": %s", group, gr ? strerror(errno) : "no such group");
		return false;
	}
	return true;
}

/* "https://192.0.2.1:443" or "http://[::1]:8892" as listen.h spells it. */
static int
open_review(const struct config *c, char *why, size_t room)
{
	struct span rest = span_of(c->review), address;
	char name[PATH_ROOM + 16];

	rest = span_from(rest, span_find(rest, SPAN("://")) + 3);
	rest = span_cut(&rest, '/');
	size_t colon = span_find_last(rest, ':');

	if (colon == SPAN_NONE || (rest.p[0] == '[' && rest.p[colon - 1] != ']')) {
		snprintf(why, room, "listen.review: \"%s\" has no port; expected \"http://127.0.0.1:8892\"", c->review);
		return -1;
	}
	address = span_head(rest, colon);
	if (address.n > 2 && address.p[0] == '[')
		address = span_make(address.p + 1, address.n - 2);
	snprintf(name, sizeof name, "inet:" SPAN_FMT "@" SPAN_FMT, SPAN_ARG(span_from(rest, colon + 1)), SPAN_ARG(address));
	return listen_open(name, 0, "", why, room);
}

static bool
open_procs(struct master *m, char *why, size_t room)
{
	static const enum proc_kind with_socket[] = { PROC_STORE, PROC_DELIVER, PROC_TRAINER, PROC_BROKER };
	const struct config *c = &m->config;

	if (c->redis_url[0] == '\0')
		proc_add(m, PROC_REDIS, "redis", -1);
	for (size_t i = 0; i < sizeof with_socket / sizeof *with_socket; i++) {
		int fd = own_socket(m, proc_kind_names[with_socket[i]], 0600, why, room);

		if (fd < 0)
			return false;
		struct proc *p = proc_add(m, with_socket[i], proc_kind_names[with_socket[i]], fd);

		if (with_socket[i] == PROC_BROKER && c->policy[0] &&
		    (p->policy_fd = listen_open(c->policy, c->policy_mode, "", why, room)) < 0)
			return false;
		if (with_socket[i] == PROC_DELIVER && c->deliver_lmtp[0] &&
		    (p->policy_fd = listen_open(c->deliver_lmtp, 0660, "", why, room)) < 0)
			return false;
	}
	if (c->review[0]) {
		int fd = open_review(c, why, room);

		if (fd < 0)
			return false;
		proc_add(m, PROC_REVIEW, "review", fd);
	}
	proc_add(m, PROC_ZYGOTE, "zygote", -1);
	for (uint32_t i = 0; i < c->milter_count; i++) {
		char name[48];
		int fd = listen_open(c->milter[i].socket, c->milter[i].mode, c->milter[i].group, why, room);

		if (fd < 0)
			return false;
		snprintf(name, sizeof name, "gate %s", c->milter[i].context);
		proc_add(m, PROC_GATE, name, fd)->index = i;
	}
	return true;
}

static bool
find_user(struct master *m, char *why, size_t room)
{
	const char *name = m->config.user[0] ? m->config.user : "policyd";

	m->uid = geteuid();
	m->gid = getegid();
	if (m->uid != 0)
		return true;
	const struct passwd *pw = getpwnam(name);

	if (pw == NULL && m->config.user[0]) {
		snprintf(why, room, "user: \"%s\" does not exist", name);
		return false;
	}
	if (pw) {
		m->uid = pw->pw_uid;
		m->gid = pw->pw_gid;
	} else {
		log_warning("running as root: make a user \"policyd\", or set user = \"...\"; (workers are \"%s\" all the same)",
		    m->config.worker_user);
	}
	return true;
}

/* A shell's soft limit of 1024 is for programs that use select(); ours is what the system allows. Children inherit it. */
static void
raise_files(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
		files.rlim_cur = files.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &files) < 0)
			log_warning("cannot raise the limit on open files: %s", strerror(errno));
	}
}

bool
master_open(struct master *m, const struct config *config, char *why, size_t room)
{
	sigset_t signals;

	raise_files();
	m->config = *config;
	m->control = m->signals = m->lock = -1;
	m->reload.fd = -1;
	if (!find_user(m, why, room) || !open_dirs(m, why, room) || !open_control(m, why, room) || !open_procs(m, why, room))
		return false;
	m->config_fd = config_seal(config);
	m->metrics_fd = metrics_create();
	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	m->signals = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
	if (m->config_fd < 0 || m->metrics_fd < 0 || metrics_open(m->metrics_fd) < 0 || m->signals < 0) {
		snprintf(why, room, "cannot start: %s", strerror(errno));
		return false;
	}
	signal(SIGPIPE, SIG_IGN);
	return true;
}
