#include "policyd/net/dns.h"

#include <ares.h>
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>

#include "policyd/base/clock.h"
#include "policyd/base/log.h"
#include "policyd/base/metrics.h"

enum { BUCKETS = 16384, TICK_MS = 20, TRIES = 2, MAX_SOCKETS = 64 };

struct dns_wait {                            /* one asker of one question */
	struct dns_wait *next;
	struct question *question;
	int64_t deadline_ms;
	dns_callback done;
	void *arg;
};

struct question {                            /* a cache entry, known or in flight */
	struct question *chain;              /* same bucket */
	struct question *newer, *older;      /* by last use */
	struct question *pending_next, *pending_before;
	struct question *line;               /* waits for its turn to be asked */
	struct dns *dns;
	struct dns_wait *waits;
	bool known, pending;                 /* pending: in flight, or in line to be */
	int64_t expires_ms;
	struct dns_answer answer;
	char name[];
};

struct socket_event {
	ares_socket_t fd;
	struct event *event;
};

struct dns {
	struct event_base *base;
	ares_channel channel;
	struct event *tick;
	struct question *buckets[BUCKETS];
	struct question *newest, *oldest;
	struct question *pending;
	struct question *line, **line_last;
	struct question *asking;             /* inside ares_query now */
	size_t count, in_flight, waiting;
	struct socket_event sockets[MAX_SOCKETS];
	int timeout_ms;
	uint64_t asked, cached, failed;
	bool closing;
};

static void answer_all(struct question *q);
static void ask_next(struct dns *dns);

/* ---- the cache ---- */

static struct question **
bucket_of(struct dns *dns, const char *name)
{
	return &dns->buckets[span_hash(span_of(name), 17) % BUCKETS];
}

static void
unlink_use(struct dns *dns, struct question *q)
{
	*(q->newer ? &q->newer->older : &dns->newest) = q->older;
	*(q->older ? &q->older->newer : &dns->oldest) = q->newer;
}

static void
link_newest(struct dns *dns, struct question *q)
{
	q->newer = NULL;
	q->older = dns->newest;
	*(dns->newest ? &dns->newest->newer : &dns->oldest) = q;
	dns->newest = q;
}

static void
forget(struct dns *dns, struct question *q)
{
	struct question **at = bucket_of(dns, q->name);

	while (*at != q)
		at = &(*at)->chain;
	*at = q->chain;
	unlink_use(dns, q);
	dns->count--;
	free(q);
}

/* Room for one more: the entry that was longest unused goes, unless somebody waits for it. */
static void
make_room(struct dns *dns)
{
	struct question *q = dns->oldest;

	while (q && dns->count >= MAX_DNS_CACHE) {
		struct question *newer = q->newer;

		if (!q->pending)
			forget(dns, q);
		q = newer;
	}
}

static struct question *
find(struct dns *dns, const char *name)
{
	char lower[MAX_HOST_NAME + 1];
	size_t n = 0;

	for (; name[n] && n < MAX_HOST_NAME; n++)
		lower[n] = ascii_lower(name[n]);
	lower[n] = '\0';
	struct question *q = *bucket_of(dns, lower);

	while (q && strcmp(q->name, lower) != 0)
		q = q->chain;
	if (q) {
		unlink_use(dns, q);
		link_newest(dns, q);
		return q;
	}
	make_room(dns);
	q = calloc(1, sizeof *q + n + 1);
	if (q == NULL)
		return NULL;
	memcpy(q->name, lower, n + 1);
	q->dns = dns;
	q->chain = *bucket_of(dns, lower);
	*bucket_of(dns, lower) = q;
	link_newest(dns, q);
	dns->count++;
	return q;
}

/* ---- asking ---- */

static void
pending_begin(struct question *q)
{
	struct dns *dns = q->dns;

	q->known = false;
	q->pending = true;
	q->pending_before = NULL;
	q->pending_next = dns->pending;
	if (dns->pending)
		dns->pending->pending_before = q;
	dns->pending = q;
}

static void
pending_end(struct question *q)
{
	if (!q->pending)
		return;
	q->pending = false;
	*(q->pending_before ? &q->pending_before->pending_next : &q->dns->pending) = q->pending_next;
	if (q->pending_next)
		q->pending_next->pending_before = q->pending_before;
}

static void
on_answer(void *arg, int status, int timeouts, unsigned char *packet, int length)
{
	struct question *q = arg;
	struct dns *dns = q->dns;
	struct ares_addrttl records[MAX_DNS_ANSWERS];
	int count = MAX_DNS_ANSWERS;

	(void)timeouts;
	dns->in_flight--;
	q->answer = (struct dns_answer){ .result = DNS_UNKNOWN, .ttl_s = DNS_TTL_UNKNOWN };
	if (status == ARES_SUCCESS)
		status = ares_parse_a_reply(packet, length, NULL, records, &count);
	if (status == ARES_SUCCESS && count > 0) {
		q->answer.result = DNS_FOUND;
		q->answer.ttl_s = DNS_TTL_MOST;
		for (int i = 0; i < count; i++) {
			q->answer.a[q->answer.count++] = ntohl(records[i].ipaddr.s_addr);
			if (records[i].ttl >= 0 && (uint32_t)records[i].ttl < q->answer.ttl_s)
				q->answer.ttl_s = (uint32_t)records[i].ttl;
		}
		if (q->answer.ttl_s < DNS_TTL_LEAST)
			q->answer.ttl_s = DNS_TTL_LEAST;
	} else if (status == ARES_ENOTFOUND || status == ARES_ENODATA || (status == ARES_SUCCESS && count == 0)) {
		q->answer.result = DNS_NONE;
		q->answer.ttl_s = DNS_TTL_NONE_DEFAULT;
	} else if (!dns->closing) {
		dns->failed++;
		metrics_add(M_DNS_FAILED, 1);
	}
	q->known = true;
	q->expires_ms = clock_ms() + (int64_t)q->answer.ttl_s * 1000;
	if (q == dns->asking)                /* c-ares could not even send it: the next tick answers */
		return;
	pending_end(q);
	answer_all(q);
	if (!dns->closing)
		ask_next(dns);
}

static void
ask(struct dns *dns, struct question *q)
{
	dns->in_flight++;
	dns->asked++;
	metrics_add(M_DNS_ASKED, 1);
	dns->asking = q;
	ares_query(dns->channel, q->name, C_IN, T_A, on_answer, q);
	dns->asking = NULL;
}

/* c-ares keeps one socket a server: more than so many questions at once get lost in its buffer. */
static void
ask_next(struct dns *dns)
{
	while (dns->line && dns->in_flight < MAX_DNS_IN_FLIGHT) {
		struct question *q = dns->line;

		dns->line = q->line;
		if (dns->line == NULL)
			dns->line_last = &dns->line;
		dns->waiting--;
		ask(dns, q);
	}
}

static void
answer_all(struct question *q)
{
	while (q->waits) {
		struct dns_wait *w = q->waits;

		q->waits = w->next;
		w->done(w->arg, &q->answer);
		free(w);
	}
}

struct dns_wait *
dns_ask(struct dns *dns, const char *name, int timeout_ms, dns_callback done, void *arg)
{
	static const struct dns_answer unknown = { .result = DNS_UNKNOWN };
	struct question *q = find(dns, name);
	struct dns_wait *w;

	if (q && q->known && q->expires_ms > clock_ms()) {
		dns->cached++;
		metrics_add(M_DNS_CACHED, 1);
		done(arg, &q->answer);
		return NULL;
	}
	if (q == NULL || (w = calloc(1, sizeof *w)) == NULL) {
		done(arg, &unknown);
		return NULL;
	}
	*w = (struct dns_wait){ .next = q->waits, .question = q, .deadline_ms = clock_ms() + timeout_ms, .done = done, .arg = arg };
	q->waits = w;
	if (q->pending)                      /* somebody has asked already */
		return w;
	pending_begin(q);
	if (dns->in_flight < MAX_DNS_IN_FLIGHT) {
		ask(dns, q);
	} else {
		q->line = NULL;
		*dns->line_last = q;
		dns->line_last = &q->line;
		dns->waiting++;
	}
	return w;
}

void
dns_cancel(struct dns_wait *w)
{
	struct dns_wait **at = &w->question->waits;

	while (*at && *at != w)
		at = &(*at)->next;
	if (*at)
		*at = w->next;
	free(w);
}

/* ---- the event loop's side ---- */

static void
on_socket(evutil_socket_t fd, short what, void *arg)
{
	struct dns *dns = arg;

	ares_process_fd(dns->channel, what & EV_READ ? fd : ARES_SOCKET_BAD, what & EV_WRITE ? fd : ARES_SOCKET_BAD);
}

static void
on_socket_state(void *arg, ares_socket_t fd, int readable, int writable)
{
	struct dns *dns = arg;
	struct socket_event *slot = NULL;

	for (size_t i = 0; i < MAX_SOCKETS; i++) {
		if (dns->sockets[i].event && dns->sockets[i].fd == fd) {
			event_free(dns->sockets[i].event);
			dns->sockets[i].event = NULL;
		}
		if (dns->sockets[i].event == NULL && slot == NULL)
			slot = &dns->sockets[i];
	}
	if ((!readable && !writable) || slot == NULL)
		return;
	slot->fd = fd;
	slot->event = event_new(dns->base, fd, (short)(EV_PERSIST | (readable ? EV_READ : 0) | (writable ? EV_WRITE : 0)),
	    on_socket, dns);
	if (slot->event)
		event_add(slot->event, NULL);
}

/* Askers whose time is up are told "unknown"; the question itself may still be answered, for the next ones. */
static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	static const struct dns_answer unknown = { .result = DNS_UNKNOWN };
	struct dns *dns = arg;
	int64_t now = clock_ms();

	(void)fd;
	(void)what;
	ares_process_fd(dns->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	for (struct question *q = dns->pending, *next; q; q = next) {
		next = q->pending_next;
		if (q->known) {
			pending_end(q);
			answer_all(q);
			next = dns->pending; /* callbacks may have asked again */
			continue;
		}
		for (struct dns_wait **at = &q->waits; *at;) {
			struct dns_wait *w = *at;

			if (w->deadline_ms > now) {
				at = &w->next;
				continue;
			}
			*at = w->next;
			w->done(w->arg, &unknown);
			free(w);
			at = &q->waits;      /* the callback may have changed the list */
		}
	}
}

static bool
set_servers(struct dns *dns, const struct config *config)
{
	char list[MAX_DNS_SERVERS * 80] = "";
	size_t n = 0;

	if (config->dns_server_count == 0)
		return true;                 /* /etc/resolv.conf, as c-ares reads it */
	for (uint32_t i = 0; i < config->dns_server_count; i++) {
		const struct sockaddr_storage *s = &config->dns_server[i];
		const struct sockaddr_in *in = (const void *)s;
		const struct sockaddr_in6 *in6 = (const void *)s;
		char text[INET6_ADDRSTRLEN];
		bool v4 = s->ss_family == AF_INET;

		inet_ntop(s->ss_family, v4 ? (const void *)&in->sin_addr : (const void *)&in6->sin6_addr, text, sizeof text);
		n += (size_t)snprintf(list + n, sizeof list - n, v4 ? "%s%s:%u" : "%s[%s]:%u", n ? "," : "", text,
		    ntohs(v4 ? in->sin_port : in6->sin6_port));
	}
	return ares_set_servers_ports_csv(dns->channel, list) == ARES_SUCCESS;
}

struct dns *
dns_open(struct event_base *base, const struct config *config)
{
	struct dns *dns = calloc(1, sizeof *dns);
	struct timeval tick = { 0, TICK_MS * 1000 };
	struct ares_options options = { .flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES, .tries = TRIES,
	    .timeout = (int)config->dns_timeout_ms / TRIES, .sock_state_cb = on_socket_state, .sock_state_cb_data = dns };

	if (dns == NULL || ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS)
		return NULL;
	dns->base = base;
	dns->line_last = &dns->line;
	if (ares_init_options(&dns->channel, &options, ARES_OPT_FLAGS | ARES_OPT_TRIES | ARES_OPT_TIMEOUTMS |
	    ARES_OPT_SOCK_STATE_CB) != ARES_SUCCESS)
		return NULL;
	dns->tick = event_new(base, -1, EV_PERSIST, on_tick, dns);
	if (!set_servers(dns, config) || dns->tick == NULL || event_add(dns->tick, &tick) < 0)
		return NULL;
	return dns;
}

void
dns_config(struct dns *dns, const struct config *config)
{
	if (!set_servers(dns, config))
		log_error("dns.servers: cannot be used; the old ones stay");
}

void
dns_close(struct dns *dns)
{
	dns->closing = true;
	ares_destroy(dns->channel);          /* answers what is in flight */
	while (dns->newest) {
		answer_all(dns->newest);
		forget(dns, dns->newest);
	}
	for (size_t i = 0; i < MAX_SOCKETS; i++)
		if (dns->sockets[i].event)
			event_free(dns->sockets[i].event);
	event_free(dns->tick);
	free(dns);
	ares_library_cleanup();
}

json_t *
dns_status(const struct dns *dns)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "asked", (json_int_t)dns->asked, "cached", (json_int_t)dns->cached,
	    "failed", (json_int_t)dns->failed, "in_flight", (json_int_t)dns->in_flight, "waiting", (json_int_t)dns->waiting,
	    "entries", (json_int_t)dns->count);
}
