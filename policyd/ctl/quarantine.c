/* quarantine.c - policyctl quarantine list|show|release|delete|stats|rebuild. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "policyd/base/ipc.h"
#include "policyd/ctl/client.h"
#include "policyd/ctl/commands.h"

static const char usage[] =
	"usage: policyctl quarantine list [--rcpt A] [--domain D] [--customer C] [--sender A] [--class C] [--state S] [--limit N] [--offset N]\n"
	"       policyctl quarantine show ID [--raw]     (--raw: the mail's exact bytes)\n"
	"       policyctl quarantine release ID [--rcpt A] [--again]\n"
	"       policyctl quarantine delete ID [--rcpt A]\n"
	"       policyctl quarantine stats | rebuild\n"
	"  states: new releasing released deleted expired.  --json prints JSON.\n";

static void
when(const json_t *entry, char to[32])
{
	time_t t = (time_t)ctl_number(entry, "time");
	struct tm tm;

	localtime_r(&t, &tm);
	strftime(to, 32, "%Y-%m-%d %H:%M:%S", &tm);
}

/* Subjects and addresses are a stranger's text: nothing in them may move the terminal. */
static void
print_safe(const char *text)
{
	for (; *text; text++)
		putchar((unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text);
}

static void
show_list(const json_t *reply)
{
	size_t i;
	json_t *e;

	json_array_foreach(json_object_get(reply, "entries"), i, e) {
		char time[32];

		when(e, time);
		printf("%s  %s  %-9s %-11s %6.1f  <", ctl_text(e, "id"), time, ctl_text(e, "state"), ctl_text(e, "class"), ctl_number(e, "points"));
		print_safe(ctl_text(e, "sender"));
		printf("> -> <");
		print_safe(ctl_text(e, "recipient"));
		printf(">  ");
		print_safe(ctl_text(e, "subject"));
		puts("");
	}
}

static void
show_entry(const json_t *reply)
{
	static const char *const fields[] = { "class", "sender", "from", "subject", "message_id", "client", "queue_id" };
	json_t *e = json_array_get(json_object_get(reply, "entries"), 0);
	size_t i;
	char time[32];

	when(e, time);
	printf("id          %s\nreceived    %s, %d bytes, %d times\n", ctl_text(e, "id"), time, (int)ctl_number(e, "size"), (int)ctl_number(e, "count"));
	for (i = 0; i < sizeof fields / sizeof *fields; i++) {
		printf("%-11s ", fields[i]);
		print_safe(ctl_text(e, fields[i]));
		puts("");
	}
	json_array_foreach(json_object_get(reply, "symbols"), i, e) {
		printf("symbol      %-28s %7.2f  ", ctl_text(e, "name"), ctl_number(e, "points"));
		print_safe(ctl_text(e, "evidence"));
		puts("");
	}
	json_array_foreach(json_object_get(reply, "entries"), i, e) {
		printf("recipient   <");
		print_safe(ctl_text(e, "recipient"));
		printf("> %s, %.2f points; ", ctl_text(e, "state"), ctl_number(e, "points"));
		print_safe(ctl_text(e, "note"));
		puts("");
	}
	if (json_is_true(json_object_get(reply, "damaged")))
		printf("DAMAGED     %s (%s)\n", ctl_text(reply, "why"), ctl_text(reply, "segment"));
}

/* 1 when any recipient did not get there. */
static int
show_results(const json_t *reply)
{
	size_t i;
	json_t *r;
	int code = 0;

	json_array_foreach(json_object_get(reply, "results"), i, r) {
		printf("<%s> %s: %s\n", ctl_text(r, "recipient"), ctl_text(r, "state"), ctl_text(r, "reply"));
		if (!json_is_true(json_object_get(r, "done")))
			code = 1;
	}
	return code;
}

static int
copy_out(int fd)
{
	struct span bytes = map_fd(fd);
	bool good = bytes.p && fwrite(bytes.p, 1, bytes.n, stdout) == bytes.n;

	unmap(bytes);
	close(fd);
	return good ? 0 : 1;
}

static void
show_stats(const json_t *reply)
{
	const char *name;
	json_t *value;

	printf("%d mails for %d recipients in %d segments, %.1f MB, %d damaged records\n", (int)ctl_number(reply, "mails"),
	    (int)ctl_number(reply, "recipients"), (int)ctl_number(reply, "segments"), ctl_number(reply, "bytes") / 1e6,
	    (int)ctl_number(reply, "damaged"));
	json_object_foreach(json_object_get(reply, "states"), name, value)
		printf("  %-10s %d\n", name, (int)json_integer_value(value));
}

int
cmd_quarantine(int argc, char **argv)
{
	static const struct option options[] = { { "rcpt", 1, NULL, 'r' }, { "domain", 1, NULL, 'd' }, { "customer", 1, NULL, 'c' },
	    { "sender", 1, NULL, 's' }, { "class", 1, NULL, 'k' }, { "state", 1, NULL, 't' }, { "limit", 1, NULL, 'l' },
	    { "offset", 1, NULL, 'o' }, { "raw", 0, NULL, 'w' }, { "again", 0, NULL, 'a' }, { "json", 0, NULL, 'j' },
	    { "help", 0, NULL, 'h' }, { 0 } };
	static const struct { const char *name; bool id; } kinds[] = { { "list", false }, { "show", true }, { "release", true },
	    { "delete", true }, { "stats", false }, { "rebuild", false } };
	json_t *request = json_object();
	int json = ctl_json, fd = -1, index = 0;
	bool raw = false;
	size_t k = 0;

	optind = 0;
	for (int c; (c = getopt_long(argc, argv, "", options, &index)) != -1;) {
		if (c == 'j')
			json = 1;
		else if (c == 'w' || c == 'a') {
			raw |= c == 'w';
			json_object_set_new(request, c == 'w' ? "raw" : "again", json_true());
		} else if (c == 'l' || c == 'o')
			json_object_set_new(request, options[index].name, json_integer(atoll(optarg)));
		else if (c == 'h' || c == '?') {
			fputs(usage, c == 'h' ? stdout : stderr);
			json_decref(request);
			return c == 'h' ? 0 : 2;
		} else
			json_object_set_new(request, options[index].name, json_string(optarg));
	}
	while (k < sizeof kinds / sizeof *kinds && (optind >= argc || strcmp(argv[optind], kinds[k].name) != 0))
		k++;
	if (k == sizeof kinds / sizeof *kinds || argc - optind != (kinds[k].id ? 2 : 1)) {
		fputs(usage, stderr);
		json_decref(request);
		return 2;
	}
	const char *kind = kinds[k].name;

	json_object_set_new(request, "cmd", json_sprintf("quarantine.%s", kind));
	if (kinds[k].id)
		json_object_set_new(request, "id", json_string(argv[optind + 1]));
	json_t *reply = ctl_once(request, &fd);
	int code = ctl_check(reply);

	if (code == 0 && raw && fd >= 0)
		code = copy_out(fd);
	else if (code == 0 && raw) {
		fprintf(stderr, "policyctl: %s\n", ctl_text(reply, "why"));
		code = 1;
	} else if (code == 0 && json) {
		json_dumpf(reply, stdout, JSON_INDENT(1));
		puts("");
	} else if (code == 0 && strcmp(kind, "list") == 0)
		show_list(reply);
	else if (code == 0 && strcmp(kind, "show") == 0)
		show_entry(reply);
	else if (code == 0 && (strcmp(kind, "release") == 0 || strcmp(kind, "delete") == 0))
		code = show_results(reply);
	else if (code == 0)
		show_stats(reply);
	json_decref(reply);
	return code;
}
