#include "policyd/broker/alarms.h"

#include <event2/event.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "policyd/base/clock.h"
#include "policyd/base/log.h"
#include "policyd/base/utf8.h"
#include "policyd/broker/notify.h"
#include "policyd/broker/transaction.h"
#include "policyd/limit/departure.h"
#include "policyd/store/redis_async.h"

enum { SAVE_S = 600, NAME_ROOM = 200, TELL_MS = 500 };

struct alarms {
	struct broker *broker;
	struct event *tick;
	struct departures *known;
	char path[PATH_ROOM + 32];
};

/* ---- what is usual, over restarts ---- */

static void
load(struct alarms *a)
{
	int fd = open(a->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n = fd >= 0 ? read(fd, a->known, sizeof *a->known) : -1;

	if (fd >= 0)
		close(fd);
	if (n == (ssize_t)sizeof *a->known && a->known->version == DEPARTURE_VERSION && a->known->size == sizeof *a->known)
		return;
	if (n >= 0)
		log_warning("alarms: %s is of another version: what is usual is learnt anew", a->path);
	departures_start(a->known);
}

static void
save(struct alarms *a)
{
	char fresh[sizeof a->path + 8];
	int fd;

	snprintf(fresh, sizeof fresh, "%s.new", a->path);
	fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || write(fd, a->known, sizeof *a->known) != (ssize_t)sizeof *a->known || close(fd) < 0 || rename(fresh, a->path) < 0)
		log_error("alarms: %s cannot be written; what is usual is learnt anew after a restart", a->path);
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	save(arg);
}

/* ---- telling, once for all nodes ---- */

struct telling {
	struct alarms *alarms;
	char subject[NAME_ROOM + 80];
	json_t *evidence;
};

static void
may_tell(void *arg, const redisReply *reply)
{
	struct telling *t = arg;

	/* Another node has. Without an answer it is told twice rather than never. */
	if (reply && reply->type == REDIS_REPLY_NIL)
		json_decref(t->evidence);
	else
		notify_people(t->alarms->broker->notify, t->alarms->broker->config, t->subject, t->evidence);
	free(t);
}

static json_t *
text(struct span s)
{
	return json_stringn(s.n && utf8_valid(s) ? s.p : "", s.n && utf8_valid(s) ? s.n : 0);
}

static void
tell(struct alarms *a, enum departure_kind kind, uint64_t key, struct span name, const struct departure *d, const struct tx *tx)
{
	struct telling *t = calloc(1, sizeof *t);
	char client[INET6_ADDRSTRLEN], lock[48], seconds[16];

	if (t == NULL)
		return;
	ip_print(&tx->session.client, client);
	t->alarms = a;
	snprintf(t->subject, sizeof t->subject, "%s %.*s: %.0f recipients in a minute, at most %.0f usually", departure_kind_names[kind],
	    (int)span_head(name, NAME_ROOM - 1).n, name.p ? name.p : "", d->minute, d->usual);
	for (char *p = t->subject; *p; p++)  /* it becomes a header */
		if ((unsigned char)*p < 0x20 || (unsigned char)*p > 0x7e)
			*p = '?';
	t->evidence = json_pack("{s:s, s:o, s:f, s:f, s:b, s:{s:s, s:s, s:o, s:s, s:o}}", "kind", departure_kind_names[kind], "name", text(name),
	    "in_a_minute", d->minute, "usually_at_most", d->usual, "never_seen_before", d->newcomer, "example", "ref", tx->reference, "client", client,
	    "sender", text(span_of(tx->envelope.sender)), "queue_id", tx->envelope.queue_id, "subject", text(tx->scanned.subject));
	snprintf(lock, sizeof lock, "{a:%d%016llx}", (int)kind, (unsigned long long)key);
	snprintf(seconds, sizeof seconds, "%u", a->broker->config->alarms_again_s);
	const char *argv[] = { "SET", lock, "1", "NX", "EX", seconds };
	const size_t lengths[] = { 3, strlen(lock), 1, 2, 2, strlen(seconds) };

	redis_async_command(a->broker->redis, TELL_MS, may_tell, t, 6, argv, lengths);
}

/* ---- counting ---- */

static void
count(struct alarms *a, enum departure_kind kind, uint64_t key, struct span name, double many, const struct tx *tx)
{
	time_t now = (time_t)wall_s();
	struct departure d = { 0 };
	struct tm tm;

	localtime_r(&now, &tm);
	if (departures_count(a->known, kind, key, many, now, (int)tm.tm_gmtoff, a->broker->config->alarms_least, (int)a->broker->config->alarms_again_s, &d))
		tell(a, kind, key, name, &d, tx);
}

static void
count_text(struct alarms *a, enum departure_kind kind, struct span name, double many, const struct tx *tx)
{
	if (name.n > 0)
		count(a, kind, span_hash(name, 7 + kind), name, many, tx);
}

/* Digits and signs differ from mail to mail of one campaign: letters are what a subject is known by. */
static struct span
letters_of(struct span subject, char *to, size_t room)
{
	size_t n = 0;

	for (size_t i = 0; i < subject.n && n < room; i++) {
		char c = ascii_lower(subject.p[i]);

		if ((c >= 'a' && c <= 'z') || (unsigned char)c >= 0x80)
			to[n++] = c;
	}
	return span_make(to, n);
}

void
alarms_answered(struct alarms *a, const struct tx *tx)
{
	const char *domain = strrchr(tx->envelope.sender, '@');
	struct ip net = tx->session.client;
	char network[INET6_ADDRSTRLEN], letters[256];
	double many = tx->recipient_count;

	if (tx->recipient_count == 0 || tx->gate == NULL)    /* without a gate it is policyctl scan's */
		return;
	/* A customer's recipients stand together nearly always: what a run of them is, is counted at once. */
	for (uint32_t i = 0, from = 0; i < tx->recipient_count; i++)
		if (i + 1 == tx->recipient_count || strcmp(tx->recipients[i + 1].policy->customer, tx->recipients[from].policy->customer) != 0) {
			count_text(a, DEPARTURE_CUSTOMER, span_of(tx->recipients[from].policy->customer), i + 1 - from, tx);
			from = i + 1;
		}
	if (net.family && !nets_have(tx->config->trusted_relays, tx->config->trusted_relay_count, &net)) {
		size_t kept = net.family == AF_INET ? 3 : 8;

		memset(net.bytes + kept, 0, sizeof net.bytes - kept);
		ip_print(&net, network);
		count_text(a, DEPARTURE_NETWORK, span_of(network), many, tx);
	}
	if (domain)
		count_text(a, DEPARTURE_DOMAIN, span_of(domain + 1), many, tx);
	if (tx->have_scanned) {
		struct span subject = letters_of(tx->scanned.subject, letters, sizeof letters);

		if (subject.n >= 4)
			count(a, DEPARTURE_SUBJECT, span_hash(subject, 11), tx->scanned.subject, many, tx);
		if (tx->scanned.text_hash)
			count(a, DEPARTURE_BODY, tx->scanned.text_hash, tx->scanned.subject, many, tx);
	}
}

json_t *
alarms_status(const struct alarms *a)
{
	int64_t since = a->known->since_s, left = since ? since + DEPARTURE_LEARN_S - wall_s() : DEPARTURE_LEARN_S;
	const struct config *c = a->broker->config;

	return json_pack("{s:I, s:b}", "learning_s", (json_int_t)(left > 0 ? left : 0), "tells",
	    c->alarm_mail[0] != '\0' || c->alarm_webhook[0] != '\0' || c->alarm_command_count > 0);
}

struct alarms *
alarms_open(struct broker *b)
{
	struct timeval tick = { SAVE_S, 0 };
	struct alarms *a = calloc(1, sizeof *a);

	if (a == NULL || (a->known = calloc(1, sizeof *a->known)) == NULL || (a->tick = event_new(b->base, -1, EV_PERSIST, on_tick, a)) == NULL ||
	    event_add(a->tick, &tick) < 0) {
		if (a)
			free(a->known);
		free(a);
		return NULL;
	}
	a->broker = b;
	snprintf(a->path, sizeof a->path, "%s/departures", b->config->state);
	load(a);
	return a;
}

void
alarms_close(struct alarms *a)
{
	save(a);
	event_free(a->tick);
	free(a->known);
	free(a);
}
