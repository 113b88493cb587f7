/* dispatch_zygotes.c - zygotes as they come with new settings or another virus database, and go when their last mail is done. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "policyd/base/log.h"
#include "policyd/broker/dispatch_inside.h"

static void
zygote_drop(struct zygote *gone)
{
	struct dispatch *d = gone->dispatch;

	for (struct worker *worker = d->workers, *next; worker; worker = next) {
		next = worker->next;
		if (worker->zygote != gone)
			continue;
		if (worker->work)            /* its parent is dead, so it is */
			work_crashed(d, worker);
		worker_remove(worker);
	}
	for (struct zygote **at = &d->zygotes; *at; at = &(*at)->next)
		if (*at == gone) {
			*at = gone->next;
			break;
		}
	event_free(gone->readable);
	close(gone->sock);
	free(gone);
	d->forking = 0;
	dispatch_pump(d);
}

static void
reaped(struct unpack *u)
{
	uint32_t pid = unpack_u32(u);
	int status = (int)unpack_u32(u);

	if (WIFSIGNALED(status))
		log_warning("worker %u ended by signal %d; its mail gets a fresh worker", pid, WTERMSIG(status));
	else if (WEXITSTATUS(status) == ARENA_EXIT)
		log_warning("worker %u met its memory limit; its mail gets a fresh worker", pid);
	else if (WEXITSTATUS(status) != 0)
		log_warning("worker %u ended with code %d", pid, WEXITSTATUS(status));
}

static void
drop_outdated(struct dispatch *d)
{
	for (struct worker *worker = d->workers, *next; worker; worker = next) {
		next = worker->next;
		if (worker->work == NULL && worker_outdated(worker))
			worker_remove(worker);
	}
}

static void
take_hello(struct zygote *z, struct unpack *hello)
{
	z->cage = unpack_u32(hello);
	z->av.loaded = unpack_u8(hello);
	z->av.signatures = unpack_u32(hello);
	z->av.time_s = (int64_t)unpack_u64(hello);
	z->av.changed_s = (int64_t)unpack_u64(hello);
}

static void
on_zygote(evutil_socket_t fd, short what, void *arg)
{
	struct zygote *z = arg;
	struct dispatch *d = z->dispatch;
	struct packet packet;
	enum ipc_result result = ipc_recv(fd, &d->inbox, &packet);
	struct unpack u = { packet.body, false };

	(void)what;
	if (result == IPC_AGAIN)
		return;
	if (result == IPC_CLOSED) {
		zygote_drop(z);
		return;
	}
	if (packet.type == W_FORKED) {
		uint32_t pid = unpack_u32(&u);

		if (d->forking > 0)
			d->forking--;
		if (pid == 0)
			log_warning("workers: cannot fork: " SPAN_FMT, SPAN_ARG(unpack_span(&u)));
		else if (packet.fd_count == 1) {
			worker_add(z, pid, packet.fds[0]);
			packet.fd_count = 0;
			dispatch_pump(d);
		}
	} else if (packet.type == W_REAPED) {
		reaped(&u);
	} else if (packet.type == W_ANEW) {
		z->revision++;
		drop_outdated(d);
		dispatch_pump(d);
	} else if (packet.type == W_HELLO) { /* it has taken new settings */
		char skipped[32];

		unpack_text(&u, skipped, sizeof skipped);
		unpack_text(&u, skipped, sizeof skipped);
		z->generation = unpack_u64(&u);
		take_hello(z, &u);
		drop_outdated(d);
		dispatch_pump(d);
		d->changed(d->changed_arg);
	}
	packet_close_fds(&packet);
}

/* Idle workers of an old generation end now, busy ones after their mail; then the zygote does. */
static void
retire_older(struct dispatch *d, const struct zygote *newest)
{
	for (struct zygote *z = d->zygotes; z; z = z->next) {
		struct packet stop = { .type = W_STOP };

		if (z == newest || z->retired || z->generation > newest->generation)
			continue;
		z->retired = true;
		ipc_send(z->sock, &stop);
	}
	drop_outdated(d);
}

void
dispatch_zygote(struct dispatch *d, int sock, uint64_t generation, struct unpack *hello)
{
	struct zygote *z = calloc(1, sizeof *z);

	fcntl(sock, F_SETFL, O_NONBLOCK);
	if (z == NULL || (z->readable = event_new(d->base, sock, EV_READ | EV_PERSIST, on_zygote, z)) == NULL ||
	    event_add(z->readable, NULL) < 0) {
		log_error("workers: no memory for a zygote");
		close(sock);
		free(z);
		return;
	}
	z->dispatch = d;
	z->sock = sock;
	z->generation = generation;
	take_hello(z, hello);
	z->next = d->zygotes;
	d->zygotes = z;
	d->forking = 0;
	retire_older(d, z);
	dispatch_pump(d);
	d->changed(d->changed_arg);
}
