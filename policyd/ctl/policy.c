/* policy.c - policyctl policy get|set|unset|explain|list. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "policyd/base/span.h"
#include "policyd/ctl/client.h"
#include "policyd/ctl/commands.h"
#include "policyd/scan/policy.h"

static void
usage(FILE *to)
{
	fputs("usage: policyctl policy get KEY\n"
	    "       policyctl policy set KEY FIELD=VALUE...\n"
	    "       policyctl policy unset KEY [FIELD...]      (no field: all of them)\n"
	    "       policyctl policy explain ADDRESS           each value, and the level it comes from\n"
	    "       policyctl policy list [PREFIX]\n"
	    "  KEY is mailbox:USER@DOMAIN, domain:NAME or customer:ID; USER@DOMAIN and NAME alone will do.\n"
	    "  A domain belongs to a customer by the field customer=ID. --json prints JSON.\n\nfields:\n", to);
	for (size_t i = 0; i < policy_field_count; i++)
		fprintf(to, "  %-16s %s\n", policy_fields[i].name, policy_fields[i].help);
	fputs("  customer         whose a domain or mailbox is\n", to);
}

static void
show_record(const json_t *record)
{
	const char *name;
	json_t *value;

	printf("%s", ctl_text(record, "key"));
	json_object_foreach(json_object_get(record, "values"), name, value)
		printf(" %s=%s", name, json_string_value(value));
	puts("");
}

static void
show(const char *what, const json_t *reply)
{
	size_t i;
	json_t *one;

	if (strcmp(what, "explain") == 0) {
		printf("%s%s%s\n", ctl_text(reply, "address"), ctl_text(reply, "customer")[0] ? ", customer " : "", ctl_text(reply, "customer"));
		json_array_foreach(json_object_get(reply, "fields"), i, one)
			printf("  %-16s %-12s from %s\n", ctl_text(one, "field"), ctl_text(one, "value"), ctl_text(one, "level"));
	} else if (strcmp(what, "list") == 0) {
		json_array_foreach(json_object_get(reply, "records"), i, one)
			show_record(one);
		if (json_is_true(json_object_get(reply, "truncated")))
			fputs("policyctl: there are more; give a longer prefix\n", stderr);
	} else {
		show_record(reply);
	}
}

static json_t *
make_request(int argc, char **argv, const char *what)
{
	json_t *request = json_pack("{s:o}", "cmd", json_sprintf("policy.%s", what)), *values, *fields;

	if (strcmp(what, "list") == 0) {
		json_object_set_new(request, "prefix", json_string(argc > 0 ? argv[0] : ""));
		return request;
	}
	json_object_set_new(request, strcmp(what, "explain") == 0 ? "address" : "key", json_string(argv[0]));
	json_object_set_new(request, "values", values = json_object());
	json_object_set_new(request, "fields", fields = json_array());
	for (int i = 1; i < argc; i++) {
		char *equals = strchr(argv[i], '=');

		if (strcmp(what, "set") == 0 && equals == NULL) {
			fprintf(stderr, "policyctl: \"%s\"; expected FIELD=VALUE\n", argv[i]);
			json_decref(request);
			return NULL;
		}
		if (strcmp(what, "set") == 0) {
			*equals = '\0';
			json_object_set_new(values, argv[i], json_string(equals + 1));
		} else {
			json_array_append_new(fields, json_string(argv[i]));
		}
	}
	return request;
}

int
cmd_policy(int argc, char **argv)
{
	static const char *const kinds[] = { "get", "set", "unset", "explain", "list" };
	int json = ctl_json, kept = 1;
	bool known = false;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0)
			json = 1;
		else if (strcmp(argv[i], "--help") == 0) {
			usage(stdout);
			return 0;
		} else
			argv[kept++] = argv[i];
	}
	argc = kept;
	for (size_t i = 0; argc > 1 && i < sizeof kinds / sizeof *kinds; i++)
		known |= strcmp(argv[1], kinds[i]) == 0;
	if (!known || (argc < 3 && strcmp(argv[1], "list") != 0)) {
		usage(stderr);
		return 2;
	}
	json_t *request = make_request(argc - 2, argv + 2, argv[1]);

	if (request == NULL)
		return 2;
	json_t *reply = ctl_once(request, NULL);
	int code = ctl_check(reply);

	if (code == 0 && json) {
		json_dumpf(reply, stdout, JSON_INDENT(1));
		puts("");
	} else if (code == 0) {
		show(argv[1], reply);
	}
	json_decref(reply);
	return code;
}
