/* fuzz_http.c - the head of a browser's request, forms and cookies. */
#include "quarantine/review/http_parse.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_open(64 << 20);
	struct span bytes = fuzz_input(a, data, size);
	struct http_head head;
	size_t used = 0;
	int status = 0;
	char value[64];

	switch (http_parse(bytes, &head, &used, &status)) {
	case HTTP_WHOLE:
		FUZZ_PROMISE(used <= size && used <= MAX_HTTP_HEAD && head.body_bytes <= MAX_HTTP_BODY);
		FUZZ_PROMISE(head.path.n > 0 && head.path.p[0] == '/' && head.field_count <= MAX_HTTP_HEADERS);
		fuzz_touch(head.path);
		fuzz_touch(head.query);
		for (size_t i = 0; i < head.field_count; i++) {
			fuzz_touch(head.fields[i].name);
			FUZZ_PROMISE(span_find_char(head.fields[i].value, '\n') == SPAN_NONE && span_find_char(head.fields[i].value, '\r') == SPAN_NONE);
		}
		form_value(head.query, "a", value, sizeof value);
		cookie_value(http_field(&head, "cookie"), "a", value, sizeof value);
		break;
	case HTTP_MORE:
		FUZZ_PROMISE(size < MAX_HTTP_HEAD);
		break;
	case HTTP_BAD:
		FUZZ_PROMISE(status >= 400 && status < 600);
		break;
	}
	if (form_value(bytes, "a", value, sizeof value))
		FUZZ_PROMISE(memchr(value, '\0', sizeof value) != NULL);
	arena_close(a);
	return 0;
}
