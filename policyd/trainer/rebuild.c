#include "policyd/trainer/rebuild.h"

#include <stdio.h>
#include <stdlib.h>

#include "policyd/base/buf.h"
#include "policyd/model/learners.h"
#include "policyd/trainer/ledger.h"

struct kept {
	char digest[65];
	bool spam;
	struct lesson_effect effect;
	struct buf features;                 /* packed */
};

struct pile {
	struct kept *at;
	size_t count, room;
	bool failed;
};

static struct kept *
find(struct pile *p, const char *digest)
{
	for (size_t i = p->count; i > 0; i--)        /* what is taken back was mostly learnt not long ago */
		if (strcmp(p->at[i - 1].digest, digest) == 0)
			return &p->at[i - 1];
	return NULL;
}

static void
take(void *arg, const struct lesson *lesson, const struct features *f)
{
	struct pile *p = arg;
	struct kept *k;

	if (!lesson->learn) {
		if ((k = find(p, lesson->digest)) != NULL) {
			buf_free(&k->features);
			*k = p->at[--p->count];
		}
		return;
	}
	if (p->count == p->room) {
		size_t room = p->room ? p->room * 2 : 256;
		struct kept *more = realloc(p->at, room * sizeof *more);

		if (more == NULL) {
			p->failed = true;
			return;
		}
		p->at = more;
		p->room = room;
	}
	k = &p->at[p->count++];
	*k = (struct kept){ .spam = lesson->spam, .effect = lesson->effect };
	memcpy(k->digest, lesson->digest, sizeof k->digest);
	features_pack(&k->features, f);
	p->failed |= k->features.failed;
}

static int
by_digest(const void *a, const void *b)
{
	return strcmp(((const struct kept *)a)->digest, ((const struct kept *)b)->digest);
}

bool
rebuild_table(struct redis *redis, struct table *table, char last[48])
{
	struct pile pile = { 0 };
	struct arena *a = arena_open(64 << 20);
	struct arena_mark mark = arena_mark(a);

	snprintf(last, 48, "0-0");
	bool good = ledger_replay(redis, last, take, &pile) && !pile.failed;

	table_clear(table);
	if (good && pile.count > 0)
		qsort(pile.at, pile.count, sizeof *pile.at, by_digest);
	for (size_t i = 0; good && i < pile.count; i++) {
		struct features f;

		if (features_unpack(buf_span(&pile.at[i].features), a, &f))
			learners_train(table, &f, pile.at[i].spam ? SPAM : HAM, &pile.at[i].effect, lesson_seed(pile.at[i].digest));
		arena_rewind(a, mark);
	}
	for (size_t i = 0; i < pile.count; i++)
		buf_free(&pile.at[i].features);
	free(pile.at);
	arena_close(a);
	return good;
}
