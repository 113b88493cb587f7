#include "policyd/scan/account.h"

#include "policyd/base/limits.h"
#include "policyd/base/utf8.h"

static const char *const kinds[] = {
	[PART_TEXT] = "text", [PART_HTML] = "html", [PART_MULTIPART] = "multipart", [PART_MESSAGE] = "message", [PART_ATTACHMENT] = "attachment",
};

static uint32_t
least(size_t n)
{
	return (uint32_t)(n < ACCOUNT_MOST ? n : ACCOUNT_MOST);
}

static void
pack_cut(struct buf *b, struct span s)
{
	pack_span(b, utf8_head(s, ACCOUNT_TEXT));
}

static void
pack_part(struct buf *b, const struct part *p)
{
	const struct span texts[] = { span_of(kinds[p->kind]), p->type, p->real_type, p->charset, p->encoding, p->disposition, p->file_name,
	    p->other_name };

	pack_u32(b, (uint32_t)p->parent);
	pack_u32(b, (uint32_t)p->depth);
	pack_u32(b, (uint32_t)p->reading);
	pack_u32(b, (p->doubtful ? ACCOUNT_DOUBTFUL : 0) | (p->unpacked ? ACCOUNT_UNPACKED : 0));
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		pack_cut(b, texts[i]);
	pack_u64(b, p->raw.n);
	pack_u64(b, p->data.n);
}

static void
pack_link(struct buf *b, const struct link *l)
{
	pack_u32(b, (uint32_t)l->part);
	pack_u32(b, (l->mismatch ? ACCOUNT_MISMATCH : 0) | (l->is_ip ? ACCOUNT_IS_IP : 0) | (l->has_user ? ACCOUNT_HAS_USER : 0));
	pack_text(b, link_source_names[l->source]);
	pack_cut(b, l->url);
	pack_cut(b, l->host);
	pack_cut(b, l->domain);
	pack_cut(b, l->shown);
}

void
account_pack(struct buf *b, const struct message *msg)
{
	pack_u32(b, (uint32_t)msg->part_count);
	pack_u32(b, (uint32_t)msg->entry_count);
	pack_u32(b, (uint32_t)msg->link_count);
	pack_u32(b, (uint32_t)msg->note_count);
	for (uint32_t i = 0; i < least(msg->part_count); i++)
		pack_part(b, &msg->parts[i]);
	for (uint32_t i = 0; i < least(msg->entry_count); i++) {
		const struct archive_member *m = &msg->entries[i];

		pack_u32(b, (uint32_t)m->part);
		pack_u32(b, (uint32_t)m->depth);
		pack_u32(b, m->encrypted ? ACCOUNT_ENCRYPTED : 0);
		pack_cut(b, m->name);
		pack_cut(b, m->type);
		pack_u64(b, m->size);
	}
	for (uint32_t i = 0; i < least(msg->link_count); i++)
		pack_link(b, &msg->links[i]);
	for (size_t i = 0; i < msg->note_count; i++) {
		pack_text(b, mail_note_names[msg->notes[i].what]);
		pack_cut(b, msg->notes[i].evidence);
		pack_u32(b, msg->notes[i].times);
	}
	pack_text(b, msg->language);
	pack_u64(b, msg->text.n);
	pack_u64(b, msg->hidden.n);
}

static void
unpack_part(struct unpack *u, struct account_part *p)
{
	struct span *const texts[] = { &p->kind, &p->type, &p->real_type, &p->charset, &p->encoding, &p->disposition, &p->name, &p->other_name };

	p->parent = (int32_t)unpack_u32(u);
	p->depth = unpack_u32(u);
	p->reading = unpack_u32(u);
	p->flags = unpack_u32(u);
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		*texts[i] = unpack_span(u);
	p->raw_size = unpack_u64(u);
	p->size = unpack_u64(u);
}

bool
account_unpack(struct unpack *u, struct account *a)
{
	a->part_total = unpack_u32(u);
	a->entry_total = unpack_u32(u);
	a->link_total = unpack_u32(u);
	a->note_count = unpack_u32(u);
	if (a->note_count > NOTE__COUNT)
		return false;
	a->part_count = least(a->part_total);
	a->entry_count = least(a->entry_total);
	a->link_count = least(a->link_total);
	for (uint32_t i = 0; i < a->part_count; i++)
		unpack_part(u, &a->parts[i]);
	for (uint32_t i = 0; i < a->entry_count; i++) {
		struct account_entry *e = &a->entries[i];

		e->part = unpack_u32(u);
		e->depth = unpack_u32(u);
		e->flags = unpack_u32(u);
		e->name = unpack_span(u);
		e->type = unpack_span(u);
		e->size = unpack_u64(u);
	}
	for (uint32_t i = 0; i < a->link_count; i++) {
		struct account_link *l = &a->links[i];

		l->part = unpack_u32(u);
		l->flags = unpack_u32(u);
		l->source = unpack_span(u);
		l->url = unpack_span(u);
		l->host = unpack_span(u);
		l->domain = unpack_span(u);
		l->shown = unpack_span(u);
	}
	for (uint32_t i = 0; i < a->note_count; i++) {
		a->notes[i].symbol = unpack_span(u);
		a->notes[i].evidence = unpack_span(u);
		a->notes[i].times = unpack_u32(u);
	}
	a->language = unpack_span(u);
	a->text_size = unpack_u64(u);
	a->hidden_size = unpack_u64(u);
	return !u->bad;
}
