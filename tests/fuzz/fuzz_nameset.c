/* fuzz_nameset.c - a zone file of rbldnsd's, from somebody else's list, and names looked up in it. */
#include "policyd/scan/nameset.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span text = span_make(data, size), rest = text;
	size_t bad;
	struct nameset *set = nameset_parse(text, &bad);

	FUZZ_PROMISE(set != NULL);
	while (rest.n > 0) {
		struct span name = span_cut(&rest, '\n');
		uint32_t a[MAX_DNS_ANSWERS];
		size_t count = nameset_find(set, name, a);

		FUZZ_PROMISE(count <= MAX_DNS_ANSWERS);
		for (size_t i = 0; i < count; i++)
			FUZZ_PROMISE(a[i] != 0);
	}
	nameset_free(set);
	return 0;
}
