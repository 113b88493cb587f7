#include "policyd/broker/watch.h"

#include <event2/event.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "policyd/base/clock.h"
#include "policyd/base/log.h"
#include "policyd/base/metrics.h"
#include "policyd/store/redis_async.h"

enum { POLL_MS = 1000, REDIS_MS = 1000 };
enum { MODE_ON, MODE_SHADOW, MODE_CANARY, MODE_OFF, MODE_COUNT };      /* lua/rules.h: enum rule_mode; the wire's numbers */
static const char *const mode_names[MODE_COUNT] = { "on", "shadow", "canary", "off" };
static const char modes_key[] = "{rules}:modes", audit_key[] = "{rules}:audit";

struct override {
	char symbol[64];
	uint8_t mode;
	uint32_t share;
};

struct watched {                             /* of this node, since it started */
	char symbol[64];
	uint64_t mails, changed, failures_all, reports;
	uint32_t failures;                   /* in the present window */
	int64_t window_s;
};

struct watch {
	struct broker *broker;
	struct event *timer;
	struct override modes[MAX_MODES];
	size_t mode_count;
	struct watched *at;
	size_t count;
	uint64_t mails;                      /* scanned */
};

/* --- modes: Redis is the truth, this a copy a second old --- */

static struct override *
find_mode(const struct watch *w, const char *symbol)
{
	for (size_t i = 0; i < w->mode_count; i++)
		if (strcmp(w->modes[i].symbol, symbol) == 0)
			return (struct override *)&w->modes[i];
	return NULL;
}

static bool
parse_mode(const json_t *json, struct override *out)
{
	const char *mode = json_string_value(json_object_get(json, "mode"));
	json_int_t share = json_integer_value(json_object_get(json, "share"));

	out->mode = 0;
	while (mode && out->mode < MODE_COUNT && strcmp(mode_names[out->mode], mode) != 0)
		out->mode++;
	out->share = (uint32_t)share;
	return mode && out->mode < MODE_COUNT && share >= 0 && share <= 100;
}

static void
modes_known(void *arg, const struct redisReply *reply)
{
	struct watch *w = arg;

	if (reply == NULL || reply->type != REDIS_REPLY_ARRAY)
		return;                      /* what was known stays */
	w->mode_count = 0;
	for (size_t i = 0; i + 1 < reply->elements && w->mode_count < MAX_MODES; i += 2) {
		struct override *o = &w->modes[w->mode_count];
		json_t *json = json_loadb(reply->element[i + 1]->str, reply->element[i + 1]->len, 0, NULL);

		snprintf(o->symbol, sizeof o->symbol, "%.*s", (int)reply->element[i]->len, reply->element[i]->str);
		w->mode_count += parse_mode(json, o);
		json_decref(json);
	}
}

static void
command(struct watch *w, redis_callback done, int argc, const char *const *argv)
{
	size_t lengths[5];

	for (int i = 0; i < argc; i++)
		lengths[i] = strlen(argv[i]);
	redis_async_command(w->broker->redis, REDIS_MS, done, w, argc, argv, lengths);
}

static void
poll_modes(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	command(arg, modes_known, 2, (const char *const[]){ "HGETALL", modes_key });
}

static bool
set_mode(struct watch *w, const char *symbol, const struct override *to, const char *who, const char *why)
{
	struct override *known = find_mode(w, symbol);
	json_t *entry = json_pack("{s:s, s:i, s:s, s:s, s:I}", "mode", mode_names[to->mode], "share", (int)to->share, "who", who, "why", why,
	    "time", (json_int_t)time(NULL));
	char *text = json_dumps(entry, JSON_COMPACT), keep[16];

	if (text == NULL || (known == NULL && w->mode_count == MAX_MODES)) {
		free(text);
		json_decref(entry);
		return false;
	}
	command(w, NULL, 4, (const char *const[]){ "HSET", modes_key, symbol, text });
	free(text);
	json_object_set_new(entry, "symbol", json_string(symbol));
	json_object_set_new(entry, "was", json_string(known ? mode_names[known->mode] : "as its file says"));
	text = json_dumps(entry, JSON_COMPACT);
	json_decref(entry);
	if (text) {
		snprintf(keep, sizeof keep, "%d", AUDIT_KEPT - 1);
		command(w, NULL, 3, (const char *const[]){ "LPUSH", audit_key, text });
		command(w, NULL, 4, (const char *const[]){ "LTRIM", audit_key, "0", keep });
		free(text);
	}
	if (known == NULL)
		known = &w->modes[w->mode_count++];
	*known = *to;                        /* at once here, within a second elsewhere */
	snprintf(known->symbol, sizeof known->symbol, "%s", symbol);
	log_info("rule %s is %s now, by %s: %s", symbol, mode_names[to->mode], who, why);
	return true;
}

void
watch_pack(const struct watch *w, struct buf *body)
{
	pack_u32(body, (uint32_t)w->mode_count);
	for (size_t i = 0; i < w->mode_count; i++) {
		pack_text(body, w->modes[i].symbol);
		pack_u8(body, w->modes[i].mode);
		pack_u32(body, w->modes[i].share);
	}
}

/* --- what came of it --- */

static struct watched *
watched(struct watch *w, struct span symbol)
{
	for (size_t i = 0; i < w->count; i++)
		if (span_eq(span_of(w->at[i].symbol), symbol))
			return &w->at[i];
	if (w->count == MAX_WATCHED || symbol.n >= sizeof w->at->symbol)
		return NULL;
	struct watched *new = &w->at[w->count++];

	*new = (struct watched){ .window_s = time(NULL) };
	snprintf(new->symbol, sizeof new->symbol, SPAN_FMT, SPAN_ARG(symbol));
	return new;
}

static void
demote(struct watch *w, struct watched *rule, const char *why)
{
	struct override shadow = { .mode = MODE_SHADOW };

	metrics_add(M_RULE_DEMOTED, 1);
	log_error("rule %s is taken out of force (shadow): %s; look at it, then: policyctl rules promote %s", rule->symbol, why, rule->symbol);
	set_mode(w, rule->symbol, &shadow, "policyd", why);
	rule->failures = 0;
	rule->reports = 0;
}

static void
count_failure(struct watch *w, struct span symbol)
{
	struct watched *rule = watched(w, symbol);
	const struct override *mode = rule ? find_mode(w, rule->symbol) : NULL;
	int64_t now_s = time(NULL);

	if (rule == NULL)
		return;
	rule->failures_all++;
	if (now_s - rule->window_s > DEMOTE_WINDOW_S) {
		rule->window_s = now_s;
		rule->failures = 0;
	}
	if (++rule->failures >= DEMOTE_FAILURES && (mode == NULL || mode->mode == MODE_ON || mode->mode == MODE_CANARY)) {
		char why[100];

		snprintf(why, sizeof why, "failed %d times within %d s", DEMOTE_FAILURES, DEMOTE_WINDOW_S);
		demote(w, rule, why);
	}
}

/* Would its points have changed what somebody gets? */
static bool
would_change(const struct tx *tx, double points)
{
	for (uint32_t i = 0; i < tx->recipient_count; i++)
		if (tx_outcome(tx, i, points) != tx_outcome(tx, i, 0))
			return true;
	return false;
}

void
watch_scanned(struct watch *w, const struct tx *tx)
{
	if (w == NULL || !tx->have_scanned)
		return;
	w->mails++;
	for (uint32_t i = 0; i < tx->scanned.symbol_count; i++) {
		const struct symbol *s = &tx->scanned.symbols[i];

		if (span_eq(s->name, SPAN("RULE_FAILED"))) {
			struct span rest = s->evidence;

			count_failure(w, span_cut(&rest, ':'));
		}
		struct watched *rule = s->held != 0 ? watched(w, s->name) : NULL;

		if (rule) {
			rule->mails++;
			rule->changed += would_change(tx, s->held);
		}
	}
}

void
watch_ham(struct watch *w, struct unpack *symbols)
{
	for (uint32_t n = unpack_u32(symbols); w && n > 0 && !symbols->bad; n--) {
		struct span name = unpack_span(symbols);
		struct watched *rule = symbols->bad ? NULL : watched(w, name);
		const struct override *mode = rule ? find_mode(w, rule->symbol) : NULL;

		if (rule == NULL)
			continue;
		rule->reports++;
		if (mode && (mode->mode == MODE_ON || mode->mode == MODE_CANARY) && rule->reports >= DEMOTE_REPORTS) {
			char why[100];

			snprintf(why, sizeof why, "%d mails with it were taught as ham", DEMOTE_REPORTS);
			demote(w, rule, why);
		}
	}
}

/* --- policyctl --- */

static json_t *
status(const struct watch *w)
{
	json_t *rules = json_array(), *modes = json_array();

	for (size_t i = 0; i < w->count; i++) {
		const struct watched *r = &w->at[i];

		json_array_append_new(rules, json_pack("{s:s, s:I, s:I, s:I, s:I}", "symbol", r->symbol, "mails", (json_int_t)r->mails,
		    "would_change", (json_int_t)r->changed, "failures", (json_int_t)r->failures_all, "reports", (json_int_t)r->reports));
	}
	for (size_t i = 0; i < w->mode_count; i++)
		json_array_append_new(modes, json_pack("{s:s, s:s, s:i}", "symbol", w->modes[i].symbol, "mode", mode_names[w->modes[i].mode],
		    "share", (int)w->modes[i].share));
	return json_pack("{s:o, s:o, s:I}", "rules", rules, "modes", modes, "mails", (json_int_t)w->mails);
}

json_t *
watch_request(struct watch *w, const json_t *request)
{
	const char *cmd = json_string_value(json_object_get(request, "cmd"));
	const char *symbol = json_string_value(json_object_get(request, "symbol"));
	const char *who = json_string_value(json_object_get(request, "who")), *why = json_string_value(json_object_get(request, "why"));
	struct override to = { .mode = 0 };

	if (strcmp(cmd, "rules.status") == 0)
		return status(w);
	if (symbol == NULL || strspn(symbol, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != strlen(symbol) || strlen(symbol) >= sizeof to.symbol ||
	    !parse_mode(request, &to))
		return json_pack("{s:s, s:i}", "error", "rules.mode: a symbol and a mode (on, shadow, canary with share, off) are needed", "exit", 2);
	if (!redis_async_up(w->broker->redis))
		return json_pack("{s:s, s:i}", "error", "Redis is away: a change would hold on this node only, and be forgotten", "exit", 1);
	if (!set_mode(w, symbol, &to, who ? who : "?", why ? why : ""))
		return json_pack("{s:s, s:i}", "error", "too many rules have a mode of their own", "exit", 1);
	return json_pack("{s:s, s:s, s:i}", "symbol", symbol, "mode", mode_names[to.mode], "share", (int)to.share);
}

struct watch *
watch_open(struct broker *b)
{
	struct watch *w = calloc(1, sizeof *w);
	struct timeval every = { POLL_MS / 1000, 0 };

	if (w == NULL || (w->at = calloc(MAX_WATCHED, sizeof *w->at)) == NULL) {
		free(w);
		return NULL;
	}
	w->broker = b;
	w->timer = event_new(b->base, -1, EV_PERSIST, poll_modes, w);
	if (w->timer)
		event_add(w->timer, &every);
	return w;
}
