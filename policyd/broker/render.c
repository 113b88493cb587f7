/* render.c - a mail for people to look at: a caged worker reads it, its words go to who asked as JSON. */
#include <jansson.h>
#include <stdlib.h>

#include "policyd/broker/render.h"
#include "policyd/scan/rendered.h"

static json_t *
text(struct span s)
{
	json_t *value = json_stringn(s.p ? s.p : "", s.n);

	return value ? value : json_string("");      /* no UTF-8: a worker that does not keep to its word */
}

json_t *
render_json(struct unpack *u)
{
	struct rendered *r = calloc(1, sizeof *r);
	json_t *headers = json_array(), *parts = json_array(), *links = json_array(), *reply = NULL;

	if (r == NULL || !rendered_unpack(u, r))
		goto out;
	for (uint32_t i = 0; i < r->header_count; i++)
		json_array_append_new(headers, json_pack("[o, o, s]", text(r->headers[i].name), text(r->headers[i].value),
		    r->headers[i].claim == CLAIM_OURS ? "ours" : r->headers[i].claim == CLAIM_FOREIGN ? "foreign" : ""));
	for (uint32_t i = 0; i < r->part_count; i++)
		json_array_append_new(parts, json_pack("{s:o, s:o, s:o, s:I, s:I}", "type", text(r->parts[i].type), "real_type",
		    text(r->parts[i].real_type), "name", text(r->parts[i].name), "size", (json_int_t)r->parts[i].size, "depth",
		    (json_int_t)r->parts[i].depth));
	for (uint32_t i = 0; i < r->link_count; i++)
		json_array_append_new(links, json_pack("{s:o, s:o, s:o, s:b}", "url", text(r->links[i].url), "host", text(r->links[i].host), "shown",
		    text(r->links[i].shown), "mismatch", r->links[i].mismatch));
	reply = json_pack("{s:o, s:o, s:o, s:o, s:b, s:o, s:O, s:O, s:O}", "from", text(r->from), "from_name", text(r->from_name), "subject",
	    text(r->subject), "text", text(r->text), "has_text", r->has_text, "html", text(r->html), "headers", headers, "parts", parts,
	    "links", links);
out:
	json_decref(headers);
	json_decref(parts);
	json_decref(links);
	free(r);
	return reply;
}
