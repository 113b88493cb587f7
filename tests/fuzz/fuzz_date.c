/* fuzz_date.c - dates, hops, names of authentication services. */
#include "policyd/mail/date.h"
#include "policyd/mail/forged.h"
#include "policyd/scan/received.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_open(MAX_SCAN_MEMORY);
	struct span in = fuzz_input(a, data, size);
	int64_t date = 0;
	struct hop hop;

	if (date_parse(in, &date))
		FUZZ_PROMISE(date > -2300000000 && date < 253402400000);     /* the years 1900 to 9999, and a zone */
	received_hop(in, &hop);
	fuzz_touch(hop.helo);
	fuzz_touch(hop.name);
	fuzz_touch(hop.by);
	fuzz_touch(hop.with);
	fuzz_touch(hop.id);
	fuzz_touch(hop.recipient);
	fuzz_touch(authserv_id_of(a, in));
	arena_close(a);
	return 0;
}
