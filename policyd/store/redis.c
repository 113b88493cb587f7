#include "policyd/store/redis.h"

#include <stdio.h>
#include <stdlib.h>

#include "policyd/base/clock.h"
#include "policyd/base/metrics.h"
#include "policyd/store/redis_url.h"

enum { RETRY_MS = 200 };

struct redis {
	struct redis_place place;
	redisContext *context;
	int timeout_ms;
	int64_t retry_at_ms;
	char why[160];
	char home_host[PATH_ROOM];      /* of the settings; `place` may be another node of a cluster */
	uint16_t home_port;
};

struct redis *
redis_open(const struct config *config, int timeout_ms)
{
	struct redis *r = calloc(1, sizeof *r);

	if (r == NULL)
		return NULL;
	r->timeout_ms = timeout_ms;
	if (!redis_place_of(config, &r->place, r->why, sizeof r->why)) {
		free(r);
		return NULL;
	}
	snprintf(r->home_host, sizeof r->home_host, "%s", r->place.host);
	r->home_port = r->place.port;
	return r;
}

static void
drop(struct redis *r, const char *why)
{
	snprintf(r->why, sizeof r->why, "%s", why);
	if (r->context)
		redisFree(r->context);
	r->context = NULL;
	r->retry_at_ms = clock_ms() + RETRY_MS;
	metrics_add(M_REDIS_FAILED, 1);
}

void
redis_close(struct redis *r)
{
	if (r && r->context)
		redisFree(r->context);
	free(r);
}

const char *
redis_why(const struct redis *r)
{
	return r->why;
}

static bool
good(struct redis *r, redisReply *reply)
{
	bool fine = reply && reply->type != REDIS_REPLY_ERROR;

	if (!fine)
		drop(r, reply ? reply->str : r->context->errstr);
	if (reply)
		freeReplyObject(reply);
	return fine;
}

static void
go_home(struct redis *r)
{
	snprintf(r->place.host, sizeof r->place.host, "%s", r->home_host);
	r->place.port = r->home_port;
}

/* "MOVED 3999 127.0.0.1:6381": true when we are to ask there. */
static bool
moved(struct redis *r, const redisReply *reply)
{
	struct span rest = reply && reply->type == REDIS_REPLY_ERROR ? span_make(reply->str, reply->len) : SPAN("");
	uint64_t port;

	if (!span_starts(rest, SPAN("MOVED ")))
		return false;
	size_t blank = span_find_last(rest, ' '), colon = span_find_last(rest, ':');

	if (colon == SPAN_NONE || colon < blank || !span_u64(span_from(rest, colon + 1), &port) || port > 65535)
		return false;
	if (colon > blank + 1)
		snprintf(r->place.host, sizeof r->place.host, "%.*s", (int)(colon - blank - 1), rest.p + blank + 1);
	r->place.port = (uint16_t)port;
	redisFree(r->context);
	r->context = NULL;
	r->retry_at_ms = 0;
	return true;
}

static bool
connected(struct redis *r)
{
	struct timeval limit = { r->timeout_ms / 1000, r->timeout_ms % 1000 * 1000 };
	const struct redis_place *p = &r->place;

	if (r->context)
		return true;
	if (clock_ms() < r->retry_at_ms)
		return false;
	r->context = p->is_unix ? redisConnectUnixWithTimeout(p->host, limit) : redisConnectWithTimeout(p->host, p->port, limit);
	if (r->context == NULL || r->context->err) {
		drop(r, r->context ? r->context->errstr : "no memory");
		go_home(r);
		return false;
	}
	redisSetTimeout(r->context, limit);
	if (p->password[0] && !good(r, p->user[0] ? redisCommand(r->context, "AUTH %s %s", p->user, p->password) :
	    redisCommand(r->context, "AUTH %s", p->password)))
		return false;
	return good(r, redisCommand(r->context, "SELECT %d", p->db));
}

static void
lost(struct redis *r)
{
	drop(r, r->context->errstr);
	go_home(r);
}

redisReply *
redis_command(struct redis *r, int argc, const char *const *argv, const size_t *lengths)
{
	redisReply *reply;

	if (!connected(r))
		return NULL;
	metrics_add(M_REDIS_ASKED, 1);
	reply = redisCommandArgv(r->context, argc, (const char **)argv, lengths);
	if (moved(r, reply)) {
		freeReplyObject(reply);
		if (!connected(r))
			return NULL;
		reply = redisCommandArgv(r->context, argc, (const char **)argv, lengths);
	}
	if (reply == NULL)
		lost(r);
	return reply;
}

bool
redis_append(struct redis *r, int argc, const char *const *argv, const size_t *lengths)
{
	if (!connected(r))
		return false;
	metrics_add(M_REDIS_ASKED, 1);
	return redisAppendCommandArgv(r->context, argc, (const char **)argv, lengths) == REDIS_OK;
}

redisReply *
redis_next(struct redis *r)
{
	void *reply = NULL;

	if (r->context && redisGetReply(r->context, &reply) != REDIS_OK)
		lost(r);
	return reply;
}

redisReply *
redis_say(struct redis *r, int argc, const char *const *argv)
{
	size_t lengths[16];

	for (int i = 0; i < argc && i < 16; i++)
		lengths[i] = strlen(argv[i]);
	return redis_command(r, argc, argv, lengths);
}
