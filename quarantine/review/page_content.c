/* page_content.c - what is in the mail: text first, then its HTML in a frame that can do nothing, parts and links as text.
 * A caged worker has read it; here it is only shown. */
#include <stdio.h>
#include <unistd.h>

#include "policyd/base/ipc.h"
#include "quarantine/review/audit.h"
#include "quarantine/review/pages.h"
#include "quarantine/review/reasons.h"
#include "quarantine/review/seals.h"

enum { TEXT_SHOWN = 64 * 1024 };

/* The frame's document: no script, no request, no form, an origin of its own; one style, known by its hash. */
#define FRAME_STYLE "body{font:15px/1.5 system-ui,'DejaVu Sans',sans-serif;margin:16px;color:#1d2422;background:#fff;overflow-wrap:anywhere}" \
	"table{max-width:100%}td,th{vertical-align:top;padding:2px 6px}.link{text-decoration:underline;color:#1d5c8a}" \
	".to{color:#a3271b;font-size:.85em}.img{color:#56615d}blockquote{border-left:3px solid #dcdfd9;margin-left:0;padding-left:12px}"

json_t *
rights_json(unsigned rights)
{
	static const struct { unsigned right; const char *name; } names[] = {
		{ MAY_SEE, "see" }, { MAY_HEADERS, "headers" }, { MAY_PREVIEW, "preview" }, { MAY_DOWNLOAD, "download" }, { MAY_DELETE, "delete" },
		{ MAY_BLOCK, "block" }, { MAY_REQUEST, "request" }, { MAY_RELEASE, "release" }, { MAY_ALLOW, "allow" },
	};
	json_t *list = json_array();

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (rights & names[i].right)
			json_array_append_new(list, json_string(names[i].name));
	return list;
}

/* May this call see the body? Whoever reads what is not his own stands in the log of the customer; without the right itself he
 * must have had the seal opened by a second person. */
static bool
may_read(struct call *c, const json_t *e, unsigned rights)
{
	const json_t *seal = NULL;
	const char *note = "";

	if (rights & MAY_UNSEAL) {
		if (strcmp(seal_state(c->review, c->who.name, json_word(e, "id"), &seal), "open") != 0)
			return false;
		note = json_word(seal, "reason");
	} else if (!(rights & MAY_PREVIEW)) {
		return false;
	}
	return c->who.role == ROLE_OWNER || audit_call(c, "mail.read", json_word(e, "id"), json_word(e, "customer"), note);
}

/* Only what the rights allow stays in the answer. */
static void
rendered(struct call *c, json_t *reply, int fd)
{
	(void)fd;
	if (!(c->number & MAY_PREVIEW)) {
		static const char *const sealed[] = { "text", "html", "parts", "links" };

		for (size_t i = 0; i < sizeof sealed / sizeof *sealed; i++)
			json_object_del(reply, sealed[i]);
	}
	c->kept[1] = reply;
	message_show(c);
}

void
message_read(struct call *c, const json_t *entry, unsigned rights, int fd)
{
	bool read = may_read(c, entry, rights);

	if (read)
		c->number |= MAY_PREVIEW;
	if (fd < 0) {
		message_show(c);
	} else if (!read && !(rights & MAY_HEADERS)) {
		close(fd);
		message_show(c);
	} else {
		ask_broker(c, json_pack("{s:s}", "cmd", "render"), fd, rendered);
	}
}

/* Of a header: 0 name, 1 value, 2 whose word it is. */
static const char *
pair_word(const json_t *pair, size_t i)
{
	const char *word = json_string_value(json_array_get(pair, i));

	return word ? word : "";
}

static void
put_headers(struct call *c, const json_t *content)
{
	size_t i;
	json_t *pair;

	put(c, "<details class=\"card\"><summary>%t</summary><div class=\"scroll\"><table class=\"headers\">", T_HEADERS);
	json_array_foreach(json_object_get(content, "headers"), i, pair) {
		put(c, "<tr><th scope=\"row\">%s</th><td><bdi>%s</bdi>", pair_word(pair, 0), pair_word(pair, 1));
		if (strcmp(pair_word(pair, 2), "foreign") == 0)
			put(c, " <span class=\"badge badge-state\">%t</span>", T_NOT_OURS);
		put(c, "</td></tr>");
	}
	put(c, "</table></div></details>");
}

/* What our own checks of sender and signature found when the mail came; and what a milter of this site wrote before us. What
 * else stands in the mail about that was written by whoever sent it, and is not here. */
static void
put_authentication(struct call *c, const json_t *symbols, const json_t *content)
{
	static const char *const ours[] = { "SPF_", "DKIM_", "DMARC_", "ARC_" };
	size_t i, k, shown = 0;
	json_t *s, *pair;

	put(c, "<section class=\"card\"><h2>%t</h2><ul class=\"plainlist\">", T_AUTHENTICATION);
	json_array_foreach(symbols, i, s)
		for (k = 0; k < sizeof ours / sizeof *ours; k++)
			if (strncmp(json_word(s, "name"), ours[k], strlen(ours[k])) == 0) {
				put(c, "<li>%s <bdi class=\"evidence\">%s</bdi> <code class=\"symbol\">%s</code></li>", reason_words(c->language, json_word(s, "name")),
				    json_word(s, "evidence"), json_word(s, "name"));
				shown++;
			}
	json_array_foreach(json_object_get(content, "headers"), i, pair)
		if (strcmp(pair_word(pair, 2), "ours") == 0) {
			put(c, "<li class=\"small\"><bdi>%s</bdi></li>", pair_word(pair, 1));
			shown++;
		}
	put(c, "</ul>");
	if (shown == 0)
		put(c, "<p>%t</p>", T_AUTHENTICATION_NONE);
	put(c, "</section>");
}

static void
put_parts(struct call *c, const json_t *content)
{
	size_t i, shown = 0;
	json_t *part;

	json_array_foreach(json_object_get(content, "parts"), i, part) {
		const char *name = json_word(part, "name"), *type = json_word(part, "type"), *real = json_word(part, "real_type");

		/* What is the mail's text is shown as that. */
		if (name[0] == '\0' && (strncmp(type, "multipart/", 10) == 0 || strcmp(type, "text/plain") == 0 || strcmp(type, "text/html") == 0))
			continue;
		if (shown++ == 0)
			put(c, "<section class=\"card\"><h2>%t</h2><ul class=\"parts\">", T_PARTS);
		put(c, "<li><bdi class=\"file\">%s</bdi> <span class=\"small\">%s", name[0] ? name : text_in(c->language, T_NO_NAME), type);
		if (real[0] && strcmp(real, type) != 0)
			put(c, ", %t <strong>%s</strong>", T_REALLY, real);
		put(c, " \xc2\xb7 ");
		put_size(c, json_number_value(json_object_get(part, "size")));
		put(c, "</span></li>");
	}
	if (shown)
		put(c, "</ul></section>");
}

static void
put_links(struct call *c, const json_t *content)
{
	size_t i;
	json_t *link;

	if (json_array_size(json_object_get(content, "links")) == 0)
		return;
	put(c, "<details class=\"card\"><summary>%t (%d)</summary><ul class=\"links\">", T_LINKS,
	    (long long)json_array_size(json_object_get(content, "links")));
	json_array_foreach(json_object_get(content, "links"), i, link) {
		put(c, "<li><strong><bdi>%s</bdi></strong>", json_word(link, "host"));
		if (json_is_true(json_object_get(link, "mismatch")))
			put(c, " <span class=\"badge badge-phish\">%t</span>", T_LINK_LIES);
		if (json_word(link, "shown")[0])
			put(c, " <span class=\"small\">\xe2\x80\x9c<bdi>%s</bdi>\xe2\x80\x9d</span>", json_word(link, "shown"));
		put(c, "<br><code><bdi>%s</bdi></code></li>", json_word(link, "url"));
	}
	put(c, "</ul></details>");
}

static void
put_text(struct call *c, const json_t *content)
{
	struct span text = span_of(json_word(content, "text"));
	bool cut = text.n > TEXT_SHOWN;

	put(c, "<section class=\"card\"><h2>%t</h2>", json_is_true(json_object_get(content, "has_text")) ? T_TEXT : T_TEXT_OF_HTML);
	if (text.n == 0)
		put(c, "<p>%t</p>", T_NO_TEXT);
	else
		put(c, "<pre class=\"body\"><bdi>%S</bdi></pre>", span_head(text, TEXT_SHOWN));
	if (cut)
		put(c, "<p class=\"small\">%t</p>", T_CUT);
	put(c, "</section>");
}

static void
put_seal(struct call *c, const json_t *e)
{
	const json_t *seal;
	bool asked = strcmp(seal_state(c->review, c->who.name, json_word(e, "id"), &seal), "asked") == 0;

	put(c, "<section class=\"card\"><h2>%t</h2><p>%t</p>", T_SEALED, T_SEALED_WHY);
	if (asked) {
		put(c, "<p role=\"status\"><strong>%t</strong> %t: <q><bdi>%s</bdi></q></p></section>", T_SEAL_WAITS, T_REASON, json_word(seal, "reason"));
		return;
	}
	put(c, "<form class=\"row\" method=\"post\" action=\"");
	put_entry_path(c, e, "/unseal");
	put(c, "\">");
	put_csrf(c);
	put(c, "<label class=\"reason grow\"><span>%t</span><input name=\"reason\" minlength=\"3\" maxlength=\"200\" required></label>"
	    "<button>%t</button></form></section>", T_REASON, T_UNSEAL);
}

void
message_body(struct call *c, const json_t *e, unsigned rights)
{
	const json_t *content = c->kept[1];

	if (content == NULL)
		return;
	if (json_object_get(content, "error")) {
		put(c, "<p class=\"alert\">%t</p>", T_NOT_SHOWN);
		return;
	}
	if (rights & MAY_HEADERS)
		put_authentication(c, json_object_get(c->kept[0], "symbols"), content);
	if (rights & MAY_PREVIEW) {
		put_text(c, content);
		put_parts(c, content);
		put_links(c, content);
		if (json_word(content, "html")[0] && !(permit_rights(c->who.role, json_word(e, "class"), true) & MAY_UNSEAL)) {
			put(c, "<details class=\"card\" id=\"html\"><summary>%t</summary><p class=\"small\">%t</p>"
			    "<iframe sandbox=\"\" loading=\"lazy\" referrerpolicy=\"no-referrer\" title=\"%t\" src=\"", T_HTML, T_HTML_SAFE, T_HTML);
			put_entry_path(c, e, "/html");
			put(c, "\"></iframe></details>");
		}
	} else if (rights & MAY_UNSEAL) {
		put_seal(c, e);
	}
	if (rights & MAY_HEADERS)
		put_headers(c, content);
	if (rights & MAY_DOWNLOAD) {
		put(c, "<p><a class=\"button\" href=\"");
		put_entry_path(c, e, "/mail.eml");
		put(c, "\" download>%t</a></p>", T_DOWNLOAD);
	}
}

/* ---- the frame ---- */

static void
framed(struct call *c, json_t *reply, int fd)
{
	char policy[400];

	(void)fd;
	if (call_failed(c, reply))
		return;
	/* A hash for the one style; "sandbox" here as well, so that the address alone does no more than the frame. */
	snprintf(policy, sizeof policy, "default-src 'none'; style-src '%s'; sandbox; frame-ancestors 'self'; base-uri 'none'; form-action 'none'",
	    style_hash(FRAME_STYLE));
	put(c, "<!doctype html><html><head><meta charset=\"utf-8\"><title>mail</title><style>");
	buf_add(&c->out, FRAME_STYLE, sizeof FRAME_STYLE - 1);
	put(c, "</style></head><body>");
	const char *html = json_word(reply, "html");

	buf_add(&c->out, html, strlen(html));        /* harmless by html_sanitize, and powerless by the policy */
	put(c, "</body></html>");
	json_decref(reply);
	call_bare(c, &(struct http_reply){ .status = 200, .type = "text/html; charset=utf-8", .policy = policy, .frame = "SAMEORIGIN" });
}

/* The entry, if the body may be read without breaking a seal; else the call ends here. */
static bool
readable(struct call *c, json_t *reply, int fd, unsigned wanted)
{
	json_t *e = json_array_get(json_object_get(reply, "entries"), 0);
	unsigned rights = 0;

	if (call_failed(c, reply)) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	if (e && call_rights_of(c, e, &rights) && (rights & wanted) && fd >= 0)
		return true;
	if (fd >= 0)
		close(fd);
	json_decref(reply);
	call_missing(c);
	return false;
}

static void
frame_found(struct call *c, json_t *reply, int fd)
{
	if (!readable(c, reply, fd, MAY_PREVIEW))
		return;
	json_decref(reply);
	ask_broker(c, json_pack("{s:s}", "cmd", "render"), fd, framed);
}

void
get_message_html(struct call *c)
{
	message_ask(c, true, frame_found);
}

/* ---- the mail itself, as it came ---- */

static void
download_found(struct call *c, json_t *reply, int fd)
{
	char disposition[120];

	if (!readable(c, reply, fd, MAY_DOWNLOAD))
		return;
	const json_t *e = json_array_get(json_object_get(reply, "entries"), 0);
	struct span mail = map_fd(fd);

	close(fd);
	if (!audit_call(c, "mail.download", json_word(e, "id"), json_word(e, "customer"), "")) {
		unmap(mail);
		json_decref(reply);
		call_error(c, 503, T_TRY_LATER);
		return;
	}
	snprintf(disposition, sizeof disposition, "attachment; filename=\"%s.eml\"", json_word(e, "id"));
	buf_add_span(&c->out, mail);
	unmap(mail);
	json_decref(reply);
	call_bare(c, &(struct http_reply){ .status = 200, .type = "application/octet-stream", .disposition = disposition,
	    .policy = "default-src 'none'; sandbox" });
}

void
get_message_mail(struct call *c)
{
	message_ask(c, true, download_found);
}
