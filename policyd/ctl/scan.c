/* scan.c - policyctl scan: the milter's own decision for a mail that nobody sent. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "policyd/base/ipc.h"
#include "policyd/ctl/client.h"
#include "policyd/ctl/commands.h"

static const char usage[] =
	"usage: policyctl scan FILE... [--rcpt ADDRESS]... [--from SENDER] [--client IP] [--helo NAME] [--explain] [--json]\n"
	"  What each recipient (without --rcpt: the default policy) would get. \"-\" is standard input.\n"
	"  --explain: what was read, too: the tree of parts and of files in archives, other readings, links, findings.\n"
	"  SPF and names are looked at with --client, --helo and --from, signatures and DMARC always. DNS lists are not asked. Exit code 0: all would be delivered or tagged; 3: not all.\n";

static void
print_safe(const char *text)
{
	for (; *text; text++)
		putchar((unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text);
}

static void
print_threshold(const json_t *thresholds, const char *name)
{
	const json_t *value = json_object_get(thresholds, name);

	if (json_is_null(value))
		printf(" %s=off", name);
	else
		printf(" %s=%g", name, json_number_value(value));
}

/* " name=value" of a text that is there. */
static void
print_named(const char *name, const char *value)
{
	if (value[0] == '\0')
		return;
	printf(" %s=", name);
	print_safe(value);
}

static void
print_entries(const json_t *message, int part, int indent)
{
	size_t i;
	json_t *e;

	json_array_foreach(json_object_get(message, "entries"), i, e) {
		if ((int)ctl_number(e, "part") != part)
			continue;
		printf("%*s\"", indent + 2 * (int)ctl_number(e, "depth"), "");
		print_safe(ctl_text(e, "name"));
		printf("\" %.0f bytes", ctl_number(e, "size"));
		print_named("is", ctl_text(e, "real_type"));
		puts(json_is_true(json_object_get(e, "encrypted")) ? " encrypted" : "");
	}
}

/* A line a part, its depth as indent; files inside it below. Parts that only other readers find come last. */
static void
print_parts(const json_t *message)
{
	size_t i;
	json_t *p;

	printf("  parts       %.0f\n", ctl_number(message, "part_count"));
	json_array_foreach(json_object_get(message, "parts"), i, p) {
		int indent = 4 + 2 * (int)ctl_number(p, "depth");
		const char *real = ctl_text(p, "real_type");

		printf("%*s%zu ", indent, "", i);
		print_safe(ctl_text(p, "type"));
		print_named("is", strcmp(real, ctl_text(p, "type")) == 0 ? "" : real);
		print_named("name", ctl_text(p, "name"));
		print_named("or", ctl_text(p, "other_name"));
		print_named("charset", ctl_text(p, "charset"));
		print_named("encoding", ctl_text(p, "encoding"));
		print_named("disposition", ctl_text(p, "disposition"));
		printf(" %.0f bytes", ctl_number(p, "size"));
		if (ctl_number(p, "reading") > 0)
			printf(" [another reading, of part %d]", (int)ctl_number(p, "parent"));
		if (json_is_true(json_object_get(p, "doubtful")))
			printf(" [decodes otherwise elsewhere]");
		puts(json_is_true(json_object_get(p, "unpacked")) ? " [unpacked for ClamAV]" : "");
		print_entries(message, (int)i, indent);
	}
	if (ctl_number(message, "part_count") > (double)json_array_size(json_object_get(message, "parts")))
		puts("    ... and more");
}

static void
print_links(const json_t *message)
{
	size_t i;
	json_t *l;

	printf("  links       %.0f\n", ctl_number(message, "link_count"));
	json_array_foreach(json_object_get(message, "links"), i, l) {
		printf("    %-9s", ctl_text(l, "source"));
		print_safe(ctl_text(l, "url"));
		print_named("domain", strcmp(ctl_text(l, "domain"), ctl_text(l, "host")) == 0 ? "" : ctl_text(l, "domain"));
		print_named("shown", ctl_text(l, "shown"));
		puts(json_is_true(json_object_get(l, "mismatch")) ? " [shows another domain]" : "");
	}
}

static void
print_notes(const json_t *message)
{
	size_t i;
	json_t *n;

	json_array_foreach(json_object_get(message, "notes"), i, n)
		if (ctl_number(n, "times") > 1)
			printf("  noted       %s %.0f times\n", ctl_text(n, "name"), ctl_number(n, "times"));
}

/* What it would add in force; what would be otherwise without it. */
static void
counterfactual(const json_t *symbol)
{
	size_t i;
	json_t *w;

	if (ctl_number(symbol, "held") != 0)
		printf("            in shadow: would add %.2f\n", ctl_number(symbol, "held"));
	json_array_foreach(json_object_get(symbol, "without"), i, w) {
		printf("            without it <");
		print_safe(ctl_text(w, "address"));
		printf("> %s instead of %s\n", ctl_text(w, "outcome"), ctl_text(w, "instead_of"));
	}
}

/* A folded header: its lines below each other. */
static void
print_lines(const char *text)
{
	for (; *text; text++)
		if (*text == '\n')
			printf("\n             ");
		else
			putchar((unsigned char)*text < 0x20 || *text == 0x7f ? ' ' : *text);
}

static void
explain(const json_t *reply)
{
	const json_t *message = json_object_get(reply, "message");
	size_t i;
	json_t *s;

	printf("  from        ");
	print_safe(ctl_text(reply, "from"));
	printf("\n  subject     ");
	print_safe(ctl_text(reply, "subject"));
	if (ctl_text(reply, "results")[0]) {
		printf("\n  results     ");
		print_lines(ctl_text(reply, "results"));
	}
	printf("\n  took        %d us of CPU\n", (int)ctl_number(reply, "cpu_us"));
	if (message) {
		printf("  text        %.0f bytes seen, %.0f hidden", ctl_number(message, "text_size"), ctl_number(message, "hidden_size"));
		print_named("language", ctl_text(message, "language"));
		puts("");
		print_parts(message);
		print_links(message);
		print_notes(message);
	}
	json_array_foreach(json_object_get(reply, "classes"), i, s)
		printf("  class       %s\n", json_string_value(s));
	json_array_foreach(json_object_get(reply, "recipients"), i, s)
		if (ctl_text(s, "banned")[0]) {
			printf("  banned      for <");
			print_safe(ctl_text(s, "address"));
			printf(">: ");
			print_safe(ctl_text(s, "banned"));
			puts("");
		}
	json_array_foreach(json_object_get(reply, "symbols"), i, s) {
		printf("  %8.2f  %-28s ", ctl_number(s, "points"), ctl_text(s, "name"));
		print_safe(ctl_text(s, "evidence"));
		puts("");
		counterfactual(s);
	}
}

/* 0: every recipient would see it. */
static int
show(const char *file, const json_t *reply, bool why)
{
	int code = 0;
	size_t i;
	json_t *r;

	printf("%s\n", file);
	if (json_is_true(json_object_get(reply, "defer")))
		printf("  cannot be scanned now: %s\n", ctl_text(reply, "defer_reason"));
	json_array_foreach(json_object_get(reply, "recipients"), i, r) {
		const char *outcome = ctl_text(r, "outcome");
		const json_t *t = json_object_get(r, "thresholds");

		printf("  <");
		print_safe(ctl_text(r, "address"));
		printf("> %s, Hits: %.2f,", outcome, ctl_number(r, "points"));
		print_threshold(t, "tag");
		print_threshold(t, "quarantine");
		print_threshold(t, "discard");
		if (json_is_true(json_object_get(r, "model_known")))
			printf(", BAYES=%.2f (probability %.4f)", ctl_number(r, "bayes_points"), ctl_number(r, "probability"));
		printf("%s\n", json_is_true(json_object_get(r, "filter")) ? "" : ", not filtered");
		if (strcmp(outcome, "deliver") != 0 && strcmp(outcome, "tag") != 0)
			code = 3;
	}
	if (why)
		explain(reply);
	return code;
}

/* A file of any kind as one that can be handed over and mapped. */
static int
open_mail(const char *path)
{
	int fd = strcmp(path, "-") == 0 ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC), sealed;
	struct buf bytes = { 0 };
	char chunk[65536];
	ssize_t n;

	if (fd < 0) {
		fprintf(stderr, "policyctl: %s: %s\n", path, strerror(errno));
		return -1;
	}
	while ((n = read(fd, chunk, sizeof chunk)) > 0)
		buf_add(&bytes, chunk, (size_t)n);
	sealed = n < 0 || bytes.failed ? -1 : memfd_sealed("policyctl-mail", buf_span(&bytes));
	if (sealed < 0)
		fprintf(stderr, "policyctl: %s: %s\n", path, strerror(errno));
	close(fd);
	buf_free(&bytes);
	return sealed;
}

int
cmd_scan(int argc, char **argv)
{
	static const struct option options[] = { { "rcpt", 1, NULL, 'r' }, { "from", 1, NULL, 'f' }, { "client", 1, NULL, 'c' },
	    { "helo", 1, NULL, 'e' }, { "explain", 0, NULL, 'x' }, { "json", 0, NULL, 'j' }, { "help", 0, NULL, 'h' }, { 0 } };
	json_t *base = json_pack("{s:s, s:[]}", "cmd", "scan", "recipients");
	int json = ctl_json, code = 0, sock;
	bool why = false;

	optind = 0;
	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		if (c == 'r')
			json_array_append_new(json_object_get(base, "recipients"), json_string(optarg));
		else if (c == 'f')
			json_object_set_new(base, "sender", json_string(optarg));
		else if (c == 'c')
			json_object_set_new(base, "client", json_string(optarg));
		else if (c == 'e')
			json_object_set_new(base, "helo", json_string(optarg));
		else if (c == 'x')
			json_object_set_new(base, "explain", json_boolean(why = true));
		else if (c == 'j')
			json = 1;
		else {
			fputs(usage, c == 'h' ? stdout : stderr);
			json_decref(base);
			return c == 'h' ? 0 : 2;
		}
	}
	if (optind == argc) {
		fputs(usage, stderr);
		json_decref(base);
		return 2;
	}
	if ((sock = ctl_open()) < 0) {
		json_decref(base);
		return 1;
	}
	for (int i = optind; i < argc; i++) {
		int fd = open_mail(argv[i]), one = 1;
		json_t *reply = fd < 0 ? NULL : ctl_ask(sock, json_deep_copy(base), fd, NULL);

		if (fd >= 0) {
			close(fd);
			one = ctl_check(reply);
		}
		if (one == 0 && json) {
			json_object_set_new(reply, "file", json_string(argv[i]));
			ctl_print_json(reply);
		} else if (one == 0) {
			one = show(argv[i], reply, why);
		}
		json_decref(reply);
		code = one > code ? one : code;
	}
	close(sock);
	json_decref(base);
	return code;
}
