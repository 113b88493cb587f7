#include "policyd/base/link.h"

#include <event2/event.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "policyd/base/clock.h"
#include "policyd/base/log.h"

enum { RETRY_MS = 100, TICK_MS = 50 };

struct question {
	struct question *next;
	uint32_t id, type;
	struct buf body;
	int fds[IPC_MAX_FDS], fd_count;
	int64_t deadline_ms;
	bool sent;
	link_callback done;
	void *arg;
};

struct link {
	struct event_base *base;
	char *path;
	bool lazy;
	int sock;                            /* -1: not connected */
	struct event *readable, *writable, *tick;
	struct question *first, **last;      /* oldest first */
	uint32_t next_id;
	int64_t retry_at_ms;
	struct inbox inbox;
};

static void link_connect(struct link *link);
static void link_flush(struct link *link);

static void
question_free(struct question *q)
{
	buf_free(&q->body);
	free(q);
}

/* Take `q` out of the list; its place is found again because callbacks may have changed it. */
static void
unchain(struct link *link, struct question *q)
{
	struct question **at = &link->first;

	while (*at != q)
		at = &(*at)->next;
	*at = q->next;
	if (link->last == &q->next)
		link->last = at;
}

static void
link_drop(struct link *link)
{
	if (link->readable)
		event_free(link->readable);
	if (link->writable)
		event_free(link->writable);
	link->readable = link->writable = NULL;
	if (link->sock >= 0)
		close(link->sock);
	link->sock = -1;
	link->retry_at_ms = clock_ms() + RETRY_MS;
	for (struct question *q = link->first; q; q = q->next)
		q->sent = false;
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct link *link = arg;
	struct packet packet;

	(void)what;
	for (;;) {
		enum ipc_result result = ipc_recv(fd, &link->inbox, &packet);

		if (result == IPC_AGAIN)
			return;
		if (result == IPC_CLOSED) {
			link_drop(link);
			if (!link->lazy || link->first)
				link_connect(link);
			return;
		}
		struct question *q = link->first;

		while (q && !(q->sent && q->id == packet.id))
			q = q->next;
		if (q) {
			unchain(link, q);
			q->done(q->arg, &packet);
			question_free(q);
		}
		packet_close_fds(&packet);
		if (link->sock != fd)        /* a callback made the link break */
			return;
	}
}

static void
on_writable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	link_flush(arg);
}

static void
link_connect(struct link *link)
{
	link->sock = ipc_connect(link->path);
	if (link->sock < 0) {
		link->retry_at_ms = clock_ms() + RETRY_MS;
		return;
	}
	fcntl(link->sock, F_SETFL, O_NONBLOCK);
	link->readable = event_new(link->base, link->sock, EV_READ | EV_PERSIST, on_readable, link);
	link->writable = event_new(link->base, link->sock, EV_WRITE, on_writable, link);
	if (link->readable == NULL || link->writable == NULL || event_add(link->readable, NULL) < 0) {
		link_drop(link);
		return;
	}
	link_flush(link);
}

/* Send what waits. A full socket is tried again when it has room. */
static void
link_flush(struct link *link)
{
	for (struct question *q = link->first; q && link->sock >= 0; q = q->next) {
		struct packet packet = { .type = q->type, .id = q->id, .body = buf_span(&q->body), .fd_count = q->fd_count };

		if (q->sent)
			continue;
		memcpy(packet.fds, q->fds, sizeof packet.fds);
		switch (ipc_send(link->sock, &packet)) {
		case IPC_OK:
			q->sent = true;
			break;
		case IPC_AGAIN:
			event_add(link->writable, NULL);
			return;
		case IPC_CLOSED:
			link_drop(link);
			return;
		}
	}
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct link *link = arg;
	int64_t now = clock_ms();

	(void)fd;
	(void)what;
	if (link->sock < 0 && now >= link->retry_at_ms && (!link->lazy || link->first))
		link_connect(link);
	for (struct question *q = link->first; q;) {
		if (q->deadline_ms > now) {
			q = q->next;
			continue;
		}
		unchain(link, q);
		q->done(q->arg, NULL);
		question_free(q);
		q = link->first;             /* the callback may have asked or ended others */
	}
}

static struct link *
open_link(struct event_base *base, const char *path, bool lazy)
{
	struct link *link = calloc(1, sizeof *link);
	struct timeval tick = { 0, TICK_MS * 1000 };

	if (link == NULL)
		return NULL;
	link->base = base;
	link->sock = -1;
	link->last = &link->first;
	link->path = strdup(path);
	link->tick = event_new(base, -1, EV_PERSIST, on_tick, link);
	if (link->path == NULL || link->tick == NULL || event_add(link->tick, &tick) < 0) {
		link_close(link);
		return NULL;
	}
	link->lazy = lazy;
	if (!lazy)
		link_connect(link);
	return link;
}

struct link *
link_open(struct event_base *base, const char *path)
{
	return open_link(base, path, false);
}

struct link *
link_open_lazy(struct event_base *base, const char *path)
{
	return open_link(base, path, true);
}

void
link_close(struct link *link)
{
	while (link->first) {
		struct question *q = link->first;

		link->first = q->next;
		question_free(q);
	}
	link->last = &link->first;
	link_drop(link);
	if (link->tick)
		event_free(link->tick);
	inbox_free(&link->inbox);
	free(link->path);
	free(link);
}

bool
link_ask(struct link *link, uint32_t type, struct buf *body, const int *fds, int fd_count, int timeout_ms,
    link_callback done, void *arg)
{
	struct question *q = body->failed ? NULL : calloc(1, sizeof *q);

	if (q == NULL) {
		buf_free(body);
		return false;
	}
	q->id = ++link->next_id;
	q->type = type;
	q->body = *body;
	*body = (struct buf){ 0 };
	q->fd_count = fd_count;
	for (int i = 0; i < fd_count; i++)
		q->fds[i] = fds[i];
	q->deadline_ms = clock_ms() + timeout_ms;
	q->done = done;
	q->arg = arg;
	*link->last = q;
	link->last = &q->next;
	if (link->sock < 0 && link->lazy && clock_ms() >= link->retry_at_ms)
		link_connect(link);
	else if (link->sock >= 0)
		link_flush(link);
	return true;
}

bool
link_up(const struct link *link)
{
	return link->sock >= 0;
}
