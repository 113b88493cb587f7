/* fuzz_received.c - whom a Received header names. */
#include "policyd/scan/received.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_open(MAX_SCAN_MEMORY);
	struct ip client = { 0 };
	enum received what = received_parse(fuzz_input(a, data, size), &client);

	FUZZ_PROMISE(what <= RECEIVED_UNCLEAR && (what != RECEIVED_FROM || client.family != 0));
	arena_close(a);
	return 0;
}
