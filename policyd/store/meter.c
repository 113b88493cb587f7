#include "policyd/store/meter.h"

#include <event2/event.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "policyd/base/clock.h"
#include "policyd/base/map.h"
#include "policyd/store/redis_async.h"

enum count { USED_MESSAGES, USED_RECIPIENTS, USED_BYTES, USED_CPU, USED_BYTE_DAYS, USED_REFUSED, USED__PLAIN };
static const char *const plain_names[USED__PLAIN] = {
	[USED_MESSAGES] = "messages", [USED_RECIPIENTS] = "recipients", [USED_BYTES] = "bytes", [USED_CPU] = "cpu_us",
	[USED_BYTE_DAYS] = "byte_days", [USED_REFUSED] = "refused",
};
static const char *const class_names[] = { "clean", "spam", "virus", "phish", "banned", "bulk", "unscannable", "unfiltered" };
enum { CLASSES = sizeof class_names / sizeof *class_names, COUNTS = USED__PLAIN + OUT__COUNT + CLASSES };
enum { ID_ROOM = 64, DAY_ROOM = 11, KEY_ROOM = 112, ASK_MS = 5000, DAYS_MOST = 400 };

struct use {                                 /* of one customer and day, since the last write */
	struct use *next;
	char customer[ID_ROOM], day[DAY_ROOM];
	uint64_t last_mail;
	bool any_mail;
	int64_t counts[COUNTS];
};

struct meter {
	struct redis_async *redis;
	struct event *tick;
	struct map uses;
	struct use *first;
};

static void
count_name(int i, char to[40])
{
	if (i < USED__PLAIN)
		snprintf(to, 40, "%s", plain_names[i]);
	else if (i < USED__PLAIN + OUT__COUNT)
		snprintf(to, 40, "out.%s", outcome_names[i - USED__PLAIN]);
	else
		snprintf(to, 40, "class.%s", class_names[i - USED__PLAIN - OUT__COUNT]);
}

static void
today(char to[DAY_ROOM])
{
	time_t now = (time_t)wall_s();
	struct tm tm;

	strftime(to, DAY_ROOM, "%Y-%m-%d", gmtime_r(&now, &tm));
}

static struct use *
use_of(struct meter *m, const char *customer)
{
	char name[ID_ROOM + DAY_ROOM + 1], day[DAY_ROOM];

	today(day);
	snprintf(name, sizeof name, "%s %.63s", day, customer[0] ? customer : "-");
	uint64_t hash = span_hash(span_of(name), 41);
	struct use *use = map_get(&m->uses, hash);

	if (use == NULL && (use = calloc(1, sizeof *use)) != NULL) {
		snprintf(use->customer, sizeof use->customer, "%.63s", customer[0] ? customer : "-");
		memcpy(use->day, day, sizeof day);
		if (!map_put(&m->uses, hash, use)) {
			free(use);
			return NULL;
		}
		use->next = m->first;
		m->first = use;
	}
	return use;
}

void
meter_recipient(struct meter *m, const char *customer, const struct meter_use *what)
{
	struct use *use = use_of(m, customer);

	if (use == NULL)
		return;
	if (!use->any_mail || use->last_mail != what->mail) {
		use->counts[USED_MESSAGES]++;
		use->counts[USED_BYTES] += (int64_t)what->bytes;
	}
	use->any_mail = true;
	use->last_mail = what->mail;
	use->counts[USED_RECIPIENTS]++;
	use->counts[USED_CPU] += (int64_t)what->cpu_us;
	use->counts[USED_BYTE_DAYS] += (int64_t)what->byte_days;
	use->counts[USED__PLAIN + what->outcome]++;
	for (int i = 0; i < CLASSES; i++)
		if (strcmp(what->class_name, class_names[i]) == 0)
			use->counts[USED__PLAIN + OUT__COUNT + i]++;
}

void
meter_refused(struct meter *m, const char *customer)
{
	struct use *use = use_of(m, customer);

	if (use)
		use->counts[USED_REFUSED]++;
}

/* ---- writing: one script a customer and day, so that its counts go together ---- */

static const char write_script[] =
	"for i = 3, #ARGV, 2 do redis.call('HINCRBY', KEYS[1], ARGV[i], ARGV[i + 1]) end\n"
	"redis.call('EXPIRE', KEYS[1], ARGV[1])\n"
	"redis.call('SADD', KEYS[2], ARGV[2])\n"
	"redis.call('EXPIRE', KEYS[2], ARGV[1])\n"
	"return 1\n";

struct writing {
	struct meter *meter;
	struct use use;
};

static void
written(void *arg, const redisReply *reply)
{
	struct writing *w = arg;

	/* No answer: maybe it is there, maybe not. A bill too low is the better mistake; an error reply says it is not there. */
	if (reply && reply->type == REDIS_REPLY_ERROR) {
		struct use *use = use_of(w->meter, w->use.customer);

		for (int i = 0; use && i < COUNTS; i++)
			use->counts[i] += w->use.counts[i];
	}
	free(w);
}

static void
write_use(struct meter *m, const struct use *use)
{
	char keys[2][KEY_ROOM], names[COUNTS][40], numbers[COUNTS][24], expires[16];
	const char *argv[5 + 2 + 2 * COUNTS] = { "EVAL", write_script, "2", keys[0], keys[1], expires, use->day };
	size_t lengths[5 + 2 + 2 * COUNTS];
	struct writing *w = malloc(sizeof *w);
	int argc = 7;

	if (w == NULL)
		return;
	*w = (struct writing){ m, *use };
	snprintf(keys[0], KEY_ROOM, "{m:%s}:%s", use->customer, use->day);
	snprintf(keys[1], KEY_ROOM, "{m:%s}:days", use->customer);
	snprintf(expires, sizeof expires, "%d", METER_DAYS * 86400);
	for (int i = 0; i < COUNTS; i++) {
		if (use->counts[i] == 0)
			continue;
		count_name(i, names[i]);
		snprintf(numbers[i], sizeof numbers[i], "%lld", (long long)use->counts[i]);
		argv[argc++] = names[i];
		argv[argc++] = numbers[i];
	}
	for (int i = 0; i < argc; i++)
		lengths[i] = strlen(argv[i]);
	redis_async_command(m->redis, ASK_MS, written, w, argc, argv, lengths);
}

static void
write_all(struct meter *m)
{
	struct use *all = m->first;

	map_free(&m->uses);
	m->uses = (struct map){ 0 };
	m->first = NULL;
	while (all) {
		struct use *next = all->next;

		write_use(m, all);
		free(all);
		all = next;
	}
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct meter *m = arg;

	(void)fd;
	(void)what;
	if (m->first && redis_async_up(m->redis))
		write_all(m);
}

struct meter *
meter_open(struct event_base *base, struct redis_async *redis)
{
	struct timeval tick = { 0, METER_WRITE_MS * 1000 };
	struct meter *m = calloc(1, sizeof *m);

	if (m == NULL || (m->tick = event_new(base, -1, EV_PERSIST, on_tick, m)) == NULL || event_add(m->tick, &tick) < 0) {
		free(m);
		return NULL;
	}
	m->redis = redis;
	return m;
}

void
meter_close(struct meter *m)
{
	if (redis_async_up(m->redis))
		write_all(m);
	event_free(m->tick);
	while (m->first) {
		struct use *next = m->first->next;

		free(m->first);
		m->first = next;
	}
	map_free(&m->uses);
	free(m);
}

/* ---- reading ---- */

struct reading {                             /* of a customer's days, one after the other */
	struct meter *meter;
	meter_reply done;
	void *arg;
	bool forget;
	char customer[ID_ROOM], from[DAY_ROOM], to[DAY_ROOM];
	json_t *days;                        /* [{"day", counts}] */
	int waiting;
	bool failed;
};

static void
reading_end(struct reading *r)
{
	if (r->failed)
		r->done(r->arg, json_pack("{s:s, s:i}", "error", "Redis gave no answer: the counts are in it", "exit", 1));
	else
		r->done(r->arg, json_pack("{s:s, s:O}", "customer", r->customer, "days", r->days));
	json_decref(r->days);
	free(r);
}

struct day {
	struct reading *reading;
	json_t *counts;                      /* in reading->days */
};

static void
got_day(void *arg, const redisReply *reply)
{
	struct day *day = arg;
	struct reading *r = day->reading;

	if (reply == NULL || reply->type != REDIS_REPLY_ARRAY)
		r->failed = true;
	for (size_t i = 0; !r->failed && i + 1 < reply->elements; i += 2)
		json_object_set_new(day->counts, reply->element[i]->str, json_integer(strtoll(reply->element[i + 1]->str, NULL, 10)));
	free(day);
	if (--r->waiting == 0)
		reading_end(r);
}

static void
ask(struct reading *r, redis_callback done, void *arg, const char *verb, const char *what)
{
	char key[KEY_ROOM];

	snprintf(key, sizeof key, "{m:%s}:%s", r->customer, what);
	const char *argv[] = { verb, key };
	const size_t lengths[] = { strlen(verb), strlen(key) };

	redis_async_command(r->meter->redis, ASK_MS, done, arg, 2, argv, lengths);
}

static int
by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void
got_days(void *arg, const redisReply *reply)
{
	struct reading *r = arg;
	const char *days[DAYS_MOST];
	size_t count = 0;

	r->failed = reply == NULL || reply->type != REDIS_REPLY_ARRAY;
	for (size_t i = 0; !r->failed && i < reply->elements && count < DAYS_MOST; i++) {
		const char *day = reply->element[i]->str;

		if (day && (r->from[0] == '\0' || strcmp(day, r->from) >= 0) && (r->to[0] == '\0' || strcmp(day, r->to) <= 0))
			days[count++] = day;
	}
	qsort(days, count, sizeof *days, by_text);
	r->waiting = 1;
	for (size_t i = 0; i < count; i++) {
		struct day *day = malloc(sizeof *day);

		if (day == NULL) {
			r->failed = true;
			break;
		}
		*day = (struct day){ r, json_pack("{s:s}", "day", days[i]) };
		json_array_append_new(r->days, day->counts);
		r->waiting++;
		ask(r, got_day, day, "HGETALL", days[i]);
		if (r->forget)
			ask(r, NULL, NULL, "DEL", days[i]);
	}
	if (r->forget && !r->failed)
		ask(r, NULL, NULL, "DEL", "days");
	if (--r->waiting == 0)
		reading_end(r);
}

static bool
day_good(const char *day)
{
	struct tm tm;
	const char *end = day ? strptime(day, "%Y-%m-%d", &tm) : NULL;

	return day == NULL || (end && *end == '\0' && strlen(day) == DAY_ROOM - 1);
}

static void
read_days(struct meter *m, const char *customer, const char *from, const char *to, bool forget, meter_reply done, void *arg)
{
	struct reading *r = calloc(1, sizeof *r);

	if (r == NULL) {
		done(arg, json_pack("{s:s, s:i}", "error", "no memory", "exit", 1));
		return;
	}
	write_all(m);                        /* what has just been counted is part of the answer */
	*r = (struct reading){ .meter = m, .done = done, .arg = arg, .forget = forget, .days = json_array() };
	snprintf(r->customer, sizeof r->customer, "%.63s", customer[0] ? customer : "-");
	snprintf(r->from, sizeof r->from, "%s", from ? from : "");
	snprintf(r->to, sizeof r->to, "%s", to ? to : "");
	ask(r, got_days, r, "SMEMBERS", "days");
}

void
meter_request(struct meter *m, const json_t *request, meter_reply done, void *arg)
{
	const char *customer = json_string_value(json_object_get(request, "customer")), *scope = json_string_value(json_object_get(request, "scope"));
	const char *from = json_string_value(json_object_get(request, "from")), *to = json_string_value(json_object_get(request, "to"));

	if (!day_good(from) || !day_good(to))
		done(arg, json_pack("{s:s, s:i}", "error", "from and to: expected days as 2026-12-31", "exit", 2));
	else if (scope && (customer == NULL || strcmp(customer, scope) != 0))
		done(arg, json_pack("{s:s, s:i, s:b}", "error", "that is not of this customer", "exit", 2, "foreign", 1));
	else
		read_days(m, customer ? customer : "", from, to, false, done, arg);
}

void
meter_forget(struct meter *m, const char *customer, meter_reply done, void *arg)
{
	read_days(m, customer, NULL, NULL, true, done, arg);
}
