/* main.c - policyctl: one table of commands. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "policyd/base/nearest.h"
#include "policyd/ctl/client.h"
#include "policyd/ctl/commands.h"

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;
} commands[] = {
	{ "scan", cmd_scan, "what would become of a mail, and why" },
	{ "learn", cmd_learn, "teach the classifier: learn spam|ham PATH..." },
	{ "unlearn", cmd_learn, "take lessons back: unlearn PATH..." },
	{ "report", cmd_report, "a mailbox owner's word on a mail, from an IMAP server or a report address" },
	{ "model", cmd_model, "what the classifier has learnt" },
	{ "policy", cmd_policy, "recipients' policies: get, set, explain, allow, block, import, simulate, canary, history, rollback, ..." },
	{ "outbound", cmd_outbound, "accounts that somebody else uses: list, release, contain" },
	{ "limits", cmd_limits, "who is over a limit; what is left of one; reset it" },
	{ "quarantine", cmd_quarantine, "list, show, release, delete, stats, rebuild" },
	{ "backup", cmd_backup, "the quarantine's keys into a file" },
	{ "restore", cmd_backup, "and back from it" },
	{ "trace", cmd_trace, "what became of a mail, by queue id, Message-ID, reference or quarantine id" },
	{ "reputation", cmd_reputation, "what is known of a network, a domain, a sender at a mailbox; show, reset" },
	{ "user", cmd_user, "who may use the review pages: add, list, passwd, totp, key, remove" },
	{ "review", cmd_review, "name, digests and language of a customer's review pages" },
	{ "audit", cmd_audit, "what was done to held mail and settings, by whom: list, verify" },
	{ "rules", cmd_rules, "check, test, measure and import rules; shadow, canary, promote, demote" },
	{ "tune", cmd_rules, "fit the points of rules to labelled mail" },
	{ "eval", cmd_eval, "measure the classifier on a labelled corpus" },
	{ "doctor", cmd_doctor, "check everything and say what to do" },
	{ "status", cmd_status, "the processes of a running policyd" },
	{ "stats", cmd_stats, "its counters" },
	{ "reload", cmd_reload, "put changed settings, rules and virus database in force" },
	{ "stop", cmd_stop, "end it, losing nothing" },
};
enum { COUNT = sizeof commands / sizeof *commands };

static void
usage(FILE *to)
{
	fputs("usage: policyctl [-c FILE | -s SOCKET] [--json] COMMAND ...\n"
	    "  -c FILE     policyd's settings (default $POLICYD_CONF, then /etc/policyd/policyd.conf)\n"
	    "  -s SOCKET   its control socket\n"
	    "  --json      print JSON\n"
	    "  --version\n\ncommands (each has --help):\n", to);
	for (int i = 0; i < COUNT; i++)
		fprintf(to, "  %-11s %s\n", commands[i].name, commands[i].help);
}

static int
unknown(const char *name)
{
	const char *names[COUNT], *near;

	for (int i = 0; i < COUNT; i++)
		names[i] = commands[i].name;
	near = nearest_name(name, names, COUNT);
	fprintf(stderr, "policyctl: unknown command \"%s\"%s%s%s\n", name, near ? "; did you mean \"" : "; see policyctl --help", near ? near : "",
	    near ? "\"?" : "");
	return 2;
}

int
main(int argc, char **argv)
{
	int at = 1;

	for (; at < argc && argv[at][0] == '-'; at++) {
		if (strcmp(argv[at], "-c") == 0 && at + 1 < argc)
			ctl_config_path = argv[++at];
		else if (strcmp(argv[at], "-s") == 0 && at + 1 < argc)
			ctl_socket_path = argv[++at];
		else if (strcmp(argv[at], "--json") == 0)
			ctl_json = 1;
		else if (strcmp(argv[at], "--version") == 0) {
			puts("policyctl " POLICYD_VERSION);
			return 0;
		} else {
			bool help = strcmp(argv[at], "--help") == 0 || strcmp(argv[at], "-h") == 0;

			usage(help ? stdout : stderr);
			return help ? 0 : 2;
		}
	}
	if (at == argc) {
		usage(stderr);
		return 2;
	}
	for (int i = 0; i < COUNT; i++)
		if (strcmp(argv[at], commands[i].name) == 0)
			return commands[i].run(argc - at, argv + at);
	return unknown(argv[at]);
}
