#include "policyd/ctl/eval_corpus.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/sha.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "policyd/base/clock.h"
#include "policyd/base/ipc.h"
#include "policyd/base/limits.h"
#include "policyd/ctl/mails.h"
#include "policyd/ctl/progress.h"
#include "policyd/mail/prepare.h"

enum { ADD_LABEL_BY_NAME = -1, POLL_US = 50 * 1000 };

/* ---- which mails ---- */

struct adding {
	struct corpus *corpus;
	int label;
	bool failed;
};

bool
corpus_strip(struct corpus *c, const char *path)
{
	FILE *f = fopen(path, "re");
	char line[512];

	if (f == NULL) {
		fprintf(stderr, "policyctl eval: %s: %s\n", path, strerror(errno));
		return false;
	}
	while (fgets(line, sizeof line, f)) {
		struct span rest = span_of(line), name = span_trim(span_cut(&rest, '#'));

		if (name.n == 0)
			continue;
		if (name.n >= sizeof c->strip[0] || c->strip_count == STRIP_MOST) {
			fprintf(stderr, "policyctl eval: %s: \"%.80s\": %s\n", path, line, name.n >= sizeof c->strip[0] ? "too long" : "too many names");
			fclose(f);
			return false;
		}
		snprintf(c->strip[c->strip_count++], sizeof c->strip[0], SPAN_FMT, SPAN_ARG(name));
	}
	fclose(f);
	return true;
}

/* "a/spam/b" is spam; -1: the path does not say. */
static int
label_by_name(const char *path)
{
	struct span rest = span_of(path);
	int label = -1;

	while (rest.n > 0) {
		struct span step = span_cut(&rest, '/');

		label = span_eq(step, SPAN("spam")) ? SPAM : span_eq(step, SPAN("ham")) ? HAM : label;
	}
	return label;
}

static bool
spool(struct corpus *c, struct span mail, size_t *offset)
{
	if (c->spool < 0)
		c->spool = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	*offset = c->spool_size;
	if (c->spool < 0 || pwrite(c->spool, mail.p, mail.n, (off_t)*offset) != (ssize_t)mail.n)
		return false;
	c->spool_size += (mail.n + 4095) & ~(size_t)4095;      /* each at a page, to be mapped alone */
	return true;
}

static bool
add_mail(void *arg, struct span mail, const char *path, size_t offset, const char *name)
{
	struct adding *adding = arg;
	struct corpus *c = adding->corpus;
	struct sample s = { .size = mail.n, .offset = offset, .source = c->sources, .label = adding->label };

	if (adding->label == ADD_LABEL_BY_NAME && (s.label = label_by_name(name)) < 0)
		return true;                 /* an index, a README beside the mails */
	if (c->count == c->room) {
		size_t room = c->room ? c->room * 2 : 1024;
		struct sample *more = realloc(c->at, room * sizeof *more);

		if (more == NULL) {
			adding->failed = true;
			return false;
		}
		c->at = more;
		c->room = room;
	}
	if (offset == MAILS_UNPACKED) {
		s.spool = 1;
		if (!spool(c, mail, &s.offset)) {
			fprintf(stderr, "policyctl eval: /tmp: %s\n", strerror(errno));
			adding->failed = true;
			return false;
		}
	}
	s.path = strdup(path);
	c->at[c->count++] = s;
	return s.path != NULL;
}

static bool
add_index(struct corpus *c, const char *path)
{
	FILE *f = fopen(path, "re");
	const char *slash = strrchr(path, '/');
	char *line = NULL;
	size_t room = 0, number = 0;
	bool good = true;

	if (f == NULL) {
		fprintf(stderr, "policyctl eval: %s: %s\n", path, strerror(errno));
		return false;
	}
	for (ssize_t n; good && (n = getline(&line, &room, f)) > 0;) {
		struct span rest = span_trim(span_make(line, (size_t)n)), kind = span_cut(&rest, ' ');
		bool spam = span_eq(kind, SPAN("spam")) || span_eq(kind, SPAN("phish"));
		char full[4096];

		number++;
		rest = span_trim(rest);
		if (kind.n == 0)
			continue;
		if (rest.n == 0 || (!spam && !span_eq(kind, SPAN("ham")))) {
			fprintf(stderr, "policyctl eval: %s:%zu: \"%.80s\"; expected \"spam PATH\" or \"ham PATH\"\n", path, number, line);
			good = false;
			break;
		}
		if (rest.p[0] == '/' || slash == NULL)
			snprintf(full, sizeof full, SPAN_FMT, SPAN_ARG(rest));
		else
			snprintf(full, sizeof full, "%.*s/" SPAN_FMT, (int)(slash - path), path, SPAN_ARG(rest));
		struct stat st;

		if (stat(full, &st) < 0) {
			fprintf(stderr, "policyctl eval: %s:%zu: %s: %s\n", path, number, full, strerror(errno));
			good = false;
			break;
		}
		struct adding one = { c, spam ? SPAM : HAM, false };

		good = add_mail(&one, span_make("", (size_t)st.st_size), full, 0, full) && !one.failed;
	}
	free(line);
	fclose(f);
	return good;
}

static bool
is_index(const char *path)
{
	FILE *f = fopen(path, "re");
	char line[16] = "";
	bool is = f && fgets(line, sizeof line, f) && (strncmp(line, "spam ", 5) == 0 || strncmp(line, "ham ", 4) == 0 ||
	    strncmp(line, "phish ", 6) == 0);

	if (f)
		fclose(f);
	return is;
}

bool
corpus_add(struct corpus *c, const char *what)
{
	char inside[4096];
	struct stat st;
	int label = strncmp(what, "spam:", 5) == 0 ? SPAM : strncmp(what, "ham:", 4) == 0 ? HAM : ADD_LABEL_BY_NAME;
	struct adding adding = { c, label, false };
	size_t before = c->count;
	bool good;

	snprintf(inside, sizeof inside, "%s/index", what);
	if (label != ADD_LABEL_BY_NAME)
		good = mails_walk("policyctl eval", strchr(what, ':') + 1, add_mail, &adding);
	else if (stat(inside, &st) == 0)
		good = add_index(c, inside);
	else if (is_index(what))
		good = add_index(c, what);
	else
		good = mails_walk("policyctl eval", what, add_mail, &adding);
	c->sources++;
	if (good && !adding.failed && c->count == before) {
		fprintf(stderr, "policyctl eval: %s: no labelled mail; expected an index of \"spam|ham PATH\" lines, folders ham/ and spam/, "
		    "or ham:PATH or spam:PATH\n", what);
		return false;
	}
	return good && !adding.failed;
}

/* ---- their bytes ---- */

struct span
sample_bytes(const struct corpus *c, const struct sample *s, struct span *mapping)
{
	int fd = s->spool ? c->spool : open(s->path, O_RDONLY | O_CLOEXEC);
	size_t page = s->offset & ~(size_t)4095, shift = s->offset - page;
	void *p = fd < 0 || s->size == 0 ? MAP_FAILED : mmap(NULL, s->size + shift, PROT_READ, MAP_PRIVATE, fd, (off_t)page);

	if (fd >= 0 && !s->spool)
		close(fd);
	*mapping = p == MAP_FAILED ? (struct span){ NULL, 0 } : span_make(p, s->size + shift);
	if (s->size == 0 && fd >= 0)
		return SPAN("");
	return p == MAP_FAILED ? (struct span){ NULL, 0 } : span_make((char *)p + shift, s->size);
}

struct span
corpus_stripped(const struct corpus *c, struct arena *a, struct span raw)
{
	char *out = c->strip_count ? arena_alloc(a, raw.n + 1) : NULL;
	size_t n = 0;
	bool skip = false, body = false;

	if (out == NULL)
		return raw;
	for (struct span rest = raw; rest.n > 0;) {
		struct span before = rest, line = span_cut(&rest, '\n'), name = line;
		size_t length = before.n - rest.n;

		body |= line.n == 0 || (line.n == 1 && line.p[0] == '\r');
		if (!body && line.p[0] != ' ' && line.p[0] != '\t') {
			name = span_cut(&name, ':');
			skip = span_starts(line, SPAN("From "));
			for (size_t i = 0; i < c->strip_count && !skip; i++) {
				struct span pattern = span_of(c->strip[i]);
				bool prefix = pattern.p[pattern.n - 1] == '*';

				skip = prefix ? span_starts_nocase(name, span_head(pattern, pattern.n - 1)) : span_eq_nocase(name, pattern);
			}
		}
		if (body || !skip) {
			memcpy(out + n, before.p, length);
			n += length;
		}
	}
	return span_make(out, n);
}

/* ---- parsing, in processes of their own ---- */

struct record {                              /* in a parser's file; features behind it */
	uint64_t index, size;
	uint8_t digest[32];
};
struct share {                               /* in memory all parsers see */
	atomic_size_t done;
	_Atomic int64_t parse_us, feature_us;
};

static bool
parse_one(struct corpus *c, size_t i, struct arena *a, struct share *share, FILE *out)
{
	struct session nobody = { 0 };
	struct span mapping, raw = sample_bytes(c, &c->at[i], &mapping);
	struct record record = { .index = i };
	struct features f;
	struct message msg;
	struct buf packed = { 0 };

	if (raw.p == NULL) {
		fprintf(stderr, "policyctl eval: %s: %s\n", c->at[i].path, strerror(errno));
		return false;
	}
	SHA256((const unsigned char *)raw.p, raw.n, record.digest);
	struct span kept = corpus_stripped(c, a, raw);

	if (c->change)
		kept = c->change(c->change_arg, a, kept, c->at[i].label);
	int64_t start = clock_cpu_us();

	message_parse(a, kept, &msg);
	int64_t parsed = clock_cpu_us();

	features_extract(a, &msg, &nobody, &f);
	atomic_fetch_add(&share->feature_us, clock_cpu_us() - parsed);
	atomic_fetch_add(&share->parse_us, parsed - start);
	if (c->portable)
		features_portable(&f);
	features_pack(&packed, &f);
	record.size = packed.n;
	bool good = !packed.failed && fwrite(&record, sizeof record, 1, out) == 1 && fwrite(packed.p, packed.n, 1, out) == 1;

	buf_free(&packed);
	unmap(mapping);
	return good;
}

static void
parser(struct corpus *c, int fd, int number, struct share *share)
{
	FILE *out = fdopen(fd, "w");
	struct arena *a = arena_open(MAX_SCAN_MEMORY);
	struct arena_mark mark = arena_mark(a);
	bool good = out != NULL;

	for (size_t i = (size_t)number; i < c->count && good; i += (size_t)c->parsers) {
		good = parse_one(c, i, a, share, out);
		arena_rewind(a, mark);
		atomic_fetch_add(&share->done, 1);
	}
	_exit(good && fflush(out) == 0 ? 0 : 1);
}

static bool
take_records(struct corpus *c, int number, int fd, size_t *got)
{
	struct span all = map_fd(fd);

	c->mapped[number] = all;
	for (struct span rest = all; rest.n > 0;) {
		struct record record;

		if (rest.n < sizeof record)
			return false;
		memcpy(&record, rest.p, sizeof record);
		rest = span_from(rest, sizeof record);
		if (record.index >= c->count || rest.n < record.size)
			return false;
		memcpy(c->at[record.index].digest, record.digest, sizeof record.digest);
		c->at[record.index].features = span_head(rest, record.size);
		rest = span_from(rest, record.size);
		++*got;
	}
	return true;
}

bool
corpus_read(struct corpus *c, int jobs)
{
	struct share *share = mmap(NULL, sizeof *share, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int fds[PARSERS_MOST], status, left = 0;
	pid_t pids[PARSERS_MOST];
	bool good = share != MAP_FAILED;
	size_t got = 0;

	if (!good)
		return false;
	c->parsers = jobs < 1 ? 1 : jobs > PARSERS_MOST ? PARSERS_MOST : jobs;
	mail_prepare();
	fflush(NULL);
	for (int i = 0; i < c->parsers; i++) {
		fds[i] = memfd_create("features", MFD_CLOEXEC);
		pids[i] = fds[i] < 0 ? -1 : fork();
		if (pids[i] == 0)
			parser(c, fds[i], i, share);
		good &= pids[i] > 0;
		left += pids[i] > 0;
	}
	while (left > 0) {
		pid_t pid = waitpid(-1, &status, WNOHANG);

		if (pid > 0) {
			left--;
			good &= WIFEXITED(status) && WEXITSTATUS(status) == 0;
			continue;
		}
		progress("parsed", atomic_load(&share->done), c->count);
		usleep(POLL_US);
	}
	progress_end();
	for (int i = 0; i < c->parsers; i++)
		if (fds[i] >= 0) {
			good &= take_records(c, i, fds[i], &got);
			close(fds[i]);
		}
	c->parse_us = share->parse_us;
	c->feature_us = share->feature_us;
	munmap(share, sizeof *share);
	if (!good || got != c->count)
		fprintf(stderr, "policyctl eval: %zu of %zu mails could be read\n", got, c->count);
	return good && got == c->count;
}

void
corpus_free(struct corpus *c)
{
	for (size_t i = 0; i < c->count; i++)
		free((char *)c->at[i].path);
	for (int i = 0; i < c->parsers; i++)
		unmap(c->mapped[i]);
	if (c->spool >= 0)
		close(c->spool);
	free(c->at);
	c->at = NULL;
	c->count = 0;
}
