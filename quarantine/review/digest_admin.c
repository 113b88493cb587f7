/* digest_admin.c - the mails to a customer's admins: what is held for which mailbox, and what waits for their answer. They show
 * a subject only where somebody asks for that mail; their links lead to pages that ask for a sign-in. */
#include <stdio.h>
#include <stdlib.h>

#include "quarantine/review/customers.h"
#include "quarantine/review/digest.h"
#include "quarantine/review/mail.h"
#include "quarantine/review/pages.h"
#include "quarantine/review/seals.h"

enum { MAILBOXES_SHOWN = 100, REQUESTS_SHOWN = 100 };

#define CELL "padding:8px 12px;border-top:1px solid #dcdfd9;vertical-align:top"

static void
begin(struct review *r, const char *customer, struct own_mail *m, char *subject, size_t room, size_t count, enum text one, enum text many, enum text intro)
{
	m->language = language_of(customer_value(r, customer, "language"));
	m->from_name = customer_brand(r, customer);
	snprintf(subject, room, "%zu %s", count, text_in(m->language, count == 1 ? one : many));
	m->subject = subject;
	buf_printf(&m->text, "%s\r\n\r\n", text_in(m->language, intro));
	buf_printf(&m->html, "<div style=\"font-family:system-ui,sans-serif;font-size:15px;line-height:1.5;color:#1d2422;max-width:640px\"><p>%s</p>"
	    "<table style=\"border-collapse:collapse;width:100%%\">", text_in(m->language, intro));
}

static void
end(struct review *r, struct own_mail *m, enum text words, const char *path)
{
	const char *url = r->self->config->review_url;

	buf_printf(&m->text, "\r\n%s %s%s\r\n", text_in(m->language, words), url, path);
	buf_printf(&m->html, "</table><p style=\"color:#56615d;font-size:13px\">%s <a href=\"%s%s\" style=\"color:#23614f\">%s%s</a></p></div>",
	    text_in(m->language, words), url, path, url, path);
}

/* ---- what is held for whom ---- */

struct box {
	const char *address;
	size_t count, waiting;
	json_t *classes;                     /* class -> how many */
};

static int
most_first(const void *a, const void *b)
{
	const struct box *x = a, *y = b;

	if (x->count != y->count)
		return x->count < y->count ? 1 : -1;
	return strcmp(x->address, y->address);
}

static void
add_box(struct own_mail *m, const struct box *box)
{
	const char *class_name;
	json_t *count;
	struct buf kinds = { 0 };

	json_object_foreach(box->classes, class_name, count)
		buf_printf(&kinds, "%s%lld %s", kinds.n ? ", " : "", (long long)json_integer_value(count), text_class(m->language, class_name));
	if (box->waiting)
		buf_printf(&kinds, "; %zu %s", box->waiting, text_in(m->language, T_STATE_REQUESTED));
	buf_printf(&m->text, "%6zu  ", box->count);
	mail_words(&m->text, span_of(box->address), false);
	buf_printf(&m->text, "  (" SPAN_FMT ")\r\n", SPAN_ARG(buf_span(&kinds)));
	buf_printf(&m->html, "<tr><td style=\"" CELL ";text-align:right\"><b>%zu</b></td><td style=\"" CELL "\">", box->count);
	mail_words(&m->html, span_of(box->address), true);
	buf_printf(&m->html, "<br><span style=\"color:#56615d;font-size:13px\">" SPAN_FMT "</span></td></tr>", SPAN_ARG(buf_span(&kinds)));
	m->html.failed |= kinds.failed;
	buf_free(&kinds);
}

/* By mailbox; `boxes` has room for as many as there are entries. */
static size_t
count_boxes(const json_t *entries, struct box *boxes)
{
	json_t *places = json_object(), *e;
	size_t n = 0, i;

	json_array_foreach((json_t *)entries, i, e) {
		const char *address = json_word(e, "recipient"), *class_name = json_word(e, "class");
		json_t *place = json_object_get(places, address);

		if (place == NULL) {
			json_object_set_new(places, address, place = json_integer((json_int_t)n));
			boxes[n++] = (struct box){ .address = address, .classes = json_object() };
		}
		struct box *box = &boxes[json_integer_value(place)];

		box->count++;
		box->waiting += strcmp(json_word(e, "state"), "requested") == 0;
		json_object_set_new(box->classes, class_name, json_integer(json_integer_value(json_object_get(box->classes, class_name)) + 1));
	}
	json_decref(places);
	return n;
}

/* The provider's people who have asked to read this customer's mail and have no answer yet. */
static void
add_seals(struct review *r, const char *customer, struct own_mail *m)
{
	struct viewer admin = { .role = ROLE_ADMIN };

	snprintf(admin.customer, sizeof admin.customer, "%s", customer);
	size_t waiting = seals_waiting(r, &admin);

	if (waiting == 0)
		return;
	buf_printf(&m->text, "\r\n%zu %s %s/seals\r\n", waiting, text_in(m->language, T_DIGEST_SEALS), r->self->config->review_url);
	buf_printf(&m->html, "<tr><td style=\"" CELL ";text-align:right\"><b>%zu</b></td><td style=\"" CELL "\"><a href=\"%s/seals\" style=\"color:#23614f\">%s</a>"
	    "</td></tr>", waiting, r->self->config->review_url, text_in(m->language, T_DIGEST_SEALS));
}

void
digest_compose_admin(struct review *r, const char *customer, const char *mailbox, json_t *entries, int64_t expires_s, struct own_mail *m)
{
	static char subject[200];
	size_t count = json_array_size(entries), n, i;
	struct box *boxes = calloc(count + 1, sizeof *boxes);

	(void)mailbox;
	(void)expires_s;
	begin(r, customer, m, subject, sizeof subject, count, T_DIGEST_ADMIN_ONE, T_DIGEST_ADMIN_MANY, T_DIGEST_ADMIN_INTRO);
	m->html.failed |= boxes == NULL;
	n = boxes ? count_boxes(entries, boxes) : 0;
	qsort(boxes, n, sizeof *boxes, most_first);
	for (i = 0; i < n && i < MAILBOXES_SHOWN; i++)
		add_box(m, &boxes[i]);
	if (n > MAILBOXES_SHOWN)
		buf_printf(&m->text, "  ... %zu %s\r\n", n - MAILBOXES_SHOWN, text_in(m->language, T_DIGEST_MORE_BOXES));
	if (n > MAILBOXES_SHOWN)
		buf_printf(&m->html, "<tr><td></td><td style=\"" CELL "\">%zu %s</td></tr>", n - MAILBOXES_SHOWN, text_in(m->language, T_DIGEST_MORE_BOXES));
	add_seals(r, customer, m);
	end(r, m, T_DIGEST_ADMIN_ALL, "/");
	for (i = 0; i < n; i++)
		json_decref(boxes[i].classes);
	free(boxes);
}

/* ---- what waits for an answer ---- */

static void
add_request(struct review *r, struct own_mail *m, const json_t *e)
{
	const char *from = json_word(e, "from")[0] ? json_word(e, "from") : json_word(e, "sender"), *subject = json_word(e, "subject");
	char url[URL_ROOM + 80];

	snprintf(url, sizeof url, "%s/m/%s?n=%lld", r->self->config->review_url, json_word(e, "id"), (long long)json_integer_value(json_object_get(e, "n")));
	subject = subject[0] ? subject : text_in(m->language, T_NO_SUBJECT);
	mail_words(&m->text, span_of(json_word(e, "recipient")), false);
	buf_printf(&m->text, "\r\n  %s: ", text_in(m->language, T_FROM));
	mail_words(&m->text, span_of(from), false);
	buf_printf(&m->text, "\r\n  ");
	mail_words(&m->text, span_of(subject), false);
	buf_printf(&m->text, "\r\n  %s  %s\r\n\r\n", text_class(m->language, json_word(e, "class")), url);
	buf_printf(&m->html, "<tr><td style=\"" CELL "\"><b>");
	mail_words(&m->html, span_of(json_word(e, "recipient")), true);
	buf_printf(&m->html, "</b><br>%s: ", text_in(m->language, T_FROM));
	mail_words(&m->html, span_of(from), true);
	buf_printf(&m->html, "<br>");
	mail_words(&m->html, span_of(subject), true);
	buf_printf(&m->html, "<br><span style=\"color:#56615d;font-size:13px\">%s</span></td><td style=\"" CELL ";text-align:right\"><a href=\"%s\" "
	    "style=\"color:#23614f\">%s</a></td></tr>", text_class(m->language, json_word(e, "class")), url, text_in(m->language, T_LOOK));
}

void
digest_compose_requests(struct review *r, const char *customer, const char *mailbox, json_t *entries, int64_t expires_s, struct own_mail *m)
{
	static char subject[200];
	size_t i;
	json_t *e;

	(void)mailbox;
	(void)expires_s;
	begin(r, customer, m, subject, sizeof subject, json_array_size(entries), T_DIGEST_REQUEST_ONE, T_DIGEST_REQUEST_MANY, T_DIGEST_REQUEST_INTRO);
	json_array_foreach(entries, i, e)
		if (i < REQUESTS_SHOWN)
			add_request(r, m, e);
	end(r, m, T_DIGEST_REQUEST_ALL, "/?state=requested");
}
