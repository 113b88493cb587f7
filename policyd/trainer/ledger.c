#include "policyd/trainer/ledger.h"

#include <stdio.h>
#include <stdlib.h>
#include <zstd.h>

enum { REPLAY_AT_ONCE = 200, FEATURES_PACKED_MOST = 1 << 20 };

static const char key_lessons[] = "{model:global}:lessons", key_known[] = "{model:global}:known";

/* The stream's entry and the digest's state are one write: a script with declared keys. */
static const char add_script[] =
	"local id = redis.call('XADD', KEYS[1], '*', 'd', ARGV[1], 'c', ARGV[2], 'o', ARGV[3], 's', ARGV[4], 'w', ARGV[5], "
	"'u', ARGV[6], 't', ARGV[7], 'f', ARGV[8])\n"
	"if ARGV[3] == 'learn' then redis.call('HSET', KEYS[2], ARGV[1], ARGV[2] .. ':' .. ARGV[7]) "
	"else redis.call('HDEL', KEYS[2], ARGV[1]) end\n"
	"return id\n";

uint64_t
lesson_seed(const char *digest)
{
	return span_hash(span_of(digest), 41);
}

void
effect_print(const struct lesson_effect *e, char *to, size_t room)
{
	snprintf(to, room, "%u,%u,%u,%u,%.8g,%.8g", e->trained, e->bin[LEARNER_A], e->bin[LEARNER_B], e->bin[LEARNER_C], (double)e->g[LEARNER_A],
	    (double)e->g[LEARNER_C]);
}

bool
effect_parse(const char *text, struct lesson_effect *e)
{
	unsigned trained, bin[LEARNERS];
	float a, c;

	memset(e, 0, sizeof *e);
	if (sscanf(text, "%u,%u,%u,%u,%f,%f", &trained, &bin[0], &bin[1], &bin[2], &a, &c) != 6)
		return false;
	e->trained = (uint8_t)trained;
	for (int i = 0; i < LEARNERS; i++)
		e->bin[i] = (uint16_t)(bin[i] < CALIBRATION_BINS ? bin[i] : CALIBRATION_BINS - 1);
	e->g[LEARNER_A] = a;
	e->g[LEARNER_C] = c;
	return true;
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
ledger_add(struct redis *redis, const struct lesson *lesson, struct span features, char id[48])
{
	size_t room = ZSTD_compressBound(features.n);
	char *packed = malloc(room), effect[96];
	size_t n = packed ? ZSTD_compress(packed, room, features.p, features.n, 3) : 0;
	bool written = false;

	if (packed && !ZSTD_isError(n)) {
		effect_print(&lesson->effect, effect, sizeof effect);
		const char *argv[] = { "EVAL", add_script, "2", key_lessons, key_known, lesson->digest, lesson->spam ? "spam" : "ham",
		    lesson->learn ? "learn" : "unlearn", lesson->source, lesson->who, lesson->customer, effect, packed };
		size_t lengths[13];

		for (int i = 0; i < 12; i++)
			lengths[i] = strlen(argv[i]);
		lengths[12] = n;
		redisReply *reply = redis_command(redis, 13, argv, lengths);

		written = reply && reply->type == REDIS_REPLY_STRING;
		if (written)
			snprintf(id, 48, "%s", reply->str);
		if (reply)
			freeReplyObject(reply);
	}
	free(packed);
	return written;
}

static void
copy(char *to, size_t room, const redisReply *from)
{
	snprintf(to, room, "%s", from->str ? from->str : "");
}

static bool
read_entry(const redisReply *entry, struct lesson *lesson, struct arena *a, struct features *features)
{
	const redisReply *fields = entry->elements == 2 ? entry->element[1] : NULL;
	bool have = false;

	memset(lesson, 0, sizeof *lesson);
	for (size_t i = 0; fields && i + 1 < fields->elements; i += 2) {
		const redisReply *value = fields->element[i + 1];

		switch (fields->element[i]->str[0]) {
		case 'd':
			copy(lesson->digest, sizeof lesson->digest, value);
			break;
		case 'c':
			lesson->spam = strcmp(value->str, "spam") == 0;
			break;
		case 'o':
			lesson->learn = strcmp(value->str, "learn") == 0;
			break;
		case 't':
			effect_parse(value->str, &lesson->effect);
			break;
		case 'f': {
			char *plain = arena_alloc(a, FEATURES_PACKED_MOST);
			size_t n = ZSTD_decompress(plain, FEATURES_PACKED_MOST, value->str, value->len);

			have = !ZSTD_isError(n) && features_unpack(span_make(plain, n), a, features);
			break;
		}
		}
	}
	return have;
}

bool
ledger_replay(struct redis *redis, char last[48],
    void (*apply)(void *arg, const struct lesson *lesson, const struct features *features), void *arg)
{
	struct arena *a = arena_open(64 << 20);
	struct arena_mark mark = arena_mark(a);
	char count[16];
	bool more = true, good = true;

	snprintf(count, sizeof count, "%d", REPLAY_AT_ONCE);
	while (more && good) {
		redisReply *reply = redis_say(redis, 6, (const char *const[]){ "XREAD", "COUNT", count, "STREAMS", key_lessons, last });
		const redisReply *entries = NULL;

		good = reply && reply->type != REDIS_REPLY_ERROR;
		if (good && reply->type == REDIS_REPLY_ARRAY && reply->elements == 1 && reply->element[0]->elements == 2)
			entries = reply->element[0]->element[1];
		more = entries && entries->elements > 0;
		for (size_t i = 0; more && i < entries->elements; i++) {
			struct lesson lesson;
			struct features features;

			if (read_entry(entries->element[i], &lesson, a, &features))
				apply(arg, &lesson, &features);
			copy(last, 48, entries->element[i]->element[0]);
			arena_rewind(a, mark);
		}
		if (reply)
			freeReplyObject(reply);
	}
	arena_close(a);
	return good;
}
