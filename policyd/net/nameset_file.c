#include "policyd/net/nameset_file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "policyd/base/buf.h"
#include "policyd/base/clock.h"
#include "policyd/base/log.h"

enum { AT_ONCE = 1 << 20, CHECK_MS = 1000, PIECE = 1 << 18 };

struct mark {                                /* of a file, as it was when it was read */
	int64_t size, changed_ns;
	uint64_t inode;
};

struct nameset_file {
	char path[256], why[160];
	struct nameset *set;
	struct mark mark;                    /* of what was read last, or could not be */
	int64_t check_at_ms;

	pthread_t thread;
	bool reading;
	atomic_bool done;
	struct nameset *read_set;            /* the thread's until it is done */
	char read_why[160];
	size_t read_bad;
};

static bool
file_mark(const char *path, struct mark *mark)
{
	struct stat st;

	*mark = (struct mark){ 0 };
	if (stat(path, &st) < 0)
		return false;
	*mark = (struct mark){ st.st_size, st.st_mtim.tv_sec * 1000000000LL + st.st_mtim.tv_nsec, st.st_ino };
	return true;
}

static struct nameset *
read_file(const char *path, char *why, size_t room, size_t *bad)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	gzFile gz = fd < 0 ? NULL : gzdopen(fd, "rb");
	struct nameset *set = NULL;
	struct buf text = { 0 };
	int n = 0;

	if (gz == NULL) {
		snprintf(why, room, "%s", strerror(errno));
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	while (text.n <= MAX_NAMESET && buf_reserve(&text, PIECE) && (n = gzread(gz, text.p + text.n, PIECE)) > 0)
		text.n += (size_t)n;
	if (n < 0)
		snprintf(why, room, "it cannot be read, or is no proper gzip file");
	else if (text.n > MAX_NAMESET)
		snprintf(why, room, "it is larger than %d MB", MAX_NAMESET >> 20);
	else if (text.failed || (set = nameset_parse(buf_span(&text), bad)) == NULL)
		snprintf(why, room, "no memory");
	gzclose(gz);
	buf_free(&text);
	return set;
}

static void
take_over(struct nameset_file *f, struct nameset *set, const char *why, size_t bad)
{
	snprintf(f->why, sizeof f->why, "%s", why);
	if (set == NULL) {
		log_warning("%s: %s; %s", f->path, why, f->set ? "what was read before stays" : "none of its names are known");
		return;
	}
	log_info("%s: %zu names%s", f->path, nameset_count(set), bad ? "; lines that are none were skipped" : "");
	nameset_free(f->set);
	f->set = set;
}

static void *
reader(void *arg)
{
	struct nameset_file *f = arg;

	f->read_why[0] = '\0';
	f->read_set = read_file(f->path, f->read_why, sizeof f->read_why, &f->read_bad);
	atomic_store(&f->done, true);
	return NULL;
}

static void
start_reading(struct nameset_file *f)
{
	atomic_store(&f->done, false);
	if (f->mark.size > AT_ONCE && pthread_create(&f->thread, NULL, reader, f) == 0) {
		f->reading = true;
		return;
	}
	reader(f);
	take_over(f, f->read_set, f->read_why, f->read_bad);
}

void
nameset_file_tick(struct nameset_file *f)
{
	struct mark now;

	if (f->reading) {
		if (!atomic_load(&f->done))
			return;
		pthread_join(f->thread, NULL);
		f->reading = false;
		take_over(f, f->read_set, f->read_why, f->read_bad);
	}
	if (clock_ms() < f->check_at_ms)
		return;
	f->check_at_ms = clock_ms() + CHECK_MS;
	bool there = file_mark(f->path, &now);

	if (memcmp(&now, &f->mark, sizeof now) == 0)
		return;
	f->mark = now;
	if (there)
		start_reading(f);
	else
		take_over(f, NULL, strerror(ENOENT), 0);
}

struct nameset_file *
nameset_file_open(const char *path)
{
	struct nameset_file *f = calloc(1, sizeof *f);

	if (f == NULL)
		return NULL;
	snprintf(f->path, sizeof f->path, "%s", path);
	snprintf(f->why, sizeof f->why, "there is no such file");
	nameset_file_tick(f);
	return f;
}

void
nameset_file_close(struct nameset_file *f)
{
	if (f == NULL)
		return;
	if (f->reading) {
		pthread_join(f->thread, NULL);
		nameset_free(f->read_set);
	}
	nameset_free(f->set);
	free(f);
}

const char *
nameset_file_path(const struct nameset_file *f)
{
	return f->path;
}

const struct nameset *
nameset_file_set(const struct nameset_file *f)
{
	return f->set;
}

const char *
nameset_file_why(const struct nameset_file *f)
{
	return f->why;
}
