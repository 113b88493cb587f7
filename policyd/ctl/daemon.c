/* daemon.c - policyctl status, stats, reload, stop: what the processes say of themselves. */
#include <stdio.h>
#include <string.h>

#include "policyd/ctl/client.h"
#include "policyd/ctl/commands.h"

/* True: `--json` stands among the arguments, or before the command. Anything else prints the usage. */
static int
options(int argc, char **argv, const char *usage, int *json)
{
	*json = ctl_json;
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0) {
			*json = 1;
			continue;
		}
		fputs(usage, strcmp(argv[i], "--help") == 0 ? stdout : stderr);
		return strcmp(argv[i], "--help") == 0 ? 0 : 2;
	}
	return -1;
}

static int
print(json_t *reply, int json, void (*show)(const json_t *reply))
{
	int code = ctl_check(reply);

	if (code == 0 && json) {
		ctl_print_json(reply);
	} else if (code == 0) {
		show(reply);
	}
	json_decref(reply);
	return code;
}

static void
show_status(const json_t *reply)
{
	size_t i;
	json_t *p;

	printf("policyd %s, pid %d, settings %s (generation %d), state %s\n", ctl_text(reply, "version"), (int)ctl_number(reply, "pid"),
	    ctl_text(reply, "config"), (int)ctl_number(reply, "generation"), ctl_text(reply, "state"));
	json_array_foreach(json_object_get(reply, "processes"), i, p)
		printf("  %-16s pid %-7d %-9s up %.0f s, started again %d times\n", ctl_text(p, "name"), (int)ctl_number(p, "pid"),
		    json_is_true(json_object_get(p, "ready")) ? "ready" : "NOT READY", ctl_number(p, "up_ms") / 1000,
		    (int)ctl_number(p, "restarts"));
}

int
cmd_status(int argc, char **argv)
{
	int json, code = options(argc, argv, "usage: policyctl status [--json]\n", &json);

	return code >= 0 ? code : print(ctl_once(json_pack("{s:s}", "cmd", "status"), NULL), json, show_status);
}

static void
show_stats(const json_t *reply)
{
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)reply, name, value)
		printf("%-32s %lld\n", name, (long long)json_integer_value(value));
}

int
cmd_stats(int argc, char **argv)
{
	int json, code = options(argc, argv, "usage: policyctl stats [--json]\n", &json);

	return code >= 0 ? code : print(ctl_once(json_pack("{s:s}", "cmd", "stats"), NULL), json, show_stats);
}

static void
show_reload(const json_t *reply)
{
	printf("reloaded: generation %d is in force\n", (int)ctl_number(reply, "generation"));
}

int
cmd_reload(int argc, char **argv)
{
	int json, code = options(argc, argv, "usage: policyctl reload [--json]\n"
	    "  Reads settings, rules and virus database again. If anything is wrong with them, all that was in force stays.\n", &json);

	return code >= 0 ? code : print(ctl_once(json_pack("{s:s}", "cmd", "reload"), NULL), json, show_reload);
}

static void
show_stop(const json_t *reply)
{
	(void)reply;
	puts("stopping");
}

int
cmd_stop(int argc, char **argv)
{
	int json, code = options(argc, argv, "usage: policyctl stop [--json]\n", &json);

	return code >= 0 ? code : print(ctl_once(json_pack("{s:s}", "cmd", "stop"), NULL), json, show_stop);
}
