/* fuzz_attachment.c - one decoded part: its type, its names, archives, TNEF, office files, PDF. */
#include "policyd/mail/parse.h"
#include "policyd/mail/prepare.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = { "", "a.zip", "invoice.pdf", "letter.docm", "winmail.dat", "page.html", "a.doc", "a.iso" };
	static const char *const types[] = { "application/octet-stream", "image/png", "text/plain", "application/ms-tnef" };
	struct arena *a = arena_open(MAX_SCAN_MEMORY);
	unsigned choice = fuzz_choice(&data, &size);
	struct message msg = { 0 };
	struct span in = fuzz_input(a, data, size);
	struct tree t = { .a = a, .msg = &msg };

	mail_prepare();
	struct part *part = part_new(&t, -1, 0, in);

	*part = (struct part){ .parent = -1, .kind = PART_ATTACHMENT, .type = span_of(types[choice >> 3 & 3]), .raw = in, .data = in,
	    .file_name = span_of(names[choice & 7]) };
	msg.raw = in;
	attachment_read(&t, 0);
	FUZZ_PROMISE(msg.entry_count <= MAX_ARCHIVE_ENTRIES && msg.note_count <= NOTE__COUNT);
	for (size_t i = 0; i < msg.entry_count; i++)
		fuzz_touch(msg.entries[i].name);
	for (size_t i = 0; i < msg.note_count; i++)
		fuzz_utf8(msg.notes[i].evidence);
	for (size_t i = 0; i < msg.link_count; i++)
		fuzz_touch(msg.links[i].url);
	arena_close(a);
	return 0;
}
