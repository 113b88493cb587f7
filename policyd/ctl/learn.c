/* learn.c - policyctl learn and unlearn: whatever mails.h reads; many lessons in flight. */
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "policyd/base/ipc.h"
#include "policyd/ctl/client.h"
#include "policyd/ctl/commands.h"
#include "policyd/ctl/mails.h"

static const char usage[] =
	"usage: policyctl learn spam|ham PATH... [--for ADDRESS] [--as ROLE] [--json]\n"
	"       policyctl unlearn PATH... [--json]\n"
	"  PATH is a mail, a directory of mails (a maildir too), an mbox (a file that begins with \"From \"), a tar of mails,\n"
	"  or - for one mail on standard input.\n"
	"  --for ADDRESS: for the customer that the address belongs to; everybody's model takes it as that customer's word, and\n"
	"      learns it once a second customer says the same\n"
	"  --as ROLE: operator (default), trap (a spam trap), admin (of a customer), user: how much the word counts\n"
	"  Learning a mail twice is one lesson; as the other class, the first lesson is taken back.\n";

enum { IN_FLIGHT = 32, LESSON_MS = 60 * 1000 };

struct teaching {
	int sock;
	const char *cmd, *class, *for_whom, *who, *source;
	unsigned open, sent, failed;
	unsigned counts[5];                  /* by `results` */
	bool shown_error, lost;
};
static const char *const results[] = { "learnt", "known", "flipped", "unlearnt", "held" };

static void
receive_one(struct teaching *t)
{
	uint32_t id;
	json_t *reply = ctl_receive(t->sock, &id, LESSON_MS);
	const char *error = ctl_text(reply, "error");

	if (reply == NULL) {
		t->lost = true;
		return;
	}
	t->open--;
	if (error[0]) {
		t->failed++;
		if (!t->shown_error)
			fprintf(stderr, "policyctl: %s\n", error);
		t->shown_error = true;
	}
	for (size_t i = 0; i < sizeof results / sizeof *results; i++)
		t->counts[i] += strcmp(ctl_text(reply, "result"), results[i]) == 0;
	json_decref(reply);
	if (isatty(STDERR_FILENO) && (t->sent - t->open) % 50 == 0)
		fprintf(stderr, "\r%u done", t->sent - t->open);
}

static void
teach(struct teaching *t, struct span mail)
{
	int fd = memfd_sealed("policyctl-lesson", mail);
	json_t *request = json_pack("{s:s, s:s, s:s, s:s, s:s}", "cmd", t->cmd, "class", t->class, "for", t->for_whom, "who", t->who, "source",
	    t->source);

	while (t->open >= IN_FLIGHT && !t->lost)
		receive_one(t);
	if (fd < 0 || t->lost || ctl_send(t->sock, ++t->sent, request, fd) < 0) {
		t->lost = true;
		return;
	}
	/* The first request picks the process that serves this connection: wait until it has answered. */
	t->open++;
	close(fd);
	if (t->sent == 1)
		receive_one(t);
}

static bool
teach_each(void *arg, struct span mail, const char *path, size_t offset, const char *name)
{
	struct teaching *t = arg;

	(void)path, (void)offset, (void)name;
	teach(t, mail);
	return !t->lost;
}

/* The role's name in the ledger; NULL: there is no such role. */
static const char *
source_of(const char *role)
{
	static const char *const roles[][2] = { { "operator", "cli" }, { "trap", "trap" }, { "admin", "admin" }, { "user", "user" } };

	for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
		if (strcmp(role, roles[i][0]) == 0)
			return roles[i][1];
	fprintf(stderr, "policyctl: --as %s: expected operator, trap, admin or user\n", role);
	return NULL;
}

int
cmd_learn(int argc, char **argv)
{
	bool unlearn = strcmp(argv[0], "unlearn") == 0, good = true;
	const struct passwd *pw = getpwuid(getuid());
	struct teaching t = { .cmd = argv[0], .class = "spam", .for_whom = "", .source = "cli", .who = pw ? pw->pw_name : "?" };
	int json = ctl_json, kept = 1;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0)
			json = 1;
		else if (strcmp(argv[i], "--for") == 0 && i + 1 < argc)
			t.for_whom = argv[++i];
		else if (strcmp(argv[i], "--as") == 0 && i + 1 < argc && (t.source = source_of(argv[i + 1])) != NULL)
			i++;
		else if (argv[i][0] == '-' && argv[i][1] != '\0') {
			bool help = strcmp(argv[i], "--help") == 0;

			fputs(usage, help ? stdout : stderr);
			return help ? 0 : 2;
		} else
			argv[kept++] = argv[i];
	}
	int first = unlearn ? 1 : 2;

	if (kept <= first || (!unlearn && strcmp(argv[1], "spam") != 0 && strcmp(argv[1], "ham") != 0)) {
		fputs(usage, stderr);
		return 2;
	}
	if (!unlearn)
		t.class = argv[1];
	if ((t.sock = ctl_open()) < 0)
		return 1;
	for (int i = first; i < kept && !t.lost; i++)
		good &= mails_walk("policyctl", argv[i], teach_each, &t);
	while (t.open > 0 && !t.lost)
		receive_one(&t);
	close(t.sock);
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r                \r");
	if (json) {
		json_t *o = json_pack("{s:i, s:i, s:i, s:i, s:i, s:i}", "learnt", t.counts[0], "known", t.counts[1], "flipped", t.counts[2], "unlearnt",
		    t.counts[3], "held", t.counts[4], "failed", t.failed);

		ctl_print_json(o);
		json_decref(o);
	} else {
		printf("%u learnt, %u known already, %u flipped, %u unlearnt, %u failed\n", t.counts[0], t.counts[1], t.counts[2], t.counts[3], t.failed);
		if (t.counts[4])
			printf("%u held until others say the same\n", t.counts[4]);
	}
	return good && !t.lost && t.failed == 0 ? 0 : 1;
}
