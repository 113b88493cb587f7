#include "policyd/ctl/mails.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policyd/base/buf.h"
#include "policyd/base/ipc.h"

struct walk {
	const char *program;
	mails_callback each;
	void *arg;
	bool good, stop;
};

static void
complain(struct walk *w, const char *path, const char *why)
{
	fprintf(stderr, "%s: %s: %s\n", w->program, path, why);
	w->good = false;
}

/* "From " lines part an mbox. */
static void
walk_mbox(struct walk *w, const char *path, struct span all)
{
	for (size_t start = 0; start < all.n && !w->stop;) {
		struct span rest = span_from(all, start);
		size_t next = span_find(rest, SPAN("\nFrom ")), line = span_find_char(rest, '\n');
		size_t end = next == SPAN_NONE ? rest.n : next + 1;

		if (line == SPAN_NONE)
			return;
		if (end > line + 1)
			w->stop = !w->each(w->arg, span_make(rest.p + line + 1, end - line - 1), path, start + line + 1, path);
		start += end;
	}
}

static void
read_entry(struct walk *w, struct archive *tar, struct archive_entry *entry, const char *path)
{
	size_t size = (size_t)archive_entry_size(entry);
	char *bytes = size > 0 && size <= MAILS_ENTRY ? malloc(size) : NULL;

	if (size > 0 && bytes == NULL) {
		complain(w, archive_entry_pathname(entry), size > MAILS_ENTRY ? "is too large" : "no memory");
	} else if (size > 0) {
		ssize_t n = archive_read_data(tar, bytes, size);

		if (n < 0)
			complain(w, path, archive_error_string(tar));
		else
			w->stop = !w->each(w->arg, span_make(bytes, (size_t)n), path, MAILS_UNPACKED, archive_entry_pathname(entry));
	}
	free(bytes);
}

/* False: it is no archive. */
static bool
walk_tar(struct walk *w, const char *path)
{
	struct archive *tar = archive_read_new();
	struct archive_entry *entry;
	int result = ARCHIVE_FATAL;

	if (tar == NULL)
		return false;
	archive_read_support_format_tar(tar);
	archive_read_support_filter_all(tar);
	if (archive_read_open_filename(tar, path, 1 << 16) == ARCHIVE_OK)
		result = archive_read_next_header(tar, &entry);
	bool is_tar = result == ARCHIVE_OK || result == ARCHIVE_WARN;

	while (!w->stop && (result == ARCHIVE_OK || result == ARCHIVE_WARN)) {
		if (archive_entry_filetype(entry) == AE_IFREG)
			read_entry(w, tar, entry, path);
		result = archive_read_next_header(tar, &entry);
	}
	if (is_tar && !w->stop && result != ARCHIVE_EOF)
		complain(w, path, archive_error_string(tar));
	archive_read_free(tar);
	return is_tar;
}

static bool
looks_packed(const char *path, struct span all)
{
	static const char *const ends[] = { ".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".tar.zst" };

	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
		if (span_ends_nocase(span_of(path), span_of(ends[i])))
			return true;
	return all.n > 262 && memcmp(all.p + 257, "ustar", 5) == 0;
}

static void
walk_file(struct walk *w, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct span all = fd < 0 ? (struct span){ NULL, 0 } : map_fd(fd);

	if (fd >= 0)
		close(fd);
	if (all.p == NULL)
		complain(w, path, strerror(errno));
	else if (looks_packed(path, all) && walk_tar(w, path))
		;
	else if (span_starts(all, SPAN("From ")))
		walk_mbox(w, path, all);
	else if (all.n > 0)
		w->stop = !w->each(w->arg, all, path, 0, path);
	unmap(all);
}

static void
walk_input(struct walk *w)
{
	struct buf mail = { 0 };
	char part[65536];
	ssize_t n;

	while ((n = read(STDIN_FILENO, part, sizeof part)) > 0 && mail.n <= MAILS_ENTRY)
		buf_add(&mail, part, (size_t)n);
	if (n < 0 || mail.failed || mail.n == 0 || mail.n > MAILS_ENTRY)
		complain(w, "standard input", n < 0 ? strerror(errno) : mail.failed ? "no memory" : mail.n == 0 ? "is empty" : "is too large");
	else
		w->stop = !w->each(w->arg, buf_span(&mail), "-", MAILS_UNPACKED, "-");
	buf_free(&mail);
}

static int
visible(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

static void
walk_path(struct walk *w, const char *path, int depth)
{
	struct stat st;
	struct dirent **names;

	if (strcmp(path, "-") == 0) {
		walk_input(w);
		return;
	}
	if (stat(path, &st) < 0) {
		complain(w, path, strerror(errno));
		return;
	}
	if (!S_ISDIR(st.st_mode)) {
		walk_file(w, path);
		return;
	}
	int n = depth < MAILS_DEPTH ? scandir(path, &names, visible, alphasort) : -1;

	if (n < 0)
		complain(w, path, depth < MAILS_DEPTH ? strerror(errno) : "lies too deep");
	for (int i = 0; i < n; i++) {
		char below[4096];

		snprintf(below, sizeof below, "%s/%s", path, names[i]->d_name);
		if (!w->stop)
			walk_path(w, below, depth + 1);
		free(names[i]);
	}
	if (n >= 0)
		free(names);
}

bool
mails_walk(const char *program, const char *path, mails_callback each, void *arg)
{
	struct walk w = { program, each, arg, true, false };

	walk_path(&w, path, 0);
	return w.good;
}
