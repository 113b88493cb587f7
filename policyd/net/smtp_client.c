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
	bool pipelining, utf8, eightbit, xforward, size;
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

	s->pipelining = s->utf8 = s->eightbit = s->xforward = s->size = false;
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

/* The commands before the mail itself: each is answered; with PIPELINING they go out together. */
static bool
envelope(struct smtp *s, const struct smtp_mail *mail, struct smtp_reply *reply)
{
	struct buf lines[4] = { { 0 } };
	struct span rcpt = mail->recipient;
	bool utf8 = s->utf8 && !(is_ascii(mail->sender) && is_ascii(mail->recipient)), good = true;
	struct smtp_reply first_bad = { 0 };

	if (rcpt.n >= 2 && rcpt.p[0] == '<')
		rcpt = span_make(rcpt.p + 1, rcpt.n - 2);
	add_xforward(s, &lines[0], mail);
	buf_printf(&lines[1], "MAIL FROM:<" SPAN_FMT ">", SPAN_ARG(mail->sender));
	if (s->size)
		buf_printf(&lines[1], " SIZE=%zu", mail->bytes.n);
	if (s->eightbit && !is_ascii(mail->bytes))
		buf_printf(&lines[1], " BODY=8BITMIME");
	buf_printf(&lines[1], "%s\r\n", utf8 ? " SMTPUTF8" : "");
	buf_printf(&lines[2], "RCPT TO:<" SPAN_FMT ">\r\n", SPAN_ARG(rcpt));
	buf_printf(&lines[3], "DATA\r\n");
	for (int i = 0; i < 4 && s->pipelining && good; i++)
		good = send_all(s, buf_span(&lines[i]), reply);
	for (int i = 0; i < 4 && good; i++) {
		if (lines[i].n == 0)
			continue;
		good = (s->pipelining || send_all(s, buf_span(&lines[i]), reply)) && read_reply(s, reply, NULL);
		if (!good)
			break;
		if (i == 0)
			continue;            /* XFORWARD refused is no reason not to deliver */
		if (reply->code >= 400 && first_bad.code == 0)
			first_bad = *reply;
		if (reply->code >= 400 && !s->pipelining)
			break;
	}
	for (int i = 0; i < 4; i++)
		buf_free(&lines[i]);
	if (!good)
		return false;
	if (first_bad.code) {
		/* DATA may have been taken all the same, with no recipient: the connection is not worth untangling. */
		*reply = first_bad;
		hang_up(s);
		return false;
	}
	return reply->code == 354;
}

bool
smtp_deliver(struct smtp *s, const char *server, const struct smtp_mail *mail, int timeout_ms, struct smtp_reply *reply)
{
	bool kept = s->fd >= 0 && strcmp(s->server, server) == 0;
	struct buf body = { 0 };
	bool good;

	*reply = (struct smtp_reply){ 0 };
	s->deadline_ms = clock_ms() + timeout_ms;
	if (!safe(mail->sender) || !safe(mail->recipient)) {
		reply->code = 553;
		snprintf(reply->text, sizeof reply->text, "553 5.1.3 an address with control characters is not sent");
		return false;
	}
	if (!kept || s->mails >= SMTP_MAILS_A_CONNECTION) {
		hang_up(s);
		if (!greet(s, server, reply))
			return false;
	}
	good = envelope(s, mail, reply);
	if (!good && reply->code == 0 && kept) {      /* the kept connection was dead: once more on a new one */
		*reply = (struct smtp_reply){ 0 };
		good = greet(s, server, reply) && envelope(s, mail, reply);
	}
	if (!good)
		return false;
	add_body(&body, mail->bytes);
	if (body.failed) {
		buf_free(&body);
		return lost(s, reply, "no memory");
	}
	good = send_all(s, buf_span(&body), reply);
	if (good && mail->before_end) {
		int64_t start = clock_ms();

		mail->before_end(mail);
		s->deadline_ms += clock_ms() - start;
	}
	good = good && send_all(s, SPAN(".\r\n"), reply) && read_reply(s, reply, NULL);
	buf_free(&body);
	s->mails++;
	s->used_ms = clock_ms();
	if (!good || reply->code / 100 != 2)
		return false;
	read_queue_id(reply);
	return true;
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
