#include "quarantine/store/index.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

#include "policyd/base/log.h"
#include "policyd/base/utf8.h"

enum { LIST_DEFAULT = 50, LIST_MOST = 1000 };

const char *const entry_state_names[STATE__COUNT] = {
	[STATE_NEW] = "new", [STATE_RELEASING] = "releasing", [STATE_RELEASED] = "released", [STATE_DELETED] = "deleted",
	[STATE_EXPIRED] = "expired",
};

struct index {
	sqlite3 *db;
};

static const char schema[] =
	"PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; PRAGMA user_version=1;"
	"CREATE TABLE IF NOT EXISTS mail(id TEXT PRIMARY KEY, seq INTEGER, time_s INTEGER, segment TEXT, offset INTEGER,"
	" length INTEGER, size INTEGER, client TEXT, sender TEXT, class TEXT, message_id TEXT, header_from TEXT, subject TEXT,"
	" symbols TEXT, digest BLOB, queue_id TEXT, count INTEGER) WITHOUT ROWID;"
	"CREATE INDEX IF NOT EXISTS mail_digest ON mail(digest);"
	"CREATE INDEX IF NOT EXISTS mail_segment ON mail(segment);"
	"CREATE TABLE IF NOT EXISTS rcpt(id TEXT, n INTEGER, time_s INTEGER, raw TEXT, address TEXT, domain TEXT, customer TEXT,"
	" points REAL, state INTEGER, note TEXT, retention INTEGER, expires_s INTEGER, PRIMARY KEY(id, n)) WITHOUT ROWID;"
	"CREATE INDEX IF NOT EXISTS rcpt_address ON rcpt(address, time_s);"
	"CREATE INDEX IF NOT EXISTS rcpt_domain ON rcpt(domain, time_s);"
	"CREATE INDEX IF NOT EXISTS rcpt_customer ON rcpt(customer, time_s);"
	"CREATE INDEX IF NOT EXISTS rcpt_time ON rcpt(time_s);"
	"CREATE INDEX IF NOT EXISTS rcpt_state ON rcpt(state, expires_s);"
	"CREATE TABLE IF NOT EXISTS segment(name TEXT PRIMARY KEY, done INTEGER, damaged INTEGER) WITHOUT ROWID;";

static bool
run(struct index *x, const char *sql)
{
	char *error = NULL;

	if (sqlite3_exec(x->db, sql, NULL, NULL, &error) == SQLITE_OK)
		return true;
	log_error("quarantine index: %s; policyctl quarantine rebuild makes it anew", error ? error : "failed");
	sqlite3_free(error);
	return false;
}

struct index *
index_open(const char *path, char *why, size_t room)
{
	struct index *x = calloc(1, sizeof *x);

	if (x == NULL || sqlite3_open(path, &x->db) != SQLITE_OK || !run(x, schema)) {
		snprintf(why, room, "%s: %s", path, x && x->db ? sqlite3_errmsg(x->db) : "no memory");
		index_close(x);
		return NULL;
	}
	return x;
}

void
index_close(struct index *x)
{
	if (x)
		sqlite3_close(x->db);
	free(x);
}

bool
index_begin(struct index *x)
{
	return run(x, "BEGIN");
}

bool
index_commit(struct index *x)
{
	return run(x, "COMMIT");
}

bool
index_clear(struct index *x)
{
	return run(x, "DELETE FROM mail; DELETE FROM rcpt; DELETE FROM segment");
}

/* ---- one statement: prepare, bind by letters (t text span, i integer, f double, b blob span), step ---- */

static sqlite3_stmt *
prepare(struct index *x, const char *sql)
{
	sqlite3_stmt *stmt = NULL;

	if (sqlite3_prepare_v2(x->db, sql, -1, &stmt, NULL) != SQLITE_OK)
		log_error("quarantine index: %s", sqlite3_errmsg(x->db));
	return stmt;
}

static void
bind_text(sqlite3_stmt *stmt, int at, struct span s)
{
	if (!utf8_valid(s))                  /* metadata is decoded; only raw addresses may be odd, and those are blobs */
		sqlite3_bind_blob(stmt, at, s.p, (int)s.n, SQLITE_TRANSIENT);
	else
		sqlite3_bind_text(stmt, at, s.p ? s.p : "", (int)s.n, SQLITE_TRANSIENT);
}

static bool
finish(struct index *x, sqlite3_stmt *stmt)
{
	bool good = stmt && sqlite3_step(stmt) == SQLITE_DONE;

	if (!good)
		log_error("quarantine index: %s; policyctl quarantine rebuild makes it anew", sqlite3_errmsg(x->db));
	sqlite3_finalize(stmt);
	return good;
}

static struct span
domain_of(struct span address)
{
	size_t at = span_find_last(address, '@');

	return at == SPAN_NONE ? SPAN("") : span_from(address, at + 1);
}

bool
index_add(struct index *x, const char *id, uint64_t seq, const struct store_request *r, const struct seg_place *place)
{
	sqlite3_stmt *stmt = prepare(x, "INSERT OR IGNORE INTO mail VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,1)");
	char client[INET6_ADDRSTRLEN];

	if (stmt == NULL)
		return false;
	ip_print(&r->session.client, client);
	bind_text(stmt, 1, span_of(id));
	sqlite3_bind_int64(stmt, 2, (sqlite3_int64)seq);
	sqlite3_bind_int64(stmt, 3, r->time_s);
	bind_text(stmt, 4, span_of(place->name));
	sqlite3_bind_int64(stmt, 5, (sqlite3_int64)place->offset);
	sqlite3_bind_int64(stmt, 6, (sqlite3_int64)place->length);
	sqlite3_bind_int64(stmt, 7, (sqlite3_int64)r->size);
	bind_text(stmt, 8, span_of(client));
	bind_text(stmt, 9, span_of(r->envelope.sender));
	bind_text(stmt, 10, r->class_name);
	bind_text(stmt, 11, r->message_id);
	bind_text(stmt, 12, r->from);
	bind_text(stmt, 13, r->subject);
	bind_text(stmt, 14, r->symbols);
	sqlite3_bind_blob(stmt, 15, r->digest, sizeof r->digest, SQLITE_TRANSIENT);
	bind_text(stmt, 16, span_of(r->envelope.queue_id));
	if (!finish(x, stmt))
		return false;
	for (uint32_t n = 0; n < r->recipient_count; n++) {
		const struct store_recipient *one = &r->recipients[n];

		stmt = prepare(x, "INSERT OR IGNORE INTO rcpt VALUES(?,?,?,?,?,?,?,?,0,'',?,?)");
		if (stmt == NULL)
			return false;
		bind_text(stmt, 1, span_of(id));
		sqlite3_bind_int64(stmt, 2, n);
		sqlite3_bind_int64(stmt, 3, r->time_s);
		bind_text(stmt, 4, one->raw);
		bind_text(stmt, 5, one->address);
		bind_text(stmt, 6, domain_of(one->address));
		bind_text(stmt, 7, one->customer);
		sqlite3_bind_double(stmt, 8, one->points);
		sqlite3_bind_int64(stmt, 9, one->retention_days);
		sqlite3_bind_int64(stmt, 10, r->time_s + (int64_t)one->retention_days * 86400);
		if (!finish(x, stmt))
			return false;
	}
	return true;
}

bool
index_state(struct index *x, const char *id, uint32_t n, enum entry_state state, const char *note)
{
	sqlite3_stmt *stmt = prepare(x, "UPDATE rcpt SET state=?, note=? WHERE id=? AND n=?");

	if (stmt == NULL)
		return false;
	sqlite3_bind_int(stmt, 1, state);
	bind_text(stmt, 2, span_of(note));
	bind_text(stmt, 3, span_of(id));
	sqlite3_bind_int64(stmt, 4, n);
	return finish(x, stmt);
}

bool
index_count(struct index *x, const char *id)
{
	sqlite3_stmt *stmt = prepare(x, "UPDATE mail SET count=count+1 WHERE id=?");

	if (stmt == NULL)
		return false;
	bind_text(stmt, 1, span_of(id));
	return finish(x, stmt);
}

void
index_segment(struct index *x, const char *name, uint64_t done, uint64_t damaged)
{
	sqlite3_stmt *stmt = prepare(x, "INSERT INTO segment VALUES(?,?,?) ON CONFLICT(name) DO UPDATE SET done=excluded.done,"
	    " damaged=segment.damaged+excluded.damaged");

	if (stmt == NULL)
		return;
	bind_text(stmt, 1, span_of(name));
	sqlite3_bind_int64(stmt, 2, (sqlite3_int64)done);
	sqlite3_bind_int64(stmt, 3, (sqlite3_int64)damaged);
	finish(x, stmt);
}

static int64_t
one_number(struct index *x, const char *sql, const char *text)
{
	sqlite3_stmt *stmt = prepare(x, sql);
	int64_t value = 0;

	if (stmt && text)
		bind_text(stmt, 1, span_of(text));
	if (stmt && sqlite3_step(stmt) == SQLITE_ROW)
		value = sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	return value;
}

uint64_t
index_segment_done(struct index *x, const char *name)
{
	return (uint64_t)one_number(x, "SELECT done FROM segment WHERE name=?", name);
}

uint64_t
index_last_seq(struct index *x)
{
	return (uint64_t)one_number(x, "SELECT max(seq) FROM mail", NULL);
}

static void
column_text(sqlite3_stmt *stmt, int column, char *to, size_t room)
{
	const void *bytes = sqlite3_column_blob(stmt, column);
	size_t n = (size_t)sqlite3_column_bytes(stmt, column);

	n = n < room - 1 ? n : room - 1;
	memcpy(to, bytes ? bytes : "", n);
	to[n] = '\0';
}

bool
index_find_retry(struct index *x, const struct store_request *r, struct span raw, int64_t since_s, char id[ID_ROOM])
{
	sqlite3_stmt *stmt = prepare(x, "SELECT mail.id FROM mail JOIN rcpt ON rcpt.id=mail.id WHERE mail.digest=? AND mail.client=?"
	    " AND mail.sender=? AND mail.time_s>=? AND rcpt.raw=? AND rcpt.state=0 LIMIT 1");
	char client[INET6_ADDRSTRLEN];
	bool found = false;

	if (stmt == NULL)
		return false;
	ip_print(&r->session.client, client);
	sqlite3_bind_blob(stmt, 1, r->digest, sizeof r->digest, SQLITE_TRANSIENT);
	bind_text(stmt, 2, span_of(client));
	bind_text(stmt, 3, span_of(r->envelope.sender));
	sqlite3_bind_int64(stmt, 4, since_s);
	bind_text(stmt, 5, raw);
	if (sqlite3_step(stmt) == SQLITE_ROW) {
		column_text(stmt, 0, id, ID_ROOM);
		found = true;
	}
	sqlite3_finalize(stmt);
	return found;
}

bool
index_find(struct index *x, const char *id, struct seg_place *place, struct index_rcpt **rcpts, size_t *count)
{
	sqlite3_stmt *stmt = prepare(x, "SELECT segment, offset, length, (SELECT count(*) FROM rcpt WHERE rcpt.id=mail.id) FROM mail WHERE id=?");
	size_t n = 0, all = 0;

	*rcpts = NULL;
	*count = 0;
	if (stmt == NULL)
		return false;
	bind_text(stmt, 1, span_of(id));
	if (sqlite3_step(stmt) == SQLITE_ROW) {
		column_text(stmt, 0, place->name, sizeof place->name);
		place->offset = (uint64_t)sqlite3_column_int64(stmt, 1);
		place->length = (uint64_t)sqlite3_column_int64(stmt, 2);
		all = (size_t)sqlite3_column_int64(stmt, 3);
	}
	sqlite3_finalize(stmt);
	if (all == 0 || (*rcpts = calloc(all, sizeof **rcpts)) == NULL)
		return false;
	stmt = prepare(x, "SELECT n, raw, address, state, retention FROM rcpt WHERE id=? ORDER BY n");
	if (stmt)
		bind_text(stmt, 1, span_of(id));
	while (stmt && n < all && sqlite3_step(stmt) == SQLITE_ROW) {
		struct index_rcpt *one = &(*rcpts)[n++];

		one->n = (uint32_t)sqlite3_column_int64(stmt, 0);
		column_text(stmt, 1, one->raw, sizeof one->raw);
		column_text(stmt, 2, one->address, sizeof one->address);
		one->state = (enum entry_state)sqlite3_column_int(stmt, 3);
		one->retention_days = (unsigned)sqlite3_column_int64(stmt, 4);
	}
	sqlite3_finalize(stmt);
	*count = n;
	return n > 0;
}

static json_t *
column_json(sqlite3_stmt *stmt, int column)
{
	const char *text = (const char *)sqlite3_column_text(stmt, column);
	json_t *value = json_string(text ? text : "");

	return value ? value : json_string("");
}

static const char entry_columns[] =
	"SELECT mail.id, mail.time_s, mail.sender, rcpt.address, mail.subject, mail.class, rcpt.points, rcpt.state, mail.size,"
	" mail.count, mail.client, mail.message_id, mail.header_from, mail.symbols, mail.queue_id, rcpt.note, rcpt.customer,"
	" rcpt.expires_s FROM rcpt JOIN mail ON mail.id=rcpt.id";

static json_t *
entry_json(sqlite3_stmt *stmt)
{
	int state = sqlite3_column_int(stmt, 7);

	return json_pack("{s:o, s:I, s:o, s:o, s:o, s:o, s:f, s:s, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I}", "id",
	    column_json(stmt, 0), "time", (json_int_t)sqlite3_column_int64(stmt, 1), "sender", column_json(stmt, 2), "recipient",
	    column_json(stmt, 3), "subject", column_json(stmt, 4), "class", column_json(stmt, 5), "points",
	    sqlite3_column_double(stmt, 6), "state", state >= 0 && state < STATE__COUNT ? entry_state_names[state] : "?", "size",
	    (json_int_t)sqlite3_column_int64(stmt, 8), "count", (json_int_t)sqlite3_column_int64(stmt, 9), "client",
	    column_json(stmt, 10), "message_id", column_json(stmt, 11), "from", column_json(stmt, 12), "symbols",
	    column_json(stmt, 13), "queue_id", column_json(stmt, 14), "note", column_json(stmt, 15), "customer",
	    column_json(stmt, 16), "expires", (json_int_t)sqlite3_column_int64(stmt, 17));
}

static const char *
text_of(json_t *request, const char *name)
{
	const char *value = json_string_value(json_object_get(request, name));

	return value ? value : "";
}

json_t *
index_list(struct index *x, json_t *request)
{
	static const struct { const char *name, *where; } filters[] = {
		{ "rcpt", " AND rcpt.address=?" }, { "domain", " AND rcpt.domain=?" }, { "customer", " AND rcpt.customer=?" },
		{ "sender", " AND mail.sender=?" }, { "class", " AND mail.class=?" },
	};
	char sql[1024];
	const char *state = text_of(request, "state");
	json_int_t limit = json_integer_value(json_object_get(request, "limit")), since = json_integer_value(json_object_get(request, "since"));
	json_t *entries = json_array();
	size_t n = (size_t)snprintf(sql, sizeof sql, "%s WHERE rcpt.time_s>=?", entry_columns);
	int at = 1, number = -1;

	for (size_t i = 0; i < sizeof filters / sizeof *filters; i++)
		if (text_of(request, filters[i].name)[0])
			n += (size_t)snprintf(sql + n, sizeof sql - n, "%s", filters[i].where);
	for (int i = 0; i < STATE__COUNT; i++)
		if (strcmp(state, entry_state_names[i]) == 0)
			number = i;
	if (number >= 0)
		n += (size_t)snprintf(sql + n, sizeof sql - n, " AND rcpt.state=%d", number);
	snprintf(sql + n, sizeof sql - n, " ORDER BY rcpt.time_s DESC, rcpt.id DESC LIMIT ? OFFSET ?");
	sqlite3_stmt *stmt = prepare(x, sql);

	if (stmt == NULL)
		return entries;
	sqlite3_bind_int64(stmt, at++, since);
	for (size_t i = 0; i < sizeof filters / sizeof *filters; i++)
		if (text_of(request, filters[i].name)[0])
			bind_text(stmt, at++, span_of(text_of(request, filters[i].name)));
	sqlite3_bind_int64(stmt, at++, limit <= 0 ? LIST_DEFAULT : limit > LIST_MOST ? LIST_MOST : limit);
	sqlite3_bind_int64(stmt, at, json_integer_value(json_object_get(request, "offset")));
	while (sqlite3_step(stmt) == SQLITE_ROW)
		json_array_append_new(entries, entry_json(stmt));
	sqlite3_finalize(stmt);
	return entries;
}

json_t *
index_show(struct index *x, const char *id)
{
	char sql[1024];
	json_t *entries = json_array();

	snprintf(sql, sizeof sql, "%s WHERE mail.id=? ORDER BY rcpt.n", entry_columns);
	sqlite3_stmt *stmt = prepare(x, sql);

	if (stmt)
		bind_text(stmt, 1, span_of(id));
	while (stmt && sqlite3_step(stmt) == SQLITE_ROW)
		json_array_append_new(entries, entry_json(stmt));
	sqlite3_finalize(stmt);
	return entries;
}

json_t *
index_stats(struct index *x)
{
	json_t *states = json_object();

	for (int i = 0; i < STATE__COUNT; i++) {
		char sql[64];

		snprintf(sql, sizeof sql, "SELECT count(*) FROM rcpt WHERE state=%d", i);
		json_object_set_new(states, entry_state_names[i], json_integer(one_number(x, sql, NULL)));
	}
	return json_pack("{s:I, s:I, s:o, s:I, s:I, s:I}", "mails", (json_int_t)one_number(x, "SELECT count(*) FROM mail", NULL),
	    "recipients", (json_int_t)one_number(x, "SELECT count(*) FROM rcpt", NULL), "states", states, "bytes",
	    (json_int_t)one_number(x, "SELECT total(length) FROM mail", NULL), "segments",
	    (json_int_t)one_number(x, "SELECT count(*) FROM segment", NULL), "damaged",
	    (json_int_t)one_number(x, "SELECT total(damaged) FROM segment", NULL));
}

void
index_releasing(struct index *x, void (*each)(void *arg, const char *id, uint32_t n), void *arg)
{
	sqlite3_stmt *stmt = prepare(x, "SELECT id, n FROM rcpt WHERE state=1");

	while (stmt && sqlite3_step(stmt) == SQLITE_ROW) {
		char id[ID_ROOM];

		column_text(stmt, 0, id, sizeof id);
		each(arg, id, (uint32_t)sqlite3_column_int64(stmt, 1));
	}
	sqlite3_finalize(stmt);
}

void
index_expire(struct index *x, int64_t now_s)
{
	sqlite3_stmt *stmt = prepare(x, "UPDATE rcpt SET state=4 WHERE state=0 AND expires_s<?");

	if (stmt == NULL)
		return;
	sqlite3_bind_int64(stmt, 1, now_s);
	finish(x, stmt);
}

void
index_forget_segment(struct index *x, const char *name)
{
	static const char *const steps[] = { "DELETE FROM rcpt WHERE id IN (SELECT id FROM mail WHERE segment=?)",
	    "DELETE FROM mail WHERE segment=?", "DELETE FROM segment WHERE name=?" };

	for (int i = 0; i < 3; i++) {
		sqlite3_stmt *stmt = prepare(x, steps[i]);

		if (stmt) {
			bind_text(stmt, 1, span_of(name));
			finish(x, stmt);
		}
	}
}
