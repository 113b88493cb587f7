/* policy_canary.c - policyctl policy canary: another policy for a share of the mailboxes, its report, and its end. */
#include <stdlib.h>
#include <string.h>

#include "policyd/base/span.h"
#include "policyd/ctl/client.h"
#include "policyd/ctl/policy_inside.h"

enum { SHARE = 10, MOST = 5 };

static int
finish(json_t *reply, void (*show)(const json_t *reply))
{
	int code = ctl_check(reply);

	if (code == 0 && ctl_json) {
		ctl_print_json(reply);
	} else if (code == 0) {
		show(reply);
	}
	json_decref(reply);
	return code;
}

static void
show_report(const json_t *reply)
{
	json_t *counts = json_object_get(reply, "counts"), *canary = json_object_get(reply, "canary"), *one;
	char *values = json_dumps(json_object_get(canary, "values"), JSON_COMPACT);
	const char *name;
	size_t i;

	if (canary == NULL) {
		printf("%s: no mail has met a canary there\n", ctl_text(reply, "key"));
		free(values);
		return;
	}
	printf("%s: %s, for %.0f %% of the mailboxes: %s\n", ctl_text(reply, "key"), values ? values : "?", ctl_number(canary, "share"),
	    json_is_true(json_object_get(reply, "in_force")) ? "in force" : "ended (see policy history)");
	printf("  %.0f mails seen, %.0f held that would have been delivered (it ends above %.0f %%)\n", ctl_number(counts, "seen"), ctl_number(counts, "held"),
	    ctl_number(canary, "most"));
	json_object_foreach(counts, name, one)
		if (strchr(name, '>'))
			printf("  %-24s %8.0f\n", name, json_number_value(one));
	json_array_foreach(json_object_get(reply, "changes"), i, one) {
		char when[CTL_WHEN];

		printf("  %s ref %s, %.2f points: %s -> %s\n", ctl_when(ctl_number(one, "time"), when), ctl_text(one, "reference"), ctl_number(one, "points"), ctl_text(one, "from"), ctl_text(one, "to"));
	}
	free(values);
}

static void
show_values(const json_t *reply)
{
	char *values = json_dumps(json_object_get(reply, "values"), JSON_COMPACT);

	printf("%s %s\n", ctl_text(reply, "key"), values ? values : "?");
	free(values);
}

/* What is on trial becomes the record's own, if nobody has changed it since. */
static int
promote(const char *key)
{
	json_t *record = ctl_once(json_pack("{s:s, s:s}", "cmd", "policy.get", "key", key), NULL);
	int code = ctl_check(record);

	if (code != 0) {
		json_decref(record);
		return code;
	}
	json_t *values = json_copy(json_object_get(json_object_get(json_object_get(record, "values"), "canary"), "values"));

	if (values == NULL) {
		fprintf(stderr, "policyctl: %s has no canary\n", key);
		json_decref(record);
		return 2;
	}
	json_object_set_new(values, "canary", json_null());
	json_t *request = json_pack("{s:s, s:s, s:o, s:s, s:s}", "cmd", "policy.set", "key", key, "values", values, "who", policy_who(), "note", "canary promoted");

	if (json_object_get(record, "etag"))
		json_object_set(request, "if", json_object_get(record, "etag"));
	json_decref(record);
	return finish(ctl_once(request, NULL), show_values);
}

static bool
percent(const char *text, json_t *to, const char *name)
{
	uint64_t n;

	if (!span_u64(span_of(text), &n) || n > 100) {
		fprintf(stderr, "policyctl: --%s %s; expected a percentage\n", name, text);
		return false;
	}
	json_object_set_new(to, name, json_integer((json_int_t)n));
	return true;
}

static int
begin(int argc, char **argv)
{
	json_t *values = json_object(), *canary = json_pack("{s:i, s:i, s:o}", "share", SHARE, "most", MOST, "values", values);
	bool good = true;

	for (int i = 1; i < argc && good; i++) {
		char *equals = strchr(argv[i], '=');

		if ((strcmp(argv[i], "--share") == 0 || strcmp(argv[i], "--most") == 0) && i + 1 < argc) {
			good = percent(argv[i + 1], canary, argv[i] + 2);
			i++;
		} else if (equals) {
			*equals = '\0';
			json_object_set_new(values, argv[i], json_string(equals + 1));
		} else {
			fprintf(stderr, "policyctl: \"%s\"; expected FIELD=VALUE, --share or --most\n", argv[i]);
			good = false;
		}
	}
	if (!good) {
		json_decref(canary);
		return 2;
	}
	return finish(ctl_once(json_pack("{s:s, s:s, s:{s:o}, s:s, s:s}", "cmd", "policy.set", "key", argv[0], "values", "canary", canary, "who",
	    policy_who(), "note", "canary begun"), NULL), show_values);
}

int
policy_canary(int argc, char **argv)
{
	if (argc < 1) {
		fputs("policyctl: expected policy canary KEY [FIELD=VALUE... [--share N] [--most N] | promote | end]\n", stderr);
		return 2;
	}
	if (argc == 1)
		return finish(ctl_once(json_pack("{s:s, s:s}", "cmd", "policy.canary", "key", argv[0]), NULL), show_report);
	if (argc == 2 && strcmp(argv[1], "promote") == 0)
		return promote(argv[0]);
	if (argc == 2 && strcmp(argv[1], "end") == 0)
		return finish(ctl_once(json_pack("{s:s, s:s, s:{s:n}, s:s, s:s}", "cmd", "policy.set", "key", argv[0], "values", "canary", "who",
		    policy_who(), "note", "canary ended"), NULL), show_values);
	return begin(argc, argv);
}
