#include "policyd/trainer/follow.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <zstd.h>

#include "policyd/base/clock.h"
#include "policyd/base/log.h"
#include "policyd/base/metrics.h"
#include "policyd/trainer/ledger.h"
#include "policyd/trainer/rebuild.h"

/* When a rebuild is due: for small models after any lesson, for larger ones when a share of 1 / OUT_OF_ORDER is new. */
enum { ALWAYS_BELOW = 2000, OUT_OF_ORDER = 20 };

static const char key_base[] = "{model:global}:base", key_snapshot[] = "{model:global}:snapshot", key_next[] = "{model:global}:base-next",
	key_lease[] = "{model:global}:lease", key_rebuilt[] = "{model:global}:rebuilt", key_lessons[] = "{model:global}:lessons";

/* KEYS hash; ARGV place, table, name. Only what is newer is taken: a node that slept with the lease in its hand changes nothing. */
static const char put_script[] =
	"local function parts(id) local a, b = string.match(id or '0-0', '^(%d+)-(%d+)$') return tonumber(a or 0), tonumber(b or 0) end\n"
	"local a1, a2 = parts(redis.call('HGET', KEYS[1], 'place'))\n"
	"local b1, b2 = parts(ARGV[1])\n"
	"if ARGV[4] == 'newer' and (b1 < a1 or (b1 == a1 and b2 <= a2)) then return 0 end\n"
	"redis.call('HSET', KEYS[1], 'place', ARGV[1], 'table', ARGV[2], 'name', ARGV[3])\n"
	"return 1\n";
static const char lease_script[] =
	"local who = redis.call('GET', KEYS[1])\n"
	"if who and who ~= ARGV[1] then return 0 end\n"
	"redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])\n"
	"return 1\n";

static bool
is_one(redisReply *reply)
{
	bool one = reply && reply->type == REDIS_REPLY_INTEGER && reply->integer == 1;

	if (reply)
		freeReplyObject(reply);
	return one;
}

static bool
table_put(struct redis *redis, const char *key, const struct table *t, const char *name, bool newer)
{
	size_t room = ZSTD_compressBound(sizeof *t), n;
	char *packed = malloc(room);
	bool good = false;

	if (packed && !ZSTD_isError(n = ZSTD_compress(packed, room, t, sizeof *t, 1))) {
		const char *argv[] = { "EVAL", put_script, "1", key, t->place[0] ? t->place : "0-0", packed, name, newer ? "newer" : "" };
		size_t lengths[8];

		for (int i = 0; i < 8; i++)
			lengths[i] = i == 5 ? n : strlen(argv[i]);
		good = is_one(redis_command(redis, 8, argv, lengths));
	}
	free(packed);
	return good;
}

/* 1 read, 0 there is none (or of another version), -1 no answer. */
static int
table_get(struct redis *redis, const char *key, struct table *t)
{
	redisReply *reply = redis_say(redis, 4, (const char *const[]){ "HMGET", key, "place", "table" });
	int result = reply && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 ? 0 : -1;

	if (result == 0 && reply->element[1]->type == REDIS_REPLY_STRING) {
		const redisReply *packed = reply->element[1];

		if (ZSTD_decompress(t, sizeof *t, packed->str, packed->len) == sizeof *t && table_is_sound(t)) {
			snprintf(t->place, sizeof t->place, "%s", reply->element[0]->str);
			result = 1;
		}
	}
	if (reply)
		freeReplyObject(reply);
	return result;
}

static struct table *
spare(struct follower *f)
{
	if (f->spare == NULL)
		f->spare = table_private();
	return f->spare;
}

/* Readers may see the copy half way; what they score then is neither worse nor better founded than a moment before. */
static void
take_over(struct follower *f, const struct table *from)
{
	f->table->applying = 1;
	memcpy((char *)f->table + offsetof(struct table, lessons), (const char *)from + offsetof(struct table, lessons),
	    sizeof *from - offsetof(struct table, lessons));
	f->table->applying = 0;
}

/* The base, or an empty table. */
static bool
load_base(struct follower *f, struct table *t)
{
	int got;

	table_clear(t);
	got = table_get(f->redis, key_base, t);
	if (got == 0)
		table_clear(t);
	return got >= 0;
}

static bool
rebuild(struct follower *f, const char *upto)
{
	struct table *t = spare(f);

	if (t == NULL || !load_base(f, t) || !rebuild_table(f->redis, t, upto, f->leads))
		return false;
	t->unordered = 0;
	take_over(f, t);
	return true;
}

/* ---- following ---- */

struct step {
	struct follower *f;
	struct table *t;
	char rebuilt[LEDGER_ID];             /* the last rebuild of the ledger: those before it need not be made */
	bool failed;
};

static bool
apply(void *arg, const char *id, const struct lesson *lesson, const struct features *features)
{
	struct step *s = arg;
	struct table *t = s->t;
	struct lesson_effect effect = lesson->effect;
	int label = lesson->spam ? SPAM : HAM;

	if (lesson->op == LEDGER_REBUILD) {
		if (!ledger_before(id, s->rebuilt) && t == s->f->table && !rebuild(s->f, id)) {
			s->failed = true;
			return false;
		}
	} else if (features || effect.trained == 0) {
		t->applying = 1;
		if (lesson->op == LEDGER_LEARN)
			learners_train(t, features, label, &effect, lesson_seed(lesson->digest));
		else
			learners_untrain(t, features, label, &effect);
		t->unordered++;
		if (lesson->op == LEDGER_UNLEARN)    /* a rebuild leaves no trace of it: soon */
			t->unordered += (t->seen[HAM] + t->seen[SPAM]) / OUT_OF_ORDER + 1;
		metrics_add(M_TRAINED, 1);
	}
	snprintf(t->place, sizeof t->place, "%s", id);
	t->applying = 0;
	s->f->applied++;
	s->f->taught_ms = clock_ms();
	return true;
}

static bool
get_text(struct redis *redis, const char *key, char *to, size_t room)
{
	redisReply *reply = redis_say(redis, 2, (const char *const[]){ "GET", key });
	bool good = reply && reply->type != REDIS_REPLY_ERROR;

	snprintf(to, room, "%s", good && reply->type == REDIS_REPLY_STRING ? reply->str : "0-0");
	if (reply)
		freeReplyObject(reply);
	return good;
}

/* A table that cannot go on from where it is: the snapshot, or the base. */
static bool
start_anew(struct follower *f)
{
	struct table *t = spare(f);
	int got = t ? table_get(f->redis, key_snapshot, t) : -1;

	if (got < 0 || (got == 0 && !load_base(f, t)))
		return false;
	take_over(f, t);
	log_info("model: starts from the %s at %s", got ? "snapshot" : "base", t->place[0] ? t->place : "the beginning");
	return true;
}

/* Whether the ledger still has all behind our place: it goes into the base from the oldest on. */
static bool
reaches_back(struct follower *f)
{
	char base[LEDGER_ID] = "0-0";
	redisReply *reply = redis_say(f->redis, 3, (const char *const[]){ "HGET", key_base, "place" });

	if (reply && reply->type == REDIS_REPLY_STRING)
		snprintf(base, sizeof base, "%s", reply->str);
	if (reply)
		freeReplyObject(reply);
	return f->table->place[0] && !ledger_before(f->table->place, base);
}

void
follow_open(struct follower *f, struct table *table, struct redis *redis)
{
	char host[32] = "node";
	uint64_t chance = (uint64_t)clock_us() * 0x9e3779b97f4a7c15u;

	f->table = table;
	f->redis = redis;
	gethostname(host, sizeof host - 1);
	snprintf(f->node, sizeof f->node, "%s/%d/%08x", host, (int)getpid(), (unsigned)(chance >> 32));
}

bool
follow_step(struct follower *f)
{
	struct step step = { .f = f, .t = f->table };
	char last[LEDGER_ID];

	if (f->table->applying || (!f->caught_up && !reaches_back(f)))
		if (!start_anew(f))
			goto silent;
	if (!f->caught_up && !get_text(f->redis, key_rebuilt, step.rebuilt, sizeof step.rebuilt))
		goto silent;
	memcpy(last, f->table->place, sizeof last);
	f->caught_up = ledger_read(f->redis, last, NULL, apply, &step) && !step.failed;
	if (f->caught_up)
		return true;
silent:
	f->caught_up = false;
	snprintf(f->why, sizeof f->why, "%s", redis_why(f->redis));
	return false;
}

bool
follow_in_order(const struct follower *f)
{
	uint32_t all = f->table->seen[HAM] + f->table->seen[SPAM], out = f->table->unordered;

	return out == 0 || all >= REBUILD_BELOW || (all >= ALWAYS_BELOW && out < all / OUT_OF_ORDER);
}

/* ---- care ---- */

static bool
hold_lease(struct follower *f)
{
	char ms[16];

	snprintf(ms, sizeof ms, "%d", LEASE_MS);
	return is_one(redis_say(f->redis, 6, (const char *const[]){ "EVAL", lease_script, "1", key_lease, f->node, ms }));
}

/* What is too old to be kept lesson by lesson goes into the base, in two steps: the base to be is the table half the ledger
 * ago, so that the newer half can always be taken back one by one and rebuilt. */
static void
retain(struct follower *f)
{
	redisReply *reply = redis_say(f->redis, 2, (const char *const[]){ "XLEN", key_lessons });
	bool full = reply && reply->type == REDIS_REPLY_INTEGER && reply->integer > LEDGER_MOST;
	struct table *t = full ? spare(f) : NULL;

	if (reply)
		freeReplyObject(reply);
	if (t == NULL)
		return;
	if (table_get(f->redis, key_next, t) == 1 && table_put(f->redis, key_base, t, "older lessons", true)) {
		reply = redis_say(f->redis, 4, (const char *const[]){ "XTRIM", key_lessons, "MINID", t->place });
		if (reply)
			freeReplyObject(reply);
		log_info("model: lessons up to %s are in the base now", t->place);
	}
	table_put(f->redis, key_next, f->table, "older lessons", true);
}

void
follow_care(struct follower *f)
{
	if (!f->caught_up || clock_ms() < f->lease_at_ms)
		return;
	f->leads = hold_lease(f);
	f->lease_at_ms = clock_ms() + (f->leads ? LEASE_MS / 10 : LEASE_MS / 4);
	if (!f->leads)
		return;
	if (!follow_in_order(f) && clock_ms() - f->taught_ms >= PAUSE_MS)
		ledger_mark_rebuild(f->redis, f->node);
	if (f->applied - f->snapshot_at >= SNAPSHOT_EVERY) {
		f->snapshot_at = f->applied;
		table_put(f->redis, key_snapshot, f->table, f->node, true);
		retain(f);
	}
}

/* ---- base ---- */

bool
follow_is_new(struct follower *f)
{
	redisReply *reply = redis_say(f->redis, 4, (const char *const[]){ "EXISTS", key_lessons, key_base, key_snapshot });
	bool none = reply && reply->type == REDIS_REPLY_INTEGER && reply->integer == 0;

	if (reply)
		freeReplyObject(reply);
	return none;
}

bool
follow_import(struct follower *f, const struct table *table, const char *name)
{
	struct table *t = spare(f);

	if (t == NULL)
		return false;
	memcpy(t, table, sizeof *t);
	/* The base lies before all lessons that the ledger has: they come on top. */
	redisReply *reply = redis_say(f->redis, 3, (const char *const[]){ "HGET", key_base, "place" });

	snprintf(t->place, sizeof t->place, "%s", reply && reply->type == REDIS_REPLY_STRING ? reply->str : "0-0");
	if (reply)
		freeReplyObject(reply);
	reply = redis_say(f->redis, 2, (const char *const[]){ "DEL", key_snapshot });
	if (reply)
		freeReplyObject(reply);
	return table_put(f->redis, key_base, t, name, false) && ledger_mark_rebuild(f->redis, f->node);
}

static bool
same_bytes(const struct table *a, const struct table *b)
{
	size_t from = offsetof(struct table, seen);

	return memcmp((const char *)a + from, (const char *)b + from, offsetof(struct table, unordered) - from) == 0 &&
	    memcmp(a->calibration, b->calibration, sizeof *a - offsetof(struct table, calibration)) == 0;
}

bool
follow_verify(struct follower *f, char *why, size_t room)
{
	struct table *t = spare(f), *own = table_private();
	struct step step = { .f = f };
	char rebuilt[LEDGER_ID], last[LEDGER_ID];
	bool good = t && own && follow_step(f) && get_text(f->redis, key_rebuilt, rebuilt, sizeof rebuilt) && load_base(f, own);

	if (good && ledger_before("0-0", rebuilt) && ledger_before(own->place, rebuilt))
		good = rebuild_table(f->redis, own, rebuilt, false);
	if (good) {
		memcpy(last, own->place, sizeof last);
		step.t = own;
		snprintf(step.rebuilt, sizeof step.rebuilt, "%s", rebuilt);
		good = ledger_read(f->redis, last, f->table->place, apply, &step) && !step.failed;
	}
	if (!good)
		snprintf(why, room, "Redis: %s", redis_why(f->redis));
	else if (!same_bytes(own, f->table)) {
		snprintf(why, room, "the ledger gives another table than this node has");
		good = false;
	}
	table_private_free(own);
	return good;
}
