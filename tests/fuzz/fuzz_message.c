/* fuzz_message.c - a whole mail: MIME, headers, text, links, attachments. */
#include "policyd/mail/forged.h"
#include "policyd/mail/message.h"
#include "policyd/mail/prepare.h"
#include "tests/fuzz/fuzz.h"

enum { MEMORY = 96 * 1024 * 1024 };          /* for inputs of at most 64 KB: linear means it is never met */

static void
check_parts(const struct message *msg)
{
	FUZZ_PROMISE(msg->part_count >= 1 && msg->part_count <= MAX_PARTS && msg->strict_count <= msg->part_count);
	for (size_t i = 0; i < msg->part_count; i++) {
		const struct part *p = &msg->parts[i];

		FUZZ_PROMISE(p->parent < (int)i && p->depth <= MAX_PART_DEPTH);
		fuzz_touch(p->raw);
		fuzz_touch(p->data);
		fuzz_touch(p->type);
		fuzz_touch(p->real_type);
		fuzz_utf8(p->file_name);
		fuzz_utf8(p->text);
		fuzz_utf8(p->hidden);
		for (size_t h = 0; h < p->headers.count; h++) {
			fuzz_touch(p->headers.at[h].name);
			fuzz_touch(p->headers.at[h].raw);
			fuzz_utf8(p->headers.at[h].value);
		}
	}
}

static void
check_rest(const struct message *msg)
{
	FUZZ_PROMISE(msg->link_count <= MAX_LINKS && msg->entry_count <= MAX_ARCHIVE_ENTRIES && msg->note_count <= NOTE__COUNT);
	for (size_t i = 0; i < msg->link_count; i++) {
		const struct link *l = &msg->links[i];

		FUZZ_PROMISE(l->part >= 0 && (size_t)l->part < msg->part_count && l->url.n <= 3 * MAX_LINK);
		fuzz_touch(l->url);
		fuzz_touch(l->host);
		fuzz_touch(l->domain);
		fuzz_touch(l->shown);
	}
	for (size_t i = 0; i < msg->entry_count; i++) {
		FUZZ_PROMISE(msg->entries[i].part >= 0 && (size_t)msg->entries[i].part < msg->part_count);
		fuzz_touch(msg->entries[i].name);
	}
	for (size_t i = 0; i < msg->note_count; i++) {
		FUZZ_PROMISE(msg->notes[i].evidence.n <= MAX_EVIDENCE && msg->notes[i].times > 0);
		fuzz_utf8(msg->notes[i].evidence);
	}
	fuzz_utf8(msg->text);
	fuzz_utf8(msg->hidden);
	fuzz_utf8(msg->subject);
	fuzz_utf8(msg->from.name);
	fuzz_touch(msg->from.addr);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_open(MAX_SCAN_MEMORY);
	struct message msg = { 0 };
	struct forged *forged;

	mail_prepare();
	message_parse(a, fuzz_input(a, data, size), &msg);
	check_parts(&msg);
	check_rest(&msg);
	for (size_t i = 0, n = message_forged(&msg, SPAN("mx.example"), a, &forged); i < n; i++)
		fuzz_touch(forged[i].name);
	FUZZ_PROMISE(size > 65536 || arena_used(a) < MEMORY);
	arena_close(a);
	return 0;
}
