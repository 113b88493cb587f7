/* user.c - policyctl user add|list|passwd|totp|key|remove, and audit list|verify: who may use the review pages, and what
 * they did. */
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "policyd/ctl/client.h"
#include "policyd/ctl/commands.h"

enum { PASSWORD_ROOM = 260 };

static const char usage[] =
	"usage: policyctl user add NAME --role owner|admin|support|abuse [--customer ID] [--address A]...\n"
	"       policyctl user list | passwd NAME | totp NAME [--off] | key NAME | remove NAME\n"
	"  The password is asked for on a terminal, else read from the first line of standard input.\n"
	"  owner: sees the mail of his addresses (default: his name); admin: all mail of --customer; support and abuse: the\n"
	"  provider's own people, all customers or the one of --customer. totp prints a new secret, key an API key, once.\n"
	"  --json prints JSON.\n";

/* Without echo on a terminal. False: none came. */
static bool
read_password(char to[PASSWORD_ROOM])
{
	struct termios before, quiet;
	bool terminal = tcgetattr(STDIN_FILENO, &before) == 0;

	if (terminal) {
		fputs("Password: ", stderr);
		quiet = before;
		quiet.c_lflag &= ~(tcflag_t)ECHO;
		tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
	}
	bool good = fgets(to, PASSWORD_ROOM, stdin) != NULL;

	if (terminal) {
		tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
		fputc('\n', stderr);
	}
	to[good ? strcspn(to, "\r\n") : 0] = '\0';
	return good;
}

static void
show(const char *what, const json_t *reply)
{
	size_t i;
	json_t *user;

	if (strcmp(what, "list") == 0) {
		json_array_foreach(json_object_get(reply, "users"), i, user) {
			size_t k;
			json_t *address;

			printf("%-32s %-8s %-16s%s%s", ctl_text(user, "name"), ctl_text(user, "role"), ctl_text(user, "customer"),
			    json_is_true(json_object_get(user, "totp")) ? " totp" : "", json_is_true(json_object_get(user, "key")) ? " key" : "");
			json_array_foreach(json_object_get(user, "addresses"), k, address)
				printf(" %s", json_string_value(address));
			puts("");
		}
	} else if (ctl_text(reply, "secret")[0]) {
		printf("secret  %s\nuri     %s\n", ctl_text(reply, "secret"), ctl_text(reply, "uri"));
	} else if (ctl_text(reply, "key")[0]) {
		printf("%s\n", ctl_text(reply, "key"));
	} else {
		puts("done");
	}
}

static int
run(json_t *request, const char *what, int json, void (*print)(const char *, const json_t *))
{
	json_t *reply = ctl_once(request, NULL);
	int code = ctl_check(reply);

	if (code == 0 && json) {
		ctl_print_json(reply);
	} else if (code == 0) {
		print(what, reply);
	}
	json_decref(reply);
	return code;
}

static int
bad_usage(json_t *request, const char *text, int c)
{
	json_decref(request);
	fputs(text, c == 'h' ? stdout : stderr);
	return c == 'h' ? 0 : 2;
}

int
cmd_user(int argc, char **argv)
{
	static const struct option options[] = { { "role", 1, NULL, 'r' }, { "customer", 1, NULL, 'c' }, { "address", 1, NULL, 'a' },
	    { "off", 0, NULL, 'o' }, { "json", 0, NULL, 'j' }, { "help", 0, NULL, 'h' }, { 0 } };
	static const char *const kinds[] = { "add", "passwd", "totp", "key", "remove", "list" };
	json_t *request = json_object(), *addresses = NULL;
	char password[PASSWORD_ROOM];
	int json = ctl_json;
	size_t k = 0;

	optind = 0;
	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		if (c == 'r' || c == 'c')
			json_object_set_new(request, c == 'r' ? "role" : "customer", json_string(optarg));
		else if (c == 'a') {
			if (addresses == NULL)
				json_object_set_new(request, "addresses", addresses = json_array());
			json_array_append_new(addresses, json_string(optarg));
		} else if (c == 'o')
			json_object_set_new(request, "off", json_true());
		else if (c == 'j')
			json = 1;
		else
			return bad_usage(request, usage, c);
	}
	while (k < 6 && (optind >= argc || strcmp(argv[optind], kinds[k]) != 0))
		k++;
	if (k == 6 || argc - optind != (k == 5 ? 1 : 2))
		return bad_usage(request, usage, '?');
	json_object_set_new(request, "cmd", json_sprintf("user.%s", kinds[k]));
	if (k < 5)
		json_object_set_new(request, "name", json_string(argv[optind + 1]));
	if (k < 2) {
		if (!read_password(password)) {
			fputs("policyctl: no password came\n", stderr);
			json_decref(request);
			return 2;
		}
		json_object_set_new(request, "password", json_string(password));
	}
	return run(request, kinds[k], json, show);
}

static const char audit_usage[] =
	"usage: policyctl audit list [--customer ID] [--limit N]     what was done to held mail and review's settings, newest first\n"
	"       policyctl audit verify                              is the whole chain as it was written?\n"
	"  --json prints JSON.\n";

static void
show_audit(const char *what, const json_t *reply)
{
	size_t i;
	json_t *e;

	if (strcmp(what, "verify") == 0) {
		if (json_is_true(json_object_get(reply, "good")))
			printf("%d entries, the chain is whole; last hash %s\n", (int)ctl_number(reply, "entries"), ctl_text(reply, "last"));
		else
			printf("BROKEN at entry %d\n", (int)ctl_number(reply, "broken_at"));
		return;
	}
	json_array_foreach(json_object_get(reply, "entries"), i, e) {
		char when[CTL_WHEN];

		printf("%d  %s  ", (int)ctl_number(e, "seq"), ctl_when(ctl_number(e, "time"), when));
		ctl_print_safe(ctl_text(e, "actor"));
		printf(" (%s%s%s)  %s  ", ctl_text(e, "role"), ctl_text(e, "role")[0] ? ", " : "", ctl_text(e, "from"), ctl_text(e, "action"));
		ctl_print_safe(ctl_text(e, "target"));
		printf("  ");
		ctl_print_safe(ctl_text(e, "note"));
		puts("");
	}
}

int
cmd_audit(int argc, char **argv)
{
	static const struct option options[] = { { "customer", 1, NULL, 'c' }, { "limit", 1, NULL, 'l' }, { "json", 0, NULL, 'j' },
	    { "help", 0, NULL, 'h' }, { 0 } };
	json_t *request = json_object();
	int json = ctl_json;

	optind = 0;
	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		if (c == 'c')
			json_object_set_new(request, "customer", json_string(optarg));
		else if (c == 'l')
			json_object_set_new(request, "limit", json_integer(atoll(optarg)));
		else if (c == 'j')
			json = 1;
		else
			return bad_usage(request, audit_usage, c);
	}
	if (argc - optind != 1 || (strcmp(argv[optind], "list") != 0 && strcmp(argv[optind], "verify") != 0))
		return bad_usage(request, audit_usage, '?');
	json_object_set_new(request, "cmd", json_sprintf("audit.%s", argv[optind]));
	json_t *reply = ctl_once(request, NULL);
	int code = ctl_check(reply);

	if (code == 0 && json) {
		ctl_print_json(reply);
	} else if (code == 0) {
		show_audit(argv[optind], reply);
	}
	if (code == 0 && strcmp(argv[optind], "verify") == 0 && !json_is_true(json_object_get(reply, "good")))
		code = 1;
	json_decref(reply);
	return code;
}
