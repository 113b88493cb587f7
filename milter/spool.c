#include "milter/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static _Atomic uint64_t held;                /* bytes of all mails in memory */

void
spool_begin(struct spool *s, const struct config *config)
{
	spool_end(s);
	s->limit = config->message_limit_bytes;
	s->budget = config->memory_budget_bytes;
	snprintf(s->dir, sizeof s->dir, "%s/spool", config->state);
}

void
spool_end(struct spool *s)
{
	if (s->fd >= 0)
		close(s->fd);
	atomic_fetch_sub(&held, s->counted);
	s->fd = -1;
	s->size = s->counted = 0;
	s->buffered = 0;
	s->in_file = s->truncated = s->failed = false;
}

static bool
write_all(int fd, struct span s)
{
	while (s.n > 0) {
		ssize_t n = write(fd, s.p, s.n);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		s = span_from(s, (size_t)n);
	}
	return true;
}

/* What is in memory so far goes to a file without a name. */
static bool
move_to_file(struct spool *s)
{
	int file = open(s->dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	off_t at = 0;

	if (file < 0)
		return false;
	if (s->fd >= 0) {
		char chunk[64 * 1024];
		ssize_t n;

		while ((n = pread(s->fd, chunk, sizeof chunk, at)) > 0) {
			if (!write_all(file, span_make(chunk, (size_t)n))) {
				close(file);
				return false;
			}
			at += n;
		}
		close(s->fd);
	}
	atomic_fetch_sub(&held, s->counted);
	s->counted = 0;
	s->fd = file;
	s->in_file = true;
	return true;
}

static bool
flush(struct spool *s, struct span bytes)
{
	if (bytes.n == 0 && s->fd >= 0)
		return true;
	if (!s->in_file) {
		uint64_t now = atomic_fetch_add(&held, bytes.n) + bytes.n;

		s->counted += bytes.n;
		if (s->counted > SPOOL_MEMORY_BYTES || now > s->budget) {
			if (!move_to_file(s))
				return false;
		} else if (s->fd < 0) {
			s->fd = memfd_create("policyd-mail", MFD_CLOEXEC | MFD_ALLOW_SEALING);
			if (s->fd < 0)
				return false;
		}
	}
	return write_all(s->fd, bytes);
}

static bool
add(struct spool *s, struct span bytes)
{
	if (s->failed)
		return false;
	if (s->size + bytes.n > s->limit) {
		bytes = span_head(bytes, (size_t)(s->limit - s->size));
		s->truncated = true;
	}
	s->size += bytes.n;
	if (s->buffered + bytes.n > sizeof s->buffer) {
		s->failed = !flush(s, span_make(s->buffer, s->buffered));
		s->buffered = 0;
	}
	if (bytes.n > sizeof s->buffer) {
		s->failed |= !flush(s, bytes);
	} else if (bytes.n > 0) {
		memcpy(s->buffer + s->buffered, bytes.p, bytes.n);
		s->buffered += bytes.n;
	}
	return !s->failed;
}

bool
spool_header(struct spool *s, const char *name, const char *value, bool leading_space_kept)
{
	struct span rest = span_of(value);

	add(s, span_of(name));
	add(s, leading_space_kept ? SPAN(":") : SPAN(": "));
	/* The MTA gives folds as LF alone; on the wire they were CRLF. */
	for (bool more = true; more;) {
		size_t before = rest.n;
		struct span line = span_cut(&rest, '\n');

		more = line.n < before;
		if (line.n > 0 && line.p[line.n - 1] == '\r')
			line.n--;
		add(s, line);
		add(s, SPAN("\r\n"));
	}
	return !s->failed;
}

bool
spool_body(struct spool *s, struct span bytes)
{
	return add(s, bytes);
}

int
spool_seal(struct spool *s)
{
	if (s->failed || !flush(s, span_make(s->buffer, s->buffered)))
		return -1;
	s->buffered = 0;
	if (!s->in_file) {
		int fd = dup(s->fd);

		if (fd >= 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0) {
			close(fd);
			fd = -1;
		}
		return fd;
	}
	char path[64];

	snprintf(path, sizeof path, "/proc/self/fd/%d", s->fd);
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	close(s->fd);                        /* the only one that could write */
	s->fd = -1;
	return fd;
}
