/* rules_tool.h - what the `policyctl rules` commands share; none of them needs a running daemon. */
#ifndef POLICYD_CTL_RULES_TOOL_H
#define POLICYD_CTL_RULES_TOOL_H

#include "lua/rules.h"

/* Settings: FILE's, or without one the rules of the present directory, or those installed; `dirs` instead of their rule
 * directories. False after a message. */
bool rules_tool_config(const char *file, char *const *dirs, int dir_count, struct config *config);
const char *rules_tool_lua_dir(void);
struct rules *rules_tool_load(const struct config *config);          /* with tests; NULL after messages; warnings are printed */

/* A scan as a worker would do it, without virus scanner and model. */
void rules_tool_scan(struct scan *scan, struct arena *a, const struct kit *kit, struct class_score *class, struct span raw);
bool rules_tool_read(struct arena *a, const char *path, struct span *raw);

/* Mails as an index names them: "spam spam/0001.eml" a line, paths from the index's own directory; behind the path maybe what a
 * classifier said of it, log-odds (corpus/full). */
struct mail_list {
	struct corpus_mail { char *path; bool spam, model_known; double log_odds; } *at;
	size_t count, room;
};
bool mail_list_read(struct mail_list *list, const char *index);      /* false after a message */
void mail_list_free(struct mail_list *list);

/* The commands with files of their own; each returns the exit code. */
enum show { SHOW_NONE, SHOW_FALSE_POSITIVES, SHOW_ALL, SHOW_HITS };
struct rules_options {
	const char *config_file;
	char *dirs[MAX_RULE_DIRS];
	int dir_count, jobs;
	enum show show;
	const char *prefix, *out, *customer;
	bool junit, alone, quiet;
	int share;                           /* of a canary */
	double penalty;                      /* of tune; 0: by cross-validation */
	const char *why, *mode;
};
int rules_corpus(const struct config *config, char *const *indexes, int index_count, const struct rules_options *o);
int rules_bench(const struct config *config, char *const *indexes, int index_count, const struct rules_options *o);
int rules_diff(const char *old, const char *new, char *const *indexes, int index_count, const struct rules_options *o);
int rules_tests(const struct config *config, const struct rules_options *o);
int rules_tune(const struct config *config, char *const *indexes, int index_count, const struct rules_options *o);
int rules_set_mode(const struct config *config, const char *symbol, const char *mode, const struct rules_options *o);
int rules_status(void);
int rules_fetch(const struct config *config);
int rules_import_files(const char *kind, char *const *paths, int count, const struct rules_options *o);

#endif
