/* fuzz_text.c - text made plain, its language, and the hosts it names. */
#include "policyd/mail/parse.h"
#include "policyd/mail/prepare.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_open(MAX_SCAN_MEMORY);
	struct span in = fuzz_input(a, data, size);
	struct plain_counts counts;
	char language[4];
	bool unknown, wrong;

	mail_prepare();
	struct span plain = text_plain_counted(a, in, &counts);

	FUZZ_PROMISE(plain.n <= 3 * in.n + 16);
	fuzz_touch(plain);
	fuzz_touch(counts.mixed_word);
	struct span valid = charset_to_utf8(a, in, SPAN("utf-8"), &unknown, &wrong);

	fuzz_utf8(text_plain(a, valid));
	language_guess(in, language);
	FUZZ_PROMISE(strlen(language) == 0 || strlen(language) == 2);
	struct span host = host_clean(a, in);

	fuzz_touch(host);
	host_has_suffix(host);
	host_is_homograph(a, host);
	arena_close(a);
	return 0;
}
