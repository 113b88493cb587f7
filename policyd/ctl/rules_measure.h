/* rules_measure.h - rules over a labelled corpus, in parallel: which symbols each mail got, for whatever is told from that. */
#ifndef POLICYD_CTL_RULES_MEASURE_H
#define POLICYD_CTL_RULES_MEASURE_H

#include "policyd/ctl/rules_tool.h"

struct measured_symbol {
	char name[64];
	double points;
	int rule;                            /* index, or -1: C found it */
	bool helper, nice;                   /* nice: points below 0 */
	int64_t spent_us;                    /* all mails */
	uint32_t hits[2];                    /* ham, spam */
};
struct measured_hit {
	uint32_t symbol;
	float points;
};
struct measured_mail {
	bool read, unscannable;
	double points;
	size_t first, count;                 /* its hits */
};
struct measured {
	struct measured_symbol *symbols;
	size_t symbol_count, symbol_room;
	struct measured_hit *hits;
	size_t hit_count, hit_room;
	struct measured_mail *mails;         /* as in the list */
	size_t mail_count;
	uint32_t of[2];                      /* ham, spam read */
	int64_t cpu_us, stage_us;            /* all told; in the rules' stage */
	int failed_jobs;
};

/* False: no memory. `timed`: keep account of each rule's time. A bar on stderr when that is a terminal. */
bool rules_measure(struct rules *rules, const struct config *config, const struct mail_list *list, int jobs, bool timed,
    struct measured *out);
void measured_free(struct measured *m);

#endif
