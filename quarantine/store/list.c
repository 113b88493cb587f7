/* list.c - pages of the quarantine. A page is a walk down one index from where the last one ended; what the index does not
 * sort by is checked row by row, and the walk ends after so many rows or so much time: no question can hold up mail. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "policyd/base/clock.h"
#include "quarantine/store/list.h"

enum { CLOCK_EVERY = 64 };

enum order { ORDER_NEWEST, ORDER_OLDEST, ORDER_CLOSEST, ORDER_POINTS, ORDER_SIZE, ORDER__COUNT };
static const char *const order_names[ORDER__COUNT] = {
	[ORDER_NEWEST] = "newest", [ORDER_OLDEST] = "oldest", [ORDER_CLOSEST] = "closest", [ORDER_POINTS] = "points", [ORDER_SIZE] = "size",
};

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
	int64_t state = row_state(r), until = sql_int(r, R_CHANGED) + UNDO_S;
	bool can = state != sql_int(r, R_BEFORE) && state != STATE_RELEASING && state != STATE_RELEASED && state != STATE_EXPIRED;

	return can && until > wall_s() ? until : 0;
}

static json_t *
entry_json(struct sql_rows *r, struct sql_rows *mail)
{
	static const struct { const char *name; int column; } texts[] = { { "sender", M_SENDER }, { "from", M_FROM }, { "subject", M_SUBJECT },
	    { "client", M_CLIENT }, { "helo", M_HELO }, { "message_id", M_MESSAGE_ID }, { "queue_id", M_QUEUE_ID }, { "symbols", M_SYMBOLS }, { "allow", M_ALLOW } };
	int64_t state = row_state(r), before = sql_int(r, R_BEFORE), vote = sql_int(r, R_VOTE);
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
	bool good = mail == NULL || (sql_row(mail) && (!l->filter.mail || filter_takes_mail(&l->filter, mail)));

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
	struct sql_rows *rows = filter_walk(x, &l->filter, l->order == ORDER_OLDEST, from);

	while (!l->more && sql_row(rows)) {
		if (l->count == want) {
			l->more = true;
			break;
		}
		l->looked++;
		l->last.time = sql_int(rows, R_TIME);
		sql_text(rows, R_ID, l->last.id, sizeof l->last.id);
		l->last.n = sql_int(rows, R_N);
		if (filter_takes_rcpt(&l->filter, rows))
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
	const char *sort = request_text(request, "sort"), *cursor = request_text(request, "cursor");

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
	return filter_read(request, &l->filter, why, room);
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
	const char *rcpt = request_text(request, "rcpt");
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
