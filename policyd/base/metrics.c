#include "policyd/base/metrics.h"

#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#define METRIC_NAME(id, name) [id] = name,
const char *const metric_names[M__COUNT] = { METRIC_LIST(METRIC_NAME) };

static _Atomic int64_t private_page[M__COUNT];
static _Atomic int64_t *page = private_page;

int
metrics_create(void)
{
	int fd = memfd_create("policyd-metrics", MFD_CLOEXEC);

	if (fd >= 0 && ftruncate(fd, sizeof private_page) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

int
metrics_open(int fd)
{
	void *p = mmap(NULL, sizeof private_page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return -1;
	page = p;
	return 0;
}

void
metrics_add(enum metric m, int64_t n)
{
	atomic_fetch_add_explicit(&page[m], n, memory_order_relaxed);
}

void
metrics_set(enum metric m, int64_t value)
{
	atomic_store_explicit(&page[m], value, memory_order_relaxed);
}

int64_t
metrics_get(enum metric m)
{
	return atomic_load_explicit(&page[m], memory_order_relaxed);
}
