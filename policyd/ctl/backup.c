/* backup.c - policyctl backup and restore: the keys that the quarantine is sealed with. Without them its segments, wherever
 * they are copied to, cannot be read; with them and the segments everything else can be made anew.
 * The text of the file is quarantine/store/backup.h's; its owner alone may read it. Who did it is in the audit log. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <libgen.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policyd/base/audit.h"
#include "policyd/base/buf.h"
#include "policyd/base/clock.h"
#include "policyd/config.h"
#include "policyd/ctl/client.h"
#include "policyd/ctl/commands.h"
#include "quarantine/store/backup.h"

static const char usage[] =
	"usage: policyctl backup FILE [--passphrase-file F]\n"
	"       policyctl restore FILE [--passphrase-file F]\n"
	"  The keys of the quarantine, into a new FILE that its owner alone may read, and back. With a passphrase (the first\n"
	"  line of F) the file is sealed. Keys that are there already stay; policyctl reload puts restored ones in use.\n"
	"  Copy <state>/quarantine/*.seg beside it: the index is made anew by policyctl quarantine rebuild.\n";

static struct config config;

static int
fail(const char *what, const char *why)
{
	fprintf(stderr, "policyctl: %s: %s\n", what, why);
	return 1;
}

static bool
read_file(const char *path, struct buf *out)
{
	FILE *f = fopen(path, "re");
	char chunk[65536];
	size_t n;

	while (f && (n = fread(chunk, 1, sizeof chunk, f)) > 0 && out->n < BACKUP_MOST)
		buf_add(out, chunk, n);
	bool good = f && !ferror(f) && !out->failed && out->n < BACKUP_MOST;

	if (!good)
		fail(path, errno ? strerror(errno) : "too large");
	if (f)
		fclose(f);
	return good;
}

/* A name that nothing has yet. Where there are no links (vfat), a race with another backup is not seen. */
static bool
give_name(const char *beside, const char *path)
{
	if (link(beside, path) == 0)
		return true;
	return (errno == EPERM || errno == EOPNOTSUPP) && access(path, F_OK) < 0 && rename(beside, path) == 0;
}

/* Whole or not at all, never over another file: written beside it, then given its name. */
static bool
write_file(const char *path, const char *text)
{
	char beside[PATH_ROOM + 16], *folder = strdup(path);
	size_t n = strlen(text);

	snprintf(beside, sizeof beside, "%s.%d", path, (int)getpid());
	int fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	bool good = folder && fd >= 0 && write(fd, text, n) == (ssize_t)n && fsync(fd) == 0 && give_name(beside, path);
	int dir = good ? open(dirname(folder), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	if (!good || dir < 0 || fsync(dir) < 0)
		good = fail(path, strerror(errno)) == 0;
	if (dir >= 0)
		close(dir);
	if (fd >= 0) {
		close(fd);
		unlink(beside);
	}
	free(folder);
	return good;
}

/* The first line of the file. False: none was asked for, or it cannot be had (*bad). */
static bool
read_passphrase(const char *path, struct buf *out, bool *bad)
{
	*bad = false;
	if (path == NULL)
		return false;
	*bad = !read_file(path, out);
	size_t end = span_find_char(buf_span(out), '\n');

	if (end != SPAN_NONE)
		out->n = end;
	if (!*bad && out->n < 8) {
		fail(path, "the passphrase has less than 8 characters");
		*bad = true;
	}
	return !*bad;
}

/* Into the audit log, beside a policyd that runs or without one. */
static void
write_down(const char *action, const char *path, size_t count)
{
	char log[PATH_ROOM + 32], who[128], from[32], note[64], why[512];
	const struct passwd *pw = getpwuid(getuid());
	struct stat st;

	snprintf(log, sizeof log, "%s/review/audit.log", config.state);
	snprintf(who, sizeof who, "policyctl %s", pw ? pw->pw_name : "?");
	snprintf(from, sizeof from, "uid %lu", (unsigned long)getuid());
	snprintf(note, sizeof note, "%zu keys", count);
	const struct audit_entry entry = { .time_s = wall_s(), .actor = who, .role = "", .from = from, .action = action, .target = path,
	    .customer = "", .note = note };
	struct audit *audit = stat(log, &st) == 0 ? audit_open(log, why, sizeof why) : NULL;       /* before the first start there is none */

	if (audit && !audit_write(audit, &entry, 1))
		fprintf(stderr, "policyctl: %s: this is not in the audit log\n", log);
	audit_close(audit);
}

static struct keys *
open_keys(void)
{
	const char *path = ctl_config_path ? ctl_config_path : getenv("POLICYD_CONF");
	char why[1024], dir[PATH_ROOM + 32];

	if (!config_load(path ? path : "/etc/policyd/policyd.conf", &config, why, sizeof why)) {
		fprintf(stderr, "policyctl: %s\n", why);
		return NULL;
	}
	/* By root, maybe before the first start: what is made belongs to whom policyd will be. */
	const struct passwd *user = geteuid() == 0 && config.user[0] ? getpwnam(config.user) : NULL;
	static const char *const parts[] = { "", "/quarantine", "/quarantine/keys" };

	for (size_t i = 0; i < 3; i++) {
		snprintf(dir, sizeof dir, "%s%s", config.state, parts[i]);
		if (mkdir(dir, i == 0 ? 0711 : 0700) == 0 && user && chown(dir, user->pw_uid, user->pw_gid) < 0) {
			fail(dir, strerror(errno));
			return NULL;
		}
	}
	struct keys *keys = keys_open(dir, why, sizeof why);

	if (keys == NULL)
		fprintf(stderr, "policyctl: %s\n", why);
	return keys;
}

static int
backup(struct keys *keys, const char *path, const char *passphrase_file)
{
	struct buf passphrase = { 0 };
	char host[128] = "";
	bool bad, sealed = read_passphrase(passphrase_file, &passphrase, &bad);
	size_t count = 0;
	int code = 1;

	gethostname(host, sizeof host - 1);
	char *text = bad ? NULL : backup_write(keys, host, sealed ? buf_span(&passphrase) : (struct span){ NULL, 0 }, &count);

	if (text == NULL && !bad)
		fail(path, "no memory");
	if (text && write_file(path, text)) {
		printf(ctl_json ? "{\"keys\": %zu}\n" : "%zu keys\n", count);
		write_down("keys.backup", path, count);
		code = 0;
	}
	if (text)
		crypt_forget(text, strlen(text));
	free(text);
	buf_free(&passphrase);
	return code;
}

static size_t
count_keys(const struct keys *keys)
{
	size_t n = 0;

	while (keys_at(keys, n))
		n++;
	return n;
}

static int
restore(struct keys *keys, const char *path, const char *passphrase_file)
{
	struct buf text = { 0 }, passphrase = { 0 };
	struct key *all = NULL;
	size_t count = 0, before = count_keys(keys);
	char why[512] = "";
	bool bad = false, sealed = read_passphrase(passphrase_file, &passphrase, &bad);
	bool good = !bad && read_file(path, &text);

	if (good && !(good = backup_read(buf_span(&text), sealed ? buf_span(&passphrase) : (struct span){ NULL, 0 }, &all, &count, why, sizeof why)))
		fail(path, why);
	for (size_t i = 0; good && i < count; i++)
		if (!(good = keys_add(keys, &all[i], why, sizeof why)))
			fail(path, why);
	size_t fresh = count_keys(keys) - before;

	if (fresh > 0)
		write_down("keys.restore", path, fresh);
	if (good && ctl_json)
		printf("{\"keys\": %zu, \"restored\": %zu}\n", count, fresh);
	else if (good)
		printf("%zu keys in it, %zu of them were not here%s\n", count, fresh, fresh > 0 ? "; policyctl reload puts them in use" : "");
	backup_forget(all, count);
	if (text.p)
		crypt_forget(text.p, text.n);
	buf_free(&text);
	buf_free(&passphrase);
	return good ? 0 : 1;
}

int
cmd_backup(int argc, char **argv)
{
	static const struct option options[] = { { "passphrase-file", 1, NULL, 'p' }, { "json", 0, NULL, 'j' }, { "help", 0, NULL, 'h' }, { 0 } };
	const char *passphrase_file = NULL;

	optind = 0;
	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		if (c == 'h' || c == '?') {
			fputs(usage, c == 'h' ? stdout : stderr);
			return c == 'h' ? 0 : 2;
		}
		if (c == 'p')
			passphrase_file = optarg;
		else
			ctl_json = 1;
	}
	if (argc - optind != 1) {
		fputs(usage, stderr);
		return 2;
	}
	struct keys *keys = open_keys();

	if (keys == NULL)
		return 1;
	int code = strcmp(argv[0], "backup") == 0 ? backup(keys, argv[optind], passphrase_file) : restore(keys, argv[optind], passphrase_file);

	keys_close(keys);
	return code;
}
