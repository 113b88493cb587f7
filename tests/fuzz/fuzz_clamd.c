/* fuzz_clamd.c - what a clamd, or what listens in its place, answers. */
#include <sys/socket.h>
#include <unistd.h>

#include "policyd/base/clock.h"
#include "policyd/net/clamd.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[128], seen[256];
	int pair[2];

	FUZZ_PROMISE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	struct clamd clamd = { .fd = pair[0] };

	if (send(pair[1], data, size > 2000 ? 2000 : size, MSG_DONTWAIT) < 0 && size > 0)
		abort();
	shutdown(pair[1], SHUT_WR);
	enum clamd_result result = clamd_scan(&clamd, SPAN("mail"), clock_ms() + 1000, text, sizeof text);

	FUZZ_PROMISE(memchr(text, '\0', sizeof text) != NULL && result <= CLAMD_FAILED);
	if (result == CLAMD_CLEAN)           /* only these very words say so */
		FUZZ_PROMISE(size > 3 && memmem(data, size, "OK", 2) && memmem(data, size, "stream", 6));
	while (recv(pair[1], seen, sizeof seen, MSG_DONTWAIT) > 0)
		;
	close(pair[0]);
	close(pair[1]);
	return 0;
}
