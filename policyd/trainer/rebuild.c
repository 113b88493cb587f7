#include "policyd/trainer/rebuild.h"

#include <stdio.h>
#include <stdlib.h>

#include "policyd/base/buf.h"
#include "policyd/base/map.h"
#include "policyd/trainer/ledger.h"

enum { CORRECT_AT_ONCE = 500 };

struct kept {
	char digest[65];
	bool spam, gone, has_features;
	struct lesson_effect effect;
	struct buf features;                 /* packed; only while few are put in order */
};

struct pile {
	struct kept **at;                    /* lessons in the order of the ledger */
	size_t count, room, left, read;      /* left: that were not taken back; read: of the second reading */
	struct map by_digest;
	struct table *table;
	bool young, failed;
};

static bool
keep(struct pile *p, const struct lesson *lesson, bool has_features)
{
	struct kept *k = calloc(1, sizeof *k);

	if (p->count == p->room) {
		size_t room = p->room ? p->room * 2 : 256;
		struct kept **more = realloc(p->at, room * sizeof *more);

		if (more == NULL) {
			free(k);
			return false;
		}
		p->at = more;
		p->room = room;
	}
	if (k == NULL)
		return false;
	p->at[p->count++] = k;
	p->left++;
	k->spam = lesson->spam;
	k->effect = lesson->effect;
	k->has_features = has_features;
	memcpy(k->digest, lesson->digest, sizeof k->digest);
	return map_put(&p->by_digest, span_hash(span_of(lesson->digest), 5), k);
}

/* The first reading: which lessons are still in force. */
static bool
take(void *arg, const char *id, const struct lesson *lesson, const struct features *f)
{
	struct pile *p = arg;
	struct kept *k;

	(void)id;
	if (lesson->op == LEDGER_LEARN)
		p->failed |= !keep(p, lesson, f != NULL);
	else if (lesson->op == LEDGER_UNLEARN && (k = map_take(&p->by_digest, span_hash(span_of(lesson->digest), 5))) != NULL) {
		k->gone = true;
		p->left--;
	}
	return !p->failed;
}

static void
train(struct pile *p, struct kept *k, const struct features *f)
{
	int label = k->spam ? SPAM : HAM;

	if (p->young && f)
		learners_plan(p->table, NULL, f, label, &k->effect);
	if (f || k->effect.trained == 0)
		learners_train(p->table, f, label, &k->effect, lesson_seed(k->digest));
}

/* The second: their features, applied at once or kept to be put in order. */
static bool
use(void *arg, const char *id, const struct lesson *lesson, const struct features *f)
{
	struct pile *p = arg;
	struct kept *k = lesson->op == LEDGER_LEARN && p->read < p->count ? p->at[p->read++] : NULL;

	(void)id;
	if (k == NULL || k->gone)
		return true;
	if (!p->young)
		train(p, k, f);
	else if (f)
		features_pack(&k->features, f);
	p->failed |= k->features.failed;
	return !p->failed;
}

static int
by_digest(const void *a, const void *b)
{
	return strcmp((*(struct kept *const *)a)->digest, (*(struct kept *const *)b)->digest);
}

static void
train_in_order(struct pile *p)
{
	struct arena *a = arena_open(64 << 20);
	struct arena_mark mark = arena_mark(a);

	if (p->count > 0)
		qsort(p->at, p->count, sizeof *p->at, by_digest);
	for (size_t i = 0; i < p->count; i++, arena_rewind(a, mark)) {
		struct features f;

		if (!p->at[i]->gone)
			train(p, p->at[i], p->at[i]->has_features && features_unpack(buf_span(&p->at[i]->features), a, &f) ? &f : NULL);
	}
	arena_close(a);
}

static bool
correct_all(struct redis *redis, struct pile *p)
{
	bool good = true;

	for (size_t i = 0; i < p->count && good; i += CORRECT_AT_ONCE) {
		size_t n = p->count - i < CORRECT_AT_ONCE ? p->count - i : CORRECT_AT_ONCE, sent = 0;

		for (size_t k = i; k < i + n; k++)
			sent += !p->at[k]->gone && ledger_correct(redis, p->at[k]->digest, p->at[k]->spam, &p->at[k]->effect);
		for (; sent > 0; sent--) {
			redisReply *reply = redis_next(redis);

			good &= reply != NULL;
			if (reply)
				freeReplyObject(reply);
		}
	}
	return good;
}

bool
rebuild_table(struct redis *redis, struct table *table, const char *upto, bool correct)
{
	struct pile p = { .table = table };
	char start[sizeof table->place];

	memcpy(start, table->place, sizeof start);
	bool good = ledger_read(redis, table->place, upto, take, &p) && !p.failed;

	p.young = p.left < REBUILD_BELOW;
	if (upto == NULL)
		upto = table->place;         /* what came since the first reading is for the next time */
	good = good && ledger_read(redis, start, upto[0] ? upto : "0-0", use, &p) && !p.failed;
	if (good && p.young)
		train_in_order(&p);
	if (good && p.young && correct)
		good = correct_all(redis, &p);
	if (upto != table->place)
		snprintf(table->place, sizeof table->place, "%s", upto);
	for (size_t i = 0; i < p.count; i++) {
		buf_free(&p.at[i]->features);
		free(p.at[i]);
	}
	free(p.at);
	map_free(&p.by_digest);
	return good;
}
