#include "policyd/net/smtp_client.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "policyd/base/clock.h"

enum { LINE_ROOM = 2048 };

struct smtp {
	int fd;
	char server[128], helo[128];
	bool pipelining, utf8, eightbit, xforward, size, dsn;
	int mails;
	int64_t used_ms, deadline_ms;
	char in[LINE_ROOM];
	size_t in_n;
};

struct smtp *
smtp_open(const char *helo_name)
{
	struct smtp *s = calloc(1, sizeof *s);

	if (s == NULL)
		return NULL;
	s->fd = -1;
	snprintf(s->helo, sizeof s->helo, "%s", helo_name);
	return s;
}

static void
hang_up(struct smtp *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	s->in_n = 0;
}

static bool
lost(struct smtp *s, struct smtp_reply *reply, const char *what)
{
	reply->code = 0;
	snprintf(reply->text, sizeof reply->text, "%s: %s", s->server, what);
	hang_up(s);
	return false;
}

static bool
wait_for(struct smtp *s, short events)
{
	struct pollfd p = { .fd = s->fd, .events = events };
	int n;

	do
		n = poll(&p, 1, clock_left_ms(s->deadline_ms));
	while (n < 0 && errno == EINTR);
	return n == 1;
}

static bool
send_all(struct smtp *s, struct span bytes, struct smtp_reply *reply)
{
	while (bytes.n > 0) {
		ssize_t n = send(s->fd, bytes.p, bytes.n, MSG_NOSIGNAL);

		if (n > 0)
			bytes = span_from(bytes, (size_t)n);
		else if (n < 0 && errno != EAGAIN && errno != EINTR)
			return lost(s, reply, strerror(errno));
		else if (!wait_for(s, POLLOUT))
			return lost(s, reply, "it does not take what is sent");
	}
	return true;
}

/* One line, without its end. */
static bool
read_line(struct smtp *s, char line[LINE_ROOM], struct smtp_reply *reply)
{
	for (;;) {
		size_t lf = span_find_char(span_make(s->in, s->in_n), '\n');

		if (lf != SPAN_NONE) {
			size_t n = lf > 0 && s->in[lf - 1] == '\r' ? lf - 1 : lf;

			memcpy(line, s->in, n);
			line[n] = '\0';
			memmove(s->in, s->in + lf + 1, s->in_n - lf - 1);
			s->in_n -= lf + 1;
			return true;
		}
		if (s->in_n == sizeof s->in)
			return lost(s, reply, "its line is too long");
		ssize_t n = recv(s->fd, s->in + s->in_n, sizeof s->in - s->in_n, 0);

		if (n > 0)
			s->in_n += (size_t)n;
		else if (n == 0)
			return lost(s, reply, "it closed the connection");
		else if (errno != EAGAIN && errno != EINTR)
			return lost(s, reply, strerror(errno));
		else if (!wait_for(s, POLLIN))
			return lost(s, reply, "no answer in time");
	}
}

/* One reply, of any number of lines; the last one's text is kept. */
static bool
read_reply(struct smtp *s, struct smtp_reply *reply, void (*each)(struct smtp *s, const char *line))
{
	char line[LINE_ROOM];

	do {
		if (!read_line(s, line, reply))
			return false;
		if (strlen(line) < 3)
			return lost(s, reply, "its answer is not SMTP");
		if (each && strlen(line) > 4)
			each(s, line + 4);
	} while (line[3] == '-');
	reply->code = atoi(line);
	snprintf(reply->text, sizeof reply->text, "%s", line);
	return reply->code >= 200 || lost(s, reply, "its answer is not SMTP");
}

static void
note_feature(struct smtp *s, const char *line)
{
	struct span word = span_of(line), name = span_cut(&word, ' ');

	s->pipelining |= span_eq_nocase(name, SPAN("PIPELINING"));
	s->utf8 |= span_eq_nocase(name, SPAN("SMTPUTF8"));
	s->eightbit |= span_eq_nocase(name, SPAN("8BITMIME"));
	s->size |= span_eq_nocase(name, SPAN("SIZE"));
	s->xforward |= span_eq_nocase(name, SPAN("XFORWARD"));
	s->dsn |= span_eq_nocase(name, SPAN("DSN"));
}

static bool
dial(struct smtp *s, const char *server, struct smtp_reply *reply)
{
	char host[128];
	const char *colon = strrchr(server, ':');
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV }, *list = NULL;
	int one = 1;

	snprintf(s->server, sizeof s->server, "%s", server);
	snprintf(host, sizeof host, "%.*s", colon ? (int)(colon - server) : 0, server);
	if (host[0] == '[')
		memmove(host, host + 1, strlen(host)), host[strcspn(host, "]")] = '\0';
	if (colon == NULL || getaddrinfo(host, colon + 1, &hints, &list) != 0)
		return lost(s, reply, "no such server; expected HOST:PORT");
	s->fd = socket(list->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int result = s->fd < 0 ? -1 : connect(s->fd, list->ai_addr, list->ai_addrlen);

	freeaddrinfo(list);
	if (result < 0 && (s->fd < 0 || errno != EINPROGRESS || !wait_for(s, POLLOUT)))
		return lost(s, reply, "cannot connect");
	int error = 0;
	socklen_t n = sizeof error;

	if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &n) < 0 || error)
		return lost(s, reply, strerror(error));
	setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	return true;
}

static bool
greet(struct smtp *s, const char *server, struct smtp_reply *reply)
{
	char line[192];

	s->pipelining = s->utf8 = s->eightbit = s->xforward = s->size = s->dsn = false;
	s->mails = 0;
	s->in_n = 0;
	if (!dial(s, server, reply) || !read_reply(s, reply, NULL))
		return false;
	if (reply->code != 220) {
		hang_up(s);
		return false;
	}
	snprintf(line, sizeof line, "EHLO %s\r\n", s->helo);
	if (!send_all(s, span_of(line), reply) || !read_reply(s, reply, note_feature))
		return false;
	if (reply->code != 250) {
		hang_up(s);
		return false;
	}
	return true;
}

static bool
is_ascii(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] >= 0x80)
			return false;
	return true;
}

/* Nothing of ours ends an SMTP line early. */
static bool
safe(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
			return false;
	return true;
}

static void
add_xforward(struct smtp *s, struct buf *out, const struct smtp_mail *mail)
{
	if (s->xforward && mail->xforward.n > 0 && safe(mail->xforward)) {
		buf_printf(out, "XFORWARD " SPAN_FMT "\r\n", SPAN_ARG(mail->xforward));
		return;
	}
	if (!s->xforward || mail->client_ip.n == 0 || span_eq(mail->client_ip, SPAN("unknown")) || !safe(mail->client_ip))
		return;
	bool v6 = span_find_char(mail->client_ip, ':') != SPAN_NONE;

	buf_printf(out, "XFORWARD ADDR=%s" SPAN_FMT, v6 ? "IPV6:" : "", SPAN_ARG(mail->client_ip));
	if (mail->helo.n > 0 && mail->helo.n < 200 && safe(mail->helo) && is_ascii(mail->helo) &&
	    span_find_char(mail->helo, ' ') == SPAN_NONE && span_find_char(mail->helo, '+') == SPAN_NONE)
		buf_printf(out, " HELO=" SPAN_FMT, SPAN_ARG(mail->helo));
	buf_add_span(out, SPAN("\r\n"));
}

/* RFC 5321, 4.5.2; line ends become CRLF where they are not. */
static void
add_body(struct buf *out, struct span bytes)
{
	for (struct span rest = bytes; rest.n > 0;) {
		size_t lf = span_find_char(rest, '\n');
		struct span line = lf == SPAN_NONE ? rest : span_head(rest, lf);

		if (line.n > 0 && line.p[0] == '.')
			buf_add_char(out, '.');
		buf_add_span(out, line);
		if (lf == SPAN_NONE)
			buf_add_span(out, SPAN("\r\n"));
		else
			buf_add_span(out, lf > 0 && rest.p[lf - 1] == '\r' ? SPAN("\n") : SPAN("\r\n"));
		rest = lf == SPAN_NONE ? SPAN("") : span_from(rest, lf + 1);
	}
}

/* "250 2.0.0 Ok: queued as 4XyZ" (Postfix), "250 2.0.0 xABC Message accepted for delivery" (Sendmail). */
static void
read_queue_id(struct smtp_reply *reply)
{
	struct span rest = span_of(reply->text), word;
	size_t at = span_find(rest, SPAN("queued as "));

	if (at != SPAN_NONE) {
		rest = span_from(rest, at + 10);
		word = span_cut(&rest, ' ');
	} else {
		span_cut(&rest, ' ');
		span_cut(&rest, ' ');
		word = span_cut(&rest, ' ');
	}
	snprintf(reply->queue_id, sizeof reply->queue_id, SPAN_FMT, SPAN_ARG(span_head(word, 63)));
}

static void
add_parameter(struct buf *line, const char *name, struct span value)
{
	if (value.n > 0 && safe(value) && span_find_char(value, ' ') == SPAN_NONE)
		buf_printf(line, " %s=" SPAN_FMT, name, SPAN_ARG(value));
}

static void
add_mail(const struct smtp *s, struct buf *line, const struct smtp_mail *mail, const struct smtp_rcpt *rcpts, size_t count)
{
	bool utf8 = mail->smtputf8 || !is_ascii(mail->sender);

	for (size_t i = 0; i < count; i++)
		utf8 |= !is_ascii(rcpts[i].address);
	buf_printf(line, "MAIL FROM:<" SPAN_FMT ">", SPAN_ARG(mail->sender));
	if (s->size)
		buf_printf(line, " SIZE=%zu", mail->bytes.n);
	if (s->eightbit && !is_ascii(mail->bytes))
		buf_printf(line, " BODY=8BITMIME");
	if (s->utf8 && utf8)
		buf_printf(line, " SMTPUTF8");
	if (s->dsn) {
		add_parameter(line, "RET", mail->ret);
		add_parameter(line, "ENVID", mail->envid);
	}
	buf_add_span(line, SPAN("\r\n"));
}

static void
add_rcpt(const struct smtp *s, struct buf *line, const struct smtp_rcpt *rcpt)
{
	struct span address = rcpt->address;

	if (address.n >= 2 && address.p[0] == '<')
		address = span_make(address.p + 1, address.n - 2);
	buf_printf(line, "RCPT TO:<" SPAN_FMT ">", SPAN_ARG(address));
	if (s->dsn) {
		add_parameter(line, "NOTIFY", rcpt->notify);
		add_parameter(line, "ORCPT", rcpt->orcpt);
	}
	buf_add_span(line, SPAN("\r\n"));
}

/* All recipients have the same answer. */
static bool
said_to_all(struct smtp_rcpt *rcpts, size_t count, const struct smtp_reply *reply)
{
	for (size_t i = 0; i < count; i++)
		*rcpts[i].reply = *reply;
	return false;
}

/* One command, and its answer if nothing is to be sent before that. */
static bool
say(struct smtp *s, const struct buf *line, struct smtp_reply *reply)
{
	if (line->failed)
		return lost(s, reply, "no memory");
	return send_all(s, buf_span(line), reply) && (s->pipelining || read_reply(s, reply, NULL));
}

static bool
hear(struct smtp *s, struct smtp_reply *reply)
{
	return !s->pipelining || read_reply(s, reply, NULL);
}

/* The commands before the mail itself, each with its answer; with PIPELINING they go out together. Recipients that are
 * refused have their reply. True: the server waits for the mail, of at least one recipient. */
static bool
envelope(struct smtp *s, const struct smtp_mail *mail, struct smtp_rcpt *rcpts, size_t count, struct smtp_reply *reply)
{
	struct buf xforward = { 0 }, from = { 0 }, line = { 0 };
	struct smtp_reply data = { 0 };
	size_t taken = 0;
	bool good = true, asked = true;

	add_xforward(s, &xforward, mail);
	add_mail(s, &from, mail, rcpts, count);
	if (s->pipelining) {
		buf_add_span(&line, buf_span(&xforward));
		buf_add_span(&line, buf_span(&from));
		for (size_t i = 0; i < count; i++)
			add_rcpt(s, &line, &rcpts[i]);
		buf_add_span(&line, SPAN("DATA\r\n"));
		good = say(s, &line, reply);
	}
	if (good && xforward.n > 0)          /* refused is no reason not to deliver */
		good = s->pipelining ? hear(s, reply) : say(s, &xforward, reply);
	if (good)
		good = s->pipelining ? hear(s, reply) : say(s, &from, reply);
	bool sender_taken = good && reply->code / 100 == 2;

	if (good && !sender_taken)
		said_to_all(rcpts, count, reply);
	for (size_t i = 0; i < count && good && (sender_taken || s->pipelining); i++) {
		struct smtp_reply one = { 0 };

		buf_clear(&line);
		add_rcpt(s, &line, &rcpts[i]);
		good = s->pipelining ? hear(s, &one) : say(s, &line, &one);
		if (!good)
			*reply = one;
		else if (sender_taken)
			*rcpts[i].reply = one;
		taken += good && sender_taken && one.code / 100 == 2;
	}
	if (good && (taken > 0 || s->pipelining)) {
		buf_clear(&line);
		buf_add_span(&line, SPAN("DATA\r\n"));
		good = s->pipelining ? hear(s, &data) : say(s, &line, &data);
		if (!good)
			*reply = data;
	} else {
		asked = false;
	}
	buf_free(&xforward);
	buf_free(&from);
	buf_free(&line);
	if (!good)
		return said_to_all(rcpts, count, reply);
	if (taken > 0 && data.code == 354)
		return true;
	if (taken > 0)
		for (size_t i = 0; i < count; i++)
			if (rcpts[i].reply->code / 100 == 2)
				*rcpts[i].reply = data;
	if (asked && data.code == 354)       /* it waits for a mail to nobody: the connection is not worth untangling */
		hang_up(s);
	return false;
}

static bool
deliver(struct smtp *s, const struct smtp_mail *mail, struct smtp_rcpt *rcpts, size_t count)
{
	struct smtp_reply reply = { 0 };
	struct buf body = { 0 };
	bool taken = false;

	add_body(&body, mail->bytes);
	if (body.failed) {
		buf_free(&body);
		lost(s, &reply, "no memory");
	} else if (send_all(s, buf_span(&body), &reply)) {
		int64_t start = clock_ms();

		if (mail->before_end)
			mail->before_end(mail);
		s->deadline_ms += clock_ms() - start;
		taken = send_all(s, SPAN(".\r\n"), &reply) && read_reply(s, &reply, NULL) && reply.code / 100 == 2;
	}
	if (taken)
		read_queue_id(&reply);
	buf_free(&body);
	s->mails++;
	s->used_ms = clock_ms();
	for (size_t i = 0; i < count; i++)
		if (rcpts[i].reply->code / 100 == 2)
			*rcpts[i].reply = reply;
	return taken;
}

bool
smtp_deliver_all(struct smtp *s, const char *server, const struct smtp_mail *mail, struct smtp_rcpt *rcpts, size_t count, int timeout_ms)
{
	bool kept = s->fd >= 0 && strcmp(s->server, server) == 0, good = safe(mail->sender);
	struct smtp_reply reply = { 0 };

	s->deadline_ms = clock_ms() + timeout_ms;
	for (size_t i = 0; i < count; i++) {
		*rcpts[i].reply = (struct smtp_reply){ 0 };
		good = good && safe(rcpts[i].address);
	}
	if (!good) {
		reply.code = 553;
		snprintf(reply.text, sizeof reply.text, "553 5.1.3 an address with control characters is not sent");
		return said_to_all(rcpts, count, &reply);
	}
	if (!kept || s->mails >= SMTP_MAILS_A_CONNECTION) {
		kept = false;
		hang_up(s);
		if (!greet(s, server, &reply))
			return said_to_all(rcpts, count, &reply);
	}
	good = envelope(s, mail, rcpts, count, &reply);
	if (!good && rcpts[0].reply->code == 0 && kept) {     /* the kept connection was dead: once more on a new one */
		if (!greet(s, server, &reply))
			return said_to_all(rcpts, count, &reply);
		good = envelope(s, mail, rcpts, count, &reply);
	}
	return good && deliver(s, mail, rcpts, count);
}

bool
smtp_deliver(struct smtp *s, const char *server, const struct smtp_mail *mail, int timeout_ms, struct smtp_reply *reply)
{
	struct smtp_rcpt rcpt = { .address = mail->recipient, .reply = reply };

	return smtp_deliver_all(s, server, mail, &rcpt, 1, timeout_ms);
}

static void
quit(struct smtp *s)
{
	struct smtp_reply ignored;

	if (s->fd < 0)
		return;
	s->deadline_ms = clock_ms() + 100;
	send_all(s, SPAN("QUIT\r\n"), &ignored);
	hang_up(s);
}

bool
smtp_probe(struct smtp *s, const char *server, int timeout_ms, struct smtp_reply *reply)
{
	*reply = (struct smtp_reply){ 0 };
	s->deadline_ms = clock_ms() + timeout_ms;
	bool good = greet(s, server, reply);

	quit(s);
	return good;
}

void
smtp_idle(struct smtp *s)
{
	if (s->fd >= 0 && clock_ms() - s->used_ms >= SMTP_IDLE_MS)
		quit(s);
}

void
smtp_close(struct smtp *s)
{
	if (s)
		hang_up(s);
	free(s);
}
