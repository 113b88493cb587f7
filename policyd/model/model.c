#include "policyd/model/model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "policyd/model/learners.h"

struct model {
	const struct table *table;
};

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
	if (m->table == NULL) {
		free(m);
		return NULL;
	}
	return m;
}

void
model_close(struct model *m)
{
	if (m)
		table_close(m->table);
	free(m);
}

void
model_score(const struct model *m, const struct features *f, struct model_score *out)
{
	struct learner_scores scores;

	*out = (struct model_score){ 0, 0.5, false };
	if (m->table->seen[HAM] < MODEL_LEAST || m->table->seen[SPAM] < MODEL_LEAST)
		return;
	learners_score(m->table, NULL, f, &scores);
	out->log_odds = scores.log_odds;
	out->probability = 1 / (1 + exp(-scores.log_odds));
	out->known = true;
}
