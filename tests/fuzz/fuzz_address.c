/* fuzz_address.c - From, To and the like: groups, comments, routes, several authors. */
#include "policyd/mail/parse.h"
#include "policyd/mail/prepare.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_open(MAX_SCAN_MEMORY);
	struct address *list = NULL;

	mail_prepare();
	struct span in = fuzz_input(a, data, size);
	size_t count = addresses_parse(a, in, &list);

	FUZZ_PROMISE(count <= MAX_ADDRESSES);
	for (size_t i = 0; i < count; i++) {
		fuzz_touch(list[i].name);
		fuzz_touch(list[i].local);
		fuzz_touch(list[i].domain);
		fuzz_touch(list[i].addr);
		fuzz_utf8(list[i].name);
	}
	arena_close(a);
	return 0;
}
