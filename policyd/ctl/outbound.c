/* outbound.c - policyctl outbound: accounts that somebody else uses. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policyd/ctl/client.h"
#include "policyd/ctl/commands.h"
#include "policyd/ctl/policy_inside.h"

static const char usage[] =
	"usage: policyctl outbound list [--json]\n"
	"       policyctl outbound release ACCOUNT [--rightful] [--note TEXT]\n"
	"       policyctl outbound contain ACCOUNT quarantine|defer|reject [--hours N] [--note TEXT]\n"
	"  Accounts whose mail is held (quarantine), let through at ten recipients an hour (defer) or refused (reject), because somebody\n"
	"  else seems to use them. release: its owner has it back (a new password), or with --rightful: it was he, and that is usual.\n"
	"  What was held meanwhile: policyctl quarantine list --customer ID. All of it is in policyctl audit list.\n";

static void
show(const json_t *reply)
{
	const json_t *list = json_object_get(reply, "contained"), *one;
	char when[CTL_WHEN];
	size_t i;

	json_array_foreach(list, i, one) {
		double until = ctl_number(one, "until");

		ctl_print_safe(ctl_text(one, "account"));
		printf("  %s  since %s", ctl_text(one, "action"), ctl_when(ctl_number(one, "since"), when));
		printf("  until %s\n  ", until > 0 ? ctl_when(until, when) : "somebody releases it");
		ctl_print_safe(ctl_text(one, "why"));
		puts("");
	}
	if (json_array_size(list) == 0)
		puts("no account is contained");
}

int
cmd_outbound(int argc, char **argv)
{
	bool json = ctl_json, list, release, contain;
	json_t *request = json_object();
	int kept = 1;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0) {
			fputs(usage, stdout);
			json_decref(request);
			return 0;
		}
		if (strcmp(argv[i], "--json") == 0)
			json = true;
		else if (strcmp(argv[i], "--rightful") == 0)
			json_object_set_new(request, "rightful", json_true());
		else if (strcmp(argv[i], "--note") == 0 && i + 1 < argc)
			json_object_set_new(request, "note", json_string(argv[++i]));
		else if (strcmp(argv[i], "--hours") == 0 && i + 1 < argc)
			json_object_set_new(request, "hours", json_integer(strspn(argv[i + 1], "0123456789") == strlen(argv[i + 1]) ? atoll(argv[i + 1]) : -1)), i++;
		else
			argv[kept++] = argv[i];
	}
	list = kept == 2 && strcmp(argv[1], "list") == 0;
	release = kept == 3 && strcmp(argv[1], "release") == 0;
	contain = kept == 4 && strcmp(argv[1], "contain") == 0;
	if (!list && !release && !contain) {
		fputs(usage, stderr);
		json_decref(request);
		return 2;
	}
	json_object_set_new(request, "cmd", json_sprintf("outbound.%s", argv[1]));
	json_object_set_new(request, "who", json_string(policy_who()));
	if (!list)
		json_object_set_new(request, "account", json_string(argv[2]));
	if (contain)
		json_object_set_new(request, "action", json_string(argv[3]));
	json_t *reply = ctl_once(request, NULL);
	int code = ctl_check(reply);

	if (code == 0 && json) {
		ctl_print_json(reply);
	} else if (code == 0 && list) {
		show(reply);
	} else if (code == 0) {
		puts(release ? "released" : "contained");
	}
	json_decref(reply);
	return code;
}
