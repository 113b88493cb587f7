/* fuzz_decode.c - every transfer encoding, in every way it may be read. */
#include "policyd/mail/decode_odd.h"
#include "policyd/mail/parse.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_open(MAX_SCAN_MEMORY);
	struct span in = fuzz_input(a, data, size), name, out;
	bool broken = false, cut = false;
	size_t at = 0;

	out = decode_base64(a, in, &broken);
	FUZZ_PROMISE(out.n <= in.n);
	fuzz_touch(out);
	for (int way = 0; way < BASE64__WAYS; way++) {
		out = decode_base64_way(a, in, (enum base64_way)way);
		FUZZ_PROMISE(out.n <= in.n + 4);
		fuzz_touch(out);
	}
	fuzz_touch(decode_quoted(a, in, false, &broken));
	fuzz_touch(decode_quoted(a, in, true, &broken));
	for (size_t drop = 0; drop < 3; drop++)
		fuzz_touch(decode_quoted_dropping(a, in, drop));
	fuzz_touch(decode_uu_lines(a, in));
	while (decode_uu_next(a, in, &at, &name, &out)) {
		FUZZ_PROMISE(at <= in.n);
		fuzz_touch(name);
		fuzz_touch(out);
	}
	out = decode_binhex(a, in, &name, &cut);
	FUZZ_PROMISE(out.n <= 4 * in.n + 512);
	fuzz_touch(out);
	fuzz_touch(name);
	for (at = 0; decode_yenc_next(a, in, &at, &name, &out);) {
		fuzz_touch(out);
		fuzz_touch(name);
	}
	arena_close(a);
	return 0;
}
