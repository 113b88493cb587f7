/* opening.c - what the master needs before anything runs: its user, directories, lock, sockets, and who is to be started. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policyd/base/log.h"
#include "policyd/base/metrics.h"
#include "policyd/net/listen.h"
#include "policyd/supervise.h"

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

/* A socket for policyctl, for a group too when there is one; -1 and why. */
static int
group_socket(struct master *m, const char *name, const char *group, char *why, size_t room)
{
	const struct group *gr = group[0] ? getgrnam(group) : NULL;
	int fd = own_socket(m, name, group[0] ? 0660 : 0600, why, room);
	char path[PATH_ROOM + 16];

	snprintf(path, sizeof path, "%s/%s.sock", m->config.run, name);
	if (fd < 0 || group[0] == '\0' || (gr && chown(path, (uid_t)-1, gr->gr_gid) == 0))
		return fd;
	snprintf(why, room, "%s.group: \"%s\": %s", name, group, gr ? strerror(errno) : "no such group");
	close(fd);
	return -1;
}

static bool
open_control(struct master *m, char *why, size_t room)
{
	const struct config *c = &m->config;

	m->control = group_socket(m, "control", c->control_group, why, room);
	if (m->control >= 0 && c->report_group[0])
		m->report = group_socket(m, "report", c->report_group, why, room);
	return m->control >= 0 && (m->report >= 0 || c->report_group[0] == '\0');
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
	m->control = m->report = m->signals = m->lock = -1;
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
