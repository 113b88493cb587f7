/* fuzz_policies.c - policies as other filters keep them: an SQL dump, user_prefs, settings in UCL. The first byte says which. */
#include <jansson.h>
#include <string.h>

#include "policyd/ctl/policy_inside.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct import in = { .file = "fuzz" };
	FILE *file = size > 1 ? fmemopen((void *)(data + 1), size - 1, "r") : NULL;

	if (file == NULL)
		return 0;
	switch (data[0]) {
	case 'a':
		read_amavis(&in, file);
		break;
	case 'p':
		read_proxmox(&in, file);
		break;
	case 'r':
		read_rspamd(&in, file);
		break;
	default:
		read_spamassassin(&in, file, "a@b.example");
		break;
	}
	for (size_t i = 0; i < in.count; i++) {
		json_t *values = json_loads(in.at[i].values, 0, NULL);

		/* What goes to the broker are fields, and nothing of the reader's own. */
		FUZZ_PROMISE(json_is_object(values) && json_object_size(values) > 0 && json_object_get(values, "#line") == NULL);
		json_decref(values);
		free(in.at[i].key);
		free(in.at[i].values);
	}
	free(in.at);
	fclose(file);
	return 0;
}
