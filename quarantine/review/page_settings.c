/* page_settings.c - thresholds, allow and block lists, digests: what a mailbox owner or a customer's admin may set himself.
 *
 * The policies are the broker's (customers_request.c): it knows bounds and locks, and refuses what is outside of them; its
 * reason is shown. Keys: an owner's own mailboxes; an admin's customer, domains and mailboxes (the broker checks the scope). */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "quarantine/review/audit.h"
#include "quarantine/review/customers.h"
#include "quarantine/review/digest.h"
#include "quarantine/review/pages.h"

enum { KEY_ROOM = MAX_ADDRESS + 16, ENTRY_ROOM = 400 };

static const struct threshold { const char *field; enum text words; } thresholds[] = {
	{ "tag", T_TAG_FROM }, { "quarantine", T_HOLD_FROM }, { "discard", T_DISCARD_FROM },
};
static const struct kind { const char *name; enum text words; } kinds[] = {
	{ "from", T_LIST_FROM }, { "domain", T_LIST_DOMAIN }, { "dkim", T_LIST_DKIM }, { "list-id", T_LIST_LIST_ID },
};

/* Which record the call is about; false: not one that he may touch, and the call has ended. */
static bool
settings_key(struct call *c, const char *given, char key[KEY_ROOM])
{
	const struct viewer *w = &c->who;

	if (w->role == ROLE_ADMIN) {         /* as people write it: an address, a domain, nothing for all of it */
		struct span name = span_trim(span_of(given));

		if (name.n == 0)
			snprintf(key, KEY_ROOM, "customer:%s", w->customer);
		else if (span_find_char(name, ':') != SPAN_NONE)
			snprintf(key, KEY_ROOM, SPAN_FMT, SPAN_ARG(name));
		else
			snprintf(key, KEY_ROOM, "%s:" SPAN_FMT, span_find_char(name, '@') == SPAN_NONE ? "domain" : "mailbox", SPAN_ARG(name));
		if (strncmp(key, "customer:", 9) != 0 || strcmp(key + 9, w->customer) == 0)
			return true;         /* domains and mailboxes: the broker knows whose they are */
	} else {
		for (int i = 0; i < w->address_count; i++) {
			snprintf(key, KEY_ROOM, "mailbox:%s", w->addresses[i]);
			if (given[0] == '\0' || strcmp(given, key) == 0)
				return true;
		}
	}
	call_missing(c);
	return false;
}

/* Writes carry the scope. A look at a record does not: for the broker one that is not there yet is nobody's; whose the address
 * is has been asked before. */
static json_t *
policy_request(const struct call *c, const char *cmd, const char *key)
{
	json_t *request = json_pack("{s:s, s:s, s:s}", "cmd", cmd, "key", key, "who", c->who.name);

	if (c->who.customer[0] && strcmp(cmd, "policy.get") != 0)
		json_object_set_new(request, "scope", json_string(c->who.customer));
	return request;
}

/* "mailbox:bob@x" -> "bob@x"; a customer's own values are explained at no address. */
static const char *
key_address(const char *key)
{
	return strncmp(key, "mailbox:", 8) == 0 ? key + 8 : strncmp(key, "domain:", 7) == 0 ? key + 7 : "";
}

/* ---- the page: kept[0] {"key"}, kept[1] the record, kept[2] the effective values or NULL ---- */

static const char *
field_of(const json_t *explained, const char *name, const char *part)
{
	size_t i;
	json_t *f;

	json_array_foreach(json_object_get(explained, "fields"), i, f)
		if (strcmp(json_word(f, "field"), name) == 0)
			return json_word(f, part);
	return "";
}

static void
put_thresholds(struct call *c, const char *key)
{
	const json_t *values = json_object_get(c->kept[1], "values");

	put(c, "<form class=\"card stack\" method=\"post\" action=\"/settings\"><h2>%t</h2><p class=\"small\">%t</p>", T_THRESHOLDS, T_THRESHOLDS_HOW);
	put_csrf(c);
	put(c, "<input type=\"hidden\" name=\"key\" value=\"%s\">", key);
	for (size_t i = 0; i < sizeof thresholds / sizeof *thresholds; i++) {
		const char *name = thresholds[i].field, *now = field_of(c->kept[2], name, "value"), *level = field_of(c->kept[2], name, "level");

		put(c, "<label for=\"%s\">%t</label><input id=\"%s\" name=\"%s\" value=\"%s\" placeholder=\"%s\" maxlength=\"8\" autocomplete=\"off\">", name,
		    thresholds[i].words, name, name, json_word(values, name), now);
		if (now[0])
			put(c, "<span class=\"small\">%t %s, %s</span>", T_IN_FORCE, text_word(c->language, now), text_level(c->language, level));
	}
	put(c, "<p><button class=\"primary\">%t</button></p></form>", T_SAVE);
}

static void
put_list_entry(struct call *c, const char *name, const json_t *entry)
{
	json_int_t until = json_integer_value(json_object_get(entry, "until"));

	put(c, "<li>");
	put_allow(c, name);
	put(c, " <span class=\"small\">%s", json_word(entry, "comment"));
	if (until) {
		put(c, " \xc2\xb7 %t ", until < review_store_time(review_time_s(c->review)) ? T_ENDED : T_UNTIL);
		put_time(c, until);
	}
	put(c, "</span> <button class=\"quiet\" name=\"remove\" value=\"%s\">%t<span class=\"sr\"> %s</span></button></li>", name, T_REMOVE, name);
}

static void
put_list(struct call *c, const char *key, const char *which, enum text title, enum text how)
{
	const json_t *list = json_object_get(json_object_get(c->kept[1], "values"), which);
	const char *name;
	json_t *entry;

	put(c, "<section class=\"card\"><h2>%t</h2><p class=\"small\">%t</p>", title, how);
	if (json_object_size(list) > 0) {
		put(c, "<form method=\"post\" action=\"/settings/list\">");
		put_csrf(c);
		put(c, "<input type=\"hidden\" name=\"key\" value=\"%s\"><input type=\"hidden\" name=\"list\" value=\"%s\"><ul class=\"plainlist\">", key, which);
		json_object_foreach((json_t *)list, name, entry)
			put_list_entry(c, name, entry);
		put(c, "</ul></form>");
	}
	put(c, "<form class=\"row\" method=\"post\" action=\"/settings/list\">");
	put_csrf(c);
	put(c, "<input type=\"hidden\" name=\"key\" value=\"%s\"><input type=\"hidden\" name=\"list\" value=\"%s\">"
	    "<label><span class=\"sr\">%t</span><select name=\"kind\">", key, which, T_LIST_KIND);
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		put(c, "<option value=\"%s\">%t</option>", kinds[i].name, kinds[i].words);
	put(c, "</select></label><label class=\"grow\"><span class=\"sr\">%t</span><input name=\"entry\" maxlength=\"300\" required></label><button>%t</button></form></section>",
	    T_LIST_ENTRY, T_ADD);
}

static void
put_choice(struct call *c, const char *name, enum text label, const char *const *values, const char *chosen)
{
	put(c, "<label for=\"%s\">%t</label><select id=\"%s\" name=\"%s\">", name, label, name, name);
	for (; *values; values++)
		put(c, "<option value=\"%s\"%s>%s</option>", *values, strcmp(*values, chosen) == 0 ? " selected" : "", text_word(c->language, *values));
	put(c, "</select>");
}

static void
put_review(struct call *c)
{
	static const char *const schedules[] = { "off", "hourly", "daily", "weekly", NULL }, *const yes_no[] = { "no", "yes", NULL },
	    *const languages[] = { "en", "de", NULL };
	const struct review *r = c->review;
	const char *customer = c->who.customer;

	put(c, "<form class=\"card stack\" method=\"post\" action=\"/settings/review\"><h2>%t</h2>", T_DIGESTS);
	put_csrf(c);
	if (c->who.role == ROLE_OWNER) {
		put(c, "<p>%t <strong>%s</strong></p><p class=\"small\">%t</p><p>", T_DIGEST_SCHEDULE, text_word(c->language, customer_value(r, customer, "digest")),
		    T_DIGEST_YOURS);
		if (strcmp(mailbox_digest(r, c->who.addresses[0]), "off") == 0)
			put(c, "<button name=\"digest\" value=\"on\">%t</button>", T_DIGEST_ON);
		else
			put(c, "<button name=\"digest\" value=\"off\">%t</button>", T_DIGEST_OFF);
		put(c, "</p></form>");
		return;
	}
	put_choice(c, "digest", T_DIGEST_SCHEDULE, schedules, customer_value(r, customer, "digest"));
	put(c, "<label for=\"digest_hour\">%t</label><input id=\"digest_hour\" name=\"digest_hour\" inputmode=\"numeric\" pattern=\"[0-9]{1,2}\" value=\"%s\">"
	    "<label for=\"brand\">%t</label><input id=\"brand\" name=\"brand\" maxlength=\"60\" value=\"%s\">", T_DIGEST_HOUR,
	    customer_value(r, customer, "digest_hour"), T_BRAND, customer_value(r, customer, "brand"));
	put_choice(c, "language", T_DIGEST_LANGUAGE, languages, customer_value(r, customer, "language"));
	put_choice(c, "admin_digest", T_ADMIN_DIGEST, schedules, customer_value(r, customer, "admin_digest"));
	put_choice(c, "request_digest", T_REQUEST_DIGEST, schedules, customer_value(r, customer, "request_digest"));
	put(c, "<label for=\"admin_mail\">%t</label><input id=\"admin_mail\" name=\"admin_mail\" maxlength=\"390\" value=\"%s\">", T_ADMIN_MAIL,
	    customer_value(r, customer, "admin_mail"));
	put_choice(c, "admin_reads", T_ADMIN_READS, yes_no, customer_value(r, customer, "admin_reads"));
	put(c, "<p><button class=\"primary\">%t</button></p></form>", T_SAVE);
}

static void
settings_page(struct call *c, const char *alert)
{
	const char *key = json_word(c->kept[0], "key");
	bool mailbox = strncmp(key, "customer:", 9) != 0;
	char said[300];

	snprintf(c->title, sizeof c->title, "%s", text_in(c->language, T_SETTINGS));
	put(c, "<h1>%t</h1>", T_SETTINGS);
	if (call_query(c, "saved", said, sizeof said))
		put(c, "<div class=\"flash\" role=\"status\"><p>%t</p></div>", T_SAVED);
	if (alert)
		put(c, "<p class=\"alert\" role=\"alert\">%t: %s</p>", T_NOT_SAVED, alert);
	if (c->who.role == ROLE_ADMIN) {
		put(c, "<form class=\"search\" method=\"get\" action=\"/settings\"><label class=\"grow\"><span>%t</span><input name=\"key\" value=\"%s\" maxlength=\"330\" "
		    "placeholder=\"%t\"></label><button>%t</button></form>", T_SETTINGS_WHOSE, key_address(key), T_SETTINGS_ALL, T_SHOW);
	} else if (c->who.address_count > 1) {
		put(c, "<form class=\"search\" method=\"get\" action=\"/settings\"><label><span>%t</span><select name=\"key\">", T_SETTINGS_OF);
		for (int i = 0; i < c->who.address_count; i++)
			put(c, "<option value=\"mailbox:%s\"%s>%s</option>", c->who.addresses[i], strcmp(key_address(key), c->who.addresses[i]) == 0 ? " selected" : "",
			    c->who.addresses[i]);
		put(c, "</select></label><button>%t</button></form>", T_SHOW);
	}
	put(c, "<p class=\"small\">%t</p><div class=\"columns\"><div>", T_SETTINGS_NEW_ONLY);
	put_thresholds(c, key);
	if (!mailbox || c->who.role == ROLE_OWNER)
		put_review(c);
	put(c, "</div><div>");
	put_list(c, key, "allow", T_ALLOW_LIST, T_ALLOW_HOW);
	put_list(c, key, "block", T_BLOCK_LIST, T_BLOCK_HOW);
	put(c, "</div></div>");
	call_page(c, alert ? 400 : 200);
}

static const char *
kept_alert(const struct call *c)
{
	const char *alert = json_word(c->kept[0], "alert");

	return alert[0] ? alert : NULL;
}

static void
record_got(struct call *c, json_t *reply, int fd)
{
	(void)fd;
	if (call_failed(c, reply))
		return;
	c->kept[1] = reply;
	if (c->api)
		call_json(c, 200, json_pack("{s:s, s:O?, s:O?}", "key", json_word(c->kept[0], "key"), "values", json_object_get(reply, "values"), "effective",
		    json_object_get(c->kept[2], "fields")));
	else
		settings_page(c, kept_alert(c));
}

/* Whose is that address? An admin sees his own customer's. */
static void
explained(struct call *c, json_t *reply, int fd)
{
	(void)fd;
	if (call_failed(c, reply))
		return;
	c->kept[2] = reply;
	if (c->who.role == ROLE_ADMIN && strcmp(json_word(reply, "customer"), c->who.customer) != 0)
		call_missing(c);
	else
		ask_broker(c, policy_request(c, "policy.get", json_word(c->kept[0], "key")), -1, record_got);
}

static void
show_settings(struct call *c, const char *key, const char *alert)
{
	json_decref(c->kept[0]);
	c->kept[0] = json_pack("{s:s, s:o}", "key", key, "alert", json_safe(alert ? alert : ""));
	if (key_address(key)[0])
		ask_broker(c, json_pack("{s:s, s:s}", "cmd", "policy.explain", "address", key_address(key)), -1, explained);
	else
		ask_broker(c, policy_request(c, "policy.get", key), -1, record_got);
}

void
get_settings(struct call *c)
{
	char given[KEY_ROOM], key[KEY_ROOM];

	call_query(c, "key", given, sizeof given);
	if (settings_key(c, given, key))
		show_settings(c, key, NULL);
}

/* ---- writing ---- */

static void
written(struct call *c, json_t *reply, int fd)
{
	const char *error = json_string_value(json_object_get(reply, "error"));
	char key[KEY_ROOM], to[KEY_ROOM * 3 + 40];
	struct buf query = { 0 };

	(void)fd;
	snprintf(key, sizeof key, "%s", json_word(c->kept[0], "key"));
	if (error == NULL) {
		audit_call(c, "settings.policy", key, c->who.customer, json_word(c->kept[0], "what"));
		json_decref(reply);
		if (c->api) {
			call_json(c, 200, json_pack("{s:s, s:b}", "key", key, "done", 1));
			return;
		}
		for (const char *p = key; *p; p++)
			buf_printf(&query, ascii_alnum(*p) || strchr(".-_", *p) ? "%c" : "%%%02X", (unsigned char)*p);
		snprintf(to, sizeof to, "/settings?saved=1&key=" SPAN_FMT, SPAN_ARG(buf_span(&query)));
		buf_free(&query);
		call_redirect(c, to);
		return;
	}
	if (json_is_true(json_object_get(reply, "foreign"))) {       /* another customer's is not there */
		json_decref(reply);
		call_missing(c);
		return;
	}
	if (c->api) {
		call_json(c, json_is_true(json_object_get(reply, "silent")) ? 503 : 422, json_pack("{s:s, s:i}", "error", error, "status", 422));
		json_decref(reply);
		return;
	}
	char why[300];

	snprintf(why, sizeof why, "%s", error);
	json_decref(reply);
	show_settings(c, key, why);
}

static void
write_values(struct call *c, const char *key, json_t *values, const char *what)
{
	json_t *request = policy_request(c, "policy.set", key);

	json_object_set_new(request, "values", values);
	json_decref(c->kept[0]);
	c->kept[0] = json_pack("{s:s, s:o}", "key", key, "what", json_safe(what));
	ask_broker(c, request, -1, written);
}

/* An empty field takes the value of this level away. */
void
post_settings(struct call *c)
{
	char given[KEY_ROOM], key[KEY_ROOM], value[16], what[200] = "";
	json_t *values;

	call_value(c, "key", given, sizeof given);
	if (!settings_key(c, given, key))
		return;
	values = json_object();
	for (size_t i = 0; i < sizeof thresholds / sizeof *thresholds; i++) {
		size_t n = strlen(what);

		if (!call_value(c, thresholds[i].field, value, sizeof value))
			continue;
		if (value[0])
			json_object_set_new(values, thresholds[i].field, json_safe(value));
		else
			json_object_set_new(values, thresholds[i].field, json_null());
		snprintf(what + n, sizeof what - n, "%s%s=%s", n ? " " : "", thresholds[i].field, value);
	}
	write_values(c, key, values, what);
}

/* One entry put into a list ("allow" or "block") or taken out of it: the broker merges it with what is there. */
static void
settings_list(struct call *c, const char *key, const char *which, const char *entry, bool remove)
{
	char what[ENTRY_ROOM + 60];
	json_t *name = json_safe(entry), *value = remove ? json_null() : json_pack("{s:s}", "by", c->who.name);

	snprintf(what, sizeof what, "%s %s %s", which, remove ? "without" : "with", entry);
	write_values(c, key, json_pack("{s:{s:o}}", which, json_string_value(name), value), what);
	json_decref(name);
}

void
post_settings_list(struct call *c)
{
	char given[KEY_ROOM], key[KEY_ROOM], which[8], kind[16], text[ENTRY_ROOM], entry[ENTRY_ROOM + 20];

	call_value(c, "key", given, sizeof given);
	call_value(c, "list", which, sizeof which);
	if (strcmp(which, "allow") != 0 && strcmp(which, "block") != 0) {
		call_error(c, 400, T_BAD_REQUEST);
		return;
	}
	if (!settings_key(c, given, key))
		return;
	if (call_value(c, "remove", text, sizeof text) && text[0]) {
		settings_list(c, key, which, text, true);
		return;
	}
	call_value(c, "kind", kind, sizeof kind);
	call_value(c, "entry", text, sizeof text);
	snprintf(entry, sizeof entry, "%s:%s", kind, text);
	settings_list(c, key, which, entry, false);
}

void
post_settings_review(struct call *c)
{
	static const char *const names[] = { "digest", "digest_hour", "brand", "language", "admin_digest", "request_digest", "admin_mail", "admin_reads" };
	char value[CUSTOMER_VALUE_ROOM];

	if (c->who.role == ROLE_OWNER) {
		call_value(c, "digest", value, sizeof value);
		for (int i = 0; i < c->who.address_count; i++)
			mailbox_set_digest(c->review, c->who.addresses[i], strcmp(value, "off") == 0 ? "off" : "");
		audit_call(c, strcmp(value, "off") == 0 ? "digest.off" : "digest.on", c->who.name, c->who.customer, "");
		call_redirect(c, "/settings?saved=1");
		return;
	}
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		const char *why;

		if (!call_value(c, names[i], value, sizeof value))
			continue;
		if ((why = customer_set(c->review, c->who.customer, names[i], value)) != NULL) {
			char key[KEY_ROOM];

			settings_key(c, "", key);
			show_settings(c, key, why);
			return;
		}
		audit_call(c, "settings.review", names[i], c->who.customer, value);
	}
	call_redirect(c, "/settings?saved=1");
}

/* ---- from a message: this sender always, or never ---- */

/* Whom to allow was chosen when the mail came, by who had signed it. To be rid of somebody the name on the mail will do: the
 * list's, else the author's; never the envelope's, which mailing software makes anew for each mail. */
static void
sender_entry(const json_t *entry, bool allow, char to[ENTRY_ROOM])
{
	const char *known = json_word(entry, "allow"), *end = strstr(known, "+dkim:");

	if (allow || strncmp(known, "list-id:", 8) == 0)
		snprintf(to, ENTRY_ROOM, "%.*s", !allow && end ? (int)(end - known) : ENTRY_ROOM - 1, known);
	else
		snprintf(to, ENTRY_ROOM, "from:%.350s", json_word(entry, "from"));
}

static void
sender_listed(struct call *c, json_t *reply, int fd)
{
	const json_t *e = json_array_get(json_object_get(c->kept[1], "entries"), 0);
	const char *error = json_string_value(json_object_get(reply, "error"));
	char said[200], back[120];

	(void)fd;
	snprintf(said, sizeof said, "%s %s", json_word(c->kept[3], "list"), json_word(c->kept[3], "entry"));
	if (error && !json_is_true(json_object_get(reply, "silent"))) {
		call_refused(c, error);
		json_decref(reply);
		return;
	}
	if (call_failed(c, reply))
		return;
	audit_call(c, "settings.policy", json_word(e, "recipient"), json_word(e, "customer"), said);
	json_decref(reply);
	if (c->api) {
		call_json(c, 200, json_pack("{s:s, s:s, s:b}", "list", json_word(c->kept[3], "list"), "entry", json_word(c->kept[3], "entry"), "done", 1));
		return;
	}
	snprintf(back, sizeof back, "/m/%s?n=%lld&listed=%s", json_word(e, "id"), (long long)json_integer_value(json_object_get(e, "n")),
	    json_word(c->kept[3], "list"));
	call_redirect(c, back);
}

static void
sender_found(struct call *c, json_t *reply, int fd)
{
	json_t *e = json_array_get(json_object_get(reply, "entries"), 0), *request;
	bool allow = strcmp(json_word(c->kept[3], "list"), "allow") == 0;
	char entry[ENTRY_ROOM], comment[80];
	unsigned rights = 0;

	(void)fd;
	if (call_failed(c, reply))
		return;
	if (e == NULL || !call_rights_of(c, e, &rights) || !(rights & (allow ? MAY_ALLOW : MAY_BLOCK))) {
		json_decref(reply);
		call_missing(c);
		return;
	}
	c->kept[1] = reply;
	sender_entry(e, allow, entry);
	json_object_set_new(c->kept[3], "entry", json_safe(entry));
	snprintf(comment, sizeof comment, "from the quarantine: %.40s", json_word(e, "id"));
	request = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "cmd", "policy.entry", "address", json_word(e, "recipient"), "list",
	    json_word(c->kept[3], "list"), "entry", json_word(c->kept[3], "entry"), "who", c->who.name, "comment", comment);
	if (json_word(e, "customer")[0])
		json_object_set_new(request, "scope", json_string(json_word(e, "customer")));
	ask_broker(c, request, -1, sender_listed);
}

void
post_sender(struct call *c)
{
	const char *which = c->args[1];

	if (strcmp(which, "allow") != 0 && strcmp(which, "block") != 0) {
		call_missing(c);
		return;
	}
	c->kept[3] = json_pack("{s:s}", "list", which);
	message_ask(c, false, sender_found);
}
