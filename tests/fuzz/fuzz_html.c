/* fuzz_html.c - HTML to visible text, hidden text, links. */
#include "policyd/mail/parse.h"
#include "policyd/mail/prepare.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_open(MAX_SCAN_MEMORY);
	struct message msg = { 0 };
	struct html_result out = { 0 };
	struct part part = { .kind = PART_HTML };
	bool unknown, wrong;
	uint32_t code;

	mail_prepare();
	msg.parts = &part;
	msg.part_count = 1;
	struct span html = charset_to_utf8(a, fuzz_input(a, data, size), SPAN("utf-8"), &unknown, &wrong);

	fuzz_utf8(html);
	html_read(a, &msg, html, 0, &out);
	fuzz_utf8(out.visible);
	fuzz_utf8(out.hidden);
	FUZZ_PROMISE(html_entity(html, false, &code) <= html.n);
	for (size_t i = 0; i < msg.link_count; i++) {
		fuzz_touch(msg.links[i].url);
		fuzz_touch(msg.links[i].host);
		fuzz_touch(msg.links[i].shown);
	}
	arena_close(a);
	return 0;
}
