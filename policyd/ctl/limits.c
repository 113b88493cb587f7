/* limits.c - policyctl limits: who was over one lately, what is left of a bucket, and a full one again. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "policyd/ctl/client.h"
#include "policyd/ctl/commands.h"

static const char usage[] =
	"usage: policyctl limits list [--json]        who was over a limit lately, on all nodes, the latest first\n"
	"       policyctl limits show KIND ID         what is left\n"
	"       policyctl limits reset KIND ID        a full bucket again, and nobody counted as a recipient\n"
	"  KIND is account, domain, customer, mailbox or network (ID: 192.0.2.0/24). How much is allowed: policyctl policy explain ADDRESS,\n"
	"  fields limit_*.\n";

static void
show_list(const json_t *reply)
{
	const json_t *over = json_object_get(reply, "over"), *one;
	char when[CTL_WHEN];
	size_t i;

	json_array_foreach(over, i, one) {
		printf("%s  %-9s %-11s ", ctl_when(ctl_number(one, "time_ms") / 1000, when), ctl_text(one, "kind"), ctl_text(one, "measure"));
		ctl_print_safe(ctl_text(one, "id"));
		puts("");
	}
	if (json_array_size(over) == 0)
		puts("nobody was over a limit in the last week");
}

static void
show_bucket(const json_t *reply)
{
	static const char *const names[] = { "messages", "recipients", "distinct", "bytes_kib" };
	char when[CTL_WHEN];

	if (!json_is_true(json_object_get(reply, "known"))) {
		puts("nothing has been counted: all of it is left");
		return;
	}
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (json_object_get(reply, names[i]))
			printf("%-11s %.1f left\n", names[i], ctl_number(reply, names[i]));
	printf("%-11s %s; it has refilled since\n", "as of", ctl_when(ctl_number(reply, "time_ms") / 1000, when));
	if (json_object_get(reply, "born_ms"))
		printf("%-11s %s\n", "first seen", ctl_when(ctl_number(reply, "born_ms") / 1000, when));
}

int
cmd_limits(int argc, char **argv)
{
	bool json = ctl_json, list, show, reset;
	int kept = 1;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0) {
			fputs(usage, stdout);
			return 0;
		}
		if (strcmp(argv[i], "--json") == 0)
			json = true;
		else
			argv[kept++] = argv[i];
	}
	list = kept == 2 && strcmp(argv[1], "list") == 0;
	show = kept == 4 && strcmp(argv[1], "show") == 0;
	reset = kept == 4 && strcmp(argv[1], "reset") == 0;
	if (!list && !show && !reset) {
		fputs(usage, stderr);
		return 2;
	}
	json_t *request = json_pack("{s:o}", "cmd", json_sprintf("limits.%s", argv[1]));

	if (!list) {
		json_object_set_new(request, "kind", json_string(argv[2]));
		json_object_set_new(request, "id", json_string(argv[3]));
	}
	json_t *reply = ctl_once(request, NULL);
	int code = ctl_check(reply);

	if (code == 0 && json) {
		ctl_print_json(reply);
	} else if (code == 0 && list) {
		show_list(reply);
	} else if (code == 0 && show) {
		show_bucket(reply);
	} else if (code == 0) {
		puts(json_is_true(json_object_get(reply, "known")) ? "reset" : "nothing had been counted");
	}
	json_decref(reply);
	return code;
}
