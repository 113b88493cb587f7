/* deliver.c - mail that goes back to the MTA: releases from the quarantine, over a pool of connections to the listener
 * without milters.
 *
 * It keeps nothing on disk: who asked asks again when one of the two ends in between. So it knows for a while what it has
 * done, and whoever asks for it again is told, not obeyed; and the end of one mail waits for the answer to the one before,
 * so that a kill leaves one mail at most of which nobody knows whether the MTA has it.
 *
 * Beside them, in threads of their own, variants that the MTA's queue brings by LMTP (lmtp.c). */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "policyd/base/log.h"
#include "policyd/child.h"
#include "policyd/deliver/lmtp.h"
#include "policyd/deliver/pool.h"
#include "policyd/wire.h"

enum { MAX_PEERS = 8, MAIL_MS = 60 * 1000, SEND_MS = 5000, TURN_S = 2, DONE_KEPT = 4096, KEY_ROOM = 80, STOP_MS = 5000, FULL_CHECK_MS = 50 };

struct errand {
	struct pool_job pool;                /* first: it is both */
	struct deliver *deliver;
	struct errand *next;
	char key[KEY_ROOM];
	int sock;                            /* of who asked; -1: gone */
	uint32_t id;                         /* of the question */
	struct buf fields;                   /* what pool.mail points into */
	bool has_turn;
};

struct done {                                /* the MTA has it */
	char key[KEY_ROOM];
	struct smtp_reply reply;
};

struct deliver {
	struct child *self;
	struct pool *pool;
	int peers[MAX_PEERS];
	size_t peer_count;
	struct stage stage;
	bool has_stage;
	struct inbox inbox, master_inbox;
	pthread_mutex_t lock;                /* errands, done, and answers */
	struct errand *errands;
	struct done *done;                   /* a ring */
	size_t done_at;
	pthread_mutex_t turn;                /* whose mail is being ended */
};

static void
answer(int sock, uint32_t id, uint8_t result, const struct smtp_reply *reply)
{
	struct buf body = { 0 };

	pack_u8(&body, result);
	pack_u32(&body, (uint32_t)reply->code);
	pack_text(&body, reply->text);
	pack_text(&body, reply->queue_id);
	struct packet packet = { .type = W_RELEASED, .id = id, .body = buf_span(&body) };

	if (sock >= 0)
		ipc_send_wait(sock, &packet, SEND_MS);
	buf_free(&body);
}

/* ---- in the pool's threads ---- */

/* Just before the dot. A server that keeps its 250 to itself holds up nobody for long. */
static void
take_turn(const struct smtp_mail *mail)
{
	struct errand *errand = mail->arg;
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += TURN_S;
	errand->has_turn = pthread_mutex_timedlock(&errand->deliver->turn, &until) == 0;
}

static void
finished(struct pool_job *pool, bool taken, const struct smtp_reply *reply)
{
	struct errand *errand = (struct errand *)pool, **at;
	struct deliver *d = errand->deliver;

	pthread_mutex_lock(&d->lock);
	if (taken) {
		struct done *done = &d->done[d->done_at++ % DONE_KEPT];

		memcpy(done->key, errand->key, sizeof done->key);
		done->reply = *reply;
	}
	answer(errand->sock, errand->id, taken ? 1 : reply->code >= 500 ? 0 : 2, reply);
	for (at = &d->errands; *at != errand;)
		at = &(*at)->next;
	*at = errand->next;
	pthread_mutex_unlock(&d->lock);
	if (errand->has_turn)
		pthread_mutex_unlock(&d->turn);
	unmap(errand->pool.mail.bytes);
	buf_free(&errand->fields);
	free(errand);
}

/* ---- in the main thread ---- */

/* Asked before? Then it is told what came of it, now or when it is done. */
static bool
known(struct deliver *d, const char *key, int sock, uint32_t id)
{
	for (size_t i = 0; i < DONE_KEPT; i++)
		if (strcmp(d->done[i].key, key) == 0) {
			answer(sock, id, 1, &d->done[i].reply);
			return true;
		}
	for (struct errand *errand = d->errands; errand; errand = errand->next)
		if (strcmp(errand->key, key) == 0) {
			errand->sock = sock;
			errand->id = id;
			return true;
		}
	return false;
}

static void
release(struct deliver *d, int sock, const struct packet *packet)
{
	static const struct smtp_reply unreadable = { .text = "the request cannot be read" };
	struct errand *errand = calloc(1, sizeof *errand);
	struct span mail = packet->fd_count == 1 ? map_fd(packet->fds[0]) : (struct span){ NULL, 0 };

	if (errand == NULL) {
		unmap(mail);
		answer(sock, packet->id, 2, &unreadable);
		return;
	}
	*errand = (struct errand){ .deliver = d, .sock = sock, .id = packet->id };
	buf_add_span(&errand->fields, packet->body);
	struct unpack u = { buf_span(&errand->fields), false };

	unpack_text(&u, errand->key, sizeof errand->key);
	errand->pool.mail = (struct smtp_mail){ .arg = errand, .before_end = take_turn, .bytes = mail };
	errand->pool.mail.sender = unpack_span(&u);
	errand->pool.mail.recipient = unpack_span(&u);
	errand->pool.mail.client_ip = unpack_span(&u);
	errand->pool.mail.helo = unpack_span(&u);
	errand->pool.done = finished;
	snprintf(errand->pool.server, sizeof errand->pool.server, "%s", d->self->config->reinject);
	bool bad = u.bad || errand->fields.failed || mail.p == NULL;

	pthread_mutex_lock(&d->lock);
	if (bad)
		answer(sock, packet->id, 2, &unreadable);
	if (bad || known(d, errand->key, sock, packet->id)) {
		pthread_mutex_unlock(&d->lock);
		unmap(mail);
		buf_free(&errand->fields);
		free(errand);
		return;
	}
	errand->next = d->errands;
	d->errands = errand;
	pthread_mutex_unlock(&d->lock);
	pool_put(d->pool, &errand->pool);
}

static void
from_peer(struct deliver *d, size_t i)
{
	struct packet packet;
	enum ipc_result result = ipc_recv(d->peers[i], &d->inbox, &packet);

	if (result == IPC_AGAIN)
		return;
	if (result == IPC_CLOSED) {
		pthread_mutex_lock(&d->lock);
		for (struct errand *errand = d->errands; errand; errand = errand->next)
			if (errand->sock == d->peers[i])
				errand->sock = -1;
		close(d->peers[i]);
		d->peers[i] = d->peers[--d->peer_count];
		pthread_mutex_unlock(&d->lock);
		return;
	}
	if (packet.type == W_RELEASE)
		release(d, d->peers[i], &packet);
	packet_close_fds(&packet);
}

static void
tell_ready(struct deliver *d)
{
	struct buf body = { 0 };

	pack_u64(&body, d->self->config->generation);
	struct packet packet = { .type = W_READY, .body = buf_span(&body) };

	ipc_send(d->self->master, &packet);
	buf_free(&body);
}

/* False: end. */
static bool
from_master(struct deliver *d)
{
	struct packet packet;
	enum ipc_result result = ipc_recv(d->self->master, &d->master_inbox, &packet);

	if (result == IPC_CLOSED || (result == IPC_OK && packet.type == W_STOP))
		return false;
	if (result == IPC_OK && packet.type == W_CONFIG && packet.fd_count == 1) {
		const struct config *config = config_map(packet.fds[0]), *old = d->self->config;

		if (config) {
			d->self->config = config;
			if (d->has_stage)
				stage_config(&d->stage, config);
			config_unmap(old);
			tell_ready(d);
		}
	}
	if (result == IPC_OK)
		packet_close_fds(&packet);
	return true;
}

/* More connections wait in the socket's backlog, and look again soon. */
static bool
stage_has_room(struct deliver *d)
{
	if (!d->has_stage)
		return false;
	pthread_mutex_lock(&d->stage.lock);
	bool room = d->stage.connections < LMTP_CONNECTIONS;

	pthread_mutex_unlock(&d->stage.lock);
	return room;
}

int
deliver_main(struct child *self)
{
	static struct deliver d;             /* threads may still look at it when main has ended */

	d.self = self;
	d.pool = pool_open(self->config->host_name, MAIL_MS);
	d.done = calloc(DONE_KEPT, sizeof *d.done);

	if (d.pool == NULL || d.done == NULL)
		return 1;
	for (size_t i = 0; i < DONE_KEPT; i++)
		d.done[i].key[0] = '/';          /* no key of a release */
	pthread_mutex_init(&d.lock, NULL);
	pthread_mutex_init(&d.turn, NULL);
	if (self->policy_fd >= 0 && (d.has_stage = stage_open(&d.stage, self->config)))
		probe_start(&d.stage);
	else if (self->policy_fd >= 0)
		log_error("variants: %s/variant.key cannot be had; edits are folded", self->config->state);
	tell_ready(&d);
	for (;;) {
		struct pollfd fds[MAX_PEERS + 3] = { { self->master, POLLIN, 0 }, { self->listen_fd, POLLIN, 0 },
		    { stage_has_room(&d) ? self->policy_fd : -1, POLLIN, 0 } };
		size_t peers = d.peer_count;

		for (size_t i = 0; i < peers; i++)
			fds[i + 3] = (struct pollfd){ d.peers[i], POLLIN, 0 };
		if (poll(fds, 3 + peers, d.has_stage && fds[2].fd < 0 ? FULL_CHECK_MS : -1) < 0 && errno != EINTR)
			return 1;
		if (fds[0].revents && !from_master(&d))
			break;
		for (size_t i = peers; i > 0; i--)
			if (fds[i + 2].revents)
				from_peer(&d, i - 1);
		if (fds[1].revents && d.peer_count < MAX_PEERS) {
			int sock = accept4(self->listen_fd, NULL, NULL, SOCK_CLOEXEC);

			if (sock >= 0)
				d.peers[d.peer_count++] = sock;
		}
		if (fds[2].revents) {
			int sock = accept4(self->policy_fd, NULL, NULL, SOCK_CLOEXEC);

			if (sock >= 0)
				lmtp_serve(&d.stage, sock);
		}
	}
	if (d.has_stage)
		stage_stop(&d.stage, STOP_MS);
	pool_close(d.pool);
	return 0;
}
