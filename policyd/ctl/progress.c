#include "policyd/ctl/progress.h"

#include <stdio.h>
#include <unistd.h>

#include "policyd/base/clock.h"

enum { WIDTH = 40, EVERY_MS = 100 };

static int64_t last_ms;

void
progress(const char *what, size_t done, size_t all)
{
	static const char full[] = "########################################";
	int filled = all ? (int)(done * WIDTH / all) : WIDTH;

	if (!isatty(STDERR_FILENO) || (done < all && clock_ms() - last_ms < EVERY_MS))
		return;
	last_ms = clock_ms();
	fprintf(stderr, "\r[%.*s%*s] %zu of %zu %s", filled, full, WIDTH - filled, "", done, all, what);
}

void
progress_end(void)
{
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r%*s\r", WIDTH + 40, "");
}
