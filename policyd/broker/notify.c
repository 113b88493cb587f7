#include "policyd/broker/notify.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netdb.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "policyd/base/clock.h"
#include "policyd/base/log.h"
#include "policyd/base/metrics.h"
#include "policyd/net/smtp_client.h"

enum { TICK_MS = 500, HOUR_MS = 3600 * 1000 };

struct notice {
	pid_t pid;                           /* 0: free */
	int64_t deadline_ms;
	char how[16];
};

struct notify {
	struct event *tick;
	struct notice notices[NOTIFY_CHILDREN];
	int64_t hour_ms;
	uint32_t in_hour;
};

/* ---- in the child: it may wait, and its exit code says how it went ---- */

/* Sockets of the broker are none of its business: those who wait for the broker's end must see it. */
static void
leave_broker(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	closelog();                          /* else its socket's number would be the next one's */
	close_range(3, ~0u, 0);
	alarm(NOTIFY_MS / 1000);
}

/* It names accounts, subjects and domains of strangers: a header takes printable ASCII. */
static void
header_text(const char *text, char *to, size_t room)
{
	size_t n = 0;

	for (; *text && n + 1 < room; text++)
		to[n++] = *text >= 0x20 && *text < 0x7f ? *text : '?';
	to[n] = '\0';
}

static int
send_mail(const struct config *config, const char *subject, const char *text)
{
	struct smtp *smtp = smtp_open(config->host_name);
	struct buf mail = { 0 };
	char date[64], from[MAX_HOST_NAME + 16], title[200];
	time_t now = time(NULL);
	struct smtp_reply reply = { 0 };
	struct tm tm;

	strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S +0000", gmtime_r(&now, &tm));
	snprintf(from, sizeof from, "policyd@%s", config->host_name);
	header_text(subject, title, sizeof title);
	buf_printf(&mail, "From: policyd <%s>\r\nTo: <%s>\r\nSubject: policyd: %s\r\nDate: %s\r\nMessage-ID: <%lld.%d.alarm@%s>\r\nMIME-Version: 1.0\r\n"
	    "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\nAuto-Submitted: auto-generated\r\n\r\n", from, config->alarm_mail,
	    title, date, (long long)now, (int)getpid(), config->host_name);
	for (; *text; text++)
		buf_printf(&mail, *text == '\n' ? "\r\n" : "%c", *text);
	buf_printf(&mail, "\r\n");
	const struct smtp_mail one = { .sender = span_of(from), .recipient = span_of(config->alarm_mail), .bytes = buf_span(&mail) };

	if (smtp == NULL || mail.failed || !smtp_deliver(smtp, config->reinject, &one, NOTIFY_MS - 2000, &reply)) {
		log_error("alarms: the mail to %s was not taken by %s: %s", config->alarm_mail, config->reinject, reply.text);
		return 1;
	}
	return 0;
}

/* "https://host[:port]/path" in its parts; an IPv6 address stands in brackets. */
static bool
url_parts(const char *url, bool *tls, char host[256], char port[8], const char **path)
{
	const char *at = strstr(url, "://"), *end, *colon, *bracket;

	*tls = strncmp(url, "https://", 8) == 0;
	if (at == NULL || (!*tls && strncmp(url, "http://", 7) != 0))
		return false;
	at += 3;
	end = at + strcspn(at, "/");
	bracket = *at == '[' ? memchr(at, ']', (size_t)(end - at)) : NULL;
	colon = memchr(bracket ? bracket : at, ':', (size_t)(end - (bracket ? bracket : at)));
	if (bracket)
		snprintf(host, 256, "%.*s", (int)(bracket - at - 1), at + 1);
	else
		snprintf(host, 256, "%.*s", (int)((colon ? colon : end) - at), at);
	snprintf(port, 8, "%.*s", colon ? (int)(end - colon - 1) : 3, colon ? colon + 1 : *tls ? "443" : "80");
	*path = *end ? end : "/";
	return host[0] != '\0';
}

static int
dial(const char *host, const char *port)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct timeval limit = { NOTIFY_MS / 2000, 0 };
	struct addrinfo *found = NULL;
	int sock = -1;

	if (getaddrinfo(host, port, &hints, &found) != 0)
		return -1;
	for (const struct addrinfo *a = found; a && sock < 0; a = a->ai_next) {
		sock = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (sock < 0)
			continue;
		setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
		setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
		if (connect(sock, a->ai_addr, a->ai_addrlen) < 0) {
			close(sock);
			sock = -1;
		}
	}
	freeaddrinfo(found);
	return sock;
}

static SSL *
start_tls(int sock, const char *host)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	SSL *ssl = context && SSL_CTX_set_default_verify_paths(context) == 1 ? SSL_new(context) : NULL;

	if (ssl == NULL)
		return NULL;
	SSL_set_verify(ssl, SSL_VERIFY_PEER, NULL);
	if (SSL_set1_host(ssl, host) != 1 || SSL_set_tlsext_host_name(ssl, host) != 1 || SSL_set_fd(ssl, sock) != 1 || SSL_connect(ssl) != 1)
		return NULL;
	return ssl;
}

static int
call_webhook(const struct config *config, const char *json)
{
	char host[256], port[8], answer[64] = "";
	struct buf request = { 0 };
	const char *path;
	bool tls, sent;
	SSL *ssl = NULL;
	size_t n = 0;
	int got = 1, sock = url_parts(config->alarm_webhook, &tls, host, port, &path) ? dial(host, port) : -1;

	if (sock < 0 || (tls && (ssl = start_tls(sock, host)) == NULL)) {
		log_error("alarms: webhook %s: %s", host, sock < 0 ? "no connection" : "its certificate or TLS is not good");
		return 1;
	}
	bool bare = strchr(host, ':') != NULL;       /* IPv6 */

	buf_printf(&request, "POST %s HTTP/1.1\r\nHost: %s%s%s\r\nUser-Agent: policyd\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
	    "Connection: close\r\n\r\n%s", path, bare ? "[" : "", host, bare ? "]" : "", strlen(json), json);
	sent = ssl ? SSL_write(ssl, request.p, (int)request.n) == (int)request.n : send(sock, request.p, request.n, MSG_NOSIGNAL) == (ssize_t)request.n;
	while (sent && got > 0 && n < 12) {
		got = ssl ? SSL_read(ssl, answer + n, (int)(sizeof answer - 1 - n)) : (int)recv(sock, answer + n, sizeof answer - 1 - n, 0);
		n += got > 0 ? (size_t)got : 0;
	}
	if (n >= 12 && strncmp(answer, "HTTP/1.", 7) == 0 && answer[9] == '2')
		return 0;
	log_error("alarms: webhook %s answered \"%.12s\"; expected 2yz", host, answer);
	return 1;
}

static int
run_command(const struct config *config, const char *json)
{
	char *argv[MAX_ALARM_ARGS + 1] = { NULL };
	FILE *input = tmpfile();

	if (input == NULL || fputs(json, input) == EOF || fputc('\n', input) == EOF || fflush(input) != 0 || dup2(fileno(input), 0) < 0 || lseek(0, 0, SEEK_SET) != 0) {
		log_error("alarms: %s: no file for its input: %s", config->alarm_command[0], strerror(errno));
		return 1;
	}
	for (uint32_t i = 0; i < config->alarm_command_count; i++)
		argv[i] = (char *)config->alarm_command[i];
	close_range(3, ~0u, 0);              /* tmpfile's own */
	signal(SIGPIPE, SIG_DFL);
	char *const environment[] = { "PATH=/usr/bin:/bin", NULL };

	execve(argv[0], argv, environment);
	_exit(127);
}

/* ---- in the broker ---- */

typedef enum { BY_MAIL, BY_WEBHOOK, BY_COMMAND } way;
static const char *const way_names[] = { [BY_MAIL] = "mail", [BY_WEBHOOK] = "webhook", [BY_COMMAND] = "command" };

static void
tell(struct notify *n, const struct config *config, way by, const char *subject, const char *text, const char *json)
{
	struct notice *free_one = NULL;
	pid_t pid;

	for (int i = 0; i < NOTIFY_CHILDREN; i++)
		if (n->notices[i].pid == 0)
			free_one = &n->notices[i];
	pid = free_one ? fork() : -1;
	if (pid == 0) {
		leave_broker();
		_exit(by == BY_MAIL ? send_mail(config, subject, text) : by == BY_WEBHOOK ? call_webhook(config, json) : run_command(config, json));
	}
	if (pid < 0) {
		log_error("alarms: no process for a %s: \"%s\" was told to nobody by it", way_names[by], subject);
		metrics_add(M_ALARMS_FAILED, 1);
		return;
	}
	*free_one = (struct notice){ pid, clock_ms() + NOTIFY_MS, "" };
	snprintf(free_one->how, sizeof free_one->how, "%s", way_names[by]);
}

void
notify_people(struct notify *n, const struct config *config, const char *subject, json_t *evidence)
{
	int64_t now = clock_ms();
	char *json, *text;

	json_object_set_new(evidence, "alarm", json_string(subject));
	json_object_set_new(evidence, "host", json_string(config->host_name));
	json_object_set_new(evidence, "time", json_integer((json_int_t)wall_s()));
	json = json_dumps(evidence, JSON_COMPACT | JSON_ENSURE_ASCII);
	text = json_dumps(evidence, JSON_INDENT(1));
	json_decref(evidence);
	log_warning("alarm: %s %s", subject, json ? json : "");
	metrics_add(M_ALARMS, 1);
	if (n->hour_ms == 0 || now - n->hour_ms > HOUR_MS) {
		n->hour_ms = now;
		n->in_hour = 0;
	}
	bool quiet = n->in_hour++ >= config->alarms_an_hour;

	if (quiet)
		metrics_add(M_ALARMS_HELD, 1);
	if (!quiet && json && text) {
		if (config->alarm_mail[0])
			tell(n, config, BY_MAIL, subject, text, json);
		if (config->alarm_webhook[0])
			tell(n, config, BY_WEBHOOK, subject, text, json);
		if (config->alarm_command_count)
			tell(n, config, BY_COMMAND, subject, text, json);
	}
	free(json);
	free(text);
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct notify *n = arg;

	(void)fd;
	(void)what;
	for (int i = 0; i < NOTIFY_CHILDREN; i++) {
		struct notice *one = &n->notices[i];
		int status = 0;

		if (one->pid == 0)
			continue;
		if (clock_ms() > one->deadline_ms)
			kill(one->pid, SIGKILL);
		if (waitpid(one->pid, &status, WNOHANG) != one->pid)
			continue;
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
			metrics_add(M_ALARMS_FAILED, 1);
			if (WIFEXITED(status))
				log_error("alarms: a notice by %s failed (exit code %d)", one->how, WEXITSTATUS(status));
			else
				log_error("alarms: a notice by %s took longer than %d s", one->how, NOTIFY_MS / 1000);
		}
		one->pid = 0;
	}
}

struct notify *
notify_open(struct event_base *base)
{
	struct timeval tick = { 0, TICK_MS * 1000 };
	struct notify *n = calloc(1, sizeof *n);

	if (n == NULL || (n->tick = event_new(base, -1, EV_PERSIST, on_tick, n)) == NULL || event_add(n->tick, &tick) < 0) {
		free(n);
		return NULL;
	}
	return n;
}

void
notify_close(struct notify *n)
{
	event_free(n->tick);
	free(n);
}
