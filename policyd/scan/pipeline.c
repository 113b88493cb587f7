/* pipeline.c - the stages of a message, from top to bottom. The product in one table.
 *
 * Those before it (lists, reputation, the recipient's customer) run in the broker at CONNECT and RCPT; their
 * findings come with the job. */
#include "policyd/base/clock.h"
#include "policyd/base/log.h"
#include "policyd/base/metrics.h"
#include "policyd/scan/stage.h"

struct stage {
	const char *name, *symbol;           /* symbol: SYMBOL_UNKNOWN is found when it cannot tell */
	enum stage_result (*run)(struct scan *scan);
	int budget_ms;                       /* its share of the scan's time: its scan->deadline_ms */
	enum stage_failure suffers;
};

static const struct stage stages[] = {
	/* name    symbol    run           budget_ms  if it cannot tell */
	{ "mime",   "MIME",   stage_mime,     2000,    CARRY_ON },
	{ "relay",  "RELAY",  stage_relay,     100,    CARRY_ON },
	{ "asking", "AUTH",   stage_auth_ask,  200,    CARRY_ON },
	{ "names",  "NAMES",  stage_names,     100,    CARRY_ON },
	{ "alike",  "CAMPAIGN", stage_alike,   100,    CARRY_ON },
	{ "clamav", "CLAMAV", stage_clamav,  20000,    DEFER    },
	{ "lists",  "LISTS",  stage_lists,   10500,    CARRY_ON },     /* asked before ClamAV: mostly here by now */
	{ "auth",   "AUTH",   stage_auth,    21000,    CARRY_ON },     /* the same */
	{ "listed", "NAMES",  stage_listed,  10500,    CARRY_ON },     /* the same */
	{ "known",  "CAMPAIGN", stage_campaign, 1000,  CARRY_ON },     /* the same */
	{ "reputation", "REPUTATION", stage_reputation, 1000, CARRY_ON },
	{ "bayes",  "BAYES",  stage_bayes,    1000,    CARRY_ON },
	{ "rules",  "RULES",  stage_rules,    MAX_RULES_MS + MAX_RULES_WAIT_MS, CARRY_ON },
	{ "score",  "SCORE",  stage_score,     250,    DEFER    },
};

/* A stage that could not tell leaves its mark: nobody may read the mail as clean because of its silence. */
static void
cannot_tell(struct scan *scan, const struct stage *stage, struct span reason)
{
	struct verdict *v = &scan->verdict;
	static int64_t last_said_s;
	const struct symbol *said;

	metrics_add(M_STAGE_UNKNOWN, 1);
	said = verdict_find(v, arena_printf(scan->arena, "%s_UNKNOWN", stage->symbol));
	if (said == NULL) {
		verdict_unknown(scan->arena, v, span_of(stage->symbol), reason);
		said = &v->at[v->count - 1];
	}
	if (stage->suffers == DEFER && !v->defer) {
		v->defer = true;
		v->defer_reason = arena_printf(scan->arena, "%s: " SPAN_FMT, stage->name, SPAN_ARG(said->evidence));
	}

	const char *id = scan->envelope.queue_id[0] ? scan->envelope.queue_id : "-";

	if (stage->suffers == DEFER)
		log_warning("%s: %s: cannot tell: " SPAN_FMT "; mail deferred", id, stage->name, SPAN_ARG(said->evidence));
	else                                 /* every mail's record shows it; the log need not */
		log_seldom(&last_said_s, 60, "%s: %s: cannot tell: " SPAN_FMT, id, stage->name, SPAN_ARG(said->evidence));
}

void
pipeline_run(struct scan *scan)
{
	const int64_t end_ms = scan->deadline_ms;

	if (scan->verdict.spam_probability == 0)
		scan->verdict.spam_probability = 0.5;
	for (size_t i = 0; i < sizeof stages / sizeof *stages; i++) {
		int64_t now_ms = clock_ms();

		scan->deadline_ms = now_ms + stages[i].budget_ms < end_ms ? now_ms + stages[i].budget_ms : end_ms;
		if (now_ms >= end_ms && stages[i].run != stage_score)    /* a sum of what there is costs next to nothing */
			cannot_tell(scan, &stages[i], SPAN("the scan's time was used up before it"));
		else if (stages[i].run(scan) == STAGE_UNKNOWN)
			cannot_tell(scan, &stages[i], SPAN("no answer"));
	}
	scan->deadline_ms = end_ms;
}
