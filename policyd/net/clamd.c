#include "policyd/net/clamd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "policyd/base/clock.h"

enum { CHUNK = 256 * 1024, ANSWER = 1024 };

int
clamd_connect(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (strlen(path) >= sizeof address.sun_path) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(address.sun_path, path, strlen(path) + 1);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
		int saved = errno;

		close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}

static bool
ready(int fd, short events, int64_t deadline_ms)
{
	struct pollfd p = { .fd = fd, .events = events };
	int n;

	do
		n = poll(&p, 1, clock_left_ms(deadline_ms));
	while (n < 0 && errno == EINTR);
	return n == 1;
}

static bool
send_all(int fd, struct span s, int64_t deadline_ms)
{
	while (s.n > 0) {
		ssize_t n = send(fd, s.p, s.n, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n > 0)
			s = span_from(s, (size_t)n);
		else if (n < 0 && errno != EAGAIN && errno != EINTR)
			return false;
		else if (!ready(fd, POLLOUT, deadline_ms))
			return false;
	}
	return true;
}

static bool
send_stream(int fd, struct span bytes, int64_t deadline_ms)
{
	uint32_t end = 0;

	while (bytes.n > 0) {
		struct span chunk = span_head(bytes, CHUNK);
		uint32_t length = htonl((uint32_t)chunk.n);

		if (!send_all(fd, span_make(&length, sizeof length), deadline_ms) || !send_all(fd, chunk, deadline_ms))
			return false;
		bytes = span_from(bytes, chunk.n);
	}
	return send_all(fd, span_make(&end, sizeof end), deadline_ms);
}

/* One answer up to its NUL: "1: stream: Eicar-Test-Signature FOUND". */
static bool
read_answer(int fd, char answer[ANSWER], int64_t deadline_ms)
{
	for (size_t n = 0; n < ANSWER;) {
		ssize_t got = recv(fd, answer + n, 1, MSG_DONTWAIT);

		if (got == 1) {
			if (answer[n++] == '\0')
				return true;
		} else if (got == 0 || (errno != EAGAIN && errno != EINTR) || !ready(fd, POLLIN, deadline_ms)) {
			return false;
		}
	}
	return false;
}

static bool
begin_session(struct clamd *clamd, int64_t deadline_ms)
{
	if (!clamd->in_session && !send_all(clamd->fd, span_make("zIDSESSION", 11), deadline_ms))
		return false;
	return clamd->in_session = true;
}

/* "1: ClamAV 1.4.6/27700/Mon Nov 24 10:11:12 2025"; without a database the last two are missing. */
bool
clamd_built(struct clamd *clamd, int64_t deadline_ms, int64_t *built_s)
{
	char answer[ANSWER], *slash;
	struct tm tm = { 0 };

	if (!begin_session(clamd, deadline_ms) || !send_all(clamd->fd, span_make("zVERSION", 9), deadline_ms) ||
	    !read_answer(clamd->fd, answer, deadline_ms))
		return false;
	if ((slash = strrchr(answer, '/')) == NULL || strptime(slash + 1, "%a %b %d %H:%M:%S %Y", &tm) == NULL)
		return false;
	*built_s = timegm(&tm);              /* it is clamd's local time: hours do not matter here */
	return *built_s > 0;
}

enum clamd_result
clamd_scan(struct clamd *clamd, struct span bytes, int64_t deadline_ms, char *text, size_t room)
{
	char answer[ANSWER];

	snprintf(text, room, "no answer in time");
	if (!begin_session(clamd, deadline_ms) || !send_all(clamd->fd, span_make("zINSTREAM", 10), deadline_ms) ||
	    !send_stream(clamd->fd, bytes, deadline_ms) || !read_answer(clamd->fd, answer, deadline_ms))
		return CLAMD_FAILED;

	struct span rest = span_of(answer), id = span_cut(&rest, ':'), stream = span_cut(&rest, ':');

	(void)id;
	rest = span_trim(rest);
	if (!span_eq(span_trim(stream), SPAN("stream"))) {
		snprintf(text, room, "%s", answer);
		return strstr(answer, "size limit exceeded") ? CLAMD_LIMIT : CLAMD_FAILED;
	}
	if (span_eq(rest, SPAN("OK")))
		return CLAMD_CLEAN;
	if (span_ends(rest, SPAN(" FOUND"))) {
		rest.n -= strlen(" FOUND");
		snprintf(text, room, SPAN_FMT, SPAN_ARG(rest));
		return CLAMD_FOUND;
	}
	snprintf(text, room, SPAN_FMT, SPAN_ARG(rest));
	return CLAMD_FAILED;
}
