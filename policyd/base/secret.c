#include "policyd/base/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policyd/base/log.h"

static bool
read_key(const char *path, uint8_t key[SECRET_BYTES])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;
	bool good;

	if (fd < 0)
		return false;
	good = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 077) == 0 && st.st_size == SECRET_BYTES &&
	    read(fd, key, SECRET_BYTES) == SECRET_BYTES;
	close(fd);
	if (!good)
		log_error("%s: is no key of %d bytes that only its owner may read; remove it, and a new one is made", path, SECRET_BYTES);
	return good;
}

/* Whole under another name first, then linked: nobody ever sees half a key, and only the first link counts. */
static bool
make_key(const char *path)
{
	char fresh[PATH_MAX];
	uint8_t key[SECRET_BYTES];

	snprintf(fresh, sizeof fresh, "%s.%d", path, (int)getpid());
	int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	bool good = fd >= 0 && getrandom(key, sizeof key, 0) == sizeof key && write(fd, key, sizeof key) == sizeof key && fsync(fd) == 0;

	if (fd >= 0)
		close(fd);
	good = good && (link(fresh, path) == 0 || errno == EEXIST);
	unlink(fresh);
	return good;
}

bool
secret_load(const char *state, const char *name, uint8_t key[SECRET_BYTES])
{
	char path[PATH_MAX];

	snprintf(path, sizeof path, "%s/%s.key", state, name);
	return (access(path, F_OK) == 0 || make_key(path)) && read_key(path, key);
}
