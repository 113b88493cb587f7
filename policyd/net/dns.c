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
#include "policyd/net/dns_packet.h"

enum { BUCKETS = 16384, TICK_MS = 20, TRIES = 2, MAX_SOCKETS = 64, UDP_PAYLOAD = 1232, LONGEST_NAME = 253 };

struct dns_records {
	size_t users, bytes;
	struct rr *at;
};

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
	bool telling;                        /* inside answer_all: who hears it may ask again, and need room for that */
	int64_t expires_ms;
	enum rr_type type;
	int aliases;                         /* asked for one after the other, where the resolver did not follow them */
	uint32_t alias_ttl_s;
	char alias[MAX_HOST_NAME + 1];       /* the one that is asked for now; empty: none */
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
	size_t count, bytes, in_flight, waiting;
	struct socket_event sockets[MAX_SOCKETS];
	int timeout_ms;
	uint64_t asked, cached, failed;
	bool closing;
};

static void answer_all(struct question *q);
static void ask_next(struct dns *dns);

/* ---- answers ---- */

void
dns_hold(const struct dns_answer *answer)
{
	if (answer->records)
		answer->records->users++;
}

void
dns_drop(const struct dns_answer *answer)
{
	if (answer->records == NULL || --answer->records->users > 0)
		return;
	free(answer->records->at);
	free(answer->records);
}

size_t
dns_addresses(const struct dns_answer *answer, uint32_t to[MAX_DNS_ANSWERS])
{
	size_t n = 0;

	for (size_t i = 0; i < answer->count && n < MAX_DNS_ANSWERS; i++) {
		const uint8_t *b = answer->at[i].ip.bytes;

		if (answer->at[i].ip.family == AF_INET)
			to[n++] = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
	}
	return n;
}

/* ---- the cache ---- */

static struct question **
bucket_of(struct dns *dns, enum rr_type type, const char *name)
{
	return &dns->buckets[span_hash(span_of(name), 17 + (uint64_t)type) % BUCKETS];
}

static void
set_answer(struct question *q, const struct dns_answer *answer)
{
	if (q->answer.records)
		q->dns->bytes -= q->answer.records->bytes;
	dns_drop(&q->answer);
	q->answer = *answer;
	if (answer->records)
		q->dns->bytes += answer->records->bytes;
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
	static const struct dns_answer nothing = { .status = RR_UNKNOWN };
	struct question **at = bucket_of(dns, q->type, q->name);

	while (*at != q)
		at = &(*at)->chain;
	*at = q->chain;
	unlink_use(dns, q);
	set_answer(q, &nothing);
	dns->count--;
	free(q);
}

/* Room for one more: the entry that was longest unused goes, unless somebody waits for it. */
static void
make_room(struct dns *dns)
{
	struct question *q = dns->oldest;

	while (q && (dns->count >= MAX_DNS_CACHE || dns->bytes >= MAX_DNS_CACHE_BYTES)) {
		struct question *newer = q->newer;

		if (!q->pending && !q->telling)
			forget(dns, q);
		q = newer;
	}
}

static struct question *
find(struct dns *dns, enum rr_type type, const char *name)
{
	char lower[MAX_HOST_NAME + 1];
	size_t n = 0;

	for (; name[n] && n < MAX_HOST_NAME; n++)
		lower[n] = ascii_lower(name[n]);
	lower[n] = '\0';
	if (n > 0 && lower[n - 1] == '.')
		lower[--n] = '\0';
	struct question *q = *bucket_of(dns, type, lower);

	while (q && (q->type != type || strcmp(q->name, lower) != 0))
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
	q->type = type;
	q->answer.status = RR_UNKNOWN;
	q->chain = *bucket_of(dns, type, lower);
	*bucket_of(dns, type, lower) = q;
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

static void on_answer(void *arg, int status, int timeouts, unsigned char *packet, int length);

static void
ask_name(struct question *q, const char *name)
{
	struct dns *dns = q->dns;
	struct question *before = dns->asking;

	dns->in_flight++;
	dns->asked++;
	metrics_add(M_DNS_ASKED, 1);
	dns->asking = q;
	ares_query(dns->channel, name, C_IN, (int)q->type, on_answer, q);
	dns->asking = before;
}

static uint32_t
bounded_ttl(int64_t ttl_s)
{
	return ttl_s < DNS_TTL_LEAST ? DNS_TTL_LEAST : ttl_s > DNS_TTL_MOST ? DNS_TTL_MOST : (uint32_t)ttl_s;
}

/* The records become the answer's. */
static void
take_found(struct question *q, struct dns_found *found)
{
	struct dns_answer answer = { .status = found->count > 0 ? RR_FOUND : RR_NONE, .at = found->at, .count = found->count };
	int64_t ttl_s = found->ttl_s;

	if (ttl_s == DNS_TTL_NOT_GIVEN)
		ttl_s = DNS_TTL_NONE_DEFAULT;
	if (q->aliases > 0 && q->alias_ttl_s < ttl_s)
		ttl_s = q->alias_ttl_s;
	answer.ttl_s = bounded_ttl(ttl_s);
	if (found->at && (answer.records = malloc(sizeof *answer.records)) == NULL) {
		free(found->at);
		answer = (struct dns_answer){ .status = RR_UNKNOWN, .ttl_s = DNS_TTL_UNKNOWN };
	} else if (found->at) {
		*answer.records = (struct dns_records){ 1, found->bytes, found->at };
	}
	set_answer(q, &answer);
}

/* An authoritative server names the alias and leaves the rest to us. */
static bool
asked_further(struct question *q, const struct dns_found *found)
{
	if (found->next[0] == '\0' || q->aliases == MAX_DNS_ALIASES || q->dns->closing)
		return false;
	q->alias_ttl_s = q->aliases == 0 || found->ttl_s < q->alias_ttl_s ? (uint32_t)found->ttl_s : q->alias_ttl_s;
	q->aliases++;
	memcpy(q->alias, found->next, sizeof q->alias);
	ask_name(q, q->alias);
	return true;
}

static void
on_answer(void *arg, int status, int timeouts, unsigned char *packet, int length)
{
	static const struct dns_answer unknown = { .status = RR_UNKNOWN, .ttl_s = DNS_TTL_UNKNOWN };
	struct question *q = arg;
	struct dns *dns = q->dns;
	struct dns_found found;
	const char *name = q->alias[0] ? q->alias : q->name;

	(void)timeouts;
	dns->in_flight--;
	bool good = (status == ARES_SUCCESS || status == ARES_ENOTFOUND || status == ARES_ENODATA) && packet && length > 0 &&
	    dns_packet_parse(packet, (size_t)length, q->type, name, &found);

	if (good && asked_further(q, &found))
		return;
	good = good && (found.next[0] == '\0');     /* else the aliases go on for too long */
	if (good) {
		take_found(q, &found);
	} else {
		set_answer(q, &unknown);
		dns->failed += !dns->closing;
		metrics_add(M_DNS_FAILED, !dns->closing);
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
ask(struct question *q)
{
	q->aliases = 0;
	q->alias[0] = '\0';
	ask_name(q, q->name);
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
		ask(q);
	}
}

static void
answer_all(struct question *q)
{
	q->telling = true;
	while (q->waits) {
		struct dns_wait *w = q->waits;

		q->waits = w->next;
		w->done(w->arg, &q->answer);
		free(w);
	}
	q->telling = false;
}

/* Labels of 1 to 63 bytes that can be written as they are. */
static bool
can_be_name(const char *name)
{
	size_t label = 0, n = 0;

	for (; name[n] && n <= LONGEST_NAME; n++) {
		if (name[n] <= ' ' || name[n] >= 0x7f || name[n] == '\\' || (name[n] == '.' && label == 0))
			return false;
		label = name[n] == '.' ? 0 : label + 1;
		if (label > 63)
			return false;
	}
	return n > 0 && n <= LONGEST_NAME;
}

struct dns_wait *
dns_ask(struct dns *dns, enum rr_type type, const char *name, int timeout_ms, dns_callback done, void *arg)
{
	static const struct dns_answer unknown = { .status = RR_UNKNOWN }, none = { .status = RR_NONE, .ttl_s = DNS_TTL_MOST };
	struct dns_wait *w;

	if (!can_be_name(name)) {
		done(arg, &none);
		return NULL;
	}
	struct question *q = find(dns, type, name);

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
		ask(q);
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
	static const struct dns_answer unknown = { .status = RR_UNKNOWN };
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
	struct ares_options options = { .flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES | ARES_FLAG_EDNS, .ednspsz = UDP_PAYLOAD, .tries = TRIES,
	    .timeout = (int)config->dns_timeout_ms / TRIES, .sock_state_cb = on_socket_state, .sock_state_cb_data = dns };

	if (dns == NULL || ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS)
		return NULL;
	dns->base = base;
	dns->line_last = &dns->line;
	if (ares_init_options(&dns->channel, &options, ARES_OPT_FLAGS | ARES_OPT_TRIES | ARES_OPT_TIMEOUTMS |
	    ARES_OPT_SOCK_STATE_CB | ARES_OPT_EDNSPSZ) != ARES_SUCCESS)
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
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "asked", (json_int_t)dns->asked, "cached", (json_int_t)dns->cached,
	    "failed", (json_int_t)dns->failed, "in_flight", (json_int_t)dns->in_flight, "waiting", (json_int_t)dns->waiting,
	    "entries", (json_int_t)dns->count, "bytes", (json_int_t)dns->bytes);
}
