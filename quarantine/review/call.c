/* call.c - how a call is answered: JSON, a page, an error in either form; and its end. */
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>

#include "policyd/base/clock.h"
#include "policyd/base/log.h"
#include "quarantine/review/pages.h"

enum { MISSING_STEP_MS = 100 };

void
call_free(struct call *c)
{
	for (size_t i = 0; i < sizeof c->kept / sizeof *c->kept; i++)
		json_decref(c->kept[i]);
	json_decref(c->body);
	buf_free(&c->out);
	free(c);
}

void
call_bare(struct call *c, const struct http_reply *reply)
{
	http_reply(c->http, reply, &c->out);
	call_free(c);
}

void
call_json(struct call *c, int status, json_t *body)
{
	char *text = json_dumps(body, JSON_COMPACT);

	json_decref(body);
	buf_clear(&c->out);
	buf_add(&c->out, text ? text : "{}", text ? strlen(text) : 2);
	buf_add_char(&c->out, '\n');
	free(text);
	call_bare(c, &(struct http_reply){ .status = status, .type = "application/json" });
}

void
call_page(struct call *c, int status)
{
	struct buf inner = c->out;

	c->out = (struct buf){ 0 };
	page_head(c);
	buf_add(&c->out, inner.p ? inner.p : "", inner.n);
	c->out.failed |= inner.failed;
	buf_free(&inner);
	page_foot(c);
	call_bare(c, &(struct http_reply){ .status = status, .type = "text/html; charset=utf-8" });
}

void
call_redirect(struct call *c, const char *path)
{
	buf_clear(&c->out);
	call_bare(c, &(struct http_reply){ .status = 303, .location = path });
}

void
call_error(struct call *c, int status, enum text why)
{
	if (c->api) {
		call_json(c, status, json_pack("{s:s, s:i}", "error", text_in(LANGUAGE_EN, why), "status", status));
		return;
	}
	buf_clear(&c->out);
	snprintf(c->title, sizeof c->title, "%s", text_in(c->language, why));
	put(c, "<section class=\"notice\"><h1>%t</h1><p><a href=\"/\">%t</a></p></section>", why, T_BACK_HOME);
	call_page(c, status);
}

/* It may not be, and this is why: a sentence of the broker's. */
void
call_refused(struct call *c, const char *why)
{
	if (c->api) {
		call_json(c, 422, json_pack("{s:o, s:i}", "error", json_safe(why), "status", 422));
		return;
	}
	buf_clear(&c->out);
	snprintf(c->title, sizeof c->title, "%s", text_in(c->language, T_NOT_SAVED));
	put(c, "<section class=\"notice\"><h1>%t</h1><p>%s</p><p><a href=\"/\">%t</a></p></section>", T_NOT_SAVED, why, T_BACK_HOME);
	call_page(c, 422);
}

static void
missing_now(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	call_error(arg, 404, T_NOT_THERE);
}

/* The answer goes out at a full step of the clock since the request came: how long the look-up took cannot be seen. */
void
call_missing(struct call *c)
{
	int64_t took = clock_ms() - c->start_ms, wait = MISSING_STEP_MS - took % MISSING_STEP_MS;
	struct timeval tv = { wait / 1000, wait % 1000 * 1000 };

	if (event_base_once(c->review->base, -1, EV_TIMEOUT, missing_now, c, &tv) < 0)
		call_error(c, 404, T_NOT_THERE);
}

bool
call_failed(struct call *c, json_t *reply)
{
	static int64_t complained;
	const char *error = json_string_value(json_object_get(reply, "error"));

	if (error == NULL)
		return false;
	if (json_integer_value(json_object_get(reply, "exit")) == 2) {
		log_seldom(&complained, 10, "review: %s: %s", c->route->path, error);
		call_error(c, 400, T_BAD_REQUEST);
	} else if (json_is_true(json_object_get(reply, "silent"))) {
		log_seldom(&complained, 10, "review: %s: %s", c->route->path, error);
		call_error(c, 503, T_TRY_LATER);
	} else {
		call_missing(c);
	}
	json_decref(reply);
	return true;
}

bool
call_value(struct call *c, const char *name, char *to, size_t room)
{
	to[0] = '\0';
	if (!c->api)
		return form_value(c->http->body, name, to, room);
	const json_t *value = json_object_get(c->body, name);
	const char *text = json_string_value(value);

	if (json_is_true(value))
		text = "1";
	if (text == NULL || strlen(text) >= room)
		return false;
	memcpy(to, text, strlen(text) + 1);
	return true;
}

bool
call_query(struct call *c, const char *name, char *to, size_t room)
{
	return form_value(c->http->head.query, name, to, room);
}
