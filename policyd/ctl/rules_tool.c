/* rules_tool.c - what all `policyctl rules` commands need: settings, rules, a scan as a worker does it, mails by an index. */
#include "policyd/ctl/rules_tool.h"

#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "policyd/base/buf.h"
#include "policyd/base/clock.h"
#include "policyd/scan/stage.h"

#ifndef POLICYD_SHARE
#define POLICYD_SHARE "/usr/local/share/policyd"
#endif

enum { MAX_WHY = 64 * 1024, MAX_CORPUS_MAIL = 64 * 1024 * 1024, SCAN_MS = 60 * 1000 };

/* Settings for a tool: FILE's, or the rules of the present directory, or those installed. */
bool
rules_tool_config(const char *file, char *const *dirs, int dir_count, struct config *config)
{
	char why[MAX_WHY / 16];

	if (file) {
		if (!config_load(file, config, why, sizeof why)) {
			fprintf(stderr, "%s\n", why);
			return false;
		}
	} else {
		bool here = access("lua/prelude.lua", R_OK) == 0;

		memset(config, 0, sizeof *config);
		config->size = sizeof *config;
		snprintf(config->lua_dir, sizeof config->lua_dir, "%s", here ? "lua" : POLICYD_SHARE "/lua");
		snprintf(config->score_script, sizeof config->score_script, "%s", here ? "lua/score.lua" : POLICYD_SHARE "/lua/score.lua");
		snprintf(config->rules[0], PATH_ROOM, "%s", here ? "rules" : POLICYD_SHARE "/rules");
		config->rule_dir_count = 1;
		policy_default(&config->policy_default);
	}
	if (dir_count > MAX_RULE_DIRS) {
		fprintf(stderr, "policyctl rules: at most %d directories\n", MAX_RULE_DIRS);
		return false;
	}
	for (int i = 0; i < dir_count; i++)
		snprintf(config->rules[i], PATH_ROOM, "%s", dirs[i]);
	if (dir_count > 0)
		config->rule_dir_count = (uint32_t)dir_count;
	return true;
}

const char *
rules_tool_lua_dir(void)
{
	return access("lua/prelude.lua", R_OK) == 0 ? "lua" : POLICYD_SHARE "/lua";
}

struct rules *
rules_tool_load(const struct config *config)
{
	static char why[MAX_WHY];
	struct rules *rules = rules_load_with_tests(config, why, sizeof why);

	if (rules == NULL)
		fprintf(stderr, "%s\n", why);
	else if (rules_warnings(rules)[0])
		fprintf(stderr, "warning: %s\n", rules_warnings(rules));
	return rules;
}

/* A scan as a worker would do it, without virus scanner and model. */
void
rules_tool_scan(struct scan *scan, struct arena *a, const struct kit *kit, struct class_score *class, struct span raw)
{
	scan->arena = a;
	scan->kit = kit;
	scan->message.raw = raw;
	class->policy = &kit->config->policy_default;
	class->probability = 0.5;
	scan->classes = class;
	scan->class_count = 1;
	scan->deadline_ms = clock_ms() + SCAN_MS;
	stage_mime(scan);
	stage_rules(scan);
	stage_score(scan);
}

/* --- mails by an index --- */

static bool
list_add(struct mail_list *list, const char *dir, const char *name, bool spam)
{
	struct corpus_mail *mail;

	if (list->count == list->room) {
		size_t room = list->room ? list->room * 2 : 4096;
		void *more = realloc(list->at, room * sizeof *list->at);

		if (more == NULL)
			return false;
		list->at = more;
		list->room = room;
	}
	mail = &list->at[list->count];
	*mail = (struct corpus_mail){ .spam = spam };
	if (asprintf(&mail->path, "%s%s%s", name[0] == '/' ? "" : dir, name[0] == '/' ? "" : "/", name) < 0)
		return false;
	list->count++;
	return true;
}

bool
mail_list_read(struct mail_list *list, const char *index)
{
	FILE *f = fopen(index, "re");
	char *copy = strdup(index), line[4096], kind[8], name[4000];
	bool ok = f != NULL && copy != NULL;
	const char *dir = copy ? dirname(copy) : ".";
	double log_odds;

	while (ok && fgets(line, sizeof line, f)) {
		int fields = sscanf(line, "%7s %3999s %lf", kind, name, &log_odds);

		if (fields < 2)
			continue;
		ok = list_add(list, dir, name, kind[0] == 's' || kind[0] == 'p');
		if (ok && fields == 3) {
			list->at[list->count - 1].model_known = true;
			list->at[list->count - 1].log_odds = log_odds;
		}
	}
	if (!ok)
		fprintf(stderr, "%s: %s\n", index, strerror(errno));
	if (f)
		fclose(f);
	free(copy);
	return ok;
}

bool
rules_tool_read(struct arena *a, const char *path, struct span *raw)
{
	FILE *f = fopen(path, "re");
	struct buf bytes = { 0 };
	char block[65536];
	size_t n;

	if (f == NULL)
		return false;
	while (bytes.n < MAX_CORPUS_MAIL && (n = fread(block, 1, sizeof block, f)) > 0)
		buf_add(&bytes, block, n);
	fclose(f);
	*raw = arena_copy(a, buf_span(&bytes));
	buf_free(&bytes);
	return true;
}

void
mail_list_free(struct mail_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->at[i].path);
	free(list->at);
}
