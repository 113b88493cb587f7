#include "policyd/trainer/ledger.h"

#include <stdio.h>

#include "policyd/base/clock.h"

enum { READ_AT_ONCE = 200 };

const char *const ledger_op_names[3] = { [LEDGER_LEARN] = "learn", [LEDGER_UNLEARN] = "unlearn", [LEDGER_REBUILD] = "rebuild" };

static const char key_lessons[] = "{model:global}:lessons", key_known[] = "{model:global}:known", key_rebuilt[] = "{model:global}:rebuilt",
	key_voters[] = "{model:global}:voters";

/* KEYS lessons, known, vote, voters, rate; ARGV digest, class, op, source, who, customer, effect, features, weight, voter,
 * lessons a day. An untrusted teacher's word counts by his weight and by how often he was right; it takes a sum of 1 from
 * two voters at least. */
static const char add_script[] =
	"local known = redis.call('HGET', KEYS[2], ARGV[1])\n"
	"local was = known and string.match(known, '^%a+')\n"
	"local function entry(op, class, effect)\n"
	"  local features = string.sub(effect, 1, 2) == '0,' and '' or ARGV[8]\n"      /* what trained nothing leaves its scores only */
	"  return redis.call('XADD', KEYS[1], '*', 'o', op, 'd', ARGV[1], 'c', class, 's', ARGV[4], 'w', ARGV[5], 'u', ARGV[6],\n"
	"    't', effect, 'f', features)\n"
	"end\n"
	"local function take_back() entry('unlearn', was, string.match(known, ':(.*)$')) end\n"
	"if ARGV[3] == 'unlearn' then\n"
	"  if not known then return 'unknown' end\n"
	"  take_back()\n"
	"  redis.call('HDEL', KEYS[2], ARGV[1])\n"
	"  return 'unlearnt'\n"
	"end\n"
	"if was == ARGV[2] then return 'known' end\n"
	"if tonumber(ARGV[9]) < 1 then\n"
	"  if redis.call('INCR', KEYS[5]) > tonumber(ARGV[11]) then return 'limited' end\n"
	"  redis.call('EXPIRE', KEYS[5], 172800)\n"
	"  redis.call('HSET', KEYS[3], ARGV[10], ARGV[2] .. ':' .. ARGV[9])\n"
	"  redis.call('EXPIRE', KEYS[3], 2592000)\n"
	"end\n"
	"local votes = redis.call('HGETALL', KEYS[3])\n"
	"if tonumber(ARGV[9]) < 1 then\n"
	"  local sum, voters = 0, 0\n"
	"  for i = 1, #votes, 2 do\n"
	"    local class, weight = string.match(votes[i + 1], '^(%a+):(.*)$')\n"
	"    if class == ARGV[2] then\n"
	"      local agreed, all = string.match(redis.call('HGET', KEYS[4], votes[i]) or '0:0', '^(%d+):(%d+)$')\n"
	"      sum = sum + tonumber(weight) * (agreed + 2) / (all + 2)\n"
	"      voters = voters + 1\n"
	"    end\n"
	"  end\n"
	"  if voters < 2 or sum < 0.99 then return 'held' end\n"
	"end\n"
	"for i = 1, #votes, 2 do\n"
	"  local agreed, all = string.match(redis.call('HGET', KEYS[4], votes[i]) or '0:0', '^(%d+):(%d+)$')\n"
	"  if string.match(votes[i + 1], '^%a+') == ARGV[2] then agreed = agreed + 1 end\n"
	"  redis.call('HSET', KEYS[4], votes[i], string.format('%d:%d', agreed, all + 1))\n"
	"end\n"
	"redis.call('DEL', KEYS[3])\n"
	"if known then take_back() end\n"
	"entry('learn', ARGV[2], ARGV[7])\n"
	"redis.call('HSET', KEYS[2], ARGV[1], ARGV[2] .. ':' .. ARGV[7])\n"
	"return known and 'flipped' or 'learnt'\n";

static const char rebuild_script[] =
	"local id = redis.call('XADD', KEYS[1], '*', 'o', 'rebuild', 'w', ARGV[1])\n"
	"redis.call('SET', KEYS[2], id)\n"
	"return id\n";

uint64_t
lesson_seed(const char *digest)
{
	return span_hash(span_of(digest), 41);
}

void
effect_print(const struct lesson_effect *e, char *to, size_t room)
{
	snprintf(to, room, "%u,%u,%u,%u,%.9g,%.9g,%.9g", e->trained, e->bin[LEARNER_A], e->bin[LEARNER_B], e->bin[LEARNER_C], (double)e->g[LEARNER_A],
	    (double)e->g[LEARNER_C], (double)e->z);
}

bool
effect_parse(const char *text, struct lesson_effect *e)
{
	unsigned trained, bin[LEARNERS];
	float a, c, z;

	memset(e, 0, sizeof *e);
	if (sscanf(text, "%u,%u,%u,%u,%f,%f,%f", &trained, &bin[0], &bin[1], &bin[2], &a, &c, &z) != 7)
		return false;
	e->trained = (uint8_t)trained;
	for (int i = 0; i < LEARNERS; i++)
		e->bin[i] = (uint16_t)(bin[i] < CALIBRATION_BINS ? bin[i] : CALIBRATION_BINS - 1);
	e->g[LEARNER_A] = a;
	e->g[LEARNER_C] = c;
	e->z = z;
	return true;
}

bool
ledger_append(struct redis *redis, const struct lesson *lesson, struct span features)
{
	char effect[128], weight[16], vote[128], rate[256], limit[16];
	const char *voter = lesson->customer[0] ? lesson->customer : lesson->who;
	effect_print(&lesson->effect, effect, sizeof effect);
	snprintf(weight, sizeof weight, "%.3f", lesson->weight);
	snprintf(vote, sizeof vote, "{model:global}:vote:%s", lesson->alike[0] ? lesson->alike : lesson->digest);
	snprintf(rate, sizeof rate, "{model:global}:rate:%s:%lld", voter, (long long)(wall_s() / 86400));
	snprintf(limit, sizeof limit, "%d", VOTER_LESSONS_A_DAY);
	const char *argv[] = { "EVAL", add_script, "5", key_lessons, key_known, vote, key_voters, rate, lesson->digest, lesson->spam ? "spam" : "ham",
	    ledger_op_names[lesson->op], lesson->source, lesson->who, lesson->customer, effect, features.p, weight, voter, limit };
	enum { ARGC = sizeof argv / sizeof *argv };
	size_t lengths[ARGC];

	for (int i = 0; i < ARGC; i++)
		lengths[i] = argv[i] == features.p ? features.n : strlen(argv[i]);
	return redis_append(redis, ARGC, argv, lengths);
}

enum lesson_result
ledger_result(const redisReply *reply)
{
	static const char *const names[] = { [LESSON_LEARNT] = "learnt", [LESSON_KNOWN] = "known", [LESSON_FLIPPED] = "flipped",
	    [LESSON_UNLEARNT] = "unlearnt", [LESSON_HELD] = "held", [LESSON_LIMITED] = "limited", [LESSON_UNKNOWN] = "unknown" };

	if (reply && reply->type == REDIS_REPLY_STRING)
		for (size_t i = 1; i < sizeof names / sizeof *names; i++)
			if (strcmp(reply->str, names[i]) == 0)
				return (enum lesson_result)i;
	return LESSON_FAILED;
}

int
ledger_known(struct redis *redis, const char *digest, bool *spam, struct lesson_effect *effect)
{
	redisReply *reply = redis_say(redis, 3, (const char *const[]){ "HGET", key_known, digest });
	int result = reply == NULL || reply->type == REDIS_REPLY_ERROR ? -1 : reply->type == REDIS_REPLY_STRING;

	if (result == 1) {
		struct span rest = span_make(reply->str, reply->len);

		*spam = span_eq(span_cut(&rest, ':'), SPAN("spam"));
		if (!effect_parse(rest.p, effect))
			result = -1;
	}
	if (reply)
		freeReplyObject(reply);
	return result;
}

bool
ledger_correct(struct redis *redis, const char *digest, bool spam, const struct lesson_effect *e)
{
	static const char script[] =
		"local known = redis.call('HGET', KEYS[1], ARGV[1])\n"
		"if known and string.match(known, '^%a+') == ARGV[2] then\n"
		"  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ':' .. ARGV[3])\n"
		"end\n"
		"return 1\n";
	char effect[128];

	effect_print(e, effect, sizeof effect);
	const char *argv[] = { "EVAL", script, "1", key_known, digest, spam ? "spam" : "ham", effect };
	size_t lengths[7];

	for (int i = 0; i < 7; i++)
		lengths[i] = strlen(argv[i]);
	return redis_append(redis, 7, argv, lengths);
}

bool
ledger_mark_rebuild(struct redis *redis, const char *who)
{
	redisReply *reply = redis_say(redis, 6, (const char *const[]){ "EVAL", rebuild_script, "2", key_lessons, key_rebuilt, who });
	bool good = reply && reply->type == REDIS_REPLY_STRING;

	if (reply)
		freeReplyObject(reply);
	return good;
}

/* ---- reading ---- */

static void
copy(char *to, size_t room, const redisReply *from)
{
	snprintf(to, room, "%s", from->str ? from->str : "");
}

static void
read_field(char name, const redisReply *value, struct lesson *lesson)
{
	switch (name) {
	case 'o':
		for (int i = 0; i < 3; i++)
			if (strcmp(value->str, ledger_op_names[i]) == 0)
				lesson->op = (enum ledger_op)i;
		break;
	case 'd':
		copy(lesson->digest, sizeof lesson->digest, value);
		break;
	case 'c':
		lesson->spam = strcmp(value->str, "spam") == 0;
		break;
	case 's':
		copy(lesson->source, sizeof lesson->source, value);
		break;
	case 'w':
		copy(lesson->who, sizeof lesson->who, value);
		break;
	case 'u':
		copy(lesson->customer, sizeof lesson->customer, value);
		break;
	case 't':
		effect_parse(value->str, &lesson->effect);
		break;
	}
}

/* True: `features` was read too. */
static bool
read_entry(const redisReply *entry, struct lesson *lesson, struct arena *a, struct features *features)
{
	const redisReply *fields = entry->elements == 2 ? entry->element[1] : NULL;
	bool have = false;

	memset(lesson, 0, sizeof *lesson);
	for (size_t i = 0; fields && i + 1 < fields->elements; i += 2) {
		const redisReply *value = fields->element[i + 1];

		if (fields->element[i]->str[0] == 'f' && a) {
			have = value->len > 0 && features_unpack(arena_copy(a, span_make(value->str, value->len)), a, features);
		} else {
			read_field(fields->element[i]->str[0], value, lesson);
		}
	}
	return have;
}

/* False: the reading is to end. */
static bool
read_all(const redisReply *entries, char last[LEDGER_ID], struct arena *a, ledger_callback each, void *arg)
{
	struct arena_mark mark = a ? arena_mark(a) : (struct arena_mark){ 0 };
	bool go_on = true;

	for (size_t i = 0; go_on && i < entries->elements; i++) {
		const redisReply *entry = entries->element[i];
		struct lesson lesson;
		struct features features;
		bool have = read_entry(entry, &lesson, a, &features);

		go_on = each(arg, entry->element[0]->str, &lesson, have ? &features : NULL);
		if (last)
			copy(last, LEDGER_ID, entry->element[0]);
		if (a)
			arena_rewind(a, mark);
	}
	return go_on;
}

bool
ledger_read(struct redis *redis, char last[LEDGER_ID], const char *upto, ledger_callback each, void *arg)
{
	struct arena *a = arena_open(64 << 20);
	char count[16], from[LEDGER_ID + 1];
	bool more = true, good = true;

	snprintf(count, sizeof count, "%d", READ_AT_ONCE);
	while (more && good) {
		snprintf(from, sizeof from, "(%s", last[0] ? last : "0-0");
		redisReply *reply = redis_say(redis, 6, (const char *const[]){ "XRANGE", key_lessons, from, upto ? upto : "+", "COUNT", count });

		good = reply && reply->type == REDIS_REPLY_ARRAY;
		more = good && reply->elements > 0 && read_all(reply, last, a, each, arg);
		if (reply)
			freeReplyObject(reply);
	}
	arena_close(a);
	return good;
}

bool
ledger_history(struct redis *redis, int count, ledger_callback each, void *arg)
{
	char text[16];

	snprintf(text, sizeof text, "%d", count);
	redisReply *reply = redis_say(redis, 6, (const char *const[]){ "XREVRANGE", key_lessons, "+", "-", "COUNT", text });
	bool good = reply && reply->type == REDIS_REPLY_ARRAY;

	if (good)
		read_all(reply, NULL, NULL, each, arg);
	if (reply)
		freeReplyObject(reply);
	return good;
}

bool
ledger_before(const char *a, const char *b)
{
	unsigned long long at[2] = { 0 }, bt[2] = { 0 };

	sscanf(a, "%llu-%llu", &at[0], &at[1]);
	sscanf(b, "%llu-%llu", &bt[0], &bt[1]);
	return at[0] != bt[0] ? at[0] < bt[0] : at[1] < bt[1];
}
