/* policy.c - policyctl policy: one record at a time; import and export are in policy_import.c. */
#include <stdbool.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "policyd/base/span.h"
#include "policyd/ctl/client.h"
#include "policyd/ctl/commands.h"
#include "policyd/ctl/policy_inside.h"
#include "policyd/scan/policy.h"

static void
usage(FILE *to)
{
	fputs("usage: policyctl policy get KEY\n"
	    "       policyctl policy set KEY FIELD=VALUE...    one VALUE of min.FIELD or max.FIELD bounds all below KEY\n"
	    "       policyctl policy unset KEY [FIELD...]      (no field: all of them)\n"
	    "       policyctl policy allow|block KEY ENTRY [--until DATE] [--comment TEXT] [--force]\n"
	    "       policyctl policy unlist KEY ENTRY          takes it off both lists\n"
	    "       policyctl policy explain ADDRESS           each value, the level it comes from, and the change that set it\n"
	    "       policyctl policy list [PREFIX] [--customer ID]\n"
	    "       policyctl policy export [PREFIX] [--customer ID]      JSON lines, for import\n"
	    "       policyctl policy import FILE [--format F] [--key KEY] [--merge] [--dry-run] [--diff]\n"
	    "       policyctl policy diff FILE [...]           what import would change\n"
	    "       policyctl policy simulate KEY FIELD=VALUE... [--customer ID] [--mail FILE --rcpt ADDRESS]\n"
	    "                                                  what recent mail (or this one) would have met; nothing is changed\n"
	    "       policyctl policy canary KEY FIELD=VALUE... [--share 10] [--most 5]    for a stable share (percent) of KEY's mailboxes;\n"
	    "                                                  ends by itself when it holds more than so many percent more of their mail\n"
	    "       policyctl policy canary KEY                its report: what fared otherwise\n"
	    "       policyctl policy canary KEY promote|end    for all mailboxes from now on; for none\n"
	    "       policyctl policy history KEY               who changed it, when, from what to what\n"
	    "       policyctl policy rollback customer:ID TIME [--dry-run]    all its records back to how they were then\n"
	    "       policyctl policy meter ID [FROM [TO]]      what a customer has used, by day (2026-12-31)\n"
	    "       policyctl policy status                    how many records and classes, in how many bytes\n"
	    "       policyctl policy remove-customer ID [--yes]           every record of it; prints a receipt\n"
	    "  KEY is mailbox:USER@DOMAIN, domain:NAME, domain:*.NAME, customer:ID or tier:ID; USER@DOMAIN and NAME alone will do.\n"
	    "  ENTRY is from:ADDRESS, domain:NAME, ip:NET, dkim:NAME or list-id:ID. An allow by from or domain counts only for senders\n"
	    "  who are proved (or with --force), and never lets a virus through. DATE is 2026-12-31 or seconds since 1970; TIME also\n"
	    "  2026-12-31T10:00:00.\n"
	    "  import: F is jsonl ({\"key\": K, \"values\": {...}} a line), csv (key and fields in the first line), or the dump of another\n"
	    "  filter: amavis (SQL), proxmox (SQL of userprefs), rspamd (settings.conf), spamassassin (user_prefs, with --key). A record\n"
	    "  replaces what is there; with --merge its fields are added. All records of one customer go in together or not at all.\n"
	    "  --json prints JSON.\n\nfields:\n", to);
	for (size_t i = 0; i < policy_field_count; i++)
		fprintf(to, "  %-16s %s\n", policy_fields[i].name, policy_fields[i].help);
	fputs("  customer         whose a domain or mailbox is;  tier: the bundle of bounds that a customer has\n"
	    "  locked           fields that nobody below may set (tier, customer, domain)\n"
	    "  alias_of         mailbox: where its mail goes (several by commas: the strictest they agree on); domain: of which one\n"
	    "  catch_all        domain: the mailbox that unknown ones belong to\n"
	    "  delimiters       domain: what begins an extension, some of +-=_.#%, or none; as it is: +\n", to);
}

static void
show_record(const json_t *record)
{
	const char *name;
	json_t *value;

	printf("%s", ctl_text(record, "key"));
	json_object_foreach(json_object_get(record, "values"), name, value) {
		char *text = json_is_string(value) ? strdup(json_string_value(value)) : json_dumps(value, JSON_COMPACT);

		printf(" %s=%s", name, text ? text : "?");
		free(text);
	}
	puts("");
}

static void
print_time(const json_t *ms)
{
	time_t s = (time_t)(json_integer_value(ms) / 1000);
	char text[32];

	strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", localtime(&s));
	fputs(text, stdout);
}

static void
show_field(const json_t *one)
{
	const json_t *change = json_object_get(one, "change");

	printf("  %-16s %-12s from %s", ctl_text(one, "field"), ctl_text(one, "value"), ctl_text(one, "level"));
	if (ctl_text(one, "record")[0] && strcmp(ctl_text(one, "level"), "default") != 0)
		printf(" (%s)", ctl_text(one, "record"));
	if (ctl_text(one, "bounded_by")[0])
		printf(", bounded by %s", ctl_text(one, "bounded_by"));
	if (change) {
		fputs(", set ", stdout);
		print_time(json_object_get(change, "time_ms"));
		printf(" by %s", ctl_text(change, "who")[0] ? ctl_text(change, "who") : "?");
	}
	puts("");
}

static void
show_history(const json_t *reply)
{
	size_t i, k;
	json_t *entry, *change;

	json_array_foreach(json_object_get(reply, "entries"), i, entry) {
		print_time(json_object_get(entry, "time_ms"));
		printf(" by %s%s%s\n", ctl_text(entry, "who")[0] ? ctl_text(entry, "who") : "?", ctl_text(entry, "note")[0] ? ": " : "", ctl_text(entry, "note"));
		json_array_foreach(json_object_get(entry, "changes"), k, change)
			printf("  %s\n  - %s\n  + %s\n", json_string_value(json_array_get(change, 0)), json_string_value(json_array_get(change, 1)),
			    json_string_value(json_array_get(change, 2)));
	}
}

static void
show(const char *what, const json_t *reply)
{
	size_t i;
	json_t *one;

	if (strcmp(what, "explain") == 0) {
		printf("%s%s%s\n", ctl_text(reply, "address"), ctl_text(reply, "customer")[0] ? ", customer " : "", ctl_text(reply, "customer"));
		if (ctl_text(reply, "canary")[0])
			printf("  this mailbox is in the canary of %s\n", ctl_text(reply, "canary"));
		json_array_foreach(json_object_get(reply, "fields"), i, one)
			show_field(one);
	} else if (strcmp(what, "list") == 0) {
		json_array_foreach(json_object_get(reply, "records"), i, one)
			show_record(one);
		if (json_is_true(json_object_get(reply, "truncated")))
			fputs("policyctl: there are more; give a longer prefix\n", stderr);
	} else if (strcmp(what, "history") == 0) {
		show_history(reply);
	} else if (strcmp(what, "rollback") == 0) {
		json_array_foreach(json_object_get(reply, "changes"), i, one)
			printf("%s\n  - %s\n  + %s\n", ctl_text(one, "key"), ctl_text(one, "old"), ctl_text(one, "new"));
	} else if (strcmp(what, "remove-customer") == 0 || strcmp(what, "status") == 0 || strcmp(what, "meter") == 0) {
		ctl_print_json(reply);
	} else {
		show_record(reply);
	}
}

const char *
policy_who(void)
{
	const char *who = getenv("SUDO_USER");
	const struct passwd *pw = who ? NULL : getpwuid(getuid());

	return who ? who : pw ? pw->pw_name : "?";
}

/* "2026-12-31", "2026-12-31T10:00:00" (local time), or seconds; -1: neither. */
static json_int_t
read_time(const char *text)
{
	struct tm tm = { .tm_isdst = -1 };
	char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	uint64_t seconds;

	if (end == NULL || *end) {
		memset(&tm, 0, sizeof tm);
		tm.tm_isdst = -1;
		end = strptime(text, "%Y-%m-%d", &tm);
	}
	if (end && *end == '\0')
		return (json_int_t)mktime(&tm);
	return span_u64(span_of(text), &seconds) ? (json_int_t)seconds : -1;
}

/* allow, block, unlist: one entry of a record's lists. */
static json_t *
entry_request(int argc, char **argv, const char *what)
{
	json_t *entry = json_object(), *values = json_object(), *list;

	for (int i = 2; i < argc; i++) {
		bool more = i + 1 < argc;

		if (strcmp(argv[i], "--force") == 0) {
			json_object_set_new(entry, "force", json_true());
		} else if (strcmp(argv[i], "--comment") == 0 && more) {
			json_object_set_new(entry, "comment", json_string(argv[++i]));
		} else if (strcmp(argv[i], "--until") == 0 && more && read_time(argv[i + 1]) >= 0) {
			json_object_set_new(entry, "until", json_integer(read_time(argv[++i])));
		} else {
			fprintf(stderr, "policyctl: \"%s\"; expected --until DATE, --comment TEXT or --force\n", argv[i]);
			json_decref(entry);
			json_decref(values);
			return NULL;
		}
	}
	json_object_set_new(entry, "by", json_string(policy_who()));
	if (strcmp(what, "unlist") == 0) {
		json_decref(entry);
		json_object_set_new(values, "allow", json_pack("{s:n}", argv[1]));
		json_object_set_new(values, "block", json_pack("{s:n}", argv[1]));
	} else {
		list = json_object();
		json_object_set_new(list, argv[1], entry);
		json_object_set_new(values, what, list);
	}
	return json_pack("{s:s, s:s, s:o, s:s}", "cmd", "policy.set", "key", argv[0], "values", values, "who", policy_who());
}

static json_t *
rollback_request(int argc, char **argv)
{
	json_int_t to = argc > 1 ? read_time(argv[1]) : -1;
	bool dry = argc > 2 && strcmp(argv[2], "--dry-run") == 0;

	if (to < 0 || strncmp(argv[0], "customer:", 9) != 0) {
		fputs("policyctl: expected rollback customer:ID TIME\n", stderr);
		return NULL;
	}
	return json_pack("{s:s, s:s, s:I, s:s, s:b}", "cmd", "policy.rollback", "customer", argv[0] + 9, "to_ms", to * 1000 + 999, "who", policy_who(), "dry_run", dry);
}

/* --yes, or a yes on the terminal. */
static json_t *
remove_request(int argc, char **argv)
{
	char answer[16] = "";

	if (argc < 2 || strcmp(argv[1], "--yes") != 0) {
		fprintf(stderr, "All records of customer %s go, and what hangs on them. Really (yes/no)? ", argv[0]);
		if (fgets(answer, sizeof answer, stdin) == NULL || strcmp(answer, "yes\n") != 0)
			return NULL;
	}
	return json_pack("{s:s, s:s, s:s}", "cmd", "policy.remove_customer", "customer", argv[0], "who", policy_who());
}

static json_t *
make_request(int argc, char **argv, const char *what)
{
	if (strcmp(what, "allow") == 0 || strcmp(what, "block") == 0 || strcmp(what, "unlist") == 0)
		return argc > 1 ? entry_request(argc, argv, what) : NULL;
	if (strcmp(what, "rollback") == 0)
		return rollback_request(argc, argv);
	if (strcmp(what, "remove-customer") == 0)
		return remove_request(argc, argv);
	json_t *request = json_pack("{s:o, s:s}", "cmd", json_sprintf("policy.%s", what), "who", policy_who()), *values, *fields;

	if (strcmp(what, "list") == 0) {
		for (int i = 0; i < argc; i++)
			if (strcmp(argv[i], "--customer") == 0 && i + 1 < argc)
				json_object_set_new(request, "customer", json_string(argv[++i]));
			else
				json_object_set_new(request, "prefix", json_string(argv[i]));
		return request;
	}
	if (strcmp(what, "status") == 0)
		return request;
	if (strcmp(what, "meter") == 0) {
		static const char *const names[] = { "customer", "from", "to" };

		for (int i = 0; i < argc && i < 3; i++)
			json_object_set_new(request, names[i], json_string(argv[i]));
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
	static const char *const kinds[] = { "get", "set", "unset", "explain", "list", "allow", "block", "unlist", "history", "rollback", "remove-customer", "status", "meter" };
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
	if (argc > 1 && (strcmp(argv[1], "import") == 0 || strcmp(argv[1], "diff") == 0))
		return policy_import(argc - 2, argv + 2, argv[1][0] == 'd');
	if (argc > 1 && strcmp(argv[1], "simulate") == 0) {
		ctl_json = json;
		return policy_simulate(argc - 2, argv + 2);
	}
	if (argc > 1 && strcmp(argv[1], "canary") == 0) {
		ctl_json = json;
		return policy_canary(argc - 2, argv + 2);
	}
	if (argc > 1 && strcmp(argv[1], "export") == 0)
		return policy_export(argc - 2, argv + 2);
	for (size_t i = 0; argc > 1 && i < sizeof kinds / sizeof *kinds; i++)
		known |= strcmp(argv[1], kinds[i]) == 0;
	if (!known || (argc < 3 && strcmp(argv[1], "list") != 0 && strcmp(argv[1], "status") != 0)) {
		usage(stderr);
		return 2;
	}
	json_t *request = make_request(argc - 2, argv + 2, argv[1]);

	if (request == NULL)
		return 2;
	json_t *reply = ctl_once(request, NULL);
	int code = ctl_check(reply);

	if (code == 0 && json) {
		ctl_print_json(reply);
	} else if (code == 0) {
		show(argv[1], reply);
	}
	json_decref(reply);
	return code;
}
