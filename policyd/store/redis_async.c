#include "policyd/store/redis_async.h"

#include <event2/event.h>
#include <hiredis/adapters/libevent.h>
#include <hiredis/async.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>

#include "policyd/base/clock.h"
#include "policyd/base/log.h"
#include "policyd/base/metrics.h"
#include "policyd/store/redis_url.h"

enum { RETRY_LEAST_MS = 50, RETRY_MOST_MS = 1000, TICK_MS = 25, CONNECT_MS = 2000, SILENCE_MS = 2000 };

struct ask {                                 /* one command in flight, in order */
	struct ask *next;
	struct redis_async *redis;
	int64_t deadline_ms;
	int timeout_ms;
	redis_callback done;                 /* NULL: nobody waits (any more) */
	void *arg;
};

struct redis_async {
	struct event_base *base;
	int command_ms;
	struct redis_place place;
	redisAsyncContext *context;          /* NULL: not connected */
	bool up, closing;                    /* up: greeted (AUTH, SELECT) and answering */
	struct event *tick;
	struct ask *first, **last;
	size_t waiting;
	int64_t head_since_ms;               /* since when Redis is at `first` */
	int retry_ms;
	int64_t retry_at_ms, connect_by_ms, complained_ms;
	void (*on_up)(void *arg);
	void *on_up_arg;
};

static void
went_down(struct redis_async *r, const char *why)
{
	if (r->closing)
		return;
	if (r->up || r->complained_ms == 0)
		log_seldom(&r->complained_ms, 30, "redis: %s; going on with what is known, trying again", why);
	r->up = false;
	r->context = NULL;
	metrics_set(M_REDIS_DOWN_NOW, 1);
	r->retry_at_ms = clock_ms() + r->retry_ms;
	r->retry_ms = r->retry_ms * 2 > RETRY_MOST_MS ? RETRY_MOST_MS : r->retry_ms * 2;
}

static void
on_disconnect(const redisAsyncContext *context, int status)
{
	struct redis_async *r = context->data;

	went_down(r, status == REDIS_OK ? "connection closed" : context->errstr);
}

static void
on_reply(redisAsyncContext *context, void *reply, void *arg)
{
	struct ask *ask = arg;
	struct redis_async *r = ask->redis;
	struct ask **at = &r->first;

	(void)context;
	while (*at && *at != ask)
		at = &(*at)->next;
	if (*at) {
		r->waiting--;
		*at = ask->next;
		r->head_since_ms = clock_ms();
		if (r->last == &ask->next)
			r->last = at;
	}
	const redisReply *answer = reply;

	if (answer == NULL || answer->type == REDIS_REPLY_ERROR)
		metrics_add(M_REDIS_FAILED, 1);
	if (ask->done && !r->closing)
		ask->done(ask->arg, answer);
	free(ask);
}

static void
send_command(struct redis_async *r, int timeout_ms, redis_callback done, void *arg, int argc, const char *const *argv,
    const size_t *lengths)
{
	struct ask *ask = calloc(1, sizeof *ask);

	if (ask == NULL || redisAsyncCommandArgv(r->context, on_reply, ask, argc, (const char **)argv, lengths) != REDIS_OK) {
		free(ask);
		metrics_add(M_REDIS_FAILED, 1);
		if (done)
			done(arg, NULL);
		return;
	}
	if (r->first == NULL)
		r->head_since_ms = clock_ms();
	*ask = (struct ask){ .redis = r, .deadline_ms = clock_ms() + timeout_ms, .timeout_ms = timeout_ms, .done = done, .arg = arg };
	*r->last = ask;
	r->last = &ask->next;
	r->waiting++;
	metrics_add(M_REDIS_ASKED, 1);
}

static void
greeted(void *arg, const redisReply *reply)
{
	struct redis_async *r = arg;

	if (reply == NULL)
		return;                      /* the disconnect has said it */
	if (reply->type == REDIS_REPLY_ERROR) {
		log_seldom(&r->complained_ms, 30, "redis: refused: %s", reply->str);
		return;
	}
	if (!r->up)
		log_info("redis: connected");
	r->up = true;
	r->retry_ms = RETRY_LEAST_MS;
	metrics_set(M_REDIS_DOWN_NOW, 0);
	if (r->on_up)
		r->on_up(r->on_up_arg);
}

static void
greet(struct redis_async *r, redis_callback done, int argc, const char *const *argv)
{
	size_t lengths[3];

	for (int i = 0; i < argc; i++)
		lengths[i] = strlen(argv[i]);
	send_command(r, CONNECT_MS, done, r, argc, argv, lengths);
}

static void
on_connect(const redisAsyncContext *context, int status)
{
	struct redis_async *r = context->data;
	char db[16];

	if (status != REDIS_OK) {
		went_down(r, context->errstr);       /* hiredis frees the context */
		return;
	}
	if (r->place.password[0] && r->place.user[0])
		greet(r, NULL, 3, (const char *const[]){ "AUTH", r->place.user, r->place.password });
	else if (r->place.password[0])
		greet(r, NULL, 2, (const char *const[]){ "AUTH", r->place.password });
	snprintf(db, sizeof db, "%d", r->place.db);
	greet(r, greeted, 2, (const char *const[]){ "SELECT", db });
}

static void
start_connect(struct redis_async *r)
{
	redisAsyncContext *context = r->place.is_unix ? redisAsyncConnectUnix(r->place.host) :
	    redisAsyncConnect(r->place.host, r->place.port);

	if (context == NULL || context->err) {
		went_down(r, context ? context->errstr : "no memory");
		if (context)
			redisAsyncFree(context);
		return;
	}
	r->context = context;
	r->connect_by_ms = clock_ms() + CONNECT_MS;
	context->data = r;
	redisLibeventAttach(context, r->base);
	redisAsyncSetConnectCallback(context, on_connect);
	redisAsyncSetDisconnectCallback(context, on_disconnect);
}

/* Who waits longer than he wanted hears that there is no answer. It may be another's fault: Redis answers in order, and a large
 * write takes a while. */
static void
give_up(struct redis_async *r, int64_t now)
{
	for (struct ask *ask = r->first; ask; ask = ask->next) {
		redis_callback done = ask->done;

		if (ask->deadline_ms >= now || done == NULL)
			continue;
		ask->done = NULL;
		metrics_add(M_REDIS_FAILED, 1);
		done(ask->arg, NULL);
	}
}

/* The command that Redis is at has had all its time, and Redis a while to get at it on a busy machine: the connection ends. */
static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct redis_async *r = arg;
	int64_t now = clock_ms();

	(void)fd;
	(void)what;
	if (r->context == NULL) {
		if (now >= r->retry_at_ms)
			start_connect(r);
		return;
	}
	give_up(r, now);
	const struct ask *head = r->first;
	bool late = !r->up && now > r->connect_by_ms;

	if (head)
		late |= now > head->deadline_ms && now > r->head_since_ms + (head->timeout_ms > SILENCE_MS ? head->timeout_ms : SILENCE_MS);
	if (late) {
		redisAsyncContext *context = r->context;

		went_down(r, "no answer in time");
		redisAsyncFree(context);     /* answers every command in flight with NULL */
	}
}

struct redis_async *
redis_async_open(struct event_base *base, const struct config *config)
{
	struct redis_async *r = calloc(1, sizeof *r);
	struct timeval tick = { 0, TICK_MS * 1000 };
	char why[256];

	if (r == NULL)
		return NULL;
	r->base = base;
	r->command_ms = (int)config->redis_command_ms;
	r->last = &r->first;
	r->retry_ms = RETRY_LEAST_MS;
	if (!redis_place_of(config, &r->place, why, sizeof why)) {
		log_error("%s", why);
		free(r);
		return NULL;
	}
	r->tick = event_new(base, -1, EV_PERSIST, on_tick, r);
	if (r->tick == NULL || event_add(r->tick, &tick) < 0) {
		free(r);
		return NULL;
	}
	start_connect(r);
	return r;
}

void
redis_async_close(struct redis_async *r)
{
	r->closing = true;
	if (r->context)
		redisAsyncFree(r->context);
	event_free(r->tick);
	free(r);
}

size_t
redis_async_waiting(const struct redis_async *r)
{
	return r->waiting;
}

bool
redis_async_up(const struct redis_async *r)
{
	return r->up;
}

void
redis_async_on_up(struct redis_async *r, void (*up)(void *arg), void *arg)
{
	r->on_up = up;
	r->on_up_arg = arg;
	if (r->up)
		up(arg);
}

void
redis_async_command(struct redis_async *r, int timeout_ms, redis_callback done, void *arg, int argc,
    const char *const *argv, const size_t *lengths)
{
	if (!r->up) {
		metrics_add(M_REDIS_FAILED, 1);
		if (done)
			done(arg, NULL);
		return;
	}
	send_command(r, timeout_ms ? timeout_ms : r->command_ms, done, arg, argc, argv, lengths);
}
