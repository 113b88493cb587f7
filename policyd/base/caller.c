#include "policyd/base/caller.h"

#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "policyd/wire.h"

struct caller {
	const struct caller_kind *kind;
	void *arg;
	int sock;
	struct event *readable;
	struct inbox inbox;
};

static void
caller_end(struct caller *c)
{
	c->kind->gone(c->arg);
	event_free(c->readable);
	close(c->sock);
	inbox_free(&c->inbox);
	free(c);
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct caller *c = arg;
	struct packet packet;
	enum ipc_result result = ipc_recv(fd, &c->inbox, &packet);
	struct unpack u = { packet.body, false };

	(void)what;
	if (result == IPC_AGAIN)
		return;
	if (result == IPC_CLOSED || packet.type != W_REQUEST) {
		if (result == IPC_OK)
			packet_close_fds(&packet);
		caller_end(c);
		return;
	}
	c->kind->question(c->arg, packet.id, unpack_span(&u));
	packet_close_fds(&packet);
}

bool
caller_adopt(struct event_base *base, int *fds, int fd_count, uint32_t id, struct span first, const struct caller_kind *kind, void *arg)
{
	struct caller *c = fd_count > 0 ? calloc(1, sizeof *c) : NULL;

	for (int i = 1; i < fd_count; i++)
		close(fds[i]);
	if (c == NULL || (c->readable = event_new(base, fds[0], EV_READ | EV_PERSIST, on_readable, c)) == NULL) {
		free(c);
		if (fd_count > 0)
			close(fds[0]);
		return false;
	}
	c->kind = kind;
	c->arg = arg;
	c->sock = fds[0];
	fcntl(c->sock, F_SETFL, O_NONBLOCK);
	event_add(c->readable, NULL);
	kind->question(arg, id, first);
	return true;
}

void
caller_from(int sock, char to[CALLER_FROM])
{
	struct ucred who = { .uid = (uid_t)-1 };
	socklen_t length = sizeof who;

	getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &who, &length);
	snprintf(to, CALLER_FROM, "uid %lu", (unsigned long)who.uid);
}
