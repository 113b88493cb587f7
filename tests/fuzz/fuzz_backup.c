/* fuzz_backup.c - a file that is given to policyctl restore. (What scrypt and AES-GCM say of a passphrase is theirs; here it is
 * the text before and after.) */
#include "quarantine/store/backup.h"
#include "tests/fuzz/fuzz.h"

enum { SEALED_LEAST = 120 };                 /* nothing shorter is complete: no scrypt is run */

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_open(MAX_SCAN_MEMORY);
	struct span text = fuzz_input(a, data, size), none = { NULL, 0 };
	struct key *keys = NULL;
	size_t count = 0;
	char why[256] = "";

	if (backup_read(text, size < SEALED_LEAST ? SPAN("a passphrase") : none, &keys, &count, why, sizeof why)) {
		for (size_t i = 0; i < count; i++)
			FUZZ_PROMISE(keys[i].id != 0 && memchr(keys[i].customer, '\0', sizeof keys[i].customer) && !strchr(keys[i].customer, '\n'));
	} else {
		FUZZ_PROMISE(why[0] != '\0' && keys == NULL);
	}
	backup_forget(keys, count);
	arena_close(a);
	return 0;
}
