/* policy_simulate.c - policyctl policy simulate: what mail would have met if a record were changed. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "policyd/ctl/client.h"
#include "policyd/ctl/policy_inside.h"

static void
show_changes(const json_t *reply)
{
	size_t i;
	json_t *one;

	json_array_foreach(json_object_get(reply, "examples"), i, one) {
		char when[CTL_WHEN];

		printf("  %s ref %s, %.2f points, ", ctl_when(ctl_number(one, "time"), when), ctl_text(one, "reference"), ctl_number(one, "points"));
		ctl_print_safe(ctl_text(one, "recipient"));
		printf(": %s -> %s\n", ctl_text(one, "from"), ctl_text(one, "to"));
	}
	if (ctl_number(reply, "changed") > (double)json_array_size(json_object_get(reply, "examples")))
		puts("  ... and more");
}

static void
show_report(const json_t *reply)
{
	size_t i;
	json_t *one;

	printf("%.0f recipients of recent mail, %.0f would fare otherwise\n", ctl_number(reply, "recipients"), ctl_number(reply, "changed"));
	json_array_foreach(json_object_get(reply, "outcomes"), i, one)
		printf("  %-10s -> %-10s %8.0f\n", ctl_text(one, "from"), ctl_text(one, "to"), ctl_number(one, "count"));
	show_changes(reply);
	json_array_foreach(json_object_get(reply, "not_simulated"), i, one)
		printf("not simulated: %s has a say in the points themselves; try it with --mail\n", json_string_value(one));
}

/* One mail, scanned as things stand and with the change. */
static int
simulate_mail(const char *path, const char *rcpt, json_t *change)
{
	json_t *replies[2] = { NULL, NULL };
	int code = 0;

	for (int with = 0; with < 2 && code == 0; with++) {
		json_t *request = json_pack("{s:s, s:[s]}", "cmd", "scan", "recipients", rcpt);
		int fd = open(path, O_RDONLY | O_CLOEXEC), sock;

		if (fd < 0) {
			fprintf(stderr, "policyctl: %s: %s\n", path, strerror(errno));
			json_decref(request);
			code = 2;
			break;
		}
		if (with)
			json_object_update(request, change);
		json_object_set_new(request, "cmd", json_string("scan"));
		sock = ctl_open();
		replies[with] = sock >= 0 ? ctl_ask(sock, request, fd, NULL) : NULL;
		code = ctl_check(replies[with]);
		close(fd);
		if (sock >= 0)
			close(sock);
	}
	for (int with = 0; with < 2 && code == 0; with++) {
		const json_t *r = json_array_get(json_object_get(replies[with], "recipients"), 0);

		if (ctl_json)
			continue;
		printf("%-10s %-10s %.2f points\n", with ? "changed:" : "now:", ctl_text(r, "outcome"), ctl_number(r, "points"));
	}
	if (code == 0 && ctl_json) {
		json_t *both = json_pack("{s:O, s:O}", "now", replies[0], "changed", replies[1]);

		ctl_print_json(both);
		json_decref(both);
	}
	json_decref(replies[0]);
	json_decref(replies[1]);
	return code;
}

int
policy_simulate(int argc, char **argv)
{
	json_t *values = json_object(), *change = json_pack("{s:s, s:s, s:o}", "cmd", "policy.simulate", "key", argc > 0 ? argv[0] : "", "values", values);
	const char *mail = NULL, *rcpt = NULL;
	int code = argc < 2 ? 2 : 0;

	for (int i = 1; i < argc; i++) {
		char *equals = strchr(argv[i], '=');

		if (strcmp(argv[i], "--mail") == 0 && i + 1 < argc) {
			mail = argv[++i];
		} else if (strcmp(argv[i], "--rcpt") == 0 && i + 1 < argc) {
			rcpt = argv[++i];
		} else if (strcmp(argv[i], "--customer") == 0 && i + 1 < argc) {
			json_object_set_new(change, "customer", json_string(argv[++i]));
		} else if (equals) {
			json_object_set_new(values, (*equals = '\0', argv[i]), json_string(equals + 1));
		} else {
			fprintf(stderr, "policyctl: \"%s\"; expected FIELD=VALUE, --customer ID, or --mail FILE --rcpt ADDRESS\n", argv[i]);
			code = 2;
		}
	}
	if (code == 2 || json_object_size(values) == 0 || (mail != NULL) != (rcpt != NULL)) {
		if (code == 0 || argc < 2)
			fputs("policyctl: expected policy simulate KEY FIELD=VALUE... [--customer ID] [--mail FILE --rcpt ADDRESS]\n", stderr);
		json_decref(change);
		return 2;
	}
	if (mail) {
		code = simulate_mail(mail, rcpt, change);
		json_decref(change);
		return code;
	}
	json_t *reply = ctl_once(change, NULL);

	code = ctl_check(reply);
	if (code == 0 && ctl_json) {
		ctl_print_json(reply);
	} else if (code == 0) {
		show_report(reply);
	}
	json_decref(reply);
	return code;
}
