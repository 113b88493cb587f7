/* rules_modes.c - policyctl rules promote, demote, status: what a running policyd makes of its rules. */
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "policyd/ctl/client.h"
#include "policyd/ctl/rules_tool.h"

static const char *
user(void)
{
	const struct passwd *pw = getpwuid(getuid());

	return pw ? pw->pw_name : "?";
}

/* The rule must be one of the files in force: a name mistyped would be kept and never mean anything. */
static bool
is_known(const struct config *config, const char *symbol)
{
	struct rules *rules = rules_tool_load(config);
	bool known = false;

	for (size_t i = 0; rules && i < rules_count(rules) && !known; i++)
		known = strcmp(rules_info(rules, i).symbol, symbol) == 0;
	if (rules && !known)
		fprintf(stderr, "policyctl rules: no rule is called %s (policyctl rules check lists nothing wrong)\n", symbol);
	rules_free(rules);
	return known;
}

int
rules_set_mode(const struct config *config, const char *symbol, const char *mode, const struct rules_options *o)
{
	json_t *reply;
	int code;

	if (!is_known(config, symbol))
		return 2;
	reply = ctl_once(json_pack("{s:s, s:s, s:s, s:i, s:s, s:s}", "cmd", "rules.mode", "symbol", symbol, "mode", mode, "share", o->share,
	    "who", user(), "why", o->why ? o->why : ""), NULL);
	code = ctl_check(reply);
	if (code == 0 && o->share > 0)
		printf("%s is %s now, in %d of 100 mails\n", symbol, mode, o->share);
	else if (code == 0)
		printf("%s is %s now\n", symbol, mode);
	json_decref(reply);
	return code;
}

int
rules_status(void)
{
	json_t *reply = ctl_once(json_pack("{s:s}", "cmd", "rules.status"), NULL), *r;
	int code = ctl_check(reply);
	size_t i;

	if (code == 0 && ctl_json) {
		ctl_print_json(reply);
	} else if (code == 0) {
		printf("%.0f mails scanned by this node since it started\n", ctl_number(reply, "mails"));
		json_array_foreach(json_object_get(reply, "modes"), i, r) {
			printf("  %-32s %s", ctl_text(r, "symbol"), ctl_text(r, "mode"));
			if (ctl_number(r, "share") > 0)
				printf(", %.0f of 100 mails", ctl_number(r, "share"));
			puts(", by command");
		}
		json_array_foreach(json_object_get(reply, "rules"), i, r) {
			if (ctl_number(r, "mails") > 0)
				printf("  %-32s held back: would have changed %.0f of %.0f mails it was found in\n", ctl_text(r, "symbol"),
				    ctl_number(r, "would_change"), ctl_number(r, "mails"));
			if (ctl_number(r, "failures") > 0)
				printf("  %-32s failed %.0f times\n", ctl_text(r, "symbol"), ctl_number(r, "failures"));
			if (ctl_number(r, "reports") > 0)
				printf("  %-32s stood in %.0f mails taught as ham\n", ctl_text(r, "symbol"), ctl_number(r, "reports"));
		}
	}
	json_decref(reply);
	return code;
}
