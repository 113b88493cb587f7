/* gate.c - one process a milter listener: libmilter runs in its own threads, this one listens to the master. */
#include <errno.h>
#include <libmilter/mfapi.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "milter/events.h"
#include "milter/link.h"
#include "policyd/base/clock.h"
#include "policyd/base/log.h"
#include "policyd/child.h"
#include "policyd/wire.h"

enum { IDLE_TIMEOUT_S = 7200, STOP_MS = 10 * 1000 };

static void *
serve(void *result)
{
	*(int *)result = smfi_main();
	return NULL;
}

/* It takes libmilter up to 5 s to hear of it; nobody needs to wait for that. */
static void *
stop_listening(void *nothing)
{
	smfi_stop();
	return nothing;
}

static void
tell_ready(struct child *self, uint64_t generation)
{
	struct buf body = { 0 };

	pack_u64(&body, generation);
	struct packet packet = { .type = W_READY, .body = buf_span(&body) };

	ipc_send(self->master, &packet);
	buf_free(&body);
}

static bool
start(struct child *self, const char *context)
{
	char connection[32];

	snprintf(connection, sizeof connection, "fd:%d", self->listen_fd);
	return gatelink_open(self->config, context) && events_register("policyd", context) &&
	       smfi_setconn(connection) == MI_SUCCESS && smfi_settimeout(IDLE_TIMEOUT_S) == MI_SUCCESS;
}

int
gate_main(struct child *self)
{
	const struct listener *listener = &self->config->milter[self->index];
	char context[sizeof listener->context];
	struct inbox inbox = { 0 };
	static int result;
	pthread_t thread;

	snprintf(context, sizeof context, "%s", listener->context);
	events_config(self->config);
	if (!start(self, context) || pthread_create(&thread, NULL, serve, &result) != 0) {
		log_error("gate: libmilter cannot listen on %s", listener->socket);
		return 1;
	}
	tell_ready(self, self->config->generation);
	for (;;) {
		struct packet packet;
		enum ipc_result got = ipc_recv(self->master, &inbox, &packet);

		if (got == IPC_CLOSED)
			return 0;
		if (got != IPC_OK)
			continue;
		if (packet.type == W_STOP)
			break;
		if (packet.type == W_CONFIG && packet.fd_count == 1) {
			const struct config *config = config_map(packet.fds[0]);

			if (config) {
				uint64_t generation = config->generation;

				events_config(config);
				tell_ready(self, generation);
			}
		}
		packet_close_fds(&packet);
	}
	/* smfi_main returns while callbacks still run: wait for our own count. */
	int64_t deadline = clock_ms() + STOP_MS;

	if (pthread_create(&thread, NULL, stop_listening, NULL) == 0)
		pthread_detach(thread);
	while (events_active() > 0 && clock_ms() < deadline)
		usleep(10 * 1000);
	return 0;
}
