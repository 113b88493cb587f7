/* fuzz_header.c - a header block; encoded words of a value. */
#include "policyd/mail/parse.h"
#include "policyd/mail/prepare.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_open(MAX_SCAN_MEMORY);
	struct message msg = { 0 };
	struct header_list headers = { 0 };
	struct span in = fuzz_input(a, data, size), body;

	mail_prepare();
	fuzz_utf8(header_decode(a, in));
	headers_parse(a, &msg, in, &headers, &body);
	FUZZ_PROMISE(headers.count <= MAX_HEADERS && body.n <= in.n);
	fuzz_touch(body);
	for (size_t i = 0; i < headers.count; i++) {
		fuzz_touch(headers.at[i].name);
		fuzz_touch(headers.at[i].raw);
		fuzz_utf8(headers.at[i].value);
	}
	arena_close(a);
	return 0;
}
