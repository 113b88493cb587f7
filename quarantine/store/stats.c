/* stats.c - what the quarantine holds, and what became of what it held. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "policyd/base/clock.h"
#include "quarantine/store/requests.h"

enum { DAY_S = 86400, SYMBOLS_MOST = 4096, RULES_SHOWN = 100 };

static const char *const changed_columns[STATE__COUNT] = {
	[STATE_RELEASED] = "released", [STATE_DELETED] = "deleted", [STATE_EXPIRED] = "expired", [STATE_REQUESTED] = "requested",
};
static const char *const vote_columns[VOTE__COUNT] = { [VOTE_HAM] = "ham", [VOTE_SPAM] = "spam" };

void
stats_stored(struct index *x, int64_t time_s, struct span customer, struct span class_name, uint64_t bytes)
{
	sql_do(index_sql(x), "INSERT INTO daily VALUES(?,?,?,1,0,0,0,0,0,0,?) ON CONFLICT DO UPDATE SET stored=stored+1,"
	    " bytes=bytes+excluded.bytes", "issi", time_s / DAY_S, customer, class_name, (int64_t)bytes);
}

static void
count(struct index *x, const struct index_rcpt *rcpt, const char *column, int64_t by)
{
	char text[160];

	if (column == NULL)
		return;
	snprintf(text, sizeof text, "UPDATE daily SET %s=%s+? WHERE day=? AND customer=? AND class=?", column, column);
	sql_do(index_sql(x), text, "iitt", by, rcpt->time_s / DAY_S, rcpt->customer, rcpt->class_name);
}

void
stats_changed(struct index *x, const struct index_rcpt *rcpt, const struct index_change *change)
{
	if (rcpt->state != change->state) {
		count(x, rcpt, changed_columns[change->state], 1);
		if (rcpt->state == STATE_DELETED)        /* undone */
			count(x, rcpt, changed_columns[rcpt->state], -1);
	}
	if (rcpt->vote != change->vote) {
		count(x, rcpt, vote_columns[rcpt->vote], -1);
		count(x, rcpt, vote_columns[change->vote], 1);
	}
}

void
stats_forget(struct index *x, int64_t now_s)
{
	sql_do(index_sql(x), "DELETE FROM daily WHERE day<?", "i", now_s / DAY_S - STATS_DAYS);
}

/* Whose numbers: the customer asked for, within the one who asks. */
static const char *
customer_of(const json_t *request, bool *all)
{
	const char *scope = json_string_value(json_object_get(json_object_get(request, "scope"), "customer"));
	const char *wanted = json_string_value(json_object_get(request, "customer"));

	*all = scope == NULL && wanted == NULL;
	if (scope && wanted && strcmp(scope, wanted) != 0)
		return "\x01";               /* no customer's name */
	return scope ? scope : wanted ? wanted : "";
}

static json_t *
daily_rows(struct index *x, const json_t *request)
{
	static const char *const keys[] = { "day", "customer", "class" };
	const json_t *by = json_object_get(request, "by");
	json_t *list = json_array();
	int64_t until = json_integer_value(json_object_get(request, "until"));
	char text[640], columns[64] = "", group[32] = "";
	bool wanted[3] = { false }, all;
	const char *customer = customer_of(request, &all);

	for (size_t i = 0; i < json_array_size(by); i++)
		for (int k = 0; k < 3; k++)
			wanted[k] |= strcmp(json_string_value(json_array_get(by, i)) ? json_string_value(json_array_get(by, i)) : "", keys[k]) == 0;
	for (int k = 0; k < 3; k++) {
		snprintf(columns + strlen(columns), sizeof columns - strlen(columns), "%s%s, ", wanted[k] ? "" : "NULL AS ", keys[k]);
		if (wanted[k])
			snprintf(group + strlen(group), sizeof group - strlen(group), "%s%d", group[0] ? ", " : "", k + 1);
	}
	snprintf(text, sizeof text, "SELECT %s total(stored), total(released), total(requested), total(deleted), total(expired), total(ham),"
	    " total(spam), total(bytes) FROM daily WHERE day>=? AND day<=?%s%s%s%s%s", columns, all ? "" : " AND customer=?",
	    group[0] ? " GROUP BY " : "", group, group[0] ? " ORDER BY " : "", group);
	struct sql_rows *rows = sql_ask(index_sql(x), text, "ii", json_integer_value(json_object_get(request, "since")) / DAY_S,
	    until > 0 ? (until - 1) / DAY_S : INT64_MAX);

	if (!all)
		sql_bind_text(rows, span_of(customer));
	while (sql_row(rows)) {
		static const char *const names[] = { "stored", "released", "requested", "deleted", "expired", "ham", "spam", "bytes" };
		json_t *row = json_object();
		time_t day = (time_t)(sql_int(rows, 0) * DAY_S);
		struct tm tm;
		char date[16];

		strftime(date, sizeof date, "%Y-%m-%d", gmtime_r(&day, &tm));
		if (wanted[0])
			json_object_set_new(row, "day", json_string(date));
		for (int k = 1; k < 3; k++)
			if (wanted[k])
				json_object_set_new(row, keys[k], json_stringn(sql_span(rows, k).p, sql_span(rows, k).n));
		for (int k = 0; k < 8; k++)
			json_object_set_new(row, names[k], json_integer((json_int_t)sql_real(rows, 3 + k)));
		json_array_append_new(list, row);
	}
	sql_end(rows);
	return list;
}

/* Counting two million rows would hold up mail: totals are kept as they change. */
json_t *
index_stats(struct index *x, const json_t *request)
{
	json_t *states = json_object();
	struct sql *db = index_sql(x);
	bool all;
	const char *customer = customer_of(request, &all);
	struct sql_rows *rows = sql_ask(db, all ? "SELECT state, sum(entries) FROM held GROUP BY state" :
	    "SELECT state, sum(entries) FROM held WHERE customer=? GROUP BY state", all ? "" : "t", customer);

	for (int i = 0; i < STATE__COUNT; i++)
		json_object_set_new(states, entry_state_names[i], json_integer(0));
	json_int_t recipients = 0;

	while (sql_row(rows)) {
		int64_t state = sql_int(rows, 0);

		recipients += sql_int(rows, 1);
		if (state >= 0 && state < STATE__COUNT)
			json_object_set_new(states, entry_state_names[state], json_integer(sql_int(rows, 1)));
	}
	sql_end(rows);
	json_t *stats = json_pack("{s:o, s:I, s:o}", "states", states, "recipients", recipients, "rows", daily_rows(x, request));

	if (all) {
		json_object_set_new(stats, "mails", json_integer(sql_number(db, "SELECT total(mails) FROM owned", "")));
		json_object_set_new(stats, "bytes", json_integer(sql_number(db, "SELECT total(done) FROM segment", "")));
		json_object_set_new(stats, "segments", json_integer(sql_number(db, "SELECT count(*) FROM segment", "")));
		json_object_set_new(stats, "damaged", json_integer(sql_number(db, "SELECT total(damaged) FROM segment", "")));
	}
	return stats;
}

static int
most_released(const void *a, const void *b)
{
	json_int_t x = json_integer_value(json_object_get(*(json_t *const *)a, "released")) + json_integer_value(json_object_get(*(json_t *const *)a, "ham"));
	json_int_t y = json_integer_value(json_object_get(*(json_t *const *)b, "released")) + json_integer_value(json_object_get(*(json_t *const *)b, "ham"));

	return (x < y) - (x > y);
}

/* `text`: "NAME=points NAME=points". */
static void
count_symbols(json_t *table, struct span text, bool released, bool ham)
{
	while (text.n > 0) {
		struct span word = span_cut(&text, ' '), symbol = span_head(span_cut(&word, '='), 80);
		char name[96];

		snprintf(name, sizeof name, SPAN_FMT, SPAN_ARG(symbol));
		json_t *row = json_object_get(table, name);

		if (row == NULL && json_object_size(table) < SYMBOLS_MOST) {
			row = json_pack("{s:s, s:i, s:i}", "symbol", name, "released", 0, "ham", 0);
			json_object_set_new(table, name, row);
		}
		if (row && released)
			json_object_set_new(row, "released", json_integer(json_integer_value(json_object_get(row, "released")) + 1));
		if (row && ham)
			json_object_set_new(row, "ham", json_integer(json_integer_value(json_object_get(row, "ham")) + 1));
	}
}

json_t *
index_rules(struct index *x, const json_t *request)
{
	json_t *table = json_object(), *rules = json_array(), *row, *sorted[SYMBOLS_MOST];
	int64_t deadline = clock_ms() + LOOK_MS * 4;
	size_t n = 0;
	json_int_t looked = 0;
	bool all;
	const char *name, *customer = customer_of(request, &all);
	struct sql_rows *rows = sql_ask(index_sql(x), "SELECT rcpt.customer, rcpt.state, rcpt.vote, mail.symbols FROM rcpt CROSS JOIN mail"
	    " ON mail.id=rcpt.id WHERE (state=2 OR vote=1) AND rcpt.time_s>=? ORDER BY rcpt.time_s DESC", "i",
	    json_integer_value(json_object_get(request, "since")));

	while (looked < LOOK_MOST && clock_ms() < deadline && sql_row(rows)) {
		looked++;
		if (all || span_eq(sql_span(rows, 0), span_of(customer)))
			count_symbols(table, sql_span(rows, 3), sql_int(rows, 1) == STATE_RELEASED, sql_int(rows, 2) == VOTE_HAM);
	}
	sql_end(rows);
	json_object_foreach(table, name, row)
		sorted[n++] = row;
	qsort(sorted, n, sizeof *sorted, most_released);
	for (size_t i = 0; i < n && i < RULES_SHOWN; i++)
		json_array_append(rules, sorted[i]);
	json_decref(table);
	return json_pack("{s:o, s:I}", "rules", rules, "looked", looked);
}
