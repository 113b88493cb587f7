/* stage_bayes.c - features once, what the model says for each class. */
#include "policyd/model/model.h"
#include "policyd/model/own_cache.h"
#include "policyd/scan/stage.h"

enum stage_result
stage_bayes(struct scan *scan)
{
	struct model_score all, score;

	scan->features = ARENA_NEW(scan->arena, struct features);
	features_extract(scan->arena, &scan->message, &scan->session, scan->features);
	if (scan->kit->model == NULL)
		return STAGE_DONE;
	/* One pass of features; a score for everybody, and one for each customer or mailbox with a model of their own. */
	model_score(scan->kit->model, scan->features, NULL, &all);
	for (size_t i = 0; i < scan->class_count; i++) {
		const struct policy *policy = scan->classes[i].policy;
		const char *own[OWN_LAYERS] = { NULL };
		char mailbox[OWN_NAME];

		score = all;
		if (policy && policy->own_model && policy->customer[0])
			own[OWN_CUSTOMER] = policy->customer;
		if (policy && scan->classes[i].mailbox) {
			own_name(policy->customer, scan->classes[i].mailbox, mailbox);
			own[OWN_MAILBOX] = mailbox;
		}
		if (own[OWN_CUSTOMER] || own[OWN_MAILBOX])
			model_score(scan->kit->model, scan->features, own, &score);
		scan->classes[i].log_odds = score.log_odds;
		scan->classes[i].probability = score.probability;
		scan->classes[i].model_known = score.known;
	}
	scan->verdict.spam_probability = all.probability;
	return STAGE_DONE;
}
