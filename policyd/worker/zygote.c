/* zygote.c - loads ClamAV, rules, patterns and model once, then forks workers that share those pages.
 *
 * It takes new settings and rules in place; for a changed virus database another zygote is started beside it,
 * and this one ends with its last worker. It speaks with the master (ready, refused, stop) and the broker
 * (fork, kill, reaped), and reads no mail itself. */
#include <errno.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lua/rules.h"
#include "policyd/auth/signature.h"
#include "policyd/base/clock.h"
#include "policyd/base/log.h"
#include "policyd/base/metrics.h"
#include "policyd/child.h"
#include "policyd/mail/prepare.h"
#include "policyd/model/model.h"
#include "policyd/wire.h"
#include "policyd/worker/antivirus.h"
#include "policyd/worker/cage.h"
#include "policyd/worker/worker.h"

#ifdef POLICYD_TESTING
enum { DATABASE_CHECK_MS = 1000, DATABASE_QUIET_S = 1, DATABASE_AGAIN_MS = 5000 };
#else
enum { DATABASE_CHECK_MS = 60 * 1000, DATABASE_QUIET_S = 5, DATABASE_AGAIN_MS = 600 * 1000 };
#endif
enum { MAPS_CHECK_MS = 2000, MAPS_AGAIN_MS = 30 * 1000 };

struct zygote {
	struct child *self;
	struct cage cage;
	struct kit kit;
	int broker, signals;
	int workers;                         /* alive */
	bool stopping;                       /* by the broker: no more forks; ends with the last worker */
	int64_t told_ns, told_ms;            /* that change of the virus database the master knows of, since then */
	int64_t check_ms, maps_ms;           /* when to look at it, and at the rules' maps, again */
	struct inbox master_inbox, broker_inbox;
};

static void
drop_broker(struct zygote *z)
{
	if (z->broker >= 0)
		close(z->broker);
	z->broker = -1;
}

static void
tell_master(struct zygote *z, enum wire type, const char *why)
{
	struct buf body = { 0 };

	pack_u64(&body, z->self->config->generation);
	if (type == W_REFUSED)
		pack_text(&body, why);
	struct packet packet = { .type = type, .body = buf_span(&body) };

	ipc_send(z->self->master, &packet);
	buf_free(&body);
}

/* Say who we are on a new connection to the broker. One that it has given up, because loading took longer than it waits for a
 * stranger's first word, is asked for anew: its path is out of reach by now. */
static void
greet_broker(struct zygote *z)
{
	struct buf body = { 0 };

	pack_text(&body, "zygote");
	pack_text(&body, "");
	pack_u64(&body, z->self->config->generation);
	pack_u32(&body, z->cage.holds);

	struct av_status av = antivirus_status(z->kit.antivirus);

	pack_u8(&body, av.loaded);
	pack_u32(&body, av.signatures);
	pack_u64(&body, (uint64_t)av.database_time_s);
	pack_u64(&body, (uint64_t)av.changed_s);
	struct packet hello = { .type = W_HELLO, .body = buf_span(&body) };

	if (body.failed || ipc_send(z->broker, &hello) != IPC_OK) {
		drop_broker(z);
		tell_master(z, W_LINK, "");
	}
	buf_free(&body);
}

/* Everything a scan is lent. A virus database that is not there refuses a reload, but not the first start:
 * then mail is deferred and the log says why, until there is one. */
static bool
load_kit(struct zygote *z, char *why, size_t room)
{
	const struct config *config = z->self->config;

	z->kit.config = config;
	mail_prepare();
	signature_prepare();
	z->kit.rules = rules_load_with_tests(config, why, room);
	if (z->kit.rules == NULL)
		return false;
	if (!rules_pass(z->kit.rules, config, why, room))        /* at a reload this would be the end of it */
		log_error("rules do not pass their own tests: %s", why);
	z->told_ns = antivirus_newest_ns(config);    /* if it cannot be loaded: not again before it changes */
	z->told_ms = clock_ms();
	if (!antivirus_open(config, ".", &z->kit.antivirus, why, room)) {
		metrics_add(M_CLAMAV_REFUSED, 1);
		if (config->generation > 1)
			return false;
		log_error("%s; until then mail is deferred", why);
	}
	return true;
}

static void
become_worker(struct zygote *z, int sock)
{
	sigset_t none;

	close(z->broker);
	close(z->signals);
	close(z->self->master);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, "policyd-worker");
	cage_worker(&z->cage);
	worker_run(sock, &z->kit);
}

static void
answer_fork(struct zygote *z, uint32_t id)
{
	int pair[2] = { -1, -1 };
	pid_t pid = 0;
	struct buf body = { 0 };
	const char *why = "";

	if (ipc_pair(pair) < 0 || (pid = fork()) < 0) {
		why = strerror(errno);
		pid = 0;
	} else if (pid == 0) {
		close(pair[0]);
		become_worker(z, pair[1]);
	} else {
		z->workers++;
		metrics_add(M_WORKER_STARTED, 1);
	}
	pack_u32(&body, (uint32_t)pid);
	pack_text(&body, why);
	struct packet packet = { .type = W_FORKED, .id = id, .body = buf_span(&body), .fds = { pair[0] }, .fd_count = pid ? 1 : 0 };

	ipc_send(z->broker, &packet);
	buf_free(&body);
	for (int i = 0; i < 2; i++)
		if (pair[i] >= 0)
			close(pair[i]);
}

static void
reap(struct zygote *z)
{
	struct signalfd_siginfo info;
	int status;
	pid_t pid;

	if (read(z->signals, &info, sizeof info) < 0)
		return;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		struct buf body = { 0 };

		z->workers--;
		pack_u32(&body, (uint32_t)pid);
		pack_u32(&body, (uint32_t)status);
		struct packet packet = { .type = W_REAPED, .body = buf_span(&body) };

		ipc_send(z->broker, &packet);
		buf_free(&body);
	}
}

static void
from_broker(struct zygote *z)
{
	struct packet packet;
	enum ipc_result result = ipc_recv(z->broker, &z->broker_inbox, &packet);

	if (result == IPC_CLOSED) {          /* it restarts; the workers it knew end with their sockets */
		drop_broker(z);
		tell_master(z, W_LINK, "");
		return;
	}
	if (result != IPC_OK)
		return;
	struct unpack u = { packet.body, false };

	if (packet.type == W_FORK)
		answer_fork(z, packet.id);
	else if (packet.type == W_KILL)
		kill((pid_t)unpack_u32(&u), SIGKILL);
	else if (packet.type == W_STOP)
		z->stopping = true;
	packet_close_fds(&packet);
}

/* New settings. What is broken in them is found here, before anybody else is told of them. */
static void
take_config(struct zygote *z, int fd)
{
	const struct config *config = config_map(fd), *old = z->self->config;
	char why[1024] = "not the settings of this program";
	struct rules *rules = NULL;

	if (config && !antivirus_current(z->kit.antivirus, config)) {
		config_unmap(config);
		tell_master(z, W_FRESH, "");
		return;
	}
	if (config)
		rules = rules_load_with_tests(config, why, sizeof why);
	if (rules && !rules_pass(rules, config, why, sizeof why)) {
		rules_free(rules);
		rules = NULL;
	}
	if (rules == NULL) {
		struct buf body = { 0 };

		pack_u64(&body, config ? config->generation : 0);
		pack_text(&body, why);
		struct packet refused = { .type = W_REFUSED, .body = buf_span(&body) };

		ipc_send(z->self->master, &refused);
		buf_free(&body);
		config_unmap(config);
		return;
	}
	rules_free(z->kit.rules);
	z->kit.rules = rules;
	z->kit.config = z->self->config = config;
	config_unmap(old);
	if (z->broker >= 0)
		greet_broker(z);
	tell_master(z, W_READY, "");
}

/* Once a minute: has freshclam been here? A database that changes at this moment is looked at the next time; one that was
 * refused, when it changes again or in ten minutes. */
static void
check_database(struct zygote *z)
{
	const struct config *config = z->self->config;
	int64_t newest_ns = antivirus_newest_ns(config), now_ms = clock_ms();

	z->check_ms = now_ms + DATABASE_CHECK_MS;
	if (config->clamav == CLAMAV_LIB)
		antivirus_alarm(antivirus_status(z->kit.antivirus).database_time_s, config);
	if (z->stopping || antivirus_current(z->kit.antivirus, config) || wall_s() - newest_ns / 1000000000 < DATABASE_QUIET_S)
		return;
	if (newest_ns == z->told_ns && now_ms - z->told_ms < DATABASE_AGAIN_MS)
		return;
	z->told_ns = newest_ns;
	z->told_ms = now_ms;
	tell_master(z, W_FRESH, "");
}

/* A map of the rules has changed: they are read anew, beside the old ones, and are in force when they load and pass their tests. */
static void
check_maps(struct zygote *z)
{
	char why[1024] = "";
	struct packet anew = { .type = W_ANEW };

	z->maps_ms = clock_ms() + MAPS_CHECK_MS;
	if (z->stopping || z->broker < 0 || !rules_stale(z->kit.rules))
		return;
	struct rules *rules = rules_load_with_tests(z->kit.config, why, sizeof why);

	if (rules == NULL || !rules_pass(rules, z->kit.config, why, sizeof why)) {
		rules_free(rules);
		log_error("a map has changed, and the rules do not load with it: %s; those in force stay", why);
		z->maps_ms += MAPS_AGAIN_MS;         /* not every few seconds */
		return;
	}
	rules_free(z->kit.rules);
	z->kit.rules = rules;
	log_info("a map has changed: rules are read anew");
	ipc_send(z->broker, &anew);
}

/* True: end at once. The master does not stop a zygote that still has mail in hand: the broker does. */
static bool
from_master(struct zygote *z)
{
	struct packet packet;
	enum ipc_result result = ipc_recv(z->self->master, &z->master_inbox, &packet);

	if (result == IPC_OK && packet.type == W_LINK && packet.fd_count == 1) {
		drop_broker(z);
		z->broker = packet.fds[0];
		greet_broker(z);
		return false;
	}
	if (result == IPC_OK && packet.type == W_CONFIG && packet.fd_count == 1)
		take_config(z, packet.fds[0]);
	packet_close_fds(&packet);
	return result == IPC_CLOSED || (result == IPC_OK && packet.type == W_STOP);
}

/* The pattern cache is written by what this process becomes, its key read only by what it is now. */
static void
prepare_patterns(const struct config *config)
{
	char dir[PATH_ROOM + 40], key[PATH_ROOM + 40];
	const struct passwd *pw = geteuid() == 0 && config->worker_user[0] ? getpwnam(config->worker_user) : NULL;

	rules_cache_paths(config, dir, key);
	if (!patterns_prepare(dir, key, pw ? pw->pw_uid : getuid(), pw ? pw->pw_gid : getgid()))
		log_warning("%s: patterns cannot be kept there: %s; each start compiles them again", dir, strerror(errno));
}

int
zygote_main(struct child *self)
{
	struct zygote z = { .self = self, .broker = -1 };
	char why[1024] = "", path[PATH_ROOM + 16];
	sigset_t child;

	prepare_patterns(self->config);
	/* The broker's socket and the model's file are the daemon's own; after the cage they are out of reach. */
	snprintf(path, sizeof path, "%s/broker.sock", self->config->run);
	z.broker = ipc_connect(path);
	z.kit.model = model_open(self->config->state, why, sizeof why);
	if (z.kit.model == NULL || !cage_zygote(&z.cage, self->config, why, sizeof why) || !load_kit(&z, why, sizeof why)) {
		log_error("%s", why);
		tell_master(&z, W_REFUSED, why);
		return 2;
	}
	cage_probe(&z.cage);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	z.signals = signalfd(-1, &child, SFD_NONBLOCK | SFD_CLOEXEC);
	if (z.signals < 0 || z.broker < 0) {
		snprintf(why, sizeof why, "%s: cannot reach the broker: %s", path, strerror(errno));
		tell_master(&z, W_REFUSED, why);
		return 1;
	}
	greet_broker(&z);
	tell_master(&z, W_READY, "");
	while (!(z.stopping && z.workers == 0)) {
		struct pollfd fds[] = { { self->master, POLLIN, 0 }, { z.broker, POLLIN, 0 }, { z.signals, POLLIN, 0 } };

		int n = poll(fds, 3, clock_left_ms(z.check_ms < z.maps_ms ? z.check_ms : z.maps_ms));

		if (n < 0 && errno != EINTR)
			return 1;
		if (clock_ms() >= z.check_ms)
			check_database(&z);
		if (clock_ms() >= z.maps_ms)
			check_maps(&z);
		if (fds[2].revents)
			reap(&z);
		if (fds[1].revents)
			from_broker(&z);
		if (fds[0].revents && from_master(&z))
			return 0;
	}
	return 0;
}
