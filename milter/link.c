#include "milter/link.h"

#include <pthread.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "policyd/base/clock.h"
#include "policyd/base/log.h"
#include "policyd/wire.h"

enum { RETRY_US = 50 * 1000, SEND_MS = 2000 };

struct waiter {
	struct waiter *next;
	uint32_t id, want;
	bool done, lost;
	struct buf *answer;
	pthread_cond_t ready;
};

static struct {
	pthread_mutex_t lock;
	char path[PATH_ROOM + 16], context[32];
	int sock;                            /* -1 while the broker is away */
	uint64_t generation;
	uint32_t next_id;
	struct waiter *waiters;
} gate_link = { .lock = PTHREAD_MUTEX_INITIALIZER, .sock = -1 };

static bool
say_hello(int sock)
{
	struct buf body = { 0 };

	pack_text(&body, "gate");
	pack_text(&body, gate_link.context);
	pack_u64(&body, 0);
	struct packet hello = { .type = W_HELLO, .body = buf_span(&body) };
	bool sent = !body.failed && ipc_send_wait(sock, &hello, SEND_MS) == IPC_OK;

	buf_free(&body);
	return sent;
}

static void
lose_all(void)
{
	pthread_mutex_lock(&gate_link.lock);
	if (gate_link.sock >= 0)
		close(gate_link.sock);
	gate_link.sock = -1;
	for (struct waiter *w = gate_link.waiters; w; w = w->next) {
		w->done = w->lost = true;
		pthread_cond_signal(&w->ready);
	}
	pthread_mutex_unlock(&gate_link.lock);
}

static void
deliver(const struct packet *packet)
{
	pthread_mutex_lock(&gate_link.lock);
	for (struct waiter *w = gate_link.waiters; w; w = w->next) {
		if (w->id != packet->id || w->want != packet->type || w->done)
			continue;
		buf_add_span(w->answer, packet->body);
		w->done = true;
		w->lost = w->answer->failed;
		pthread_cond_signal(&w->ready);
		break;
	}
	pthread_mutex_unlock(&gate_link.lock);
}

static void *
reader(void *unused)
{
	struct inbox inbox = { 0 };

	for (;;) {
		int sock = ipc_connect(gate_link.path);
		struct packet packet;
		enum ipc_result result = IPC_OK;

		if (sock < 0 || !say_hello(sock)) {
			if (sock >= 0)
				close(sock);
			usleep(RETRY_US);
			continue;
		}
		pthread_mutex_lock(&gate_link.lock);
		gate_link.sock = sock;
		gate_link.generation++;
		pthread_mutex_unlock(&gate_link.lock);
		while (result == IPC_OK) {
			result = ipc_recv(sock, &inbox, &packet);
			if (result == IPC_OK) {
				deliver(&packet);
				packet_close_fds(&packet);
			}
		}
		log_warning("the broker has gone; mail is deferred until it is back");
		lose_all();
	}
	return unused;
}

bool
gatelink_open(const struct config *config, const char *context)
{
	pthread_t thread;

	snprintf(gate_link.path, sizeof gate_link.path, "%s/broker.sock", config->run);
	snprintf(gate_link.context, sizeof gate_link.context, "%s", context);
	return pthread_create(&thread, NULL, reader, NULL) == 0;
}

uint64_t
gatelink_generation(void)
{
	pthread_mutex_lock(&gate_link.lock);
	uint64_t generation = gate_link.generation;

	pthread_mutex_unlock(&gate_link.lock);
	return generation;
}

static bool
send_locked(uint32_t type, uint32_t id, struct buf *body, int fd)
{
	struct packet packet = { .type = type, .id = id, .body = buf_span(body), .fds = { fd }, .fd_count = fd >= 0 };

	return gate_link.sock >= 0 && !body->failed && ipc_send_wait(gate_link.sock, &packet, SEND_MS) == IPC_OK;
}

bool
gatelink_tell(uint32_t type, struct buf *body)
{
	pthread_mutex_lock(&gate_link.lock);
	bool sent = send_locked(type, 0, body, -1);

	pthread_mutex_unlock(&gate_link.lock);
	buf_free(body);
	return sent;
}

static void
wait_step(struct waiter *w, int ms)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += (long)(ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	pthread_cond_timedwait(&w->ready, &gate_link.lock, &until);
}

static void
unchain(struct waiter *w)
{
	struct waiter **at = &gate_link.waiters;

	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
}

enum gate_result
gatelink_ask(uint32_t type, struct buf *body, int fd, int timeout_ms, int step_ms, void (*progress)(void *arg),
    void *arg, uint32_t want, struct buf *answer)
{
	struct waiter w = { .want = want, .answer = answer };
	int64_t deadline = clock_ms() + timeout_ms, next = clock_ms() + step_ms;
	pthread_condattr_t monotonic;

	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&w.ready, &monotonic);
	pthread_condattr_destroy(&monotonic);
	pthread_mutex_lock(&gate_link.lock);
	w.id = ++gate_link.next_id;
	w.next = gate_link.waiters;
	gate_link.waiters = &w;
	if (!send_locked(type, w.id, body, fd))
		w.done = w.lost = true;
	while (!w.done && clock_ms() < deadline) {
		int64_t until = progress && next < deadline ? next : deadline;

		wait_step(&w, clock_left_ms(until) + 1);
		if (!w.done && progress && clock_ms() >= next) {
			pthread_mutex_unlock(&gate_link.lock);
			progress(arg);
			pthread_mutex_lock(&gate_link.lock);
			next = clock_ms() + step_ms;
		}
	}
	unchain(&w);
	pthread_mutex_unlock(&gate_link.lock);
	pthread_cond_destroy(&w.ready);
	buf_free(body);
	return !w.done ? GATE_LATE : w.lost ? GATE_LOST : GATE_OK;
}
