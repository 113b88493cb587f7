/* fuzz_url.c - links in text and from attributes; registrable domains. */
#include "policyd/mail/parse.h"
#include "policyd/mail/prepare.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_open(MAX_SCAN_MEMORY);
	struct message msg = { 0 };
	struct part part = { .kind = PART_TEXT };
	enum link_source source = fuzz_choice(&data, &size) % LINK__COUNT;
	struct span in = fuzz_input(a, data, size), rest = in;

	mail_prepare();
	msg.parts = &part;
	msg.part_count = 1;
	while (rest.n > 0) {
		struct span line = span_cut(&rest, '\n');

		link_add(a, &msg, line, source, span_head(in, 40), 0);
		fuzz_touch(domain_registrable(line));
	}
	links_of_text(a, &msg, in, source, 0);
	links_of_calendar(a, &msg, in, 0);
	FUZZ_PROMISE(msg.link_count <= MAX_LINKS);
	for (size_t i = 0; i < msg.link_count; i++) {
		const struct link *l = &msg.links[i];

		FUZZ_PROMISE(l->host.n > 0 && l->shown.n <= MAX_EVIDENCE);
		for (size_t k = 0; k < l->host.n; k++)       /* it goes into questions, logs and rules */
			FUZZ_PROMISE((unsigned char)l->host.p[k] > 0x20 && ascii_lower(l->host.p[k]) == l->host.p[k]);
		fuzz_touch(l->url);
		fuzz_touch(l->raw);
		fuzz_touch(l->scheme);
		fuzz_touch(l->path);
		fuzz_touch(l->domain);
		fuzz_touch(l->shown);
	}
	arena_close(a);
	return 0;
}
