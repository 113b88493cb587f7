/* list.c - pages of the quarantine. A page is a walk down one index from where the last one ended; what the index does not
 * sort by is checked row by row, and the walk ends after so many rows or so much time: no question can hold up mail. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "policyd/base/clock.h"
#include "policyd/base/utf8.h"
#include "quarantine/store/requests.h"

enum { NAMES_MOST = 64, WORDS_MOST = 8, CLOCK_EVERY = 64 };

enum order { ORDER_NEWEST, ORDER_OLDEST, ORDER_CLOSEST, ORDER_POINTS, ORDER_SIZE, ORDER__COUNT };
static const char *const order_names[ORDER__COUNT] = {
	[ORDER_NEWEST] = "newest", [ORDER_OLDEST] = "oldest", [ORDER_CLOSEST] = "closest", [ORDER_POINTS] = "points", [ORDER_SIZE] = "size",
};

/* Columns of the walk, all in rcpt; then those of the mail, looked up for rows that pass. */
static const char rcpt_columns[] =
	"SELECT id, n, time_s, address, customer, class, mode, points, tag, quarantine, discard, state, before, vote, changed_s,"
	" actor, note, expires_s, domain FROM rcpt";
enum { R_ID, R_N, R_TIME, R_ADDRESS, R_CUSTOMER, R_CLASS, R_MODE, R_POINTS, R_TAG, R_QUARANTINE, R_DISCARD, R_STATE, R_BEFORE,
    R_VOTE, R_CHANGED, R_ACTOR, R_NOTE, R_EXPIRES, R_DOMAIN };
static const char mail_columns[] =
	"SELECT sender, header_from, subject, size, count, client, helo, message_id, queue_id, digest, symbols, body, allow FROM mail WHERE id=?";
enum { M_SENDER, M_FROM, M_SUBJECT, M_SIZE, M_COUNT_, M_CLIENT, M_HELO, M_MESSAGE_ID, M_QUEUE_ID, M_DIGEST, M_SYMBOLS, M_BODY, M_ALLOW };

struct names {                               /* a filter that takes one text or several */
	const char *at[NAMES_MOST];
	size_t count;
	bool given;
};

struct filter {
	const json_t *request;
	struct names rcpt, domain, customer, class_name, state;
	const char *sender, *from_domain, *symbol, *message_id, *queue_id, *digest, *body;
	struct span words[WORDS_MOST];
	size_t word_count;
	double points_min, points_max;
	int64_t since, until;
	bool mail;                           /* needs the mail's columns */
};

static const char *
text_of(const json_t *request, const char *name)
{
	const char *value = json_string_value(json_object_get(request, name));

	return value ? value : "";
}

static bool
read_names(const json_t *value, struct names *names)
{
	names->given = value != NULL;
	if (json_is_string(value))
		names->at[names->count++] = json_string_value(value);
	for (size_t i = 0; i < json_array_size(value) && names->count < NAMES_MOST; i++)
		if (json_is_string(json_array_get(value, i)))
			names->at[names->count++] = json_string_value(json_array_get(value, i));
	return value == NULL || names->count > 0 || json_is_array(value);
}

static bool
has(const struct names *names, struct span what)
{
	for (size_t i = 0; i < names->count; i++)
		if (span_eq(span_of(names->at[i]), what))
			return true;
	return !names->given;
}

bool
entry_in_scope(const json_t *request, struct span address, struct span customer)
{
	const json_t *scope = json_object_get(request, "scope"), *who = json_object_get(scope, "customer");
	struct names rcpts = { 0 }, domains = { 0 };
	size_t at = span_find_last(address, '@');

	if (scope == NULL)
		return true;
	if (!json_is_object(scope) || (who && !(json_is_string(who) && span_eq(span_of(json_string_value(who)), customer))))
		return false;
	return read_names(json_object_get(scope, "rcpts"), &rcpts) && read_names(json_object_get(scope, "domains"), &domains) &&
	    has(&rcpts, address) && has(&domains, at == SPAN_NONE ? SPAN("") : span_from(address, at + 1));
}

/* Lower case, ASCII and what Unicode folds simply would need a table: search ignores the case of ASCII only. */
static bool
has_words(const struct filter *f, struct sql_rows *mail)
{
	for (size_t i = 0; i < f->word_count; i++)
		if (span_find_nocase(sql_span(mail, M_SUBJECT), f->words[i]) == SPAN_NONE &&
		    span_find_nocase(sql_span(mail, M_FROM), f->words[i]) == SPAN_NONE &&
		    span_find_nocase(sql_span(mail, M_SENDER), f->words[i]) == SPAN_NONE)
			return false;
	return true;
}

/* What has passed its time is expired before anybody came to write it down. */
static int64_t
state_of(struct sql_rows *r)
{
	int64_t state = sql_int(r, R_STATE);

	return state >= 0 && state < STATE__COUNT && ((1u << state) & STATES_OPEN) && sql_int(r, R_EXPIRES) < wall_s() ? STATE_EXPIRED : state;
}

static bool
rcpt_matches(const struct filter *f, struct sql_rows *r)
{
	int64_t state = state_of(r);
	double points = sql_real(r, R_POINTS);

	return has(&f->state, span_of(state >= 0 && state < STATE__COUNT ? entry_state_names[state] : "?")) &&
	    has(&f->class_name, sql_span(r, R_CLASS)) && has(&f->rcpt, sql_span(r, R_ADDRESS)) &&
	    has(&f->domain, sql_span(r, R_DOMAIN)) && has(&f->customer, sql_span(r, R_CUSTOMER)) &&
	    points >= f->points_min && points <= f->points_max &&
	    entry_in_scope(f->request, sql_span(r, R_ADDRESS), sql_span(r, R_CUSTOMER));
}

static void
print_hex(struct span bytes, char to[65])
{
	size_t n = 0;

	for (size_t i = 0; i < bytes.n && i < 32; i++)
		n += (size_t)snprintf(to + n, 3, "%02x", (unsigned char)bytes.p[i]);
	to[n] = '\0';
}

static bool
has_symbol(struct span symbols, struct span name)
{
	while (symbols.n > 0) {
		struct span word = span_cut(&symbols, ' ');

		if (span_eq(span_cut(&word, '='), name))
			return true;
	}
	return false;
}

static bool
mail_matches(const struct filter *f, struct sql_rows *mail)
{
	struct span from = sql_span(mail, M_FROM);
	size_t at = span_find_last(from, '@');

	if (f->sender[0] && !span_eq_nocase(sql_span(mail, M_SENDER), span_of(f->sender)))
		return false;
	if (f->from_domain[0] && !span_starts_nocase(at == SPAN_NONE ? SPAN("") : span_from(from, at + 1), span_of(f->from_domain)))
		return false;
	if (f->symbol[0] && !has_symbol(sql_span(mail, M_SYMBOLS), span_of(f->symbol)))
		return false;
	if ((f->message_id[0] && !span_eq(sql_span(mail, M_MESSAGE_ID), span_of(f->message_id))) ||
	    (f->queue_id[0] && !span_eq(sql_span(mail, M_QUEUE_ID), span_of(f->queue_id))))
		return false;
	char digest[65];

	print_hex(sql_span(mail, M_DIGEST), digest);
	return (!f->digest[0] || strcmp(digest, f->digest) == 0) && has_words(f, mail);
}

static json_t *
text_json(struct sql_rows *rows, int column)
{
	struct span s = sql_span(rows, column);
	json_t *value = json_stringn(s.p, s.n);

	return value ? value : json_string("");      /* bytes that are no UTF-8: show --raw has them */
}

static json_t *
points_json(double points)
{
	return isfinite(points) ? json_real(points) : json_null();
}

static int64_t
undo_until(struct sql_rows *r)
{
	int64_t state = state_of(r), until = sql_int(r, R_CHANGED) + UNDO_S;
	bool can = state != sql_int(r, R_BEFORE) && state != STATE_RELEASING && state != STATE_RELEASED && state != STATE_EXPIRED;

	return can && until > wall_s() ? until : 0;
}

static json_t *
entry_json(struct sql_rows *r, struct sql_rows *mail)
{
	static const struct { const char *name; int column; } texts[] = { { "sender", M_SENDER }, { "from", M_FROM }, { "subject", M_SUBJECT },
	    { "client", M_CLIENT }, { "helo", M_HELO }, { "message_id", M_MESSAGE_ID }, { "queue_id", M_QUEUE_ID }, { "symbols", M_SYMBOLS }, { "allow", M_ALLOW } };
	int64_t state = state_of(r), before = sql_int(r, R_BEFORE), vote = sql_int(r, R_VOTE);
	char digest[65];
	json_t *e = json_object();

	print_hex(sql_span(mail, M_DIGEST), digest);
	json_object_set_new(e, "id", text_json(r, R_ID));
	json_object_set_new(e, "n", json_integer(sql_int(r, R_N)));
	json_object_set_new(e, "time", json_integer(sql_int(r, R_TIME)));
	json_object_set_new(e, "recipient", text_json(r, R_ADDRESS));
	json_object_set_new(e, "customer", text_json(r, R_CUSTOMER));
	json_object_set_new(e, "class", text_json(r, R_CLASS));
	json_object_set_new(e, "mode", json_string(sql_int(r, R_MODE) == STORED_COPY ? "copy" : "hold"));
	json_object_set_new(e, "points", points_json(sql_real(r, R_POINTS)));
	json_object_set_new(e, "tag", points_json(sql_real(r, R_TAG)));
	json_object_set_new(e, "quarantine", points_json(sql_real(r, R_QUARANTINE)));
	json_object_set_new(e, "discard", points_json(sql_real(r, R_DISCARD)));
	json_object_set_new(e, "state", json_string(state >= 0 && state < STATE__COUNT ? entry_state_names[state] : "?"));
	json_object_set_new(e, "before", json_string(before >= 0 && before < STATE__COUNT ? entry_state_names[before] : "?"));
	json_object_set_new(e, "vote", json_string(vote >= 0 && vote < VOTE__COUNT ? entry_vote_names[vote] : ""));
	json_object_set_new(e, "changed", json_integer(sql_int(r, R_CHANGED)));
	json_object_set_new(e, "actor", text_json(r, R_ACTOR));
	json_object_set_new(e, "note", text_json(r, R_NOTE));
	json_object_set_new(e, "expires", json_integer(sql_int(r, R_EXPIRES)));
	json_object_set_new(e, "undo_until", json_integer(undo_until(r)));
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		json_object_set_new(e, texts[i].name, text_json(mail, texts[i].column));
	json_object_set_new(e, "size", json_integer(sql_int(mail, M_SIZE)));
	json_object_set_new(e, "count", json_integer(sql_int(mail, M_COUNT_)));
	json_object_set_new(e, "digest", json_string(digest));
	print_hex(sql_span(mail, M_BODY), digest);
	json_object_set_new(e, "body", json_string(digest));
	return e;
}

static bool
read_filter(const json_t *request, struct filter *f, char *why, size_t room)
{
	const json_t *least = json_object_get(request, "points_min"), *most = json_object_get(request, "points_max");
	int64_t until = json_integer_value(json_object_get(request, "until"));
	struct span search = span_of(text_of(request, "search"));

	*f = (struct filter){ .request = request, .sender = text_of(request, "sender"), .from_domain = text_of(request, "from_domain"),
	    .symbol = text_of(request, "symbol"), .message_id = text_of(request, "message_id"), .queue_id = text_of(request, "queue_id"),
	    .digest = text_of(request, "digest"), .body = text_of(request, "body"), .points_min = json_is_number(least) ? json_number_value(least) : -HUGE_VAL,
	    .points_max = json_is_number(most) ? json_number_value(most) : HUGE_VAL,
	    .since = json_integer_value(json_object_get(request, "since")), .until = until > 0 ? until : INT64_MAX };
	if (!read_names(json_object_get(request, "rcpt"), &f->rcpt) || !read_names(json_object_get(request, "domain"), &f->domain) ||
	    !read_names(json_object_get(request, "customer"), &f->customer) || !read_names(json_object_get(request, "class"), &f->class_name) ||
	    !read_names(json_object_get(request, "state"), &f->state)) {
		snprintf(why, room, "rcpt, domain, customer, class and state are each a text or a list of texts");
		return false;
	}
	for (size_t i = 0; i < f->state.count; i++) {
		int k = 0;

		while (k < STATE__COUNT && strcmp(f->state.at[i], entry_state_names[k]) != 0)
			k++;
		if (k == STATE__COUNT) {
			snprintf(why, room, "\"%.40s\" is no state; expected new, seen, requested, releasing, released, deleted or expired",
			    f->state.at[i]);
			return false;
		}
	}
	while (search.n > 0 && f->word_count < WORDS_MOST) {
		struct span word = span_cut(&search, ' ');

		if (word.n > 0)
			f->words[f->word_count++] = word;
	}
	f->mail = f->word_count || f->sender[0] || f->from_domain[0] || f->symbol[0] || f->message_id[0] || f->queue_id[0] || f->digest[0];
	return true;
}

/* Where the walk goes: the narrowest of what is given. Texts to bind are left in `bind`. */
static void
choose_index(const struct filter *f, char *text, size_t room, const struct names **bind)
{
	static const char *const few[] = { "releasing", "requested" };
	const json_t *scope = json_object_get(f->request, "scope");
	static struct names scoped;
	const char *column = NULL;
	size_t n;

	*bind = NULL;
	if (f->message_id[0] || f->queue_id[0] || f->body[0]) {
		snprintf(text, room, " WHERE id IN (SELECT id FROM mail WHERE %s=?)", f->message_id[0] ? "message_id" :
		    f->queue_id[0] ? "queue_id" : "body<>x'' AND body");
		return;
	}
	bool waiting = f->state.given && f->state.count > 0;

	for (size_t i = 0; i < f->state.count; i++)
		waiting &= strcmp(f->state.at[i], few[0]) == 0 || strcmp(f->state.at[i], few[1]) == 0;
	if (waiting) {                       /* few of them in all, whoever they are for */
		snprintf(text, room, " INDEXED BY rcpt_waiting WHERE state IN (1, 6)");
		return;
	}
	scoped = (struct names){ 0 };
	if (f->rcpt.count)
		column = "address", *bind = &f->rcpt;
	else if (read_names(json_object_get(scope, "rcpts"), &scoped) && scoped.count)
		column = "address", *bind = &scoped;
	else if (f->domain.count)
		column = "domain", *bind = &f->domain;
	else if (read_names(json_object_get(scope, "domains"), &scoped) && scoped.count)
		column = "domain", *bind = &scoped;
	else if (f->customer.count)
		column = "customer", *bind = &f->customer;
	else if (read_names(json_object_get(scope, "customer"), &scoped) && scoped.count)
		column = "customer", *bind = &scoped;
	if (column == NULL) {
		snprintf(text, room, " INDEXED BY rcpt_time WHERE 1");
		return;
	}
	n = (size_t)snprintf(text, room, " INDEXED BY rcpt_%s WHERE %s IN (?", column, column);
	for (size_t i = 1; i < (*bind)->count; i++)
		n += (size_t)snprintf(text + n, room - n, ", ?");
	snprintf(text + n, room - n, ")");
}

static size_t
from_hex(const char *hex, char to[32])
{
	size_t n = 0;
	unsigned octet;

	for (; n < 32 && sscanf(hex + 2 * n, "%2x", &octet) == 1; n++)
		to[n] = (char)octet;
	return n;
}

struct cursor {
	int64_t time;
	char id[ID_ROOM];
	int64_t n;
};

static struct sql_rows *
walk(struct index *x, const struct filter *f, bool up, const struct cursor *from)
{
	char text[2048], where[512], body[32];
	const struct names *bind;

	choose_index(f, where, sizeof where, &bind);
	snprintf(text, sizeof text, "%s%s AND time_s>=? AND time_s<?%s ORDER BY time_s %s, id %s, n %s", rcpt_columns, where,
	    from == NULL ? "" : up ? " AND (time_s, id, n)>(?, ?, ?)" : " AND time_s<=? AND (time_s, id, n)<(?, ?, ?)",
	    up ? "ASC" : "DESC", up ? "ASC" : "DESC", up ? "ASC" : "DESC");
	struct sql_rows *rows = sql_ask(index_sql(x), text, "");

	if (f->message_id[0])
		sql_bind_text(rows, span_of(f->message_id));
	else if (f->queue_id[0])
		sql_bind_text(rows, span_of(f->queue_id));
	else if (f->body[0])
		sql_bind_blob(rows, span_make(body, from_hex(f->body, body)));
	for (size_t i = 0; bind && i < bind->count; i++)
		sql_bind_text(rows, span_of(bind->at[i]));
	sql_bind_int(rows, f->since);
	sql_bind_int(rows, f->until);
	if (from) {
		if (!up)
			sql_bind_int(rows, from->time);
		sql_bind_int(rows, from->time);
		sql_bind_text(rows, span_of(from->id));
		sql_bind_int(rows, from->n);
	}
	return rows;
}

struct found {
	struct cursor at;
	double key;
};

static int
by_key(const void *a, const void *b)
{
	double x = ((const struct found *)a)->key, y = ((const struct found *)b)->key;

	return (x > y) - (x < y);
}

/* `mail`: for ORDER_SIZE only. */
static double
sort_key(enum order order, struct sql_rows *r, struct sql_rows *mail)
{
	double points = sql_real(r, R_POINTS), quarantine = sql_real(r, R_QUARANTINE);

	if (order == ORDER_SIZE)
		return -(double)sql_int(mail, M_SIZE);
	if (order == ORDER_POINTS)
		return -points;
	return isfinite(quarantine) ? fabs(points - quarantine) : HUGE_VAL;
}

/* Cursors: "t.<time>.<id>.<n>" where a walk goes on, "s.<skip>" in what was sorted. */
static bool
read_cursor(const char *text, struct cursor *from, int64_t *skip)
{
	char kind = text[0];
	long long time, n;
	int end = 0;

	if (kind == 's' && sscanf(text, "s.%lld%n", &time, &end) == 1 && text[end] == '\0' && time >= 0 && time <= SORT_MOST) {
		*skip = time;
		return true;
	}
	if (kind != 't' || sscanf(text, "t.%lld.%31[a-z0-9-].%lld%n", &time, from->id, &n, &end) != 3 || text[end] != '\0')
		return false;
	from->time = time;
	from->n = n;
	return true;
}

/* One entry by its place, for a page that was sorted first. */
static json_t *
entry_at(struct index *x, const struct cursor *at)
{
	char text[512];
	json_t *entry = NULL;

	snprintf(text, sizeof text, "%s WHERE id=? AND n=?", rcpt_columns);
	struct sql_rows *rows = sql_ask(index_sql(x), text, "ti", at->id, at->n), *mail = sql_ask(index_sql(x), mail_columns, "t", at->id);

	if (sql_row(rows) && sql_row(mail))
		entry = entry_json(rows, mail);
	sql_end(rows);
	sql_end(mail);
	return entry;
}

struct listing {
	struct filter filter;
	enum order order;
	size_t limit, skip;
	struct found *found;                 /* `sorted`: what matched; else NULL */
	size_t count;
	json_t *entries;
	struct cursor last;                  /* the last row that was looked at */
	json_int_t looked;
	bool more;
};

/* A row that passed what rcpt can tell. */
static void
look_closer(struct index *x, struct listing *l, struct sql_rows *rows)
{
	bool sorted = l->found != NULL, size = l->order == ORDER_SIZE;

	if (!sorted && !l->filter.mail && l->skip > 0) {
		l->skip--;                   /* what is only skipped costs no look-up */
		return;
	}
	struct sql_rows *mail = !sorted || l->filter.mail || size ? sql_ask(index_sql(x), mail_columns, "s", sql_span(rows, R_ID)) : NULL;
	bool good = mail == NULL || (sql_row(mail) && (!l->filter.mail || mail_matches(&l->filter, mail)));

	if (good && sorted) {
		l->found[l->count++] = (struct found){ l->last, sort_key(l->order, rows, mail) };
	} else if (good && l->skip > 0) {
		l->skip--;
	} else if (good) {
		json_array_append_new(l->entries, entry_json(rows, mail));
		l->count++;
	}
	sql_end(mail);
}

static void
look(struct index *x, struct listing *l, const struct cursor *from)
{
	int64_t deadline = clock_ms() + LOOK_MS;
	size_t want = l->found ? SORT_MOST : l->limit;
	struct sql_rows *rows = walk(x, &l->filter, l->order == ORDER_OLDEST, from);

	while (!l->more && sql_row(rows)) {
		if (l->count == want) {
			l->more = true;
			break;
		}
		l->looked++;
		l->last.time = sql_int(rows, R_TIME);
		sql_text(rows, R_ID, l->last.id, sizeof l->last.id);
		l->last.n = sql_int(rows, R_N);
		if (rcpt_matches(&l->filter, rows))
			look_closer(x, l, rows);
		l->more = l->looked >= LOOK_MOST || (l->looked % CLOCK_EVERY == 0 && clock_ms() > deadline);
	}
	sql_end(rows);
}

static bool
read_listing(const json_t *request, struct listing *l, struct cursor *from, bool *goes_on, char *why, size_t room)
{
	json_int_t limit = json_integer_value(json_object_get(request, "limit"));
	int64_t skip = json_integer_value(json_object_get(request, "offset"));
	const char *sort = text_of(request, "sort"), *cursor = text_of(request, "cursor");

	while (sort[0] && l->order < ORDER__COUNT && strcmp(sort, order_names[l->order]) != 0)
		l->order++;
	if (l->order == ORDER__COUNT) {
		snprintf(why, room, "sort: \"%.40s\" is not newest, oldest, closest, points or size", sort);
		return false;
	}
	*goes_on = cursor[0] == 't';
	if (cursor[0] && (!read_cursor(cursor, from, &skip) || *goes_on != (l->order < ORDER_CLOSEST))) {
		snprintf(why, room, "cursor: expected what the page before gave");
		return false;
	}
	l->limit = limit <= 0 ? LIST_DEFAULT : limit > LIST_MOST ? LIST_MOST : (size_t)limit;
	l->skip = skip < 0 ? 0 : (size_t)skip;
	return read_filter(request, &l->filter, why, room);
}

json_t *
index_list(struct index *x, const json_t *request, char *why, size_t room)
{
	struct listing l = { .order = ORDER_NEWEST };
	struct cursor from;
	bool goes_on;
	char next[96] = "";

	if (!read_listing(request, &l, &from, &goes_on, why, room))
		return NULL;
	if (l.order >= ORDER_CLOSEST && (l.found = calloc(SORT_MOST + 1, sizeof *l.found)) == NULL) {
		snprintf(why, room, "no memory");
		return NULL;
	}
	l.entries = json_array();
	look(x, &l, goes_on ? &from : NULL);
	if (l.found) {
		size_t start = l.skip < l.count ? l.skip : l.count, end = start + l.limit < l.count ? start + l.limit : l.count;

		qsort(l.found, l.count, sizeof *l.found, by_key);
		for (size_t i = start; i < end; i++) {
			json_t *entry = entry_at(x, &l.found[i].at);

			if (entry)
				json_array_append_new(l.entries, entry);
		}
		l.more = end < l.count;
		snprintf(next, sizeof next, "s.%zu", end);
	} else if (l.more) {
		snprintf(next, sizeof next, "t.%lld.%s.%lld", (long long)l.last.time, l.last.id, (long long)l.last.n);
	}
	free(l.found);
	return json_pack("{s:o, s:b, s:s, s:I}", "entries", l.entries, "more", l.more, "cursor", l.more ? next : "", "looked", l.looked);
}

json_t *
index_entries(struct index *x, const char *id, const json_t *request)
{
	const json_t *n = json_object_get(request, "n");
	const char *rcpt = text_of(request, "rcpt");
	char text[512];
	json_t *entries = json_array();

	snprintf(text, sizeof text, "%s WHERE id=? ORDER BY n", rcpt_columns);
	struct sql_rows *mail = sql_ask(index_sql(x), mail_columns, "t", id), *rows = sql_ask(index_sql(x), text, "t", id);

	if (sql_row(mail))
		while (sql_row(rows)) {
			if (!entry_in_scope(request, sql_span(rows, R_ADDRESS), sql_span(rows, R_CUSTOMER)) ||
			    (n && json_integer_value(n) != sql_int(rows, R_N)) || (rcpt[0] && !span_eq(sql_span(rows, R_ADDRESS), span_of(rcpt))))
				continue;
			json_array_append_new(entries, entry_json(rows, mail));
		}
	sql_end(rows);
	sql_end(mail);
	return entries;
}
