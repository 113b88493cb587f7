/* page_audit.c - who did what: a customer reads what was done with his mail, the provider all of it. */
#include <stdio.h>
#include <stdlib.h>

#include "quarantine/review/audit.h"
#include "quarantine/review/pages.h"

enum { ENTRIES = 100 };

/* What an entry means, for whoever reads it; NULL: its name has to do. */
static const char *
action_words(struct call *c, const char *action)
{
	static const struct { const char *action; enum text words; } list[] = {
		{ "signin", T_LOG_SIGNIN }, { "signin.mail", T_LOG_SIGNIN }, { "signin.refused", T_LOG_REFUSED }, { "signout", T_LOG_SIGNOUT },
		{ "mail.release", T_LOG_RELEASE }, { "mail.allow", T_LOG_ALLOW }, { "mail.approve", T_LOG_APPROVE }, { "mail.delete", T_LOG_DELETE },
		{ "mail.request", T_LOG_REQUEST }, { "mail.deny", T_LOG_DENY }, { "mail.undo", T_LOG_UNDO }, { "mail.read", T_LOG_READ },
		{ "mail.download", T_LOG_DOWNLOAD }, { "seal.ask", T_LOG_SEAL_ASK }, { "seal.open", T_LOG_SEAL_OPEN }, { "seal.refuse", T_LOG_SEAL_REFUSE },
		{ "seal.close", T_LOG_SEAL_CLOSE }, { "settings.policy", T_LOG_SETTINGS }, { "settings.review", T_LOG_SETTINGS }, { "settings.allow", T_LOG_LISTED },
	};

	for (size_t i = 0; i < sizeof list / sizeof *list; i++)
		if (strcmp(list[i].action, action) == 0)
			return text_in(c->language, list[i].words);
	return NULL;
}

void
get_audit(struct call *c)
{
	const char *customer = c->who.customer[0] ? c->who.customer : NULL;
	char text[24];
	uint64_t before = 0;
	size_t i;
	json_t *e, *entries;

	if (call_query(c, "before", text, sizeof text))
		span_u64(span_of(text), &before);
	entries = audit_list(c->review->audit, customer, (json_int_t)before, ENTRIES);
	if (c->api) {
		call_json(c, 200, json_pack("{s:o}", "entries", entries));
		return;
	}
	snprintf(c->title, sizeof c->title, "%s", text_in(c->language, T_AUDIT));
	put(c, "<h1>%t</h1><p class=\"small\">%t</p><div class=\"card scroll\"><table class=\"grid log\"><thead><tr><th scope=\"col\">%t</th><th scope=\"col\">%t</th>"
	    "<th scope=\"col\">%t</th><th scope=\"col\">%t</th><th scope=\"col\">%t</th><th scope=\"col\">%t</th></tr></thead><tbody>", T_AUDIT, T_AUDIT_HOW,
	    T_WHEN, T_WHO, T_WHAT, T_WHOM, T_REASON, T_HASH);
	json_array_foreach(entries, i, e) {
		put(c, "<tr><td>");
		put_time(c, json_integer_value(json_object_get(e, "time")));
		put(c, "</td><td><bdi>%s</bdi> <span class=\"small\">%s %s</span></td><td>%s <code class=\"symbol\">%s</code></td><td><bdi>%s</bdi></td><td><bdi>%s</bdi></td>"
		    "<td><code class=\"hash\" title=\"%s\">%d \xc2\xb7 %S</code></td></tr>", json_word(e, "actor"), text_role(c->language, json_word(e, "role")),
		    json_word(e, "from"), action_words(c, json_word(e, "action")), json_word(e, "action"), json_word(e, "target"), json_word(e, "note"), json_word(e, "hash"),
		    (long long)json_integer_value(json_object_get(e, "seq")), span_head(span_of(json_word(e, "hash")), 12));
	}
	put(c, "</tbody></table></div>");
	if (json_array_size(entries) == ENTRIES)
		put(c, "<p class=\"more\"><a class=\"button\" rel=\"next\" href=\"/audit?before=%d\">%t</a></p>",
		    (long long)json_integer_value(json_object_get(json_array_get(entries, ENTRIES - 1), "seq")), T_MORE);
	json_decref(entries);
	call_page(c, 200);
}
