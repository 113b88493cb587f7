/* stage_bayes.c - features once, what the model says for each class. */
#include "policyd/model/model.h"
#include "policyd/scan/stage.h"

enum stage_result
stage_bayes(struct scan *scan)
{
	struct model_score score;

	scan->features = ARENA_NEW(scan->arena, struct features);
	features_extract(scan->arena, &scan->message, &scan->session, scan->features);
	if (scan->kit->model == NULL)
		return STAGE_DONE;
	model_score(scan->kit->model, scan->features, &score);
	for (size_t i = 0; i < scan->class_count; i++) {
		scan->classes[i].log_odds = score.log_odds;
		scan->classes[i].probability = score.probability;
		scan->classes[i].model_known = score.known;
	}
	scan->verdict.spam_probability = score.probability;
	return STAGE_DONE;
}
