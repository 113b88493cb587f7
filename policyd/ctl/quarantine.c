/* quarantine.c - policyctl quarantine: all that the review pages do (quarantine/store/requests.h). */
#include <errno.h>
#include <getopt.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "policyd/base/clock.h"
#include "policyd/base/ipc.h"
#include "policyd/ctl/client.h"
#include "policyd/ctl/commands.h"

static const char usage[] =
	"usage: policyctl quarantine list [FILTER...] [--sort newest|oldest|closest|points|size] [--limit N] [--cursor C | --all] [--pool]\n"
	"       policyctl quarantine show ID [--n N | --rcpt A] [--raw]\n"
	"       policyctl quarantine ACTION ID... [--n N | --rcpt A] [--note TEXT] [--again] [--risky] [--allow [--until T]]\n"
	"       policyctl quarantine stats [--by day,customer,class] [--since T] [--until T] [--customer C]\n"
	"       policyctl quarantine rules [--since T] [--customer C]\n"
	"       policyctl quarantine rebuild\n"
	"\n"
	"  FILTER   --rcpt A  --domain D  --customer C  --class C  --state S  (each may stand several times)\n"
	"           --sender A  --from-domain D  --search WORDS  --symbol RULE  --message-id I  --queue-id I  --body HEX\n"
	"           --since T  --until T  --points-min P  --points-max P\n"
	"  T        2025-01-31, seconds since 1970, or an age: 90m, 12h, 7d\n"
	"  states   new seen requested releasing released deleted expired\n"
	"  ACTION   release, approve (what was requested), delete, undo (for ten minutes), request, deny, seen, unseen,\n"
	"           ham, spam, unvote (a vote, learnt by the classifier).  ID... may be - : one a line from standard input\n"
	"  --pool   with --rcpt: what all nodes that share a Redis hold for him\n"
	"  --node N list, show, ACTION: what node N of the pool holds (list --pool names it)\n"
	"  --raw    the mail's exact bytes        --again  also what was released before\n"
	"  --risky  also when today's scan finds a virus in it\n"
	"  --allow  with release and approve: and put its sender, or its list, on the recipient's allow list (until T)\n"
	"  --json   prints JSON.  Exit code: 0 all done, 1 not all, 2 asked wrongly\n";

static void
show_list(const json_t *reply)
{
	size_t i;
	json_t *e;

	json_array_foreach(json_object_get(reply, "entries"), i, e) {
		char when[CTL_WHEN];

		printf("%s  %s  %-9s %-11s %6.1f  <", ctl_text(e, "id"), ctl_when(ctl_number(e, "time"), when), ctl_text(e, "state"), ctl_text(e, "class"), ctl_number(e, "points"));
		ctl_print_safe(ctl_text(e, "sender"));
		printf("> -> <");
		ctl_print_safe(ctl_text(e, "recipient"));
		printf(">  ");
		ctl_print_safe(ctl_text(e, "subject"));
		if (ctl_text(e, "node")[0])
			printf("  at %s", ctl_text(e, "node"));
		puts("");
	}
}

static void
show_entry(const json_t *reply)
{
	static const char *const fields[] = { "class", "sender", "from", "subject", "message_id", "client", "helo", "queue_id", "allow" };
	json_t *e = json_array_get(json_object_get(reply, "entries"), 0);
	size_t i;
	char when[CTL_WHEN];

	printf("id          %s\nreceived    %s, %d bytes, %d times\n", ctl_text(e, "id"), ctl_when(ctl_number(e, "time"), when), (int)ctl_number(e, "size"), (int)ctl_number(e, "count"));
	for (i = 0; i < sizeof fields / sizeof *fields; i++) {
		printf("%-11s ", fields[i]);
		ctl_print_safe(ctl_text(e, fields[i]));
		puts("");
	}
	json_array_foreach(json_object_get(reply, "symbols"), i, e) {
		printf("symbol      %-28s %7.2f  ", ctl_text(e, "name"), ctl_number(e, "points"));
		ctl_print_safe(ctl_text(e, "evidence"));
		puts("");
	}
	json_array_foreach(json_object_get(reply, "entries"), i, e) {
		printf("recipient   <");
		ctl_print_safe(ctl_text(e, "recipient"));
		printf("> %s, %.2f points, his quarantine begins at %.2f%s; ", ctl_text(e, "state"), ctl_number(e, "points"), ctl_number(e, "quarantine"),
		    strcmp(ctl_text(e, "mode"), "copy") == 0 ? ", a copy of what was rejected" : "");
		ctl_print_safe(ctl_text(e, "note"));
		puts("");
	}
	if (json_is_true(json_object_get(reply, "damaged")))
		printf("DAMAGED     %s (%s)\n", ctl_text(reply, "why"), ctl_text(reply, "segment"));
}

static int
copy_out(const json_t *reply, int fd)
{
	struct span bytes = fd >= 0 ? map_fd(fd) : (struct span){ NULL, 0 };
	bool good = bytes.p && fwrite(bytes.p, 1, bytes.n, stdout) == bytes.n;

	if (fd < 0)
		fprintf(stderr, "policyctl: %s\n", ctl_text(reply, "why"));
	else
		close(fd);
	unmap(bytes);
	return good ? 0 : 1;
}

static void
show_stats(const json_t *reply)
{
	static const char *const columns[] = { "stored", "released", "requested", "deleted", "expired", "ham", "spam" };
	const char *name;
	json_t *value, *row;
	size_t i;

	if (json_object_get(reply, "mails"))
		printf("%d mails for %d recipients in %d segments, %.1f MB, %d damaged records\n", (int)ctl_number(reply, "mails"),
		    (int)ctl_number(reply, "recipients"), (int)ctl_number(reply, "segments"), ctl_number(reply, "bytes") / 1e6,
		    (int)ctl_number(reply, "damaged"));
	json_object_foreach(json_object_get(reply, "states"), name, value)
		printf("  %-10s %d\n", name, (int)json_integer_value(value));
	json_array_foreach(json_object_get(reply, "rows"), i, row) {
		if (i == 0) {
			printf("\n%-10s  %-16s %-12s", "day", "customer", "class");
			for (size_t k = 0; k < sizeof columns / sizeof *columns; k++)
				printf(" %9s", columns[k]);
			puts("");
		}
		printf("%-10s  %-16s %-12s", ctl_text(row, "day"), ctl_text(row, "customer"), ctl_text(row, "class"));
		for (size_t k = 0; k < sizeof columns / sizeof *columns; k++)
			printf(" %9d", (int)ctl_number(row, columns[k]));
		puts("");
	}
}

static void
show_rules(const json_t *reply)
{
	size_t i;
	json_t *row;

	json_array_foreach(json_object_get(reply, "rules"), i, row)
		printf("%-32s released %6d   voted ham %6d\n", ctl_text(row, "symbol"), (int)ctl_number(row, "released"), (int)ctl_number(row, "ham"));
}

/* ---- what is asked ---- */

/* "2025-01-31", seconds since 1970, "7d" ago. -1: none of them. */
static json_int_t
parse_time(const char *text)
{
	struct tm tm = { .tm_isdst = -1 };
	char *end;
	long long n = strtoll(text, &end, 10);

	if (sscanf(text, "%4d-%2d-%2d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday) == 3) {
		tm.tm_year -= 1900;
		tm.tm_mon -= 1;
		return (json_int_t)mktime(&tm);
	}
	if (end == text || n < 0)
		return -1;
	if (*end == '\0')
		return n;
	if (end[1] != '\0' || !strchr("mhd", *end))
		return -1;
	return wall_s() - n * (*end == 'm' ? 60 : *end == 'h' ? 3600 : 86400);
}

enum kind { TEXT, TEXTS, NUMBER, POINTS, WHEN, FLAG, WORDS };
static const struct {
	const char *option, *field;
	enum kind kind;
} options[] = {
	{ "rcpt", "rcpt", TEXTS }, { "domain", "domain", TEXTS }, { "customer", "customer", TEXTS }, { "class", "class", TEXTS },
	{ "state", "state", TEXTS }, { "sender", "sender", TEXT }, { "from-domain", "from_domain", TEXT }, { "search", "search", TEXT },
	{ "symbol", "symbol", TEXT }, { "message-id", "message_id", TEXT }, { "queue-id", "queue_id", TEXT }, { "body", "body", TEXT },
	{ "since", "since", WHEN }, { "until", "until", WHEN }, { "points-min", "points_min", POINTS }, { "points-max", "points_max", POINTS },
	{ "sort", "sort", TEXT }, { "limit", "limit", NUMBER }, { "offset", "offset", NUMBER }, { "cursor", "cursor", TEXT }, { "n", "n", NUMBER },
	{ "note", "note", TEXT }, { "by", "by", WORDS }, { "raw", "raw", FLAG }, { "again", "again", FLAG }, { "risky", "risky", FLAG },
	{ "all", "all", FLAG }, { "pool", "pool", FLAG }, { "node", "node", TEXT }, { "allow", "allow", FLAG }, { "json", "json", FLAG }, { "help", "help", FLAG },
};
enum { OPTIONS = sizeof options / sizeof *options };

static bool
take_option(json_t *request, int k, char *value)
{
	const char *field = options[k].field;
	json_t *old = json_object_get(request, field);
	char *end;
	long long number;
	double points;

	switch (options[k].kind) {
	case FLAG:
		return json_object_set_new(request, field, json_true()) == 0;
	case TEXT:
		return json_object_set_new(request, field, json_string(value)) == 0;
	case TEXTS:
		if (old == NULL)
			json_object_set_new(request, field, old = json_array());
		return json_array_append_new(old, json_string(value)) == 0;
	case WORDS:
		json_object_set_new(request, field, old = json_array());
		for (char *word = strtok(value, ","); word; word = strtok(NULL, ","))
			json_array_append_new(old, json_string(word));
		return true;
	case NUMBER:
		number = strtoll(value, &end, 10);
		json_object_set_new(request, field, json_integer(number));
		break;
	case POINTS:
		points = strtod(value, &end);
		json_object_set_new(request, field, json_real(points));
		break;
	case WHEN:
		number = parse_time(value);
		json_object_set_new(request, field, json_integer(number));
		end = number < 0 ? value : "";
		break;
	default:
		return false;
	}
	if (end != value && *end == '\0')
		return true;
	fprintf(stderr, "policyctl: --%s \"%s\": expected %s\n", options[k].option, value, options[k].kind == WHEN ?
	    "2025-01-31, seconds since 1970, or an age like 90m, 12h, 7d" : "a number");
	return false;
}

/* NULL: asked wrongly, and it was said. */
static json_t *
read_options(int argc, char **argv)
{
	struct option list[OPTIONS + 1] = { { 0 } };
	json_t *request = json_object();

	for (int k = 0; k < OPTIONS; k++)
		list[k] = (struct option){ options[k].option, options[k].kind == FLAG ? no_argument : required_argument, NULL, k + 1000 };
	optind = 0;
	for (int c; (c = getopt_long(argc, argv, "", list, NULL)) != -1;)
		if (c == '?' || !take_option(request, c - 1000, optarg)) {
			if (c == '?')
				fputs(usage, stderr);
			json_decref(request);
			return NULL;
		}
	return request;
}

static int
say(const json_t *reply, void (*show)(const json_t *reply))
{
	int code = ctl_check(reply);

	if (code == 0 && ctl_json) {
		ctl_print_json(reply);
	} else if (code == 0) {
		show(reply);
	}
	return code;
}

/* One question; with --node it is review that asks that node. Takes `request`. */
static json_t *
ask(json_t *request, int *fd)
{
	json_t *node = json_incref(json_object_get(request, "node"));

	if (node == NULL)
		return ctl_once(request, fd);
	json_object_del(request, "node");
	json_t *wrapped = json_pack("{s:s, s:O, s:o}", "cmd", "review.node", "node", node, "request", request);

	json_decref(node);
	return ctl_once(wrapped, fd);
}

/* Page after page, as they come. */
static int
list(json_t *request)
{
	bool all = json_is_true(json_object_get(request, "all"));
	int code;

	if (all)
		json_object_set_new(request, "limit", json_integer(1000));
	for (;;) {
		json_t *reply = ask(json_deep_copy(request), NULL);
		bool more = json_is_true(json_object_get(reply, "more"));

		code = say(reply, show_list);
		if (code == 0 && more && !all && !ctl_json)
			fprintf(stderr, "policyctl: there are more: --cursor %s, or --all\n", ctl_text(reply, "cursor"));
		json_object_set(request, "cursor", json_object_get(reply, "cursor"));
		json_decref(reply);
		if (code != 0 || !more || !all)
			return code;
	}
}

static int
show(json_t *request, const char *id)
{
	int fd = -1;
	bool raw = json_is_true(json_object_get(request, "raw"));

	json_object_set_new(request, "id", json_string(id));
	if (json_is_array(json_object_get(request, "rcpt")))
		json_object_set(request, "rcpt", json_array_get(json_object_get(request, "rcpt"), 0));
	json_t *reply = ask(json_deep_copy(request), &fd);
	int code = raw ? ctl_check(reply) : say(reply, show_entry);

	if (code == 0 && raw)
		code = copy_out(reply, fd);
	json_decref(reply);
	return code;
}

static const char *
who(void)
{
	static char name[128];
	const struct passwd *pw = getpwuid(getuid());

	snprintf(name, sizeof name, "policyctl %s", pw ? pw->pw_name : "?");
	return name;
}

static void
show_results(const json_t *reply)
{
	size_t i;
	json_t *r;

	json_array_foreach(json_object_get(reply, "results"), i, r) {
		const json_t *allow = json_object_get(r, "allow");

		printf("%s <%s> %s: %s\n", ctl_text(r, "id"), ctl_text(r, "recipient"), ctl_text(r, "state"), ctl_text(r, "reply"));
		if (json_is_true(json_object_get(allow, "done")))
			printf("<%s> always gets mail of %s\n", ctl_text(r, "recipient"), ctl_text(allow, "entry"));
		else if (allow)
			printf("<%s> has nobody new on his list: %s\n", ctl_text(r, "recipient"), ctl_text(allow, "reply"));
	}
}

/* --allow, with --until and --note: in force for how long, and why. */
static void
read_allow(json_t *request)
{
	json_t *allow = json_object();

	if (json_object_get(request, "until"))
		json_object_set(allow, "until", json_object_get(request, "until"));
	if (ctl_text(request, "note")[0])
		json_object_set(allow, "comment", json_object_get(request, "note"));
	json_object_set_new(request, "allow", allow);
	json_object_del(request, "until");
}

static json_t *
read_ids(int argc, char **argv, const json_t *request)
{
	const json_t *rcpts = json_object_get(request, "rcpt"), *n = json_object_get(request, "n");
	json_t *ids = json_array();
	char line[128];

	for (int i = 0; i < argc; i++) {
		bool more = true;

		for (bool lines = strcmp(argv[i], "-") == 0; more; more = lines) {
			if (lines && fgets(line, sizeof line, stdin) == NULL)
				break;
			line[strcspn(line, " \r\n")] = '\0';
			json_t *one = json_pack("{s:s}", "id", lines ? line : argv[i]);

			if (n)
				json_object_set(one, "n", (json_t *)n);
			if (json_array_size(rcpts) > 0)
				json_object_set(one, "rcpt", json_array_get(rcpts, 0));
			json_array_append_new(ids, one);
		}
	}
	return ids;
}

static int
change(json_t *request, const char *op, int argc, char **argv)
{
	size_t i;
	json_t *r;

	json_object_set_new(request, "op", json_string(op));
	json_object_set_new(request, "cmd", json_string("quarantine.change"));
	json_object_set_new(request, "ids", read_ids(argc, argv, request));
	json_object_del(request, "rcpt");
	json_object_del(request, "n");
	if (json_is_true(json_object_get(request, "allow")))
		read_allow(request);
	json_t *reply = ask(json_deep_copy(request), NULL);
	int code = say(reply, show_results);

	json_array_foreach(json_object_get(reply, "results"), i, r)
		if (!json_is_true(json_object_get(r, "done")) || json_is_false(json_object_get(json_object_get(r, "allow"), "done")))
			code = code ? code : 1;
	json_decref(reply);
	return code;
}

int
cmd_quarantine(int argc, char **argv)
{
	static const char *const ops[] = { "release", "approve", "delete", "undo", "request", "deny", "seen", "unseen", "ham", "spam", "unvote" };
	json_t *request = read_options(argc, argv);
	int code = 2, left = argc - optind;

	if (request == NULL)
		return 2;
	const char *kind = left > 0 ? argv[optind] : "";
	bool is_op = false;

	for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
		is_op |= strcmp(kind, ops[i]) == 0;
	ctl_json |= json_is_true(json_object_get(request, "json"));
	json_object_set_new(request, "cmd", json_sprintf("quarantine.%s", kind));
	json_object_set_new(request, "actor", json_string(who()));
	if (json_object_get(request, "help")) {
		fputs(usage, stdout);
		code = 0;
	} else if (strcmp(kind, "list") == 0 && left == 1) {
		code = list(request);
	} else if (strcmp(kind, "show") == 0 && left == 2) {
		code = show(request, argv[optind + 1]);
	} else if (is_op && left >= 2) {
		code = change(request, kind, left - 1, argv + optind + 1);
	} else if ((strcmp(kind, "stats") == 0 || strcmp(kind, "rules") == 0 || strcmp(kind, "rebuild") == 0) && left == 1) {
		if (json_is_array(json_object_get(request, "customer")))
			json_object_set(request, "customer", json_array_get(json_object_get(request, "customer"), 0));
		json_t *reply = ctl_once(json_incref(request), NULL);

		code = say(reply, strcmp(kind, "rules") == 0 ? show_rules : show_stats);
		json_decref(reply);
	} else {
		fputs(usage, stderr);
	}
	json_decref(request);
	return code;
}
