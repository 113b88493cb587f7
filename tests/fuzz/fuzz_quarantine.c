/* fuzz_quarantine.c - what is asked of the store's lists (requests.h): filters, cursors and sorts out of browsers' queries, and
 * out of other nodes. The answer is a page or a sentence; a cursor that it gave is taken again. */
#include <math.h>

#include "quarantine/store/list.h"
#include "tests/fuzz/fuzz.h"

static struct index *
filled(void)
{
	struct index *x;
	char why[256], id[ID_ROOM], address[32];
	struct store_recipient to[2];

	x = index_open(":memory:", why, sizeof why);
	FUZZ_PROMISE(x != NULL);
	for (int i = 0; i < 20; i++) {
		struct store_request r = { .time_s = 1704200000 + i / 3, .class_name = i % 2 ? SPAN("spam") : SPAN("virus"), .subject = SPAN("a subject"),
		    .from = SPAN("Ann <a@b.example>"), .message_id = SPAN("<1@b.example>"), .symbols = SPAN("[{\"name\": \"X\", \"points\": 1}]"),
		    .recipients = to, .recipient_count = 2, .size = 1000 };
		struct seg_place place = { .name = "20240102-0014-0000.seg", .offset = (uint64_t)i * 1000, .length = 1000 };

		snprintf(id, sizeof id, "qaaa%c", 'a' + i);
		snprintf(address, sizeof address, "u%d@b.example", i % 4);
		for (int k = 0; k < 2; k++)
			to[k] = (struct store_recipient){ .raw = span_of(address), .address = span_of(address), .customer = SPAN("acme"),
			    .points = 7 + i, .tag = 4, .quarantine = 7, .discard = HUGE_VAL, .retention_days = 30000 };
		FUZZ_PROMISE(index_add(x, id, (uint64_t)i + 1, &r, SPAN(""), &place));
	}
	return x;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct index *index;
	json_t *request = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL), *page;
	char why[256] = "";

	if (index == NULL)
		index = filled();
	for (int pages = 0; json_is_object(request) && pages < 3; pages++) {
		page = index_list(index, request, why, sizeof why);
		if (page == NULL) {
			FUZZ_PROMISE(why[0] != '\0' && pages == 0);
			break;
		}
		const json_t *cursor = json_object_get(page, "cursor");

		FUZZ_PROMISE(json_is_array(json_object_get(page, "entries")) && json_array_size(json_object_get(page, "entries")) <= LIST_MOST);
		bool more = json_is_true(json_object_get(page, "more"));

		json_object_set_new(request, "cursor", json_deep_copy(cursor));
		json_decref(page);
		if (!more)
			break;
	}
	json_decref(request);
	return 0;
}
