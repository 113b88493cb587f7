/* deliver.c - mail that goes back to the MTA: releases from the quarantine, one after the other over a kept connection
 * to the listener without milters. It keeps nothing: who asked asks again when this process ends in between. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "policyd/base/clock.h"
#include "policyd/base/log.h"
#include "policyd/child.h"
#include "policyd/net/smtp_client.h"
#include "policyd/wire.h"

enum { MAX_PEERS = 8, MAIL_MS = 60 * 1000, SEND_MS = 5000, IDLE_CHECK_MS = 5000 };

struct deliver {
	struct child *self;
	struct smtp *smtp;
	int peers[MAX_PEERS];
	size_t peer_count;
	struct inbox inbox, master_inbox;
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

	ipc_send_wait(sock, &packet, SEND_MS);
	buf_free(&body);
}

static void
release(struct deliver *d, int sock, const struct packet *packet)
{
	struct unpack u = { packet->body, false };
	struct smtp_mail mail;
	struct smtp_reply reply = { 0 };
	uint8_t result = 2;

	unpack_span(&u);                     /* the id: the store knows it by the packet's */
	mail.sender = unpack_span(&u);
	mail.recipient = unpack_span(&u);
	mail.client_ip = unpack_span(&u);
	mail.helo = unpack_span(&u);
	mail.bytes = packet->fd_count == 1 ? map_fd(packet->fds[0]) : (struct span){ NULL, 0 };
	if (u.bad || mail.bytes.p == NULL)
		snprintf(reply.text, sizeof reply.text, "the request cannot be read");
	else if (smtp_deliver(d->smtp, d->self->config->reinject, &mail, MAIL_MS, &reply))
		result = 1;
	else
		result = reply.code >= 500 ? 0 : 2;
	unmap(mail.bytes);
	answer(sock, packet->id, result, &reply);
}

static void
from_peer(struct deliver *d, size_t i)
{
	struct packet packet;
	enum ipc_result result = ipc_recv(d->peers[i], &d->inbox, &packet);

	if (result == IPC_AGAIN)
		return;
	if (result == IPC_CLOSED) {
		close(d->peers[i]);
		d->peers[i] = d->peers[--d->peer_count];
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
			config_unmap(old);
			tell_ready(d);
		}
	}
	if (result == IPC_OK)
		packet_close_fds(&packet);
	return true;
}

int
deliver_main(struct child *self)
{
	struct deliver d = { .self = self, .smtp = smtp_open(self->config->host_name) };

	if (d.smtp == NULL)
		return 1;
	tell_ready(&d);
	for (;;) {
		struct pollfd fds[MAX_PEERS + 2] = { { self->master, POLLIN, 0 }, { self->listen_fd, POLLIN, 0 } };
		size_t peers = d.peer_count;

		for (size_t i = 0; i < peers; i++)
			fds[i + 2] = (struct pollfd){ d.peers[i], POLLIN, 0 };
		if (poll(fds, 2 + peers, IDLE_CHECK_MS) < 0 && errno != EINTR)
			return 1;
		if (fds[0].revents && !from_master(&d))
			break;
		for (size_t i = peers; i > 0; i--)
			if (fds[i + 1].revents)
				from_peer(&d, i - 1);
		if (fds[1].revents && d.peer_count < MAX_PEERS) {
			int sock = accept4(self->listen_fd, NULL, NULL, SOCK_CLOEXEC);

			if (sock >= 0)
				d.peers[d.peer_count++] = sock;
		}
		smtp_idle(d.smtp);
	}
	smtp_close(d.smtp);
	return 0;
}
