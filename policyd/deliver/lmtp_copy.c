/* lmtp_copy.c - a recipient's own copy: made by a worker, taken to the listener without milters, and what that answers. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "policyd/base/log.h"
#include "policyd/deliver/lmtp_visit.h"
#include "policyd/scan/rewrite.h"

enum { MAKE_MS = 65 * 1000, REINJECT_MS = 120 * 1000 };

void
lmtp_answer(struct target *t, int code, const char *text)
{
	t->done = true;
	t->reply.code = code;
	snprintf(t->reply.text, sizeof t->reply.text, "%s", text);
}

/* The bytes of one variant, made by a worker. -1: not now. */
static int
make(struct visit *s, const struct target *t, int fd, struct buf *traces)
{
	struct buf body = { 0 }, variant = { 0 }, received = { 0 };
	const struct variant *v = &t->variant;
	char date[64], trace[TRACE_ROOM];
	struct packet packet;
	time_t now = time(NULL);
	struct tm tm;
	int made = -1;

	trace_make(s->stage->key, v->reference, trace);
	strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S %z", localtime_r(&now, &tm));
	buf_printf(&received, "Received: by %s " REWRITE_BY_STAGE "%s;\r\n\t%s\r\n", s->host_name, trace, date);
	variant_pack(&variant, v);
	pack_span(&body, buf_span(&variant));
	pack_span(&body, buf_span(&received));
	pack_text(&body, t->recipient);
	struct packet question = { .type = W_VARIANT, .id = 1, .body = buf_span(&body), .fds = { fd }, .fd_count = 1 };

	if (s->broker < 0)
		s->broker = stage_broker(s->stage->run);
	if (s->broker >= 0 && (body.failed || ipc_send_wait(s->broker, &question, LMTP_COMMAND_MS) != IPC_OK ||
	    ipc_recv_wait(s->broker, &s->inbox, &packet, MAKE_MS) != IPC_OK)) {
		close(s->broker);
		s->broker = -1;
	} else if (s->broker >= 0) {
		struct unpack u = { packet.body, false };
		struct span text = unpack_span(&u);

		if (packet.type == W_VARIANT_MADE && packet.fd_count == 1) {
			made = packet.fds[0];
			packet.fd_count = 0;
			buf_clear(traces);
			buf_add_span(traces, text);
		} else {
			log_warning("variants: ref %s: " SPAN_FMT "; the MTA keeps it and tries again", v->reference, SPAN_ARG(text));
		}
		packet_close_fds(&packet);
	}
	buf_free(&body);
	buf_free(&variant);
	buf_free(&received);
	return made;
}

static bool
in_circles(const struct visit *s, const struct buf *traces)
{
	int passed = 0;

	for (size_t at = 0; at + TRACE_LETTERS <= traces->n; at += TRACE_LETTERS)
		passed += trace_good(s->stage->key, span_make(traces->p + at, TRACE_LETTERS));
	return passed >= PASSAGES_MOST;
}

static bool
same_variant(const struct variant *a, const struct variant *b)
{
	struct buf x = { 0 }, y = { 0 };

	variant_pack(&x, a);
	variant_pack(&y, b);
	bool same = !x.failed && !y.failed && span_eq(buf_span(&x), buf_span(&y));

	buf_free(&x);
	buf_free(&y);
	return same;
}

void
lmtp_deliver(struct visit *s, size_t first, int fd)
{
	struct smtp_rcpt *rcpts = calloc(s->count, sizeof *rcpts);
	struct smtp_mail mail = { .sender = span_of(s->sender), .xforward = span_of(s->xforward), .ret = span_of(s->ret),
	    .envid = span_of(s->envid), .smtputf8 = s->smtputf8 };
	const struct variant *v = &s->targets[first].variant;
	struct buf traces = { 0 };
	const char *fault = NULL;
	size_t n = 0;
	int made = make(s, &s->targets[first], fd, &traces);

	for (size_t i = first; rcpts && i < s->count; i++) {
		struct target *t = &s->targets[i];

		/* What is taken out is by his own policy: a copy for one. */
		if (t->done || t->probe || !same_variant(&t->variant, v) || (v->strip && i != first))
			continue;
		t->done = true;
		rcpts[n++] = (struct smtp_rcpt){ .address = span_of(t->recipient), .notify = span_of(t->notify), .orcpt = span_of(t->orcpt), .reply = &t->reply };
	}
	mail.bytes = made >= 0 ? map_fd(made) : SPAN("");
	if (made < 0 || mail.bytes.p == NULL)
		fault = "451 4.3.0 this copy cannot be made now";
	else if (in_circles(s, &traces))
		fault = "554 5.4.6 this mail goes in circles";
	if (fault)
		for (size_t i = 0; i < n; i++) {
			rcpts[i].reply->code = atoi(fault);
			snprintf(rcpts[i].reply->text, sizeof rcpts[i].reply->text, "%s", fault);
		}
	else
		smtp_deliver_all(s->smtp, s->reinject, &mail, rcpts, n, REINJECT_MS);
	if (made >= 0) {
		unmap(mail.bytes);
		close(made);
	}
	if (rcpts == NULL)
		lmtp_answer(&s->targets[first], 451, "451 4.3.0 no memory");
	free(rcpts);
	buf_free(&traces);
}
