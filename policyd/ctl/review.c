/* review.c - policyctl review: what the review pages and digests of a customer are like, and who of the provider asks to read
 * his mail. */
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "policyd/ctl/client.h"
#include "policyd/ctl/commands.h"

static const char usage[] =
	"usage: policyctl review [--customer ID] [FIELD=VALUE]...     (without --customer: for all who have set nothing)\n"
	"       policyctl review seals [--customer ID]             who asks, or has asked, to read a customer's mail\n"
	"       policyctl review open|refuse|close KEY             the second person's answer\n"
	"  brand         name on pages and mails\n"
	"  language      of mails: en de\n"
	"  digest        off hourly daily weekly\n"
	"  digest_hour   0 to 23, from when on\n"
	"  admin_digest  off hourly daily weekly: to its admins, what is held for whom\n"
	"  request_digest  off hourly daily weekly: to its admins, what was asked for and waits for their answer\n"
	"  admin_mail    the admins' addresses, with commas\n"
	"  admin_reads   no yes: may the customer's admins read the text of held mail\n"
	"  An empty value takes it away. --json prints JSON.\n";

static void
show(const json_t *reply)
{
	const char *name;
	json_t *value;

	json_object_foreach(json_object_get(reply, "values"), name, value) {
		printf("%-14s ", name);
		ctl_print_safe(json_string_value(value));
		puts("");
	}
}

static void
show_seals(const json_t *reply)
{
	static const char *const fields[] = { "state", "asker", "customer", "id", "reason", "by" };
	size_t i;
	json_t *seal;

	json_array_foreach(json_object_get(reply, "seals"), i, seal) {
		printf("%s", ctl_text(seal, "key"));
		for (size_t k = 0; k < sizeof fields / sizeof *fields; k++) {
			printf("  ");
			ctl_print_safe(ctl_text(seal, fields[k])[0] ? ctl_text(seal, fields[k]) : "-");
		}
		puts("");
	}
}

/* "seals", "open KEY" and so on: true, and the request is that. */
static bool
seal_request(json_t *request, int argc, char **argv)
{
	static const char *const answers[] = { "open", "refuse", "close" };

	if (argc == 1 && strcmp(argv[0], "seals") == 0)
		return json_object_set_new(request, "cmd", json_string("review.seals")) == 0;
	for (size_t i = 0; argc == 2 && i < sizeof answers / sizeof *answers; i++)
		if (strcmp(argv[0], answers[i]) == 0) {
			json_object_set_new(request, "cmd", json_string("review.seal"));
			json_object_set_new(request, "op", json_string(argv[0]));
			json_object_set_new(request, "key", json_string(argv[1]));
			return true;
		}
	return false;
}

int
cmd_review(int argc, char **argv)
{
	static const struct option options[] = { { "customer", 1, NULL, 'c' }, { "json", 0, NULL, 'j' }, { "help", 0, NULL, 'h' }, { 0 } };
	json_t *values = json_object(), *request = json_pack("{s:s, s:o}", "cmd", "review.settings", "values", values);
	int json = ctl_json;

	optind = 0;
	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		if (c == 'c')
			json_object_set_new(request, "customer", json_string(optarg));
		else if (c == 'j')
			json = 1;
		else {
			json_decref(request);
			fputs(usage, c == 'h' ? stdout : stderr);
			return c == 'h' ? 0 : 2;
		}
	}
	bool seals = seal_request(request, argc - optind, argv + optind);

	for (int i = optind; !seals && i < argc; i++) {
		char *equals = strchr(argv[i], '=');

		if (equals == NULL) {
			fprintf(stderr, "policyctl: \"%s\"; expected FIELD=VALUE\n", argv[i]);
			json_decref(request);
			return 2;
		}
		*equals = '\0';
		json_object_set_new(values, argv[i], json_string(equals + 1));
	}
	json_t *reply = ctl_once(request, NULL);
	int code = ctl_check(reply);

	if (code == 0 && json) {
		ctl_print_json(reply);
	} else if (code == 0 && seals && json_object_get(reply, "state")) {
		puts(ctl_text(reply, "state"));
	} else if (code == 0 && seals) {
		show_seals(reply);
	} else if (code == 0) {
		show(reply);
	}
	json_decref(reply);
	return code;
}
