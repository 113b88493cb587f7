#include "policyd/deliver/lmtp.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "policyd/base/clock.h"
#include "policyd/base/log.h"
#include "policyd/base/metrics.h"
#include "policyd/deliver/lmtp_visit.h"

enum { MTA_ADDS = 1024 * 1024 };

static void
say(struct visit *s, const char *text)
{
	char line[600];
	size_t n = (size_t)snprintf(line, sizeof line - 2, "%s", text), sent = 0;

	n = n < sizeof line - 2 ? n : sizeof line - 3;
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)line[i] < 0x20 || (unsigned char)line[i] > 0x7e)
			line[i] = '?';
	memcpy(line + n, "\r\n", 2);
	while (sent < n + 2) {
		struct pollfd p = { s->sock, POLLOUT, 0 };
		ssize_t k = send(s->sock, line + sent, n + 2 - sent, MSG_NOSIGNAL);

		if (k > 0)
			sent += (size_t)k;
		else if (k < 0 && errno != EAGAIN && errno != EINTR)
			return;              /* the next read sees it */
		else if (poll(&p, 1, LMTP_COMMAND_MS) == 0)
			return;
	}
}

/* More of the client's bytes; false: he has gone, or is silent. */
static bool
more(struct visit *s)
{
	struct pollfd p = { s->sock, POLLIN, 0 };
	ssize_t n;

	if (s->in_n == sizeof s->in)
		return false;
	do
		n = poll(&p, 1, LMTP_COMMAND_MS) == 1 ? recv(s->sock, s->in + s->in_n, sizeof s->in - s->in_n, 0) : 0;
	while (n < 0 && (errno == EAGAIN || errno == EINTR));
	if (n <= 0)
		return false;
	s->in_n += (size_t)n;
	return true;
}

static void
used(struct visit *s, size_t n)
{
	memmove(s->in, s->in + n, s->in_n - n);
	s->in_n -= n;
}

static bool
read_line(struct visit *s, char line[LMTP_LINE])
{
	size_t lf;

	while ((lf = span_find_char(span_make(s->in, s->in_n), '\n')) == SPAN_NONE)
		if (!more(s))
			return false;
	size_t n = lf > 0 && s->in[lf - 1] == '\r' ? lf - 1 : lf;

	if (n < LMTP_LINE)
		memcpy(line, s->in, n);
	line[n < LMTP_LINE ? n : 0] = '\0';  /* one that is too long is no command */
	used(s, lf + 1);
	return true;
}

static void
reset(struct visit *s)
{
	s->mail = false;
	s->count = 0;
	s->sender[0] = s->ret[0] = s->envid[0] = '\0';
	s->smtputf8 = false;
}

/* ---- commands ---- */

static void
hello(struct visit *s)
{
	char line[300];

	snprintf(line, sizeof line, "250-%s", s->stage->host_name);
	say(s, line);
	say(s, "250-PIPELINING");
	say(s, "250-8BITMIME");
	say(s, "250-SMTPUTF8");
	say(s, "250-DSN");
	say(s, "250-ENHANCEDSTATUSCODES");
	say(s, "250 XFORWARD NAME ADDR PROTO HELO SOURCE PORT IDENT");
	s->greeted = true;
}

/* "<...>" with quotes inside, and what follows it. */
static bool
take_path(struct span *rest, char *to, size_t room)
{
	bool quoted = false;
	size_t n = 1;

	*rest = span_trim(*rest);
	if (rest->n < 2 || rest->p[0] != '<')
		return false;
	for (; n < rest->n && (quoted || rest->p[n] != '>'); n++) {
		if (rest->p[n] == '\\' && quoted)
			n++;
		else if (rest->p[n] == '"')
			quoted = !quoted;
	}
	if (n >= rest->n || n - 1 >= room)
		return false;
	memcpy(to, rest->p + 1, n - 1);
	to[n - 1] = '\0';
	*rest = span_trim(span_from(*rest, n + 1));
	return true;
}

/* NAME=value of the parameters into `to`, if it is there. */
static void
parameter(struct span rest, const char *name, char *to, size_t room)
{
	while (rest.n > 0) {
		struct span value = span_cut(&rest, ' '), key = span_cut(&value, '=');

		if (span_eq_nocase(key, span_of(name)) && value.n < room)
			snprintf(to, room, SPAN_FMT, SPAN_ARG(value));
	}
}

static void
mail_command(struct visit *s, struct span rest)
{
	struct stage *stage = s->stage;

	reset(s);
	if (!take_path(&rest, s->sender, sizeof s->sender)) {
		say(s, "501 5.1.7 expected MAIL FROM:<address>");
		return;
	}
	parameter(rest, "RET", s->ret, sizeof s->ret);
	parameter(rest, "ENVID", s->envid, sizeof s->envid);
	while (rest.n > 0)
		s->smtputf8 |= span_eq_nocase(span_cut(&rest, ' '), SPAN("SMTPUTF8"));
	pthread_mutex_lock(&stage->lock);
	bool stopping = stage->stopping;

	memcpy(s->reinject, stage->reinject, sizeof s->reinject);
	memcpy(s->domain, stage->domain, sizeof s->domain);
	memcpy(s->host_name, stage->host_name, sizeof s->host_name);
	s->limit = stage->message_limit + MTA_ADDS;
	pthread_mutex_unlock(&stage->lock);
	s->mail = !stopping;
	say(s, stopping ? "421 4.3.2 stopping; try again" : "250 2.1.0 ok");
}

static struct target *
target_new(struct visit *s)
{
	if (s->count == s->room) {
		size_t room = s->room ? s->room * 2 : 8;
		struct target *bigger = realloc(s->targets, room * sizeof *bigger);

		if (bigger == NULL)
			return NULL;
		s->targets = bigger;
		s->room = room;
	}
	memset(&s->targets[s->count], 0, sizeof s->targets[s->count]);
	return &s->targets[s->count];
}

static void
rcpt_command(struct visit *s, struct span rest)
{
	char address[MAX_ADDRESS + 1];
	struct target *t;

	if (!s->mail) {
		say(s, "503 5.5.1 MAIL first");
		return;
	}
	if (!take_path(&rest, address, sizeof address)) {
		say(s, "501 5.1.3 expected RCPT TO:<address>");
		return;
	}
	if (s->count == LMTP_RECIPIENTS || (t = target_new(s)) == NULL) {
		say(s, "452 4.5.3 too many recipients");
		return;
	}
	size_t at = span_find_last(span_of(address), '@');
	bool ours = at != SPAN_NONE && span_eq_nocase(span_of(address + at + 1), span_of(s->domain));

	switch (ours ? token_read(s->stage->key, span_head(span_of(address), at), wall_s(), &t->variant, t->recipient, &t->nonce) : TOKEN_BAD) {
	case TOKEN_PROBE:
		t->probe = true;
		break;
	case TOKEN_GOOD:
		parameter(rest, "NOTIFY", t->notify, sizeof t->notify);
		parameter(rest, "ORCPT", t->orcpt, sizeof t->orcpt);
		break;
	case TOKEN_EXPIRED:
		say(s, "550 5.4.7 this address has run out");
		return;
	case TOKEN_BAD:
		say(s, "550 5.1.1 no such address");
		return;
	}
	s->count++;
	say(s, "250 2.1.5 ok");
}

static void
xforward_command(struct visit *s, struct span rest)
{
	size_t n = strlen(s->xforward);

	if (n + rest.n + 2 < sizeof s->xforward)
		snprintf(s->xforward + n, sizeof s->xforward - n, "%s" SPAN_FMT, n ? " " : "", SPAN_ARG(rest));
	say(s, "250 2.0.0 ok");
}

/* ---- the mail ---- */

static int
spool_open(const struct visit *s)
{
	char path[PATH_ROOM + 8];

	snprintf(path, sizeof path, "%s/spool", s->stage->state);
	return open(path, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);     /* without a name, so nobody has to sweep it */
}

static bool
write_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t k = write(fd, p, n);

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return false;
		p += k;
		n -= (size_t)k;
	}
	return true;
}

/* All up to the lone dot, without the dots put before dots. False: the client has gone. `*kept`: every byte is in `fd`. */
static bool
read_data(struct visit *s, int fd, bool *kept)
{
	bool begins = true;                  /* a line does, at the first byte */
	uint64_t size = 0;

	for (;;) {
		size_t lf = span_find_char(span_make(s->in, s->in_n), '\n'), n = lf + 1;
		bool whole = lf != SPAN_NONE;

		if (!whole && s->in_n < sizeof s->in) {
			if (!more(s))
				return false;
			continue;
		}
		if (!whole)
			n = s->in_n - 1;     /* a line longer than the buffer goes on; its CR waits for what follows */
		if (begins && whole && (n == 2 || n == 3) && s->in[0] == '.' && (n == 2 || s->in[1] == '\r')) {
			used(s, n);
			return true;
		}
		size_t skip = begins && s->in[0] == '.';

		size += n - skip;
		*kept = *kept && size <= s->limit && write_all(fd, s->in + skip, n - skip);
		used(s, n);
		begins = whole;
	}
}

static void
reply_of(struct visit *s, const struct target *t)
{
	char line[400];

	if (t->reply.code >= 200)
		snprintf(line, sizeof line, "%s", t->reply.text);
	else
		snprintf(line, sizeof line, "451 4.4.1 %s", t->reply.text[0] ? t->reply.text : "no answer of the listener");
	if (!t->probe) {
		metrics_add(t->reply.code / 100 == 2 ? M_VARIANT_DELIVERED : t->reply.code >= 500 ? M_VARIANT_REFUSED : M_VARIANT_LATER, 1);
		log_info("variant of ref %s for <%s>: %s", t->variant.reference, t->recipient, line);
	}
	say(s, line);
}

static void
probe_returned(struct stage *stage, struct target *t)
{
	pthread_mutex_lock(&stage->lock);
	if (t->nonce == stage->nonce)
		stage->nonce_back = true;
	pthread_cond_signal(&stage->probe_back);
	pthread_mutex_unlock(&stage->lock);
	lmtp_answer(t, 250, "250 2.0.0 the way is open");
}

static void
busy(struct stage *stage, int change)
{
	pthread_mutex_lock(&stage->lock);
	stage->busy += change;
	pthread_mutex_unlock(&stage->lock);
}

/* False: the client has gone. */
static bool
data_command(struct visit *s)
{
	bool kept = true;
	int fd;

	if (s->count == 0) {
		say(s, "503 5.5.1 no recipients");
		return true;
	}
	if ((fd = spool_open(s)) < 0) {
		say(s, "451 4.3.1 no room to hold it");
		return true;
	}
	say(s, "354 go on");
	if (!read_data(s, fd, &kept)) {
		close(fd);
		return false;
	}
	busy(s->stage, 1);
	for (size_t i = 0; i < s->count; i++) {
		struct target *t = &s->targets[i];

		if (t->probe)
			probe_returned(s->stage, t);
		else if (!kept)
			lmtp_answer(t, 451, "451 4.3.1 no room to hold it");
		else if (!t->done)
			lmtp_deliver(s, i, fd);
	}
	for (size_t i = 0; i < s->count; i++)
		reply_of(s, &s->targets[i]);
	busy(s->stage, -1);
	close(fd);
	reset(s);
	return true;
}

static void
converse(struct visit *s)
{
	char line[LMTP_LINE];

	snprintf(line, sizeof line, "220 %s LMTP policyd", s->stage->host_name);
	say(s, line);
	while (read_line(s, line)) {
		struct span rest = span_of(line), verb = span_cut(&rest, ' ');

		if (span_eq_nocase(verb, SPAN("LHLO"))) {
			hello(s);
		} else if (span_eq_nocase(verb, SPAN("QUIT"))) {
			say(s, "221 2.0.0 bye");
			return;
		} else if (!s->greeted) {
			say(s, "503 5.5.1 LHLO first");
		} else if (span_starts_nocase(span_of(line), SPAN("MAIL FROM:"))) {
			mail_command(s, span_from(span_of(line), 10));
		} else if (span_starts_nocase(span_of(line), SPAN("RCPT TO:"))) {
			rcpt_command(s, span_from(span_of(line), 8));
		} else if (span_eq_nocase(verb, SPAN("XFORWARD"))) {
			xforward_command(s, rest);
		} else if (span_eq_nocase(verb, SPAN("RSET"))) {
			reset(s);
			say(s, "250 2.0.0 ok");
		} else if (span_eq_nocase(verb, SPAN("NOOP"))) {
			say(s, "250 2.0.0 ok");
		} else if (!span_eq_nocase(verb, SPAN("DATA"))) {
			say(s, "500 5.5.2 unknown command");
		} else if (!data_command(s)) {
			return;
		}
		if (span_eq_nocase(verb, SPAN("DATA")))
			s->xforward[0] = '\0';
	}
}

static void *
serve(void *arg)
{
	struct visit *s = arg;

	if (s->smtp)
		converse(s);
	smtp_close(s->smtp);
	if (s->broker >= 0)
		close(s->broker);
	inbox_free(&s->inbox);
	close(s->sock);
	pthread_mutex_lock(&s->stage->lock);
	s->stage->connections--;
	pthread_mutex_unlock(&s->stage->lock);
	free(s->targets);
	free(s);
	return NULL;
}

void
lmtp_serve(struct stage *stage, int sock)
{
	struct visit *s = calloc(1, sizeof *s);
	pthread_t thread;

	if (s) {
		*s = (struct visit){ .stage = stage, .sock = sock, .broker = -1 };
		s->smtp = smtp_open(stage->host_name);
		pthread_mutex_lock(&stage->lock);
		stage->connections++;
		pthread_mutex_unlock(&stage->lock);
		if (pthread_create(&thread, NULL, serve, s) == 0) {
			pthread_detach(thread);
			return;
		}
		pthread_mutex_lock(&stage->lock);
		stage->connections--;
		pthread_mutex_unlock(&stage->lock);
		smtp_close(s->smtp);
	}
	free(s);
	close(sock);                         /* the MTA tries again */
}
