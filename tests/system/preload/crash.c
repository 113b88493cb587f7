/* kill -9 at a chosen moment, and a clock that is ahead: by a page that the test and all processes share ($CRASH_PAGE), so that it
 * costs a caged worker no system call.
 *
 *   at       the process that makes the at-th change (a write, half of a write, a sync, a file removed) under /quarantine/ from there
 *            on is killed at that point; 0: none
 *   backup   the same for what policyctl backup writes
 *   struck   it has happened
 *   ahead    seconds that CLOCK_REALTIME is ahead */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#define REAL(name) __typeof__(name) *real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

static volatile struct { int64_t at, backup, struck, ahead; } *page;

__attribute__((constructor)) static void
map_page(void)
{
	const char *path = getenv("CRASH_PAGE");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *p = fd >= 0 ? mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;

	page = p == MAP_FAILED ? NULL : p;
	if (fd >= 0)
		close(fd);
}

/* One change; the last one, if it is that one. */
static void
moment(const char *name)
{
	volatile int64_t *left = strstr(name, "/backup-") ? &page->backup : strstr(name, "/quarantine/") ? &page->at : NULL;

	if (left == NULL || *left == 0 || --*left > 0)
		return;
	page->struck = 1;
	kill(getpid(), SIGKILL);
}

static void
moment_fd(int fd, int only_backup)
{
	char link[64], name[512];

	if (page == NULL || (page->backup == 0 && (only_backup || page->at == 0)))
		return;
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, name, sizeof name - 1);

	if (n > 0) {
		name[n] = '\0';
		moment(name);
	}
}

ssize_t
pwrite64(int fd, const void *p, size_t n, off64_t at)
{
	REAL(pwrite64);
	size_t half = n / 2;

	if (page == NULL || page->at == 0)
		return real(fd, p, n, at);
	moment_fd(fd, 0);
	if (real(fd, p, half, at) != (ssize_t)half)
		return real(fd, p, n, at);
	moment_fd(fd, 0);                    /* half of it is there */
	ssize_t rest = real(fd, (const char *)p + half, n - half, at + (off64_t)half);

	return rest < 0 ? rest : rest + (ssize_t)half;
}

ssize_t
pwrite(int fd, const void *p, size_t n, off_t at)
{
	return pwrite64(fd, p, n, at);
}

ssize_t
write(int fd, const void *p, size_t n)
{
	REAL(write);

	moment_fd(fd, 1);
	return real(fd, p, n);
}

#define SYNC(name)                       \
	int                              \
	name(int fd)                     \
	{                                \
		REAL(name);              \
		moment_fd(fd, 0);        \
		int result = real(fd);   \
                                         \
		moment_fd(fd, 0);        \
		return result;           \
	}
SYNC(fsync)
SYNC(fdatasync)

int
unlinkat(int dir, const char *name, int flags)
{
	REAL(unlinkat);
	int counts = strstr(name, ".seg") != NULL;

	if (counts && page)
		moment("/quarantine/");
	int result = real(dir, name, flags);

	if (counts && page)
		moment("/quarantine/");
	return result;
}

int
link(const char *from, const char *to)
{
	REAL(link);
	if (page)
		moment(to);
	int result = real(from, to);

	if (page)
		moment(to);
	return result;
}

int
clock_gettime(clockid_t which, struct timespec *now)
{
	REAL(clock_gettime);
	int result = real(which, now);

	if (result == 0 && which == CLOCK_REALTIME && page)
		now->tv_sec += page->ahead;
	return result;
}
