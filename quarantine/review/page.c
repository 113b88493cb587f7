/* page.c - the frame of every page. */
#include <stdio.h>
#include <time.h>

#include "quarantine/review/customers.h"
#include "quarantine/review/pages.h"
#include "quarantine/review/peer.h"
#include "quarantine/review/seals.h"

const char *
json_word(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

void
put_csrf(struct call *c)
{
	put(c, "<input type=\"hidden\" name=\"csrf\" value=\"%s\">", c->csrf);
}

void
put_badge(struct call *c, const char *kind, const char *words)
{
	put(c, "<span class=\"badge badge-%s\">%s</span>", kind, words);
}

void
put_size(struct call *c, double bytes)
{
	if (bytes < 1000)
		put(c, "%d B", (long long)bytes);
	else if (bytes < 1e6)
		put(c, "%d kB", (long long)(bytes / 1000 + 0.5));
	else
		put(c, "%f MB", bytes / 1e6);
}

void
put_query(struct call *c, const char *name, const char *value)
{
	if (value[0] == '\0')
		return;
	put(c, "&amp;%s=", name);
	for (; *value; value++)
		if (ascii_alnum(*value) || strchr("._-", *value))
			buf_add_char(&c->out, *value);
		else
			buf_printf(&c->out, "%%%02X", (unsigned char)*value);
}

void
put_allow(struct call *c, const char *entry)
{
	static const struct { const char *prefix; enum text words; } kinds[] = { { "from:", T_ALLOW_FROM }, { "domain:", T_ALLOW_DOMAIN },
	    { "dkim:", T_ALLOW_DKIM }, { "list-id:", T_ALLOW_LIST_ID } };
	const char *signer = strstr(entry, "+dkim:");

	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		size_t n = strlen(kinds[i].prefix);

		if (strncmp(entry, kinds[i].prefix, n) != 0)
			continue;
		bool both = signer && strcmp(kinds[i].prefix, "list-id:") == 0;

		put(c, "%t <bdi>%S</bdi>", kinds[i].words, both ? span_make(entry + n, (size_t)(signer - entry) - n) : span_of(entry + n));
		if (both)
			put(c, ", %t <bdi>%s</bdi>", T_ALLOW_SIGNED, signer + 6);
		return;
	}
	put(c, "<bdi>%s</bdi>", entry);
}

/* Of one result of the store's change. */
void
put_allow_result(struct call *c, const json_t *result)
{
	const json_t *allow = json_object_get(result, "allow");

	if (allow == NULL)
		return;
	put(c, "<p class=\"small\">");
	if (json_is_true(json_object_get(allow, "done"))) {
		put(c, "%t: ", T_ALWAYS_NOW);
		put_allow(c, json_word(allow, "entry"));
	} else {
		put(c, "%t: %s", T_NOT_ALWAYS, json_word(allow, "reply"));
	}
	put(c, "</p>");
}

bool
call_rights_of(struct call *c, const json_t *entry, unsigned *rights)
{
	*rights = permit_rights(c->who.role, json_word(entry, "class"), customer_admin_reads(c->review, json_word(entry, "customer")));
	return (*rights & MAY_SEE) != 0;
}

struct tab {
	const char *path;
	enum text words;
	unsigned roles;
};

static void
put_tabs(struct call *c)
{
	static const struct tab tabs[] = {
		{ "/", T_TAB_HELD, 1 << ROLE_OWNER | 1 << ROLE_ADMIN | 1 << ROLE_SUPPORT | 1 << ROLE_ABUSE },
		{ "/support", T_SUPPORT, 1 << ROLE_ADMIN | 1 << ROLE_SUPPORT | 1 << ROLE_ABUSE },
		{ "/stats", T_STATISTICS, 1 << ROLE_ADMIN | 1 << ROLE_SUPPORT | 1 << ROLE_ABUSE },
		{ "/settings", T_SETTINGS, 1 << ROLE_OWNER | 1 << ROLE_ADMIN },
		{ "/seals", T_SEALS, 1 << ROLE_ADMIN | 1 << ROLE_SUPPORT | 1 << ROLE_ABUSE },
		{ "/audit", T_AUDIT, 1 << ROLE_ADMIN | 1 << ROLE_SUPPORT | 1 << ROLE_ABUSE },
	};
	struct span path = c->http->head.path;
	size_t waiting = seals_waiting(c->review, &c->who);

	put(c, "<nav aria-label=\"%t\">", T_NAVIGATION);
	for (size_t i = 0; i < sizeof tabs / sizeof *tabs; i++) {
		if (!(tabs[i].roles >> c->who.role & 1))
			continue;
		put(c, span_eq(path, span_of(tabs[i].path)) ? "<a href=\"%s\" aria-current=\"page\">%t" : "<a href=\"%s\">%t", tabs[i].path, tabs[i].words);
		if (tabs[i].words == T_SEALS && waiting > 0)
			put(c, " <span class=\"count\">%d</span>", (long long)waiting);
		put(c, "</a>");
	}
	put(c, "</nav>");
}

void
page_head(struct call *c)
{
	const char *brand = customer_brand(c->review, c->who.customer);

	put(c, "<!doctype html>\n<html lang=\"%s\"><head><meta charset=\"utf-8\">"
	    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
	    "<meta name=\"color-scheme\" content=\"light dark\"><title>%s \xc2\xb7 %s</title>"
	    "<link rel=\"stylesheet\" href=\"/static/app.css\"><link rel=\"icon\" href=\"/static/icon.svg\" type=\"image/svg+xml\">"
	    "<script src=\"/static/app.js\" defer></script></head><body>\n"
	    "<a class=\"skip\" href=\"#main\">%t</a><header class=\"bar\"><a class=\"brand\" href=\"/\">"
	    "<img src=\"/static/icon.svg\" alt=\"\" width=\"24\" height=\"24\"> %s</a>",
	    language_names[c->language], c->title, brand, T_SKIP, brand);
	if (c->who.role != ROLE_NONE) {
		put_tabs(c);
		put(c, "<form class=\"who\" method=\"post\" action=\"/signout\">");
		put_csrf(c);
		put(c, "<span class=\"name\" title=\"%s\">%s</span> <button class=\"quiet\">%t</button></form>",
		    text_role(c->language, role_names[c->who.role]), c->who.name, T_SIGN_OUT);
	}
	put(c, "</header>\n<main id=\"main\">");
}

void
page_foot(struct call *c)
{
	put(c, "</main>\n<footer><form method=\"post\" action=\"/language\"><label for=\"lang\">%t</label> "
	    "<button class=\"quiet\" name=\"language\" value=\"%s\" id=\"lang\" lang=\"%s\">%s</button></form></footer></body></html>\n",
	    T_LANGUAGE, c->language == LANGUAGE_DE ? "en" : "de", c->language == LANGUAGE_DE ? "en" : "de",
	    c->language == LANGUAGE_DE ? "English" : "Deutsch");
}

static const char *
other_node(const struct call *c, const json_t *entry)
{
	const char *node = json_word(entry, "node");

	return peer_is_other(c->review, node) ? node : "";
}

void
put_entry_id(struct call *c, const json_t *entry)
{
	const char *node = other_node(c, entry);

	put(c, "%s:%d%s%s", json_word(entry, "id"), (long long)json_integer_value(json_object_get(entry, "n")), node[0] ? ":" : "", node);
}

void
put_entry_path(struct call *c, const json_t *entry, const char *what)
{
	put(c, "/m/%s%s?n=%d", json_word(entry, "id"), what, (long long)json_integer_value(json_object_get(entry, "n")));
	put_query(c, "node", other_node(c, entry));
}
