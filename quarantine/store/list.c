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
	"SELECT sender, header_from, subject, size, count, client, helo, message_id, queue_id, digest, symbols, body FROM mail WHERE id=?";
enum { M_SENDER, M_FROM, M_SUBJECT, M_SIZE, M_COUNT_, M_CLIENT, M_HELO, M_MESSAGE_ID, M_QUEUE_ID, M_DIGEST, M_SYMBOLS, M_BODY };

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
	return has_words(f, mail);
}

static void
print_hex(struct span bytes, char to[65])
{
	size_t n = 0;

	for (size_t i = 0; i < bytes.n && i < 32; i++)
		n += (size_t)snprintf(to + n, 3, "%02x", (unsigned char)bytes.p[i]);
	to[n] = '\0';
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
	    { "client", M_CLIENT }, { "helo", M_HELO }, { "message_id", M_MESSAGE_ID }, { "queue_id", M_QUEUE_ID }, { "symbols", M_SYMBOLS } };
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
	f->mail = f->word_count || f->sender[0] || f->from_domain[0] || f->symbol[0] || f->message_id[0] || f->queue_id[0];
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
	if (f->digest[0] || f->message_id[0] || f->queue_id[0] || f->body[0]) {
		snprintf(text, room, " WHERE id IN (SELECT id FROM mail WHERE %s=?)", f->message_id[0] ? "message_id" :
		    f->queue_id[0] ? "queue_id" : f->digest[0] ? "digest" : "body<>x'' AND body");
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
	char text[2048], where[512], digest[32];
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
	else if (f->digest[0] || f->body[0])
		sql_bind_blob(rows, span_make(digest, from_hex(f->digest[0] ? f->digest : f->body, digest)));
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
	json_t *entry;
	double key;
};

static int
by_key(const void *a, const void *b)
{
	double x = ((const struct found *)a)->key, y = ((const struct found *)b)->key;

	return (x > y) - (x < y);
}

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

json_t *
index_list(struct index *x, const json_t *request, char *why, size_t room)
{
	json_int_t limit = json_integer_value(json_object_get(request, "limit")), looked = 0;
	int64_t skip = json_integer_value(json_object_get(request, "offset")), deadline = clock_ms() + LOOK_MS;
	const char *sort = text_of(request, "sort"), *cursor = text_of(request, "cursor");
	struct found *found = NULL;
	struct cursor from, last = { 0 };
	struct filter f;
	enum order order = ORDER_NEWEST;
	size_t count = 0, want;
	char next[96] = "";
	bool more = false;

	while (sort[0] && order < ORDER__COUNT && strcmp(sort, order_names[order]) != 0)
		order++;
	if (order == ORDER__COUNT) {
		snprintf(why, room, "sort: \"%.40s\" is not newest, oldest, closest, points or size", sort);
		return NULL;
	}
	if (!read_filter(request, &f, why, room))
		return NULL;
	if (cursor[0] && !read_cursor(cursor, &from, &skip)) {
		snprintf(why, room, "cursor: expected what the page before gave");
		return NULL;
	}
	bool sorted = order >= ORDER_CLOSEST, up = order == ORDER_OLDEST;

	limit = limit <= 0 ? LIST_DEFAULT : limit > LIST_MOST ? LIST_MOST : limit;
	skip = skip < 0 ? 0 : skip;
	want = sorted ? SORT_MOST : (size_t)limit;
	found = calloc(want + 1, sizeof *found);
	if (found == NULL) {
		snprintf(why, room, "no memory");
		return NULL;
	}
	struct sql_rows *rows = walk(x, &f, up, cursor[0] == 't' ? &from : NULL);

	while (!more && sql_row(rows)) {
		bool good = rcpt_matches(&f, rows);

		if (count == want) {
			more = true;
			break;
		}
		looked++;
		last.time = sql_int(rows, R_TIME);
		sql_text(rows, R_ID, last.id, sizeof last.id);
		last.n = sql_int(rows, R_N);
		if (good && !sorted && !f.mail && skip > 0) {
			skip--;              /* what is only skipped costs no look-up */
			good = false;
		}
		if (good) {
			struct sql_rows *mail = sql_ask(index_sql(x), mail_columns, "s", sql_span(rows, R_ID));

			if (sql_row(mail) && mail_matches(&f, mail)) {
				if (!sorted && skip > 0)
					skip--;
				else
					found[count++] = (struct found){ entry_json(rows, mail), sorted ? sort_key(order, rows, mail) : 0 };
			}
			sql_end(mail);
		}
		more = looked >= LOOK_MOST || (looked % CLOCK_EVERY == 0 && clock_ms() > deadline && !sorted);
	}
	sql_end(rows);
	json_t *entries = json_array();
	size_t start = 0, end = count;

	if (sorted) {
		qsort(found, count, sizeof *found, by_key);
		start = (size_t)skip < count ? (size_t)skip : count;
		end = start + (size_t)limit < count ? start + (size_t)limit : count;
		more = end < count;
		snprintf(next, sizeof next, "s.%zu", end);
	} else if (more) {
		snprintf(next, sizeof next, "t.%lld.%s.%lld", (long long)last.time, last.id, (long long)last.n);
	}
	for (size_t i = 0; i < count; i++)
		if (i >= start && i < end)
			json_array_append_new(entries, found[i].entry);
		else
			json_decref(found[i].entry);
	free(found);
	return json_pack("{s:o, s:b, s:s, s:I}", "entries", entries, "more", more, "cursor", more ? next : "", "looked", looked);
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
