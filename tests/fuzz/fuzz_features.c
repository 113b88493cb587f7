/* fuzz_features.c - what workers hand to the trainer, and what Redis hands back: packed features, customers' tables. */
#include "policyd/model/customer.h"
#include "policyd/model/features.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_open(MAX_SCAN_MEMORY);
	struct span in = fuzz_input(a, data, size);
	struct customer *c = arena_alloc(a, sizeof *c);
	struct features f, again;

	if (features_unpack(in, a, &f)) {
		struct buf packed = { 0 };

		FUZZ_PROMISE(f.words.portable <= f.words.count && f.pairs.window[FEATURES_WINDOWS] <= f.pairs.count);
		features_pack(&packed, &f);
		FUZZ_PROMISE(features_unpack(buf_span(&packed), a, &again) && again.grams.count == f.grams.count);
		buf_free(&packed);
	}
	customer_unpack(in, c);
	arena_close(a);
	return 0;
}
