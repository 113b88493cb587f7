/* reputation.c - policyctl reputation: what is known of a network, a signing domain, a sender's domain, or of one author at one mailbox. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "policyd/ctl/client.h"
#include "policyd/ctl/commands.h"

static const char usage[] =
	"usage: policyctl reputation show|reset net NETWORK | dkim DOMAIN | sender DOMAIN | pair AUTHOR RECIPIENT\n"
	"  NETWORK as symbols show it: 198.51.100.0/24, 2001:db8:1:2::/64. sender: the domain that SPF has proved.\n"
	"  reset forgets it: it begins anew.\n";

int
cmd_reputation(int argc, char **argv)
{
	bool pair = argc > 2 && strcmp(argv[2], "pair") == 0, help = argc > 1 && strcmp(argv[1], "--help") == 0;

	if (argc != (pair ? 5 : 4) || (strcmp(argv[1], "show") != 0 && strcmp(argv[1], "reset") != 0)) {
		fputs(usage, help ? stdout : stderr);
		return help ? 0 : 2;
	}
	char cmd[32];

	snprintf(cmd, sizeof cmd, "reputation.%s", argv[1]);
	json_t *reply = ctl_once(json_pack("{s:s, s:s, s:s, s:s}", "cmd", cmd, "kind", argv[2], "name", argv[3], "rcpt", pair ? argv[4] : ""), NULL);
	int code = ctl_check(reply);

	if (code == 0 && ctl_json)
		ctl_print_json(reply);
	else if (code == 0 && json_object_get(reply, "reset"))
		printf("%s", json_is_true(json_object_get(reply, "reset")) ? "forgotten" : "nothing was known");
	else if (code == 0 && pair)
		printf("written to %.0f times, heard of %.0f times: %+.2f points", ctl_number(reply, "written"), ctl_number(reply, "heard"), ctl_number(reply, "points"));
	else if (code == 0)
		printf("%.1f good, %.1f bad: %+.2f points", ctl_number(reply, "good"), ctl_number(reply, "bad"), ctl_number(reply, "points"));
	if (code == 0)
		puts("");
	json_decref(reply);
	return code;
}
