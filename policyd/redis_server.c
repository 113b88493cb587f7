#include "policyd/redis_server.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "policyd/base/clock.h"

enum { LOCK_WAIT_MS = 10 * 1000, STEP_US = 20 * 1000 };

static const char *
find_program(void)
{
	static const char *const places[] = { "/usr/bin/redis-server", "/usr/local/bin/redis-server", "/usr/bin/redis-check-rdb" };

	for (size_t i = 0; i < sizeof places / sizeof *places; i++)
		if (access(places[i], X_OK) == 0)
			return places[i];
	return NULL;
}

static _Noreturn void
run(const struct config *config, const char *program, uid_t uid, gid_t gid)
{
	char dir[PATH_ROOM + 16], sock[PATH_ROOM + 16], log[PATH_ROOM + 24];
	sigset_t none;

	snprintf(dir, sizeof dir, "%s/redis", config->state);
	snprintf(sock, sizeof sock, "%s/redis.sock", config->run);
	snprintf(log, sizeof log, "%s/log", dir);
	if (geteuid() == 0 && uid != 0 && (setgroups(0, NULL) < 0 || setgid(gid) < 0 || setuid(uid) < 0))
		_exit(71);
	prctl(PR_SET_PDEATHSIG, SIGTERM);    /* it writes what it has, then ends */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	unlink(sock);
	execl(program, "redis-server", "--port", "0", "--unixsocket", sock, "--unixsocketperm", "700", "--dir", dir,
	    "--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--daemonize", "no", "--logfile", log,
	    "--maxmemory-policy", "noeviction", "--loglevel", "notice", (char *)NULL);
	_exit(72);
}

pid_t
redis_server_start(const struct config *config, uid_t uid, gid_t gid, char *why, size_t room)
{
	const char *program = find_program();
	char path[PATH_ROOM + 16];
	int64_t deadline = clock_ms() + LOCK_WAIT_MS;

	if (program == NULL) {
		snprintf(why, room, "no redis-server found; install redis-tools or redis-server, or set redis = { url = ...; }");
		return 0;
	}
	snprintf(path, sizeof path, "%s/redis.lock", config->run);
	int lock = open(path, O_CREAT | O_RDWR, 0600);      /* inherited by Redis: held as long as it lives */

	if (lock < 0) {
		snprintf(why, room, "%s: %s", path, strerror(errno));
		return 0;
	}
	while (flock(lock, LOCK_EX | LOCK_NB) < 0) {
		if (clock_ms() > deadline) {
			snprintf(why, room, "%s: an earlier Redis still holds the data", path);
			close(lock);
			return 0;
		}
		usleep(STEP_US);
	}
	pid_t pid = fork();

	if (pid == 0)
		run(config, program, uid, gid);
	if (pid < 0)
		snprintf(why, room, "fork: %s", strerror(errno));
	close(lock);
	return pid < 0 ? 0 : pid;
}

bool
redis_server_ready(const struct config *config, int timeout_ms)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int64_t deadline = clock_ms() + timeout_ms;

	snprintf(address.sun_path, sizeof address.sun_path, "%.90s/redis.sock", config->run);
	do {
		int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		char answer[8] = "";
		bool good = sock >= 0 && connect(sock, (struct sockaddr *)&address, sizeof address) == 0 &&
		    write(sock, "PING\r\n", 6) == 6 && read(sock, answer, sizeof answer - 1) > 0 && answer[0] == '+';

		if (sock >= 0)
			close(sock);
		if (good)
			return true;
		usleep(STEP_US);
	} while (clock_ms() < deadline);
	return false;
}
