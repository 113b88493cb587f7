#include "policyd/net/listen.h"

#include <errno.h>
#include <grp.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "policyd/scan/session.h"

enum { BACKLOG = 1024 };

static int
fail(int sock, char *why, size_t room, const char *name, const char *what)
{
	snprintf(why, room, "%s: %s: %s", name, what, strerror(errno));
	if (sock >= 0)
		close(sock);
	return -1;
}

static int
listen_unix(const char *path, uint32_t mode, const char *group, char *why, size_t room)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct stat st;

	if (sock < 0)
		return fail(sock, why, room, path, "socket");
	if (strlen(path) >= sizeof address.sun_path) {
		errno = ENAMETOOLONG;
		return fail(sock, why, room, path, "socket path");
	}
	memcpy(address.sun_path, path, strlen(path) + 1);
	if (lstat(path, &st) == 0) {
		if (!S_ISSOCK(st.st_mode)) {
			errno = EEXIST;
			return fail(sock, why, room, path, "there is something that is no socket");
		}
		if (connect(sock, (struct sockaddr *)&address, sizeof address) == 0) {
			errno = EADDRINUSE;
			return fail(sock, why, room, path, "somebody serves there already");
		}
		unlink(path);
		close(sock);
		if ((sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) < 0)
			return fail(sock, why, room, path, "socket");
	}
	mode_t before = umask(0177);
	int bound = bind(sock, (struct sockaddr *)&address, sizeof address);

	umask(before);
	if (bound < 0)
		return fail(sock, why, room, path, "cannot make the socket");
	if (group[0]) {
		const struct group *gr = getgrnam(group);

		if (gr == NULL) {
			errno = ENOENT;
			return fail(sock, why, room, group, "no such group");
		}
		if (chown(path, (uid_t)-1, gr->gr_gid) < 0)
			return fail(sock, why, room, path, "cannot give it to the group");
	}
	if (chmod(path, mode) < 0 || listen(sock, BACKLOG) < 0)
		return fail(sock, why, room, path, "listen");
	return sock;
}

static int
listen_inet(struct span spec, const char *name, char *why, size_t room)
{
	struct span rest = spec, port_text = span_cut(&rest, '@');
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} address = { 0 };
	struct ip ip = { 0 };
	uint64_t port = 0;
	int one = 1;

	if (!span_u64(port_text, &port) || !ip_parse(rest, &ip))
		return -1;                   /* checked before */
	socklen_t length = ip.family == AF_INET ? sizeof address.in : sizeof address.in6;

	if (ip.family == AF_INET) {
		address.in.sin_family = AF_INET;
		address.in.sin_port = htons((uint16_t)port);
		memcpy(&address.in.sin_addr, ip.bytes, 4);
	} else {
		address.in6.sin6_family = AF_INET6;
		address.in6.sin6_port = htons((uint16_t)port);
		memcpy(&address.in6.sin6_addr, ip.bytes, 16);
	}
	int sock = socket(ip.family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (sock < 0)
		return fail(sock, why, room, name, "socket");
	setsockopt(sock, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	setsockopt(sock, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (bind(sock, &address.any, length) < 0 || listen(sock, BACKLOG) < 0)
		return fail(sock, why, room, name, "cannot listen there");
	return sock;
}

static bool
is_inet(struct span spec)
{
	struct span rest = spec, port_text = span_cut(&rest, '@');
	struct ip ip;
	uint64_t port;

	return span_u64(port_text, &port) && port > 0 && port <= 65535 && ip_parse(rest, &ip);
}

bool
listen_check(const char *name, char *why, size_t room)
{
	struct span rest = span_of(name), scheme = span_cut(&rest, ':');
	bool is_unix = span_eq(scheme, SPAN("unix")) || span_eq(scheme, SPAN("local"));

	if (is_unix && rest.n >= sizeof ((struct sockaddr_un *)0)->sun_path) {
		snprintf(why, room, "\"%s\" is too long for a socket; expected at most %zu bytes", name, sizeof ((struct sockaddr_un *)0)->sun_path - 1);
		return false;
	}
	if (is_unix ? rest.n > 0 && rest.p[0] == '/' : (span_eq(scheme, SPAN("inet")) || span_eq(scheme, SPAN("inet6"))) && is_inet(rest))
		return true;
	snprintf(why, room, "\"%s\" is no listener; expected \"unix:/path\", \"inet:8890@127.0.0.1\" or \"inet6:8890@::1\"", name);
	return false;
}

int
listen_open(const char *name, uint32_t mode, const char *group, char *why, size_t room)
{
	struct span rest = span_of(name), scheme = span_cut(&rest, ':');

	if (!listen_check(name, why, room))
		return -1;
	return scheme.p[0] == 'i' ? listen_inet(rest, name, why, room) : listen_unix(rest.p, mode, group, why, room);
}
