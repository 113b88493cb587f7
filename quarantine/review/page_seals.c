/* page_seals.c - the requests of the provider's people to read a customer's mail (seals.h): asking, answering, and the list
 * that a customer's admin sees all of. */
#include <stdio.h>

#include "quarantine/review/audit.h"
#include "quarantine/review/pages.h"
#include "quarantine/review/seals.h"

/* ---- asking, from the page of a mail ---- */

static void
ask_found(struct call *c, json_t *reply, int fd)
{
	const json_t *e = json_array_get(json_object_get(reply, "entries"), 0);
	const char *reason = json_word(c->kept[3], "reason");
	const char *node = json_word(e, "node");
	char back[240];
	unsigned rights = 0;

	(void)fd;
	if (call_failed(c, reply))
		return;
	if (e == NULL || !call_rights_of(c, e, &rights) || !(rights & MAY_UNSEAL)) {
		json_decref(reply);
		call_missing(c);
		return;
	}
	snprintf(back, sizeof back, "/m/%.40s?n=%lld%s%.120s", json_word(e, "id"), (long long)json_integer_value(json_object_get(e, "n")),
	    node[0] ? "&node=" : "", node);
	bool good = audit_call(c, "seal.ask", json_word(e, "id"), json_word(e, "customer"), reason) &&
	    seal_ask(c->review, &c->who, json_word(e, "id"), json_word(e, "customer"), reason);

	json_decref(reply);
	if (!good)
		call_error(c, 503, T_TRY_LATER);
	else if (c->api)
		call_json(c, 200, json_pack("{s:s}", "state", "asked"));
	else
		call_redirect(c, back);
}

void
post_unseal(struct call *c)
{
	char reason[SEAL_REASON_ROOM];

	if (!call_value(c, "reason", reason, sizeof reason) || span_trim(span_of(reason)).n < 3) {
		call_error(c, 400, T_REASON_NEEDED);
		return;
	}
	c->kept[3] = json_pack("{s:o}", "reason", json_safe(reason));
	message_ask(c, false, ask_found);
}

/* ---- answering ---- */

void
post_seal(struct call *c)
{
	char op[12], action[24];
	const json_t *seal = NULL;

	call_value(c, "op", op, sizeof op);
	enum text why = seal_answer(c->review, &c->who, c->args[0], op, &seal);

	if (why == T_NOT_THERE) {
		call_missing(c);
		return;
	}
	if (why != T_NOTHING) {
		call_error(c, why == T_TRY_LATER ? 503 : why == T_BAD_REQUEST ? 400 : why == T_SEAL_SECOND ? 403 : 409, why);
		return;
	}
	snprintf(action, sizeof action, "seal.%s", op);
	audit_call(c, action, json_word(seal, "id"), json_word(seal, "customer"), json_word(seal, "asker"));
	if (c->api)
		call_json(c, 200, json_pack("{s:s}", "state", json_word(seal, "state")));
	else
		call_redirect(c, "/seals");
}

/* ---- the list ---- */

static const char *
state_words(struct call *c, const char *state)
{
	return text_in(c->language, strcmp(state, "asked") == 0 ? T_SEAL_ASKED : strcmp(state, "open") == 0 ? T_SEAL_OPEN :
	    strcmp(state, "refused") == 0 ? T_SEAL_REFUSED : T_SEAL_CLOSED);
}

static void
put_answer(struct call *c, const json_t *s)
{
	const char *state = json_word(s, "state");
	bool his_own = strcmp(json_word(s, "asker"), c->who.name) == 0, asked = strcmp(state, "asked") == 0;

	if (strcmp(state, "open") != 0 && !(asked && !his_own))
		return;
	put(c, "<form class=\"actions\" method=\"post\" action=\"/seals/%s\">", json_word(s, "key"));
	put_csrf(c);
	if (asked) {
		put(c, "<button name=\"op\" value=\"open\" class=\"primary\">%t</button><button name=\"op\" value=\"refuse\">%t</button>", T_SEAL_DO_OPEN, T_SEAL_DO_REFUSE);
	} else {
		put(c, "<button name=\"op\" value=\"close\">%t</button>", T_SEAL_DO_CLOSE);
	}
	put(c, "</form>");
}

static void
put_seal_entry(struct call *c, const json_t *s)
{
	put(c, "<li class=\"card\"><h2><bdi>%s</bdi> <span class=\"badge badge-state\">%s</span></h2><p>%t: <q><bdi>%s</bdi></q></p><p class=\"small\">",
	    json_word(s, "asker"), state_words(c, json_word(s, "state")), T_REASON, json_word(s, "reason"));
	put_time(c, json_integer_value(json_object_get(s, "asked_s")));
	put(c, " \xc2\xb7 %t <bdi>%s</bdi> \xc2\xb7 <a href=\"/m/%s\">%s</a>", T_CUSTOMER, json_word(s, "customer"), json_word(s, "id"), json_word(s, "id"));
	if (json_word(s, "by")[0]) {
		put(c, "<br>%t <bdi>%s</bdi>, ", T_SEAL_BY, json_word(s, "by"));
		put_time(c, json_integer_value(json_object_get(s, "by_s")));
	}
	if (strcmp(json_word(s, "state"), "open") == 0) {
		put(c, "; %t ", T_SEAL_UNTIL);
		put_time(c, json_integer_value(json_object_get(s, "until_s")));
	}
	put(c, "</p>");
	put_answer(c, s);
	put(c, "</li>");
}

void
get_seals(struct call *c)
{
	json_t *list = seals_list(c->review, &c->who), *s;
	size_t i;

	if (c->api) {
		call_json(c, 200, json_pack("{s:o}", "seals", list));
		return;
	}
	snprintf(c->title, sizeof c->title, "%s", text_in(c->language, T_SEALS));
	put(c, "<h1>%t</h1><p class=\"lead\">%t</p>", T_SEALS, c->who.role == ROLE_ADMIN ? T_SEALS_ADMIN : T_SEALS_PROVIDER);
	if (json_array_size(list) == 0)
		put(c, "<p class=\"empty\">%t</p>", T_SEALS_NONE);
	put(c, "<ul class=\"plainlist\">");
	json_array_foreach(list, i, s)
		put_seal_entry(c, s);
	put(c, "</ul>");
	json_decref(list);
	call_page(c, 200);
}
