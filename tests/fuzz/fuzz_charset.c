/* fuzz_charset.c - bytes in a declared charset to UTF-8. The first line is the charset's name. */
#include "policyd/mail/parse.h"
#include "policyd/mail/prepare.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_open(MAX_SCAN_MEMORY);
	struct span in = fuzz_input(a, data, size), charset = span_cut(&in, '\n');
	bool unknown, wrong;

	mail_prepare();
	struct span out = charset_to_utf8(a, in, charset, &unknown, &wrong);

	fuzz_utf8(out);
	FUZZ_PROMISE(out.n <= 8 * in.n + 64);
	arena_close(a);
	return 0;
}
