/* page_ask.c - where the text of a rejection leads its sender, if the recipient's policy has release_link: he may ask the
 * recipient for the mail of which a copy was kept. He says from which address he sent it, which stands nowhere here, so who
 * only follows links and posts forms asks for nothing; and the answer is the same whether it was the right one, whether the
 * mail is there at all, or was asked for before. */
#include <stdio.h>

#include "quarantine/review/audit.h"
#include "quarantine/review/pages.h"

enum { ADDRESS_ROOM = 512 };

static void
ask_page(struct call *c, int status)
{
	snprintf(c->title, sizeof c->title, "%s", text_in(c->language, T_ASK));
	c->who.role = ROLE_NONE;
	call_page(c, status);
}

void
get_ask(struct call *c)
{
	put(c, "<section class=\"signin card\"><h1>%t</h1><p>%t</p><form method=\"post\" action=\"/ask/%s\"><label for=\"address\">%t</label>"
	    "<input id=\"address\" name=\"address\" type=\"email\" autocomplete=\"off\" required maxlength=\"320\">"
	    "<button class=\"primary\">%t</button></form></section>", T_ASK, T_ASK_HOW, c->args[0], T_ASK_ADDRESS, T_ASK_SEND);
	ask_page(c, 200);
}

static void
answer(struct call *c)
{
	put(c, "<section class=\"notice\"><h1>%t</h1><p>%t</p></section>", T_ASK, T_ASKED);
	ask_page(c, 200);
}

static void
asked(struct call *c, json_t *reply, int fd)
{
	(void)fd;
	if (call_failed(c, reply))
		return;
	json_decref(reply);
	answer(c);
}

static void
found(struct call *c, json_t *reply, int fd)
{
	const json_t *e = json_array_get(json_object_get(reply, "entries"), 0);
	const char *address = json_word(c->kept[0], "address"), *sender = json_word(e, "sender");
	bool his = sender[0] && span_eq_nocase(span_of(sender), span_of(address)) && strcmp(json_word(e, "mode"), "copy") == 0;

	(void)fd;
	if (json_is_true(json_object_get(reply, "silent"))) {
		json_decref(reply);
		call_error(c, 503, T_TRY_LATER);
		return;
	}
	if (!his) {
		answer(c);
		json_decref(reply);
		return;
	}
	char from[INET6_ADDRSTRLEN];

	ip_print(&c->http->client, from);
	if (!audit_add(c->review, sender, "sender", from, "mail.request", json_word(e, "id"), json_word(e, "customer"), "it was rejected; he asks for it"))
		call_error(c, 503, T_TRY_LATER);
	else
		ask_store(c, json_pack("{s:s, s:s, s:[s], s:s, s:s}", "cmd", "quarantine.change", "op", "request", "ids", json_word(e, "id"), "actor",
		    sender, "note", "its sender asks for it"), asked);
	json_decref(reply);
}

void
post_ask(struct call *c)
{
	char address[ADDRESS_ROOM];

	call_value(c, "address", address, sizeof address);
	c->kept[0] = json_pack("{s:s?}", "address", address);
	ask_store(c, json_pack("{s:s, s:s}", "cmd", "quarantine.show", "id", c->args[0]), found);
}
