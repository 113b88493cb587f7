/* stage.c - what the threads of deliver share (lmtp.h). */
#include <stdio.h>
#include <unistd.h>

#include "policyd/base/clock.h"
#include "policyd/deliver/lmtp.h"
#include "policyd/wire.h"

void
stage_config(struct stage *s, const struct config *config)
{
	pthread_mutex_lock(&s->lock);
	snprintf(s->reinject, sizeof s->reinject, "%s", config->reinject);
	snprintf(s->domain, sizeof s->domain, "%s", config->deliver_domain);
	s->message_limit = config->message_limit_bytes;
	pthread_mutex_unlock(&s->lock);
}

bool
stage_open(struct stage *s, const struct config *config)
{
	pthread_condattr_t monotonic;

	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&s->probe_back, &monotonic);
	snprintf(s->host_name, sizeof s->host_name, "%s", config->host_name);
	snprintf(s->run, sizeof s->run, "%s", config->run);
	snprintf(s->state, sizeof s->state, "%s", config->state);
	stage_config(s, config);
	return secret_load(config->state, "variant", s->key);
}

void
stage_stop(struct stage *s, int wait_ms)
{
	int64_t deadline = clock_ms() + wait_ms;
	bool waits = true;

	while (waits) {
		pthread_mutex_lock(&s->lock);
		s->stopping = true;
		waits = s->busy > 0 && clock_left_ms(deadline) > 0;
		pthread_mutex_unlock(&s->lock);
		if (waits)
			usleep(10000);
	}
}

int
stage_broker(const char *run)
{
	char path[PATH_ROOM + 32];
	struct buf body = { 0 };

	snprintf(path, sizeof path, "%s/broker.sock", run);
	int sock = ipc_connect(path);

	pack_text(&body, "deliver");
	pack_text(&body, "");
	pack_u64(&body, 0);
	struct packet packet = { .type = W_HELLO, .body = buf_span(&body) };

	if (sock >= 0 && ipc_send(sock, &packet) != IPC_OK) {
		close(sock);
		sock = -1;
	}
	buf_free(&body);
	return sock;
}
