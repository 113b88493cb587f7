/* control.c - policyctl's sockets: who may connect is settled by their owner and group; the first request of a connection says
 * which process serves it, and the connection is handed to that one. By control.sock comes whoever may do everything, by
 * report.sock what reports mail for mailboxes (Dovecot, Postfix' pipe) and may do nothing else. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "policyd/base/clock.h"
#include "policyd/base/log.h"
#include "policyd/base/metrics.h"
#include "policyd/supervise.h"
#include "policyd/wire.h"

enum { FIRST_REQUEST_MS = 10 * 1000, REPLY_MS = 2000, MAX_CALLERS = 60, LISTENERS = 2 };

struct caller {
	struct caller *next;
	int sock;
	int64_t deadline_ms;                 /* of its first request */
	bool reports;                        /* by report.sock */
	int waits;                           /* 1: for the end of the reload that runs, 2: of the one after it */
	uint32_t id;
};

/* Who serves which commands; by prefix. PROC__KINDS: the master itself. */
static const struct { const char *prefix; enum proc_kind kind; } routes[] = {
	{ "quarantine.", PROC_STORE }, { "store.", PROC_STORE }, { "deliver.", PROC_DELIVER }, { "model.", PROC_TRAINER },
	{ "policy.", PROC_BROKER }, { "rules.", PROC_BROKER }, { "scan", PROC_BROKER }, { "learn", PROC_BROKER }, { "unlearn", PROC_BROKER },
	{ "released", PROC_BROKER }, { "reputation.", PROC_BROKER }, { "limits.", PROC_BROKER }, { "outbound.", PROC_BROKER },
	{ "trace", PROC_BROKER }, { "user.", PROC_REVIEW }, { "audit.", PROC_STORE }, { "review.", PROC_REVIEW }, { "broker.", PROC_BROKER },
	{ "reload", PROC__KINDS }, { "status", PROC__KINDS }, { "stats", PROC__KINDS }, { "stop", PROC__KINDS },
};

static void
caller_end(struct master *m, struct caller *gone)
{
	for (struct caller **at = &m->callers; *at; at = &(*at)->next)
		if (*at == gone) {
			*at = gone->next;
			break;
		}
	close(gone->sock);
	free(gone);
}

/* Takes `reply`. */
static void
answer(int sock, uint32_t id, json_t *reply)
{
	char *json = json_dumps(reply, JSON_COMPACT);
	struct buf body = { 0 };

	pack_text(&body, json ? json : "{\"error\": \"no memory\", \"exit\": 1}");
	struct packet packet = { .type = W_REPLY, .id = id, .body = buf_span(&body) };

	ipc_send_wait(sock, &packet, REPLY_MS);
	buf_free(&body);
	free(json);
	json_decref(reply);
}

static json_t *
status(struct master *m)
{
	json_t *procs = json_array();

	for (int i = 0; i < MAX_PROCS; i++) {
		const struct proc *p = &m->procs[i];

		if (p->used)
			json_array_append_new(procs, json_pack("{s:s, s:i, s:b, s:I, s:I, s:I}", "name", p->name, "pid", (int)p->pid,
			    "ready", p->kind == PROC_REDIS ? p->pid > 0 : p->generation > 0, "generation",
			    (json_int_t)p->generation, "restarts", (json_int_t)p->restarts, "up_ms",
			    (json_int_t)(p->pid > 0 ? clock_ms() - p->started_ms : 0)));
	}
	return json_pack("{s:s, s:I, s:s, s:s, s:i, s:o}", "version", POLICYD_VERSION, "generation",
	    (json_int_t)m->config.generation, "config", m->config.file, "state", m->config.state, "pid", (int)getpid(),
	    "processes", procs);
}

static json_t *
stats(void)
{
	json_t *all = json_object();

	for (int i = 0; i < M__COUNT; i++)
		json_object_set_new(all, metric_names[i], json_integer(metrics_get((enum metric)i)));
	return all;
}

/* True: the caller stays ours, to be told of a reload's end. */
static bool
serve_here(struct master *m, struct caller *c, const char *cmd)
{
	if (strcmp(cmd, "reload") == 0) {
		c->waits = m->reload.active ? 2 : 1;     /* the one that runs has read the file before he asked */
		master_reload(m);
		return true;
	}
	if (strcmp(cmd, "status") == 0)
		answer(c->sock, c->id, status(m));
	else if (strcmp(cmd, "stats") == 0)
		answer(c->sock, c->id, stats());
	else {
		answer(c->sock, c->id, json_pack("{s:b}", "stopping", 1));
		master_stop(m);
	}
	return false;
}

static void
hand_over(struct master *m, struct caller *c, enum proc_kind kind, struct packet *packet)
{
	struct proc *p = master_proc(m, kind);
	struct packet over = { .type = c->reports ? W_REPORT : W_CONTROL, .id = packet->id, .body = packet->body, .fds = { c->sock }, .fd_count = 1 };

	for (int i = 0; i < packet->fd_count && over.fd_count < IPC_MAX_FDS; i++)
		over.fds[over.fd_count++] = packet->fds[i];
	if (p == NULL || p->sock < 0 || ipc_send(p->sock, &over) != IPC_OK)
		answer(c->sock, c->id, json_pack("{s:o, s:i}", "error", json_sprintf(p == NULL && kind == PROC_REVIEW ?
		    "the %s process is not asked for: set listen = { review = \"http://127.0.0.1:8892\"; }" :
		    "the %s is not running now; see policyctl doctor", proc_kind_names[kind]), "exit", 1));
}

static void
first_request(struct master *m, struct caller *c)
{
	struct packet packet;
	enum ipc_result result = ipc_recv(c->sock, &m->inbox, &packet);
	struct unpack u = { packet.body, false };
	bool stays = false;

	if (result == IPC_AGAIN)
		return;
	if (result == IPC_CLOSED || packet.type != W_REQUEST) {
		if (result == IPC_OK)
			packet_close_fds(&packet);
		caller_end(m, c);
		return;
	}
	struct span text = unpack_span(&u);
	json_t *request = json_loadb(text.p ? text.p : "", text.n, 0, NULL);
	const char *cmd = json_string_value(json_object_get(request, "cmd"));
	size_t i = 0, count = sizeof routes / sizeof *routes;

	c->id = packet.id;
	while (cmd && i < count && strncmp(cmd, routes[i].prefix, strlen(routes[i].prefix)) != 0)
		i++;
	if (cmd == NULL || i == count)
		answer(c->sock, c->id, json_pack("{s:s, s:i}", "error", "unknown command", "exit", 2));
	else if (c->reports && strcmp(cmd, "learn") != 0)
		answer(c->sock, c->id, json_pack("{s:s, s:i}", "error", "report.sock takes reports of mail, and nothing else", "exit", 2));
	else if (routes[i].kind == PROC__KINDS)
		stays = serve_here(m, c, cmd);
	else
		hand_over(m, c, routes[i].kind, &packet);
	json_decref(request);
	packet_close_fds(&packet);
	if (!stays)
		caller_end(m, c);
}

static void
accept_caller(struct master *m, int listener)
{
	int sock = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct caller *c = sock >= 0 ? calloc(1, sizeof *c) : NULL;
	struct ucred who;
	socklen_t length = sizeof who;

	if (c == NULL) {
		if (sock >= 0)
			close(sock);
		return;
	}
	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &who, &length) == 0)
		log_debug("control: connection of pid %d, user %u", (int)who.pid, who.uid);
	c->sock = sock;
	c->reports = listener == m->report;
	c->deadline_ms = clock_ms() + FIRST_REQUEST_MS;
	c->next = m->callers;
	m->callers = c;
}

size_t
control_poll(struct master *m, struct pollfd *fds, size_t room)
{
	size_t n = 0;

	if (room < LISTENERS)
		return 0;
	fds[n++] = (struct pollfd){ m->control, POLLIN, 0 };
	fds[n++] = (struct pollfd){ m->report, POLLIN, 0 };   /* poll passes over -1 */
	for (struct caller *c = m->callers; c && n < room && n < LISTENERS + MAX_CALLERS; c = c->next)
		if (!c->waits)
			fds[n++] = (struct pollfd){ c->sock, POLLIN, 0 };
	return n;
}

void
control_serve(struct master *m, const struct pollfd *fds, size_t count)
{
	for (struct caller *c = m->callers, *next; c; c = next) {
		bool ready = false;

		next = c->next;
		for (size_t i = LISTENERS; i < count; i++)
			ready |= fds[i].fd == c->sock && fds[i].revents != 0;
		if (c->waits)
			continue;
		if (ready) {
			first_request(m, c);
			break;               /* the list may have changed; the next round sees the others */
		}
		if (clock_ms() > c->deadline_ms)
			caller_end(m, c);
	}
	for (size_t i = 0; i < LISTENERS && i < count; i++)
		if (fds[i].revents & POLLIN)
			accept_caller(m, fds[i].fd);
}

void
control_reloaded(struct master *m, const char *why)
{
	for (struct caller *c = m->callers, *next; c; c = next) {
		next = c->next;
		if (c->waits != 1) {
			c->waits = c->waits ? 1 : 0;
			continue;
		}
		if (why)
			answer(c->sock, c->id, json_pack("{s:o, s:i}", "error", json_sprintf("%s", why), "exit", 1));
		else
			answer(c->sock, c->id, json_pack("{s:b, s:I}", "reloaded", 1, "generation", (json_int_t)m->config.generation));
		caller_end(m, c);
	}
}

void
control_close(struct master *m)
{
	while (m->callers)
		caller_end(m, m->callers);
	if (m->control >= 0)
		close(m->control);
	if (m->report >= 0)
		close(m->report);
	m->control = m->report = -1;
}
