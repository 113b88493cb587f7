/* Faults of a disk, for one process after another: what $DISK_FAULT's file says ("fdatasync EIO", "pwrite ENOSPC", "fsync EIO")
 * fails, as long as the file is there; "once" behind it removes the file at the first hit. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static int
fails(const char *call, int fd)
{
	const char *path = getenv("DISK_FAULT");
	char text[64] = "", name[256], link[64];
	int rule = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	ssize_t n = rule >= 0 ? read(rule, text, sizeof text - 1) : -1;

	if (rule >= 0)
		close(rule);
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	ssize_t m = n > 0 ? readlink(link, name, sizeof name - 1) : -1;

	if (m < 0)
		return 0;
	name[m] = '\0';
	if (strstr(name, "/quarantine/") == NULL || strstr(name, ".seg") == NULL || strncmp(text, call, strlen(call)) != 0 || text[strlen(call)] != ' ')
		return 0;
	if (strstr(text, "once"))
		unlink(path);
	errno = strstr(text, "ENOSPC") ? ENOSPC : strstr(text, "EROFS") ? EROFS : EIO;
	return 1;
}

int
fdatasync(int fd)
{
	int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");

	return fails("fdatasync", fd) ? -1 : real(fd);
}

ssize_t
pwrite64(int fd, const void *p, size_t n, off64_t at)
{
	ssize_t (*real)(int, const void *, size_t, off64_t) = (ssize_t (*)(int, const void *, size_t, off64_t))dlsym(RTLD_NEXT, "pwrite64");

	if (fails("pwrite-short", fd))
		return real(fd, p, n / 2, at);
	return fails("pwrite", fd) ? -1 : real(fd, p, n, at);
}

ssize_t
pwrite(int fd, const void *p, size_t n, off_t at)
{
	return pwrite64(fd, p, n, at);
}
