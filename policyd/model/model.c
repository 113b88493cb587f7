#include "policyd/model/model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

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

/* False: none of them has a table here. */
static bool
score_own(const struct model *m, const struct features *f, const char *const names[OWN_LAYERS], struct learner_scores *scores)
{
	for (int try = 0; try < READ_AGAIN; try++) {
		const struct own_slot *slots[OWN_LAYERS];
		struct own_tables own = { { NULL } };
		uint32_t sequence[OWN_LAYERS];
		bool any = false, same = true;

		for (int i = 0; i < OWN_LAYERS; i++) {
			slots[i] = names[i] ? own_find(m->own, names[i], &sequence[i]) : NULL;
			own.at[i] = slots[i] ? &slots[i]->table : NULL;
			any |= slots[i] != NULL;
		}
		if (!any)
			return false;
		learners_score(m->table, &own, f, scores);
		for (int i = 0; i < OWN_LAYERS; i++)
			same &= slots[i] == NULL || own_unchanged(slots[i], sequence[i]);
		if (same)
			return true;
	}
	return false;
}

void
model_score(const struct model *m, const struct features *f, const char *const own[OWN_LAYERS], struct model_score *out)
{
	struct learner_scores scores;

	*out = (struct model_score){ 0, 0.5, false, false };
	if (m->table->seen[HAM] < MODEL_LEAST || m->table->seen[SPAM] < MODEL_LEAST)
		return;
	out->own = own && score_own(m, f, own, &scores);
	if (!out->own)
		learners_score(m->table, NULL, f, &scores);
	out->log_odds = scores.log_odds;
	out->probability = 1 / (1 + exp(-scores.log_odds));
	out->known = true;
}
