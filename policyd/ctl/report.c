/* report.c - policyctl report: a mailbox owner's word on one mail, as Dovecot's IMAPSieve and Postfix' pipe(8) hand it over.
 *
 * It speaks to report.sock, which takes nothing else, and its exit codes are those of sysexits.h, which pipe(8) understands: what
 * could not be taken now is tried again, what never will be is bounced with the reason. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "policyd/base/buf.h"
#include "policyd/base/ipc.h"
#include "policyd/ctl/client.h"
#include "policyd/ctl/commands.h"

static const char usage[] =
	"usage: policyctl [-s SOCKET] report spam|ham --for ADDRESS [--attached]\n"
	"  Reads one mail from standard input. For those who take reports of mailbox owners: see README.md, \"Reports of users\".\n"
	"  --for ADDRESS  whose word it is: he must be known to whoever calls this, for nobody asks again\n"
	"  --attached     the mails to learn are attached to the one that is read\n"
	"  SOCKET         default: report.sock in the settings' run directory (report.group says who may use it)\n"
	"  Exit codes: 0 taken (learnt, known, or held until others say the same), 64 asked wrongly, 65 never possible,\n"
	"  75 try again later\n";

enum { REPORT_MOST = 64 << 20 };

/* What standard input has, or -1 and why. */
static int
read_mail(const char **why)
{
	struct buf mail = { 0 };
	char part[65536];
	ssize_t n;
	int fd = -1;

	while ((n = read(STDIN_FILENO, part, sizeof part)) > 0 && mail.n <= REPORT_MOST)
		buf_add(&mail, part, (size_t)n);
	*why = n < 0 ? strerror(errno) : mail.n > REPORT_MOST ? "the mail is larger than 64 MB" : mail.n == 0 ? "there is no mail on standard input" :
	    mail.failed ? "no memory" : NULL;
	if (*why == NULL && (fd = memfd_sealed("policyctl-report", buf_span(&mail))) < 0)
		*why = "no memory";
	buf_free(&mail);
	return fd;
}

static int
report(const char *class, const char *address, bool attached)
{
	const char *why;
	int mail = read_mail(&why), sock;

	if (mail < 0) {
		fprintf(stderr, "policyctl report: %s\n", why);
		return EX_DATAERR;
	}
	if ((sock = ctl_open_report()) < 0)
		return EX_TEMPFAIL;
	json_t *reply = ctl_ask(sock, json_pack("{s:s, s:s, s:s, s:b}", "cmd", "learn", "class", class, "for", address, "attached", attached), mail, NULL);
	int code = ctl_check(reply);

	if (code == 0 && ctl_json) {
		ctl_print_json(reply);
	}
	json_decref(reply);
	close(mail);
	close(sock);
	return code == 0 ? EX_OK : code == 2 ? EX_DATAERR : EX_TEMPFAIL;
}

int
cmd_report(int argc, char **argv)
{
	const char *class = argc > 1 ? argv[1] : "", *address = NULL;
	bool attached = false, good = strcmp(class, "spam") == 0 || strcmp(class, "ham") == 0;

	if (strcmp(class, "--help") == 0) {
		fputs(usage, stdout);
		return 0;
	}
	for (int i = 2; i < argc && good; i++) {
		if (strcmp(argv[i], "--for") == 0 && i + 1 < argc)
			address = argv[++i];
		else if (strcmp(argv[i], "--attached") == 0)
			attached = true;
		else if (strcmp(argv[i], "--json") == 0)
			ctl_json = 1;
		else
			good = false;
	}
	if (!good || address == NULL) {
		fputs(usage, stderr);
		return EX_USAGE;
	}
	if (address[0] == '\0') {            /* pipe(8) with ${sasl_username}: who sent this has not signed in */
		fprintf(stderr, "policyctl report: nobody has signed in, so nobody knows whose report this is\n");
		return EX_DATAERR;
	}
	return report(class, address, attached);
}
