#include "quarantine/review/digest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "policyd/base/log.h"
#include "policyd/base/metrics.h"
#include "quarantine/review/customers.h"
#include "quarantine/review/mail.h"
#include "quarantine/review/pages.h"

enum { WINDOW_ROOM = 24, IN_FLIGHT_MOST = 4, LIST_PAGE = 500, LIST_MS = 30 * 1000, PLAN_MOST = 500000, RETRY_S = 60, KEEP_LEDGER_S = 40 * 86400,
    DAY_S = 86400, START_PER_TICK = 200 };

struct window {
	char key[WINDOW_ROOM];
	int64_t start_s, before_s;           /* it began, and the one before it */
	int spread_s, token_s;               /* over how long they go out; how long their links live */
};

/* Three kinds: to mailbox owners what is held for them; to the customer's admins what is held for whom; to them what waits for
 * their answer. Each has its own schedule, and its own windows in the ledger. */
static const struct kind {
	char letter;                         /* before a window's name; 0: none */
	const char *schedule;                /* field of customers.c */
	const char *state;                   /* what is listed; NULL: all that is held */
	bool to_admins;
	void (*compose)(struct review *r, const char *customer, const char *mailbox, json_t *entries, int64_t expires_s, struct own_mail *mail);
} kinds[] = {
	{ 0, "digest", "new", false, digest_compose },
	{ 'a', "admin_digest", NULL, true, digest_compose_admin },
	{ 'r', "request_digest", "requested", true, digest_compose_requests },
};
enum { KINDS = sizeof kinds / sizeof *kinds };

/* One customer's present window of one kind. */
struct plan {
	struct plan *next;
	struct review *review;
	const struct kind *kind;
	char customer[CUSTOMER_NAME_ROOM];
	struct window window;
	bool listing, listed;
	int64_t retry_at_s;
	json_t *mailboxes;                   /* address -> entries; taken out when it is in the ledger */
	json_t *all;                         /* to_admins: the entries of all mailboxes */
	size_t entries;
};

struct digests {
	int fd;
	json_t *ledger;                      /* "window mailbox" -> "sending" | "sent" | "refused" */
	json_t *choices;                     /* mailbox -> "off" */
	json_t *last;                        /* mailbox -> when its last digest was sent: what came before it is no news */
	struct plan *plans;
	int in_flight;
};

/* ---- windows ---- */

static int64_t
at_hour(struct tm tm, int days, int hour)
{
	tm.tm_mday += days;
	tm.tm_hour = hour;
	tm.tm_min = tm.tm_sec = 0;
	tm.tm_isdst = -1;
	return (int64_t)mktime(&tm);
}

/* The window that now is in; false: this customer has none. */
static bool
window_of(const struct review *r, const char *customer, const struct kind *kind, int64_t now_s, struct window *w)
{
	const char *schedule = customer_value(r, customer, kind->schedule);
	char letter[2] = { kind->letter, '\0' }, name[WINDOW_ROOM - 2];
	int hour = atoi(customer_value(r, customer, "digest_hour"));
	time_t t = (time_t)now_s;
	struct tm tm, day;

	localtime_r(&t, &tm);
	if (strcmp(schedule, "hourly") == 0) {
		*w = (struct window){ .start_s = at_hour(tm, 0, tm.tm_hour), .spread_s = 1800, .token_s = 8 * DAY_S };
		w->before_s = w->start_s - 3600;
		strftime(name, sizeof name, "h%Y-%m-%d-%H", &tm);
		snprintf(w->key, sizeof w->key, "%s%s", letter, name);
		return true;
	}
	bool weekly = strcmp(schedule, "weekly") == 0;
	int back = weekly ? -((tm.tm_wday + 6) % 7) : 0, length = weekly ? 7 : 1;

	if (!weekly && strcmp(schedule, "daily") != 0)
		return false;
	if (at_hour(tm, back, hour) > now_s)
		back -= length;
	*w = (struct window){ .start_s = at_hour(tm, back, hour), .before_s = at_hour(tm, back - length, hour), .spread_s = 3600,
	    .token_s = (length + 7) * DAY_S };
	t = (time_t)w->start_s;
	localtime_r(&t, &day);
	strftime(name, sizeof name, weekly ? "w%Y-%m-%d" : "d%Y-%m-%d", &day);
	snprintf(w->key, sizeof w->key, "%s%s", letter, name);
	return true;
}

/* ---- the ledger ---- */

static void
ledger_key(const char *window, const char *mailbox, char *to, size_t room)
{
	snprintf(to, room, "%s %s", window, mailbox);
}

static bool
is_owners(const char *window)
{
	return window[0] == 'd' || window[0] == 'h' || window[0] == 'w';
}

static bool
ledger_write(struct review *r, const char *window, const char *mailbox, const char *state)
{
	struct digests *d = r->digests;
	json_t *line = json_pack("{s:s, s:s, s:s, s:I}", "window", window, "mailbox", mailbox, "state", state, "time", (json_int_t)review_time_s(r));
	char *text = json_dumps(line, JSON_COMPACT), key[MAX_ADDRESS + WINDOW_ROOM + 2];
	size_t n = text ? strlen(text) : 0;

	json_decref(line);
	if (text)
		text[n++] = '\n';
	bool good = text && write(d->fd, text, n) == (ssize_t)n && fdatasync(d->fd) == 0;

	free(text);
	if (!good) {
		log_error("review: digests.log: %s; no digests go out", strerror(errno));
		return false;
	}
	ledger_key(window, mailbox, key, sizeof key);
	json_object_set_new(d->ledger, key, json_string(state));
	if (strcmp(state, "sent") == 0 && is_owners(window))
		json_object_set_new(d->last, mailbox, json_integer(review_time_s(r)));
	return true;
}

static bool
ledger_open(struct review *r, char *why, size_t room)
{
	struct digests *d = r->digests;
	char path[REVIEW_PATH_ROOM], line[2048], key[MAX_ADDRESS + WINDOW_ROOM + 2];
	struct buf kept = { 0 };

	snprintf(path, sizeof path, "%s/review/digests.log", r->self->config->state);
	FILE *f = fopen(path, "re");

	while (f && fgets(line, sizeof line, f)) {
		json_t *entry = json_loads(line, 0, NULL);       /* a torn last line is none */

		if (entry && json_integer_value(json_object_get(entry, "time")) > review_time_s(r) - KEEP_LEDGER_S) {
			ledger_key(json_word(entry, "window"), json_word(entry, "mailbox"), key, sizeof key);
			json_object_set(d->ledger, key, json_object_get(entry, "state"));
			if (strcmp(json_word(entry, "state"), "sent") == 0 && is_owners(json_word(entry, "window")))
				json_object_set(d->last, json_word(entry, "mailbox"), json_object_get(entry, "time"));
			buf_add(&kept, line, strlen(line));
		}
		json_decref(entry);
	}
	if (f)
		fclose(f);
	bool good = !kept.failed && file_replace(path, kept.p ? kept.p : "", kept.n);

	buf_free(&kept);
	d->fd = good ? open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW) : -1;
	if (d->fd < 0)
		snprintf(why, room, "%s: %s", path, strerror(errno));
	return d->fd >= 0;
}

/* ---- what owners have chosen ---- */

const char *
mailbox_digest(const struct review *r, const char *mailbox)
{
	const char *value = json_string_value(json_object_get(r->digests->choices, mailbox));

	return value ? value : "";
}

bool
mailbox_set_digest(struct review *r, const char *mailbox, const char *value)
{
	char path[REVIEW_PATH_ROOM];

	if (value[0])
		json_object_set_new(r->digests->choices, mailbox, json_safe(value));
	else
		json_object_del(r->digests->choices, mailbox);
	char *text = json_dumps(r->digests->choices, JSON_INDENT(1) | JSON_SORT_KEYS);

	snprintf(path, sizeof path, "%s/review/mailboxes.json", r->self->config->state);
	bool good = text && file_replace(path, text, strlen(text));

	free(text);
	return good;
}

bool
digests_open(struct review *r, char *why, size_t room)
{
	char path[REVIEW_PATH_ROOM];

	r->digests = calloc(1, sizeof *r->digests);
	if (r->digests == NULL)
		return false;
	r->digests->ledger = json_object();
	r->digests->last = json_object();
	snprintf(path, sizeof path, "%s/review/mailboxes.json", r->self->config->state);
	r->digests->choices = file_json(path);
	if (!json_is_object(r->digests->choices)) {
		json_decref(r->digests->choices);
		r->digests->choices = json_object();
	}
	return ledger_open(r, why, room);
}

/* ---- planning: what came in for whom since his last digest, or since the window before ---- */

static void ask_page(struct plan *p, const char *cursor);

/* All of it is here. An admins' digest goes to each of them as a whole, and not at all when there is nothing in it. */
static void
listed(struct plan *p)
{
	char list[CUSTOMER_VALUE_ROOM];
	struct span left, one;

	p->listed = true;
	if (!p->kind->to_admins || json_array_size(p->all) == 0)
		return;
	snprintf(list, sizeof list, "%s", customer_value(p->review, p->customer, "admin_mail"));
	for (left = span_of(list); left.n > 0;) {
		char address[MAX_ADDRESS + 1];

		one = span_trim(span_cut(&left, ','));
		snprintf(address, sizeof address, SPAN_FMT, SPAN_ARG(one));
		if (one.n > 0)
			json_object_set(p->mailboxes, address, p->all);
	}
	json_decref(p->all);                 /* those who wait for it hold it */
	p->all = json_array();
}

static void
page_came(void *arg, json_t *reply, int fd)
{
	struct plan *p = arg;
	json_t *e, *list;
	size_t i;

	(void)fd;
	p->listing = false;
	if (json_object_get(reply, "error")) {
		json_object_clear(p->mailboxes);
		json_array_clear(p->all);
		p->entries = 0;
		p->retry_at_s = review_time_s(p->review) + RETRY_S;
		json_decref(reply);
		return;
	}
	json_array_foreach(json_object_get(reply, "entries"), i, e) {
		const char *class_name = json_word(e, "class"), *mailbox = json_word(e, "recipient");
		json_int_t last = json_integer_value(json_object_get(p->review->digests->last, mailbox));

		if (p->kind->to_admins) {
			if (p->entries++ < PLAN_MOST)
				json_array_append_new(p->all, p->kind->state ? json_incref(e) : json_pack("{s:s, s:s, s:s}", "recipient", mailbox, "class", class_name,
				    "state", json_word(e, "state")));
			continue;
		}
		if (last && json_integer_value(json_object_get(e, "time")) <= review_store_time(last))
			continue;
		if (strcmp(class_name, "virus") == 0 || strcmp(class_name, "phish") == 0 || p->entries++ >= PLAN_MOST)
			continue;
		if ((list = json_object_get(p->mailboxes, mailbox)) == NULL)
			json_object_set_new(p->mailboxes, mailbox, list = json_array());
		json_array_append(list, e);
	}
	if (json_is_true(json_object_get(reply, "more")) && p->entries < PLAN_MOST)
		ask_page(p, json_word(reply, "cursor"));
	else
		listed(p);
	json_decref(reply);
}

static void
ask_page(struct plan *p, const char *cursor)
{
	bool waiting = p->kind->state && strcmp(p->kind->state, "requested") == 0;     /* whenever it came */
	json_t *request = json_pack("{s:s, s:s, s:I, s:i, s:{s:s}}", "cmd", "quarantine.list", "customer", p->customer, "since",
	    (json_int_t)(waiting ? 0 : review_store_time(p->window.before_s)), "limit", LIST_PAGE, "scope", "customer", p->customer);

	json_object_set_new(request, "state", p->kind->state ? json_string(p->kind->state) : json_pack("[s,s,s]", "new", "seen", "requested"));
	if (cursor[0])
		json_object_set_new(request, "cursor", json_string(cursor));
	p->listing = backend_ask(p->review->store, request, -1, LIST_MS, page_came, p);
}

/* ---- sending ---- */

struct sending {
	struct review *review;
	char window[WINDOW_ROOM], mailbox[MAX_ADDRESS + 1];
};

static void
sent(void *arg, int result, const char *reply)
{
	struct sending *s = arg;
	struct review *r = s->review;

	r->digests->in_flight--;
	if (result == 1) {
		ledger_write(r, s->window, s->mailbox, "sent");
		metrics_add(M_DIGESTS, 1);
	} else if (result == 0) {
		ledger_write(r, s->window, s->mailbox, "refused");
		metrics_add(M_DIGESTS_FAILED, 1);
		log_warning("review: the digest for <%s> was refused: %s", s->mailbox, reply);
	} else {                             /* the ledger says "sending": the plan has it again */
		static int64_t complained;
		char key[MAX_ADDRESS + WINDOW_ROOM + 2];

		ledger_key(s->window, s->mailbox, key, sizeof key);
		json_object_set_new(r->digests->ledger, key, json_string("waits"));
		for (struct plan *p = r->digests->plans; p; p = p->next)
			if (strcmp(p->window.key, s->window) == 0) {
				p->listed = false;   /* looked up anew, and tried again */
				p->retry_at_s = review_time_s(r) + RETRY_S;
			}
		log_seldom(&complained, 60, "review: digests wait: %s", reply);
	}
	free(s);
}

/* True: it is in the ledger and on its way, or there is nothing to do for this mailbox. */
static bool
send_one(struct plan *p, const char *mailbox, json_t *entries)
{
	struct review *r = p->review;
	char key[MAX_ADDRESS + WINDOW_ROOM + 2], mac[65], id[48];
	const char *state;
	struct sending *s;

	ledger_key(p->window.key, mailbox, key, sizeof key);
	state = json_string_value(json_object_get(r->digests->ledger, key));
	if ((state && (strcmp(state, "sent") == 0 || strcmp(state, "refused") == 0)) ||
	    (!p->kind->to_admins && strcmp(mailbox_digest(r, mailbox), "off") == 0))
		return true;
	s = calloc(1, sizeof *s);
	if (s == NULL || !ledger_write(r, p->window.key, mailbox, "sending")) {
		free(s);
		return false;
	}
	*s = (struct sending){ .review = r };
	snprintf(s->window, sizeof s->window, "%s", p->window.key);
	snprintf(s->mailbox, sizeof s->mailbox, "%s", mailbox);
	mac_hex(r->secret, "digest id", key, mac);
	snprintf(id, sizeof id, "digest-%.32s", mac);
	struct own_mail mail = { .id = id, .to = mailbox };

	p->kind->compose(r, p->customer, mailbox, entries, review_time_s(r) + p->window.token_s, &mail);
	if (!mail_send(r, &mail, sent, s)) {
		free(s);
		return false;
	}
	r->digests->in_flight++;
	return true;
}

static void
plan_send(struct plan *p, int64_t now_s)
{
	const char *mailbox;
	json_t *entries;
	void *next;
	int begun = 0;

	json_object_foreach_safe(p->mailboxes, next, mailbox, entries) {
		int64_t due = p->window.start_s + (int64_t)(span_hash(span_of(mailbox), 5) % (uint64_t)p->window.spread_s);

		if (p->review->digests->in_flight >= IN_FLIGHT_MOST || begun++ >= START_PER_TICK)
			return;
		if (due > now_s || !send_one(p, mailbox, entries))
			continue;
		json_object_del(p->mailboxes, mailbox);
	}
}

static void
plan_step(struct plan *p, int64_t now_s)
{
	struct window w;

	if (p->listing)
		return;
	if (!window_of(p->review, p->customer, p->kind, now_s, &w)) {
		json_object_clear(p->mailboxes);
		json_array_clear(p->all);
		p->window.key[0] = '\0';
		return;
	}
	if (strcmp(w.key, p->window.key) != 0) {
		p->window = w;
		p->listed = false;
		p->retry_at_s = 0;
	}
	if (!p->listed && now_s >= p->retry_at_s) {
		json_object_clear(p->mailboxes);
		json_array_clear(p->all);
		p->entries = 0;
		ask_page(p, "");
	}
	if (p->listed)
		plan_send(p, now_s);
}

static void
plan_add(struct review *r, const char *customer, const struct kind *kind)
{
	struct plan *p = calloc(1, sizeof *p);

	if (p == NULL)
		return;                      /* the next tick tries again */
	p->review = r;
	p->kind = kind;
	p->mailboxes = json_object();
	p->all = json_array();
	snprintf(p->customer, sizeof p->customer, "%s", customer);
	p->next = r->digests->plans;
	r->digests->plans = p;
}

static bool
plan_there(const struct review *r, const char *customer, const struct kind *kind)
{
	const struct plan *p = r->digests->plans;

	while (p && (p->kind != kind || strcmp(p->customer, customer) != 0))
		p = p->next;
	return p != NULL;
}

/* Plans for each customer who has settings of his own. */
void
digests_tick(struct review *r)
{
	const char *customer;
	json_t *settings;

	json_object_foreach(r->customers, customer, settings)
		for (size_t k = 0; k < KINDS && customer[0]; k++)
			if (!plan_there(r, customer, &kinds[k]))
				plan_add(r, customer, &kinds[k]);
	for (struct plan *p = r->digests->plans; p; p = p->next)
		plan_step(p, review_time_s(r));
}
