/* fuzz_params.c - Content-Type and Content-Disposition with their parameters. */
#include "policyd/mail/parse.h"
#include "policyd/mail/prepare.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_open(MAX_SCAN_MEMORY);
	struct content c = { 0 };

	mail_prepare();
	content_parse(a, fuzz_input(a, data, size), &c);
	fuzz_touch(c.value);
	for (size_t i = 0; i < c.count; i++) {
		fuzz_touch(c.params[i].name);
		fuzz_touch(c.params[i].value);
	}
	fuzz_touch(content_param(&c, "boundary"));
	fuzz_touch(content_param(&c, "filename"));
	arena_close(a);
	return 0;
}
