/* digest_mail.c - how a digest reads: likely false positives first, alike ones as one, each with a link that shows it and
 * the number that the page behind the link asks for. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "quarantine/review/customers.h"
#include "quarantine/review/digest.h"
#include "quarantine/review/mail.h"
#include "quarantine/review/pages.h"
#include "quarantine/review/voucher.h"

enum { SHOWN_MOST = 40, KEY_ROOM = 400 };

#define CELL "padding:10px 12px;border-top:1px solid #dcdfd9;vertical-align:top"

/* How far above his own threshold: what is least above is most likely wanted. */
static double
distance(const json_t *e)
{
	const json_t *limit = json_object_get(e, "quarantine");

	return json_number_value(json_object_get(e, "points")) - (json_is_number(limit) ? json_number_value(limit) : 0);
}

static int
by_distance(const void *a, const void *b)
{
	double x = distance(*(json_t *const *)a), y = distance(*(json_t *const *)b);

	return (x > y) - (x < y);
}

/* What makes two mails one campaign for a reader: the sender's domain, and the subject without its numbers. */
static void
campaign_key(const json_t *e, char key[KEY_ROOM])
{
	const char *from = json_word(e, "from"), *at = strrchr(from, '@'), *subject = json_word(e, "subject");
	size_t n = (size_t)snprintf(key, KEY_ROOM, "%.100s ", at ? at + 1 : from);

	for (; *subject && n < KEY_ROOM - 1; subject++)
		if (*subject < '0' || *subject > '9')
			key[n++] = ascii_lower(*subject);
	key[n] = '\0';
}

static void
link_of(struct review *r, struct voucher *t, const char *path, char to[TOKEN_ROOM + URL_ROOM], char code[CODE_ROOM])
{
	char token[TOKEN_ROOM];

	voucher_make(r, t, token, code);
	snprintf(to, TOKEN_ROOM + URL_ROOM, "%s/%s/%s", r->self->config->review_url, path, token);
}

static void
add_entry(struct review *r, const char *customer, const char *mailbox, const json_t *e, json_int_t alike, int64_t expires_s, struct own_mail *m)
{
	struct voucher t = { .purpose = TOKEN_MESSAGE, .made_s = review_time_s(r), .expires_s = expires_s,
	    .n = (uint32_t)json_integer_value(json_object_get(e, "n")) };
	char url[TOKEN_ROOM + URL_ROOM], code[CODE_ROOM];
	const char *subject = json_word(e, "subject"), *from = json_word(e, "from");

	snprintf(t.mailbox, sizeof t.mailbox, "%s", mailbox);
	snprintf(t.customer, sizeof t.customer, "%s", customer);
	snprintf(t.id, sizeof t.id, "%s", json_word(e, "id"));
	link_of(r, &t, "d", url, code);
	from = from[0] ? from : json_word(e, "sender");
	subject = subject[0] ? subject : text_in(m->language, T_NO_SUBJECT);

	mail_words(&m->text, span_of(from), false);
	buf_add(&m->text, "\r\n  ", 4);
	mail_words(&m->text, span_of(subject), false);
	buf_printf(&m->text, "\r\n  %s, %.1f %s", text_class(m->language, json_word(e, "class")), json_number_value(json_object_get(e, "points")),
	    text_in(m->language, T_POINTS));
	if (alike > 1)
		buf_printf(&m->text, "; %lld %s", (long long)alike, text_in(m->language, T_ALIKE));
	buf_printf(&m->text, "\r\n  %s %s  %s\r\n\r\n", text_in(m->language, T_NUMBER), code, url);

	buf_printf(&m->html, "<tr><td style=\"" CELL "\"><b>");
	mail_words(&m->html, span_of(from), true);
	buf_printf(&m->html, "</b><br>");
	mail_words(&m->html, span_of(subject), true);
	buf_printf(&m->html, "<br><span style=\"color:#56615d;font-size:13px\">%s, %.1f %s", text_class(m->language, json_word(e, "class")),
	    json_number_value(json_object_get(e, "points")), text_in(m->language, T_POINTS));
	if (alike > 1)
		buf_printf(&m->html, "; %lld %s", (long long)alike, text_in(m->language, T_ALIKE));
	buf_printf(&m->html, "</span></td><td style=\"" CELL ";white-space:nowrap;text-align:right\"><a href=\"%s\" style=\"color:#23614f\">%s</a><br>"
	    "<span style=\"color:#56615d;font-size:13px\">%s</span> <b>%s</b></td></tr>", url, text_in(m->language, T_LOOK), text_in(m->language, T_NUMBER), code);
}

void
digest_compose(struct review *r, const char *customer, const char *mailbox, json_t *entries, int64_t expires_s, struct own_mail *m)
{
	static char subject[300], off[TOKEN_ROOM + URL_ROOM];
	size_t count = json_array_size(entries), shown = 0;
	json_t **sorted = calloc(count + 1, sizeof *sorted), *campaigns = json_object();
	struct voucher t = { .purpose = TOKEN_DIGESTS_OFF, .made_s = review_time_s(r), .expires_s = expires_s };
	char key[KEY_ROOM];
	const char *url = r->self->config->review_url;

	m->language = language_of(customer_value(r, customer, "language"));
	m->from_name = customer_brand(r, customer);
	snprintf(t.mailbox, sizeof t.mailbox, "%s", mailbox);
	snprintf(t.customer, sizeof t.customer, "%s", customer);
	link_of(r, &t, "unsubscribe", off, NULL);
	m->unsubscribe = off;
	snprintf(subject, sizeof subject, "%zu %s", count, text_in(m->language, count == 1 ? T_DIGEST_ONE : T_DIGEST_MANY));
	m->subject = subject;
	for (size_t i = 0; sorted && i < count; i++) {
		sorted[i] = json_array_get(entries, i);
		campaign_key(sorted[i], key);
		json_object_set_new(campaigns, key, json_integer(json_integer_value(json_object_get(campaigns, key)) + 1));
	}
	buf_printf(&m->text, "%s %s\r\n%s\r\n\r\n", text_in(m->language, T_DIGEST_INTRO), mailbox, text_in(m->language, T_DIGEST_HOW));
	buf_printf(&m->html, "<div style=\"font-family:system-ui,sans-serif;font-size:15px;line-height:1.5;color:#1d2422;max-width:640px\"><p>%s <b>",
	    text_in(m->language, T_DIGEST_INTRO));
	mail_words(&m->html, span_of(mailbox), true);
	buf_printf(&m->html, "</b></p><p style=\"color:#56615d\">%s</p><table style=\"border-collapse:collapse;width:100%%\">", text_in(m->language, T_DIGEST_HOW));
	if (sorted)
		qsort(sorted, count, sizeof *sorted, by_distance);
	else
		m->text.failed = true;
	for (size_t i = 0; sorted && i < count && shown < SHOWN_MOST; i++) {
		campaign_key(sorted[i], key);
		json_int_t alike = json_integer_value(json_object_get(campaigns, key));

		if (alike == 0)              /* its first one stands for all */
			continue;
		json_object_set_new(campaigns, key, json_integer(0));
		add_entry(r, customer, mailbox, sorted[i], alike, expires_s, m);
		shown++;
	}
	buf_printf(&m->text, "%s %s/signin/mail\r\n", text_in(m->language, T_DIGEST_ALL), url);
	buf_printf(&m->html, "</table><p style=\"color:#56615d;font-size:13px\">%s <a href=\"%s/signin/mail\" style=\"color:#23614f\">%s</a></p></div>",
	    text_in(m->language, T_DIGEST_ALL), url, url);
	free(sorted);
	json_decref(campaigns);
}
