#include "policyd/broker/delegate.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "policyd/base/clock.h"
#include "policyd/base/log.h"
#include "policyd/base/metrics.h"

enum { TICK_MS = 1000, ACTION_ROOM = 600, OUT_ROOM = 64 * 1024 };

struct delegate_call {                       /* one connection: Postfix asks one thing at a time */
	struct delegate_call *next;
	struct delegate *delegate;
	int fd;
	struct event *readable, *writable;
	struct delegate_request request;
	bool asking;                         /* the asker has it */
	bool serving;                        /* inside serve(): answers given now are written there */
	void *data;
	int64_t since_ms;                    /* of the first byte of an unfinished request, or of idleness */
	size_t in;                           /* bytes in `buffer` */
	size_t used;                         /* of the request that is being answered */
	size_t out, sent;
	char *out_bytes;
	char buffer[MAX_POLICY_REQUEST + 1];
};

struct delegate {
	struct event_base *base;
	int listen_fd;
	struct event *listening, *tick;
	delegate_ask ask;
	delegate_gone gone;
	void *arg;
	struct delegate_call *calls;
	size_t count;
	int64_t complained_ms;
};

static const struct { const char *name; size_t offset; } attributes[] = {
#define ATTRIBUTE(name) { #name, offsetof(struct delegate_request, name) }
	ATTRIBUTE(protocol_state), ATTRIBUTE(queue_id), ATTRIBUTE(sender), ATTRIBUTE(recipient), ATTRIBUTE(client_address),
	ATTRIBUTE(client_port), ATTRIBUTE(client_name), ATTRIBUTE(helo_name), ATTRIBUTE(sasl_username), ATTRIBUTE(instance),
	ATTRIBUTE(size), ATTRIBUTE(policy_context),
};

static void
call_end(struct delegate_call *c)
{
	struct delegate *d = c->delegate;

	if (c->asking)
		d->gone(d->arg, c);
	for (struct delegate_call **at = &d->calls; *at; at = &(*at)->next)
		if (*at == c) {
			*at = c->next;
			break;
		}
	if (d->count-- == MAX_POLICY_CLIENTS)
		event_add(d->listening, NULL);
	event_free(c->readable);
	event_free(c->writable);
	close(c->fd);
	free(c->out_bytes);
	free(c);
}

/* False: the connection has ended. */
static bool
flush(struct delegate_call *c)
{
	while (c->sent < c->out) {
		ssize_t n = send(c->fd, c->out_bytes + c->sent, c->out - c->sent, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
			event_add(c->writable, NULL);
			return true;
		}
		if (n <= 0) {
			call_end(c);
			return false;
		}
		c->sent += (size_t)n;
	}
	c->out = c->sent = 0;
	return true;
}

static bool
queue_answer(struct delegate_call *c, const char *action)
{
	char line[ACTION_ROOM];
	size_t n = (size_t)snprintf(line, sizeof line, "action=");

	for (const char *p = action; *p && n + 3 < sizeof line; p++)
		line[n++] = *p < 0x20 || *p > 0x7e ? ' ' : *p;
	line[n++] = '\n';
	line[n++] = '\n';
	if (c->out_bytes == NULL && (c->out_bytes = malloc(OUT_ROOM)) == NULL)
		return false;
	if (c->out + n > OUT_ROOM)           /* asks and asks and never reads */
		return false;
	memcpy(c->out_bytes + c->out, line, n);
	c->out += n;
	return true;
}

/* The lines of one request. A sentence when it is none. */
static const char *
parse(struct delegate_call *c, struct span text)
{
	bool has_request = false;
	int count = 0;

	memset(&c->request, 0, sizeof c->request);
	while (text.n > 0) {
		struct span line = span_cut(&text, '\n'), value = line, name;

		if (line.n == 0)
			break;
		if (span_find_char(line, '=') == SPAN_NONE)
			return "a line without \"=\"";
		if (span_find_char(line, '\0') != SPAN_NONE)
			return "a NUL";
		if (++count > MAX_POLICY_ATTRS)
			return "too many attributes";
		name = span_cut(&value, '=');
		if (span_eq(name, SPAN("request"))) {
			if (!span_eq(value, SPAN("smtpd_access_policy")))
				return "request= is not smtpd_access_policy";
			has_request = true;
			continue;
		}
		for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++)
			if (span_eq(name, span_of(attributes[i].name)))
				*(struct span *)((char *)&c->request + attributes[i].offset) = value;
	}
	return has_request ? NULL : "no request=smtpd_access_policy";
}

/* The end of the first request in the buffer: behind its empty line. 0: not all there yet. */
static size_t
request_end(const struct delegate_call *c)
{
	struct span all = span_make(c->buffer, c->in);

	if (c->in > 0 && c->buffer[0] == '\n')
		return 1;
	size_t at = span_find(all, SPAN("\n\n"));

	return at == SPAN_NONE ? 0 : at + 2;
}

static void
bad(struct delegate_call *c, const char *why)
{
	metrics_add(M_POLICY_BAD, 1);
	log_seldom(&c->delegate->complained_ms, 1, "policy request refused: %s; answered DUNNO", why);
}

/* Answer what is there, one after the other; stop while one is in the asker's hands. False: the connection ended. */
static bool
serve(struct delegate_call *c)
{
	struct delegate *d = c->delegate;

	while (!c->asking) {
		size_t end = request_end(c);
		const char *why;

		if (end == 0)
			break;
		why = parse(c, span_make(c->buffer, end));
		if (why) {
			bad(c, why);
			memmove(c->buffer, c->buffer + end, c->in - end);
			c->in -= end;
			if (!queue_answer(c, "DUNNO")) {
				call_end(c);
				return false;
			}
			continue;
		}
		c->asking = true;
		c->used = end;
		c->data = NULL;
		c->serving = true;
		d->ask(d->arg, c, &c->request);
		c->serving = false;
	}
	if (!c->asking && c->in == MAX_POLICY_REQUEST) {
		bad(c, "larger than 10 KB");
		queue_answer(c, "DUNNO");
		if (flush(c))
			call_end(c);
		return false;
	}
	return flush(c);
}

static void
finish(struct delegate_call *c, const char *action)
{
	c->asking = false;
	memmove(c->buffer, c->buffer + c->used, c->in - c->used);
	c->in -= c->used;
	c->used = 0;
	c->since_ms = clock_ms();
	if (!queue_answer(c, action))
		c->in = 0;
}

void
delegate_answer(struct delegate_call *c, const char *action)
{
	finish(c, action);
	if (!c->serving)
		event_active(c->writable, EV_WRITE, 0);      /* the loop writes it and serves the next */
}

void **
delegate_data(struct delegate_call *c)
{
	return &c->data;
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct delegate_call *c = arg;
	ssize_t n;

	(void)what;
	if (c->in == MAX_POLICY_REQUEST)     /* full while one is asked: wait */
		return;
	n = recv(fd, c->buffer + c->in, MAX_POLICY_REQUEST - c->in, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		call_end(c);
		return;
	}
	if (c->in == 0)
		c->since_ms = clock_ms();
	c->in += (size_t)n;
	serve(c);
}

static void
on_writable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	serve(arg);
}

static void
on_accept(evutil_socket_t fd, short what, void *arg)
{
	struct delegate *d = arg;
	int sock = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct delegate_call *c;

	(void)what;
	if (sock < 0)
		return;
	c = calloc(1, sizeof *c);
	if (c == NULL || (c->readable = event_new(d->base, sock, EV_READ | EV_PERSIST, on_readable, c)) == NULL ||
	    (c->writable = event_new(d->base, sock, EV_WRITE, on_writable, c)) == NULL) {
		if (c && c->readable)
			event_free(c->readable);
		free(c);
		close(sock);
		return;
	}
	c->delegate = d;
	c->fd = sock;
	c->since_ms = clock_ms();
	c->next = d->calls;
	d->calls = c;
	if (++d->count == MAX_POLICY_CLIENTS)
		event_del(d->listening);     /* the rest wait in the backlog */
	event_add(c->readable, NULL);
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct delegate *d = arg;
	int64_t now = clock_ms();

	(void)fd;
	(void)what;
	for (struct delegate_call *c = d->calls, *next; c; c = next) {
		next = c->next;
		if (c->asking)
			continue;
		if (now - c->since_ms > (c->in > 0 ? POLICY_UNFINISHED_MS : POLICY_IDLE_MS))
			call_end(c);
	}
}

struct delegate *
delegate_open(struct event_base *base, int listen_fd, delegate_ask ask, delegate_gone gone, void *arg)
{
	struct delegate *d = calloc(1, sizeof *d);
	struct timeval tick = { TICK_MS / 1000, 0 };

	if (d == NULL)
		return NULL;
	*d = (struct delegate){ .base = base, .listen_fd = listen_fd, .ask = ask, .gone = gone, .arg = arg };
	fcntl(listen_fd, F_SETFL, O_NONBLOCK);
	d->listening = event_new(base, listen_fd, EV_READ | EV_PERSIST, on_accept, d);
	d->tick = event_new(base, -1, EV_PERSIST, on_tick, d);
	if (d->listening == NULL || d->tick == NULL || event_add(d->listening, NULL) < 0 || event_add(d->tick, &tick) < 0) {
		free(d);
		return NULL;
	}
	return d;
}

void
delegate_close(struct delegate *d)
{
	while (d->calls)
		call_end(d->calls);
	event_free(d->listening);
	event_free(d->tick);
	free(d);
}
