#include "policyd/model/model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "policyd/model/learners.h"
#include "policyd/model/own_cache.h"

struct model {
	const struct table *table;
	struct own_cache *own;
};

enum { READ_AGAIN = 3 };             /* tries when a customer's table changes under the score */

struct model *
model_open(const char *state_dir, char *why, size_t room)
{
	struct model *m = calloc(1, sizeof *m);
	char path[512];

	if (m == NULL) {
		snprintf(why, room, "no memory");
		return NULL;
	}
	snprintf(path, sizeof path, "%s/model/global.tbl", state_dir);
	m->table = table_map(path, why, room);
	snprintf(path, sizeof path, "%s/model/customers.tbl", state_dir);
	if (m->table)
		m->own = own_cache_map(path, why, room);
	if (m->own == NULL) {
		model_close(m);
		return NULL;
	}
	return m;
}

void
model_close(struct model *m)
{
	if (m) {
		table_close(m->table);
		own_cache_close(m->own);
	}
	free(m);
}

/* False: he has no table here. */
static bool
score_own(const struct model *m, const struct features *f, const char *customer, struct learner_scores *scores)
{
	for (int i = 0; i < READ_AGAIN; i++) {
		uint32_t sequence;
		const struct own_slot *slot = own_find(m->own, customer, &sequence);

		if (slot == NULL)
			return false;
		learners_score(m->table, &slot->table, f, scores);
		if (own_unchanged(slot, sequence))
			return true;
	}
	return false;
}

void
model_score(const struct model *m, const struct features *f, const char *customer, struct model_score *out)
{
	struct learner_scores scores;

	*out = (struct model_score){ 0, 0.5, false, false };
	if (m->table->seen[HAM] < MODEL_LEAST || m->table->seen[SPAM] < MODEL_LEAST)
		return;
	out->own = customer && customer[0] && score_own(m, f, customer, &scores);
	if (!out->own)
		learners_score(m->table, NULL, f, &scores);
	out->log_odds = scores.log_odds;
	out->probability = 1 / (1 + exp(-scores.log_odds));
	out->known = true;
}
