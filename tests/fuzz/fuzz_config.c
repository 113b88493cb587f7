/* fuzz_config.c - policyd.conf: whatever stands there is taken or refused with a sentence. */
#include <sys/mman.h>
#include <unistd.h>

#include "policyd/config.h"
#include "tests/fuzz/fuzz.h"

/* libconfig keeps its lexer's buffer after a syntax error. */
const char *__lsan_default_suppressions(void);
const char *
__lsan_default_suppressions(void)
{
	return "leak:libconfig.so";
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct config config;
	char why[2000] = "", path[64];
	int fd = memfd_create("policyd.conf", MFD_CLOEXEC);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	if (memmem(data, size, "@include", 8) == NULL) {     /* it would read this machine's files */
		bool good = config_load(path, &config, why, sizeof why);

		FUZZ_PROMISE(good || why[0] != '\0');
		FUZZ_PROMISE(!good || (config.milter_count <= MAX_LISTENERS && config.dnsbl_count <= MAX_DNSBL));
	}
	close(fd);
	return 0;
}
