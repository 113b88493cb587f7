/* trace.c - policyctl trace: "where is my mail?" */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "policyd/ctl/client.h"
#include "policyd/ctl/commands.h"

static const char usage[] =
	"usage: policyctl trace ID... [--json]\n"
	"  ID is the MTA's queue id, a Message-ID, the reference of a reply or header, a quarantine id, or an address of sender or\n"
	"  recipient. Of several all must fit.\n";

/* "7", or "off" where the event has none. */
static const char *
threshold(const json_t *e, const char *name, char to[24])
{
	if (json_is_number(json_object_get(e, name)))
		snprintf(to, 24, "%g", ctl_number(e, name));
	else
		snprintf(to, 24, "off");
	return to;
}

static void
show(const json_t *e)
{
	char tag[24], quarantine[24], discard[24];
	char when[CTL_WHEN];
	size_t i;
	json_t *s;

	printf("%s  ref %s  queue id %s\n  [%s] helo %s\n  <", ctl_when(ctl_number(e, "time_ms") / 1000, when), ctl_text(e, "ref"), ctl_text(e, "queue_id")[0] ? ctl_text(e, "queue_id") : "-",
	    ctl_text(e, "client"), ctl_text(e, "helo"));
	ctl_print_safe(ctl_text(e, "sender"));
	printf("> -> <");
	ctl_print_safe(ctl_text(e, "recipient"));
	printf(">\n  %s%s%s", strcmp(ctl_text(e, "event"), "rcpt") == 0 ? "at RCPT: " : "", ctl_text(e, "outcome"), ctl_text(e, "verdict")[0] ? " as " : "");
	printf("%s, answered: ", ctl_text(e, "verdict"));
	ctl_print_safe(ctl_text(e, "reply"));
	puts("");
	if (strcmp(ctl_text(e, "event"), "message") != 0)
		return;
	printf("  subject: ");
	ctl_print_safe(ctl_text(e, "subject"));
	printf("\n  %.2f points (tag %s, quarantine %s, discard %s), %d bytes, %d ms\n", ctl_number(e, "points"), threshold(e, "tag", tag),
	    threshold(e, "quarantine", quarantine), threshold(e, "discard", discard), (int)ctl_number(e, "size"), (int)ctl_number(e, "took_ms"));
	if (ctl_text(e, "quarantine_id")[0])
		printf("  in quarantine: %s\n", ctl_text(e, "quarantine_id"));
	json_array_foreach(json_object_get(e, "symbols"), i, s) {
		printf("  %8.2f  %-28s ", ctl_number(s, "points"), ctl_text(s, "name"));
		ctl_print_safe(ctl_text(s, "evidence"));
		puts("");
	}
}

int
cmd_trace(int argc, char **argv)
{
	int json = ctl_json;
	char id[1000] = "";

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0)
			json = 1;
		else if (argv[i][0] == '-' || strlen(id) + strlen(argv[i]) + 2 > sizeof id) {
			bool help = strcmp(argv[i], "--help") == 0;

			fputs(usage, help ? stdout : stderr);
			return help ? 0 : 2;
		} else
			snprintf(id + strlen(id), sizeof id - strlen(id), "%s%s", id[0] ? " " : "", argv[i]);
	}
	if (id[0] == '\0') {
		fputs(usage, stderr);
		return 2;
	}
	json_t *reply = ctl_once(json_pack("{s:s, s:s}", "cmd", "trace", "id", id), NULL), *e;
	int code = ctl_check(reply);
	size_t i;

	if (code == 0 && json_array_size(json_object_get(reply, "events")) == 0) {
		fprintf(stderr, "policyctl: nothing is known of \"%s\"; history is kept for 14 days, the log may have more\n", id);
		code = 1;
	} else if (code == 0 && json) {
		ctl_print_json(reply);
	} else if (code == 0) {
		json_array_foreach(json_object_get(reply, "events"), i, e)
			show(e);
	}
	json_decref(reply);
	return code;
}
