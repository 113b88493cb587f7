#include "policyd/store/source.h"

#include <arpa/inet.h>
#include <event2/bufferevent.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>

#include "policyd/base/buf.h"
#include "policyd/base/clock.h"
#include "policyd/base/log.h"
#include "policyd/base/map.h"
#include "policyd/base/metrics.h"

enum { TICK_MS = 50, AWAY_MS = 1000, KEYS = 3 };

struct known {                               /* what the table said of one key */
	struct known *next;                  /* the older one */
	char *key;
	json_t *values;                      /* NULL: not there */
	int64_t asked_ms;
};

struct question {                            /* in flight, in the order of answers */
	struct question *next;
	char *key;
	int64_t asked_ms;
};

struct source_wait {
	struct source_wait *next;
	struct source *source;
	source_found found;
	void *arg;
	int64_t deadline_ms;
	char keys[KEYS][MAX_ADDRESS + 2];
	int count, at;                       /* keys; which of them is asked about */
};

struct source {
	struct event_base *base;
	struct policy_source config;
	struct bufferevent *line;            /* NULL: not connected */
	struct event *tick;
	struct map known;
	struct known *newest;
	size_t known_count;
	struct question *first, **last;
	struct source_wait *waits;
	int64_t away_until_ms, answered_ms, complained_ms;
};

static void serve_waits(struct source *s);

/* ---- values ---- */

json_t *
source_values(struct span text)
{
	json_t *values = json_object();

	for (text = span_trim(text); text.n > 0; text = span_trim(text)) {
		size_t equals = span_find_char(text, '=');
		struct span name = span_head(text, equals == SPAN_NONE ? 0 : equals), value = span_from(text, name.n + 1);
		char quote = value.n > 0 && (value.p[0] == '"' || value.p[0] == '\'') ? value.p[0] : '\0', key[64];
		size_t n = 0;

		if (quote)
			value = span_from(value, 1);
		while (n < value.n && (quote ? value.p[n] != quote : !ascii_space(value.p[n]) && value.p[n] != ','))
			n++;
		json_t *string = name.n > 0 && name.n < sizeof key && !(quote && n == value.n) ? json_stringn(value.p, n) : NULL;

		if (string == NULL) {
			json_decref(values);
			return NULL;
		}
		snprintf(key, sizeof key, SPAN_FMT, SPAN_ARG(name));
		json_object_set_new(values, key, string);
		text = span_from(value, n + (n < value.n));
		if (text.n > 0 && text.p[0] == ',')
			text = span_from(text, 1);
	}
	return values;
}

/* ---- what is known ---- */

static struct known *
known_find(const struct source *s, const char *key)
{
	struct known *k = map_get(&s->known, span_hash(span_of(key), 51));

	return k && strcmp(k->key, key) == 0 ? k : NULL;
}

static void
forget_all(struct source *s)
{
	while (s->newest) {
		struct known *next = s->newest->next;

		free(s->newest->key);
		json_decref(s->newest->values);
		free(s->newest);
		s->newest = next;
	}
	map_free(&s->known);
	s->known = (struct map){ 0 };
	s->known_count = 0;
}

/* Takes `values`. A full cache begins anew: what is needed comes back with its next mail. */
static void
known_put(struct source *s, const char *key, json_t *values)
{
	struct known *k = known_find(s, key);

	if (k == NULL) {
		if (s->known_count >= SOURCE_CACHED_MOST)
			forget_all(s);
		struct known *other = map_get(&s->known, span_hash(span_of(key), 51));

		k = other ? NULL : calloc(1, sizeof *k);
		if (k == NULL || (k->key = strdup(key)) == NULL || !map_put(&s->known, span_hash(span_of(key), 51), k)) {
			if (k)
				free(k->key);
			free(k);
			json_decref(values);
			return;
		}
		k->next = s->newest;
		s->newest = k;
		s->known_count++;
	}
	json_decref(k->values);
	k->values = values;
	k->asked_ms = clock_ms();
}

static bool
fresh(const struct source *s, const struct known *k)
{
	return k && clock_ms() - k->asked_ms < (int64_t)(k->values ? s->config.fresh_s : s->config.absent_s) * 1000;
}

/* ---- the line ---- */

static void
hang_up(struct source *s, const char *why)
{
	if (s->line)
		bufferevent_free(s->line);
	s->line = NULL;
	while (s->first) {
		struct question *next = s->first->next;

		metrics_add(M_SOURCE_FAILED, 1);
		free(s->first->key);
		free(s->first);
		s->first = next;
	}
	s->last = &s->first;
	s->away_until_ms = clock_ms() + AWAY_MS;
	log_seldom(&s->complained_ms, 30, "policy_source %s: %s; what it said before goes on, for others what is here", s->config.socket, why);
}

/* The answer to the oldest question. NULL: the table could not tell. */
static void
take_answer(struct source *s, bool told, json_t *values)
{
	struct question *q = s->first;

	if (q == NULL) {
		json_decref(values);
		hang_up(s, "it answered what was not asked");
		return;
	}
	s->first = q->next;
	if (s->first == NULL)
		s->last = &s->first;
	if (told) {
		known_put(s, q->key, values);
		s->answered_ms = clock_ms();
	} else {
		metrics_add(M_SOURCE_FAILED, 1);
		s->away_until_ms = clock_ms() + AWAY_MS;
		log_seldom(&s->complained_ms, 30, "policy_source %s: it cannot tell now", s->config.socket);
	}
	free(q->key);
	free(q);
}

static void
take_text(struct source *s, struct span text)
{
	json_t *values = source_values(text);

	if (values == NULL) {
		metrics_add(M_SOURCE_BAD, 1);
		log_seldom(&s->complained_ms, 30, "policy_source %s: \"" SPAN_FMT "\" is not FIELD=VALUE...; taken as nothing", s->config.socket,
		    SPAN_ARG(span_head(text, 100)));
	}
	take_answer(s, true, values);
}

/* "11:OK tag=3.5 ,": false when more is to come. */
static bool
read_socketmap(struct source *s, struct evbuffer *in)
{
	char head[12] = "";
	size_t have = evbuffer_get_length(in), peek = have < sizeof head - 1 ? have : sizeof head - 1;
	unsigned long n;
	char *colon;

	evbuffer_copyout(in, head, peek);
	n = strtoul(head, &colon, 10);
	if (colon == head || (*colon != ':' && peek == sizeof head - 1) || n > SOURCE_REPLY_MOST || (*colon && *colon != ':')) {
		hang_up(s, "its answer is no netstring");
		return false;
	}
	size_t at = (size_t)(colon - head) + 1;

	if (*colon != ':' || have < at + n + 1)
		return false;
	char *text = (char *)evbuffer_pullup(in, (ev_ssize_t)(at + n + 1));
	struct span body = span_make(text + at, n), word = span_cut(&body, ' ');

	if (text[at + n] != ',') {
		hang_up(s, "its answer is no netstring");
		return false;
	}
	if (span_eq(word, SPAN("OK")))
		take_text(s, body);
	else
		take_answer(s, span_eq(word, SPAN("NOTFOUND")), NULL);
	if (s->line)
		evbuffer_drain(in, at + n + 1);
	return s->line != NULL;
}

static size_t
decode_percent(char *text)
{
	size_t n = 0;
	unsigned int c;

	for (const char *p = text; *p; p++) {
		if (*p == '%' && strspn(p + 1, "0123456789abcdefABCDEF") >= 2 && sscanf(p + 1, "%2x", &c) == 1) {
			text[n++] = (char)c;
			p += 2;
		} else {
			text[n++] = *p;
		}
	}
	return n;
}

static bool
read_tcp(struct source *s, struct evbuffer *in)
{
	size_t n;
	char *line = evbuffer_readln(in, &n, EVBUFFER_EOL_CRLF);

	if (line == NULL) {
		if (evbuffer_get_length(in) > SOURCE_REPLY_MOST)
			hang_up(s, "its line is too long");
		return false;
	}
	if (strncmp(line, "200 ", 4) == 0)
		take_text(s, span_make(line + 4, decode_percent(line + 4)));
	else if (strncmp(line, "500", 3) == 0 || strncmp(line, "400", 3) == 0)
		take_answer(s, line[0] == '5', NULL);
	else
		hang_up(s, "its answer is no tcp_table's");
	free(line);
	return s->line != NULL;
}

static void
on_read(struct bufferevent *line, void *arg)
{
	struct source *s = arg;
	struct evbuffer *in = bufferevent_get_input(line);

	while (s->line && evbuffer_get_length(in) > 0 && (s->config.map[0] ? read_socketmap(s, in) : read_tcp(s, in)))
		continue;
	serve_waits(s);
}

static void
on_event(struct bufferevent *line, short what, void *arg)
{
	(void)line;
	if (what & BEV_EVENT_CONNECTED)
		return;
	hang_up(arg, what & BEV_EVENT_TIMEOUT ? "no answer in time" : "connection closed");
	serve_waits(arg);
}

/* "unix:/path" or "inet:port@address". */
static int
place(const char *name, struct sockaddr_storage *to)
{
	struct sockaddr_un *un = (struct sockaddr_un *)to;
	struct sockaddr_in *in = (struct sockaddr_in *)to;
	const char *at = strchr(name, '@');
	struct ip ip;

	memset(to, 0, sizeof *to);
	if (strncmp(name, "unix:", 5) == 0) {
		un->sun_family = AF_UNIX;
		snprintf(un->sun_path, sizeof un->sun_path, "%s", name + 5);
		return sizeof *un;
	}
	if (at == NULL || !ip_parse(span_of(at + 1), &ip) || ip.family != AF_INET)
		return -1;
	in->sin_family = AF_INET;
	in->sin_port = htons((uint16_t)atoi(name + 5));
	memcpy(&in->sin_addr, ip.bytes, 4);
	return sizeof *in;
}

static bool
dial(struct source *s)
{
	struct timeval limit = { s->config.timeout_ms / 1000, s->config.timeout_ms % 1000 * 1000 };
	struct sockaddr_storage to;
	int n = place(s->config.socket, &to);

	if (s->line)
		return true;
	if (clock_ms() < s->away_until_ms || n < 0)
		return false;
	s->line = bufferevent_socket_new(s->base, -1, BEV_OPT_CLOSE_ON_FREE);
	if (s->line == NULL)
		return false;
	bufferevent_setcb(s->line, on_read, NULL, on_event, s);
	bufferevent_enable(s->line, EV_READ | EV_WRITE);
	bufferevent_set_timeouts(s->line, NULL, &limit);
	if (bufferevent_socket_connect(s->line, (struct sockaddr *)&to, n) < 0 && s->line) {
		hang_up(s, "cannot connect");
		return false;
	}
	return s->line != NULL;
}

static bool
asked_already(const struct source *s, const char *key)
{
	for (const struct question *q = s->first; q; q = q->next)
		if (strcmp(q->key, key) == 0)
			return true;
	return false;
}

static bool
ask(struct source *s, const char *key)
{
	struct buf text = { 0 };
	struct question *q;

	if (asked_already(s, key))
		return true;
	if (!dial(s) || (q = calloc(1, sizeof *q)) == NULL)
		return false;
	if (s->config.map[0]) {
		buf_printf(&text, "%zu:%s %s,", strlen(s->config.map) + 1 + strlen(key), s->config.map, key);
	} else {
		buf_printf(&text, "get ");
		for (const unsigned char *p = (const unsigned char *)key; *p; p++) {
			if (*p <= 0x20 || *p >= 0x7f || *p == '%')
				buf_printf(&text, "%%%02x", *p);
			else
				buf_add_char(&text, (char)*p);
		}
		buf_add_char(&text, '\n');
	}
	q->key = strdup(key);
	q->asked_ms = clock_ms();
	if (q->key == NULL || text.failed || bufferevent_write(s->line, text.p, text.n) < 0) {
		free(q->key);
		free(q);
		buf_free(&text);
		return false;
	}
	buf_free(&text);
	*s->last = q;
	s->last = &q->next;
	metrics_add(M_SOURCE_ASKED, 1);
	return true;
}

/* ---- who waits ---- */

/* The first key that is there, of those whose answers are known; stale ones count when nothing else can be had. */
static bool
look(struct source_wait *w, bool stale, json_t **values)
{
	struct source *s = w->source;

	for (w->at = 0; w->at < w->count; w->at++) {
		struct known *k = known_find(s, w->keys[w->at]);
		bool usable = fresh(s, k) || (stale && k && clock_ms() - k->asked_ms < (int64_t)s->config.stale_s * 1000);

		if (!usable && !stale)
			return false;
		if (usable && k->values) {
			*values = k->values;
			if (!fresh(s, k))
				metrics_add(M_SOURCE_STALE, 1);
			return true;
		}
	}
	*values = NULL;
	return true;
}

/* Goes on with one who waits; true: he has his answer and is gone. */
static bool
serve(struct source_wait *w)
{
	json_t *values = NULL;
	bool done = look(w, false, &values);

	if (!done && clock_left_ms(w->deadline_ms) > 0 && ask(w->source, w->keys[w->at]))
		return false;
	if (!done)
		look(w, true, &values);
	for (struct source_wait **at = &w->source->waits; *at; at = &(*at)->next)
		if (*at == w) {
			*at = w->next;
			break;
		}
	json_incref(values);
	w->found(w->arg, values);
	json_decref(values);
	free(w);
	return true;
}

/* An answer may bring others with it, or a callback a new question: from the start each time one is served. */
static void
serve_waits(struct source *s)
{
	for (struct source_wait *w = s->waits, *next; w; w = next) {
		next = w->next;
		if (serve(w))
			next = s->waits;
	}
}

struct source_wait *
source_find(struct source *s, const char *address, const char *base, source_found found, void *arg)
{
	struct source_wait *w = calloc(1, sizeof *w);
	const char *at = strrchr(address, '@');

	if (w == NULL || at == NULL || strlen(address) > MAX_ADDRESS || strpbrk(address, "\r\n")) {
		free(w);
		found(arg, NULL);
		return NULL;
	}
	*w = (struct source_wait){ .source = s, .found = found, .arg = arg, .deadline_ms = clock_ms() + s->config.timeout_ms, .next = s->waits };
	snprintf(w->keys[w->count++], sizeof w->keys[0], "%s", address);
	if (base[0])
		snprintf(w->keys[w->count++], sizeof w->keys[0], "%s", base);
	snprintf(w->keys[w->count++], sizeof w->keys[0], "%s", at);
	s->waits = w;
	json_t *values;

	if (look(w, false, &values))
		metrics_add(M_SOURCE_CACHED, 1);
	return serve(w) ? NULL : w;
}

void
source_cancel(struct source_wait *w)
{
	for (struct source_wait **at = &w->source->waits; *at; at = &(*at)->next)
		if (*at == w) {
			*at = w->next;
			break;
		}
	free(w);
}

/* ---- life ---- */

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct source *s = arg;

	(void)fd;
	(void)what;
	if (s->first && clock_ms() - s->first->asked_ms > 2 * (int64_t)s->config.timeout_ms)
		hang_up(s, "no answer in time");
	serve_waits(s);
}

bool
source_wanted(const struct source *s)
{
	return s->config.socket[0] != '\0';
}

void
source_config(struct source *s, const struct config *config)
{
	if (memcmp(&s->config, &config->policy_source, sizeof s->config) == 0)
		return;
	if (strcmp(s->config.socket, config->policy_source.socket) != 0 || strcmp(s->config.map, config->policy_source.map) != 0) {
		if (s->line)
			hang_up(s, "the settings name another");
		s->away_until_ms = 0;
		forget_all(s);
	}
	s->config = config->policy_source;
	serve_waits(s);
}

struct source *
source_open(struct event_base *base, const struct config *config)
{
	struct timeval tick = { 0, TICK_MS * 1000 };
	struct source *s = calloc(1, sizeof *s);

	if (s == NULL || (s->tick = event_new(base, -1, EV_PERSIST, on_tick, s)) == NULL || event_add(s->tick, &tick) < 0) {
		free(s);
		return NULL;
	}
	s->base = base;
	s->last = &s->first;
	s->config = config->policy_source;
	return s;
}

void
source_close(struct source *s)
{
	s->complained_ms = clock_ms();       /* an end that is wanted is nothing to complain of */
	hang_up(s, "closing");
	while (s->waits)
		source_cancel(s->waits);
	forget_all(s);
	event_free(s->tick);
	free(s);
}

json_t *
source_status(const struct source *s)
{
	return json_pack("{s:b, s:b, s:s, s:i, s:I}", "configured", source_wanted(s), "away", clock_ms() < s->away_until_ms, "socket", s->config.socket,
	    "cached", (int)s->known_count, "answered_ms_ago", (json_int_t)(s->answered_ms ? clock_ms() - s->answered_ms : -1));
}
