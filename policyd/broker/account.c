#include "policyd/broker/account.h"

#include <stdlib.h>

#include "policyd/scan/account.h"

static json_t *
text(struct span s)
{
	json_t *value = json_stringn(s.p ? s.p : "", s.n);

	return value ? value : json_string("");      /* no UTF-8: a header's odd bytes */
}

static json_t *
part_json(const struct account_part *p)
{
	return json_pack("{s:i, s:i, s:i, s:b, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:I}", "parent", (int)p->parent, "depth", (int)p->depth,
	    "reading", (int)p->reading, "doubtful", p->flags & ACCOUNT_DOUBTFUL, "unpacked", p->flags & ACCOUNT_UNPACKED, "kind", text(p->kind),
	    "type", text(p->type), "real_type", text(p->real_type), "charset", text(p->charset), "encoding", text(p->encoding),
	    "disposition", text(p->disposition), "name", text(p->name), "other_name", text(p->other_name), "raw_size", (json_int_t)p->raw_size,
	    "size", (json_int_t)p->size);
}

json_t *
account_json(struct unpack *u)
{
	struct account *a = calloc(1, sizeof *a);
	json_t *parts = json_array(), *entries = json_array(), *links = json_array(), *notes = json_array(), *reply = NULL;

	if (a == NULL || !account_unpack(u, a))
		goto out;
	for (uint32_t i = 0; i < a->part_count; i++)
		json_array_append_new(parts, part_json(&a->parts[i]));
	for (uint32_t i = 0; i < a->entry_count; i++)
		json_array_append_new(entries, json_pack("{s:i, s:i, s:o, s:o, s:I, s:b}", "part", (int)a->entries[i].part, "depth",
		    (int)a->entries[i].depth, "name", text(a->entries[i].name), "real_type", text(a->entries[i].type), "size",
		    (json_int_t)a->entries[i].size, "encrypted", a->entries[i].flags & ACCOUNT_ENCRYPTED));
	for (uint32_t i = 0; i < a->link_count; i++)
		json_array_append_new(links, json_pack("{s:i, s:o, s:o, s:o, s:o, s:o, s:b, s:b, s:b}", "part", (int)a->links[i].part, "source",
		    text(a->links[i].source), "url", text(a->links[i].url), "host", text(a->links[i].host), "domain", text(a->links[i].domain),
		    "shown", text(a->links[i].shown), "mismatch", a->links[i].flags & ACCOUNT_MISMATCH, "is_ip", a->links[i].flags & ACCOUNT_IS_IP,
		    "has_user", a->links[i].flags & ACCOUNT_HAS_USER));
	for (uint32_t i = 0; i < a->note_count; i++)
		json_array_append_new(notes, json_pack("{s:o, s:o, s:i}", "name", text(a->notes[i].symbol), "evidence", text(a->notes[i].evidence),
		    "times", (int)a->notes[i].times));
	reply = json_pack("{s:O, s:O, s:O, s:O, s:i, s:i, s:i, s:o, s:I, s:I}", "parts", parts, "entries", entries, "links", links, "notes", notes,
	    "part_count", (int)a->part_total, "entry_count", (int)a->entry_total, "link_count", (int)a->link_total, "language", text(a->language),
	    "text_size", (json_int_t)a->text_size, "hidden_size", (json_int_t)a->hidden_size);
out:
	json_decref(parts);
	json_decref(entries);
	json_decref(links);
	json_decref(notes);
	free(a);
	return reply;
}
