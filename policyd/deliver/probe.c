/* probe.c - is the way open? A mail to a probe address goes into the MTA by the listener without milters, and must come
 * back to the stage by the MTA's queue. Only then may recipients be replaced by token addresses: else these would leave the
 * site, or bounce. The null sender sees to it that nothing comes of a probe that finds no way. */
#include <stdio.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "policyd/base/clock.h"
#include "policyd/base/log.h"
#include "policyd/deliver/lmtp.h"
#include "policyd/net/smtp_client.h"
#include "policyd/wire.h"

enum { SEND_MS = 10 * 1000, BACK_MS = 30 * 1000, UP_EVERY_S = 60, DOWN_EVERY_S = 5 };

static bool
send_probe(struct stage *s, uint64_t nonce, char *why, size_t room)
{
	char token[TOKEN_ROOM], server[PATH_ROOM], domain[128], text[512];
	struct smtp *smtp = smtp_open(s->host_name);
	struct smtp_reply reply = { 0 };

	pthread_mutex_lock(&s->lock);
	snprintf(server, sizeof server, "%s", s->reinject);
	snprintf(domain, sizeof domain, "%s", s->domain);
	s->nonce = nonce;
	s->nonce_back = false;
	pthread_mutex_unlock(&s->lock);
	snprintf(text, sizeof text, "From: policyd@%s\r\nSubject: is the way of variants open?\r\nMessage-ID: <%016llx@%s>\r\n"
	    "Auto-Submitted: auto-generated\r\n\r\nThis mail never leaves the site; policyd takes it out of the queue.\r\n",
	    domain, (unsigned long long)nonce, domain);
	bool sent = smtp && token_probe(s->key, nonce, domain, token);
	struct smtp_mail mail = { .recipient = span_of(token), .bytes = span_of(text) };

	sent = sent && smtp_deliver(smtp, server, &mail, SEND_MS, &reply);
	if (!sent)
		snprintf(why, room, "the listener does not take a probe: %.100s", reply.text);
	smtp_close(smtp);
	return sent;
}

static bool
wait_back(struct stage *s)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += BACK_MS / 1000;
	pthread_mutex_lock(&s->lock);
	while (!s->nonce_back && pthread_cond_timedwait(&s->probe_back, &s->lock, &until) == 0)
		continue;
	bool back = s->nonce_back;

	pthread_mutex_unlock(&s->lock);
	return back;
}

static bool
tell(int *broker, const struct stage *s, bool up, const char *why)
{
	struct buf body = { 0 };

	if (*broker < 0)
		*broker = stage_broker(s->run);
	pack_u8(&body, up);
	pack_text(&body, why);
	struct packet packet = { .type = W_ROUTE, .body = buf_span(&body) };
	bool told = *broker >= 0 && ipc_send(*broker, &packet) == IPC_OK;

	if (!told && *broker >= 0) {
		close(*broker);
		*broker = -1;
	}
	buf_free(&body);
	return told;
}

/* A broker that was started again must hear of it at once: its end is seen on the connection. */
static bool
broker_gone(int broker, int wait_s)
{
	struct inbox inbox = { 0 };
	struct packet packet;
	enum ipc_result result = broker < 0 ? IPC_AGAIN : ipc_recv_wait(broker, &inbox, &packet, wait_s * 1000);

	if (broker < 0)
		sleep((unsigned)wait_s);
	inbox_free(&inbox);
	return result == IPC_CLOSED;
}

static void *
probe(void *arg)
{
	struct stage *s = arg;
	int broker = -1;

	for (;;) {
		char why[160] = "a probe has not come back through the MTA's queue";
		uint64_t nonce = 0;

		if (getrandom(&nonce, sizeof nonce, 0) != sizeof nonce)
			nonce = (uint64_t)clock_us();
		bool up = send_probe(s, nonce, why, sizeof why) && wait_back(s);
		bool told = tell(&broker, s, up, up ? "" : why);

		if (broker_gone(broker, told && up ? UP_EVERY_S : DOWN_EVERY_S)) {
			close(broker);
			broker = -1;
		}
	}
	return NULL;
}

void
probe_start(struct stage *s)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, probe, s) == 0)
		pthread_detach(thread);
	else
		log_error("variants: no thread for the probe; edits are folded");
}
