/* model.c - policyctl model: what the classifier has learnt and from whom; taking back, saving, restoring. */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "policyd/base/ipc.h"
#include "policyd/ctl/client.h"
#include "policyd/ctl/commands.h"

static const char usage[] =
	"usage: policyctl model [--json]                     what was learnt\n"
	"       policyctl model history [N] [--json]         the latest lessons, newest first (default 20)\n"
	"       policyctl model rollback ID [--json]         take back all lessons behind that one\n"
	"       policyctl model rebuild                      make the model anew from its base and the ledger\n"
	"       policyctl model verify                       whether the ledger gives this node's model, bit by bit\n"
	"       policyctl model export FILE                  the model as a file\n"
	"       policyctl model import FILE                  such a file as the base; what was learnt here comes on top\n";

static const char *
user(void)
{
	const struct passwd *pw = getpwuid(getuid());

	return pw ? pw->pw_name : "?";
}

static void
show_status(const json_t *r)
{
	printf("%d spam and %d ham learnt in %d lessons; %s; %s\n", (int)ctl_number(r, "spam"), (int)ctl_number(r, "ham"),
	    (int)ctl_number(r, "lessons"), json_is_true(json_object_get(r, "caught_up")) ? "all of the ledger" : "the ledger has more",
	    json_is_true(json_object_get(r, "in_order")) ? "in order" : "in the order they came");
	if (ctl_number(r, "disagreement_percent") > 0)
		printf("%d %% of the latest lessons contradict what it was certain of\n", (int)ctl_number(r, "disagreement_percent"));
}

static void
show_history(const json_t *r)
{
	size_t i;
	json_t *l;

	json_array_foreach(json_object_get(r, "lessons"), i, l)
		printf("%-22s %s %-8s %-5s %-8s %-12s %-12s %.16s\n", ctl_text(l, "id"), ctl_text(l, "time"), ctl_text(l, "op"), ctl_text(l, "class"),
		    ctl_text(l, "source"), ctl_text(l, "who"), ctl_text(l, "customer"), ctl_text(l, "digest"));
}

static void
show_rollback(const json_t *r)
{
	printf("%d lessons taken back\n", (int)ctl_number(r, "taken_back"));
}

static void
show_same(const json_t *r)
{
	(void)r;
	puts("the same, bit by bit");
}

static int
finish(json_t *reply, int json, void (*show)(const json_t *reply))
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

static int
export(const char *path, int json)
{
	int fd = -1;
	json_t *reply = ctl_once(json_pack("{s:s}", "cmd", "model.export"), &fd);
	struct span bytes = fd >= 0 ? map_fd(fd) : (struct span){ NULL, 0 };
	FILE *f = ctl_check(reply) == 0 && bytes.p ? fopen(path, "we") : NULL;
	bool good = f && fwrite(bytes.p, bytes.n, 1, f) == 1;

	good = f && fclose(f) == 0 && good;
	if (bytes.p && !good)
		fprintf(stderr, "policyctl: %s: %s\n", path, strerror(errno));
	unmap(bytes);
	if (fd >= 0)
		close(fd);
	if (!good) {
		json_decref(reply);
		return 1;
	}
	return finish(reply, json, show_status);
}

static int
import(const char *path, int json)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), sock = -1;
	const char *slash = strrchr(path, '/');

	if (fd < 0) {
		fprintf(stderr, "policyctl: %s: %s\n", path, strerror(errno));
		return 1;
	}
	if ((sock = ctl_open()) < 0) {
		close(fd);
		return 1;
	}
	json_t *reply = ctl_ask(sock, json_pack("{s:s, s:s}", "cmd", "model.import", "name", slash ? slash + 1 : path), fd, NULL);

	close(fd);
	close(sock);
	return finish(reply, json, show_status);
}

int
cmd_model(int argc, char **argv)
{
	const char *words[3] = { "", "", "" };
	int json = ctl_json, n = 0;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0)
			json = 1;
		else if (argv[i][0] == '-' || n == 2) {
			bool help = strcmp(argv[i], "--help") == 0;

			fputs(usage, help ? stdout : stderr);
			return help ? 0 : 2;
		} else
			words[n++] = argv[i];
	}
	if (n == 0)
		return finish(ctl_once(json_pack("{s:s}", "cmd", "model.status"), NULL), json, show_status);
	if (strcmp(words[0], "history") == 0)
		return finish(ctl_once(json_pack("{s:s, s:i}", "cmd", "model.history", "count", n > 1 ? atoi(words[1]) : 20), NULL), json, show_history);
	if (strcmp(words[0], "rollback") == 0 && n == 2)
		return finish(ctl_once(json_pack("{s:s, s:s, s:s}", "cmd", "model.rollback", "id", words[1], "who", user()), NULL), json, show_rollback);
	if (strcmp(words[0], "rebuild") == 0 && n == 1)
		return finish(ctl_once(json_pack("{s:s, s:s}", "cmd", "model.rebuild", "who", user()), NULL), json, show_status);
	if (strcmp(words[0], "verify") == 0 && n == 1)
		return finish(ctl_once(json_pack("{s:s}", "cmd", "model.verify"), NULL), json, show_same);
	if (strcmp(words[0], "export") == 0 && n == 2)
		return export(words[1], json);
	if (strcmp(words[0], "import") == 0 && n == 2)
		return import(words[1], json);
	fputs(usage, stderr);
	return 2;
}
