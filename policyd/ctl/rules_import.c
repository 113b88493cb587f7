/* rules_import.c - policyctl rules import-sa, import-rspamd. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lua/import.h"
#include "policyd/ctl/rules_tool.h"

int
rules_import_files(const char *kind, char *const *paths, int count, const struct rules_options *o)
{
	struct imported got;
	char why[512];
	FILE *to = stdout;
	int code = 0;

	if (!rules_import(rules_tool_lua_dir(), kind, paths, count, o->prefix ? o->prefix : strcmp(kind, "sa") == 0 ? "SA_" : "RSPAMD_", &got,
	    why, sizeof why)) {
		fprintf(stderr, "%s\n", why);
		imported_free(&got);
		return 1;
	}
	if (o->out && (to = fopen(o->out, "we")) == NULL) {
		fprintf(stderr, "%s: %s\n", o->out, strerror(errno));
		imported_free(&got);
		return 1;
	}
	fwrite(got.rules.p, 1, got.rules.n, to);
	if ((to == stdout ? fflush(to) : fclose(to)) != 0) {
		fprintf(stderr, "%s: %s\n", o->out ? o->out : "stdout", strerror(errno));
		code = 1;
	}
	fwrite(got.report.p, 1, got.report.n, stderr);
	imported_free(&got);
	return code;
}
