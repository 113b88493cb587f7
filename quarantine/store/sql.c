#include "quarantine/store/sql.h"

#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "policyd/base/log.h"
#include "policyd/base/utf8.h"

enum { KEPT = 128, COMPLAIN_S = 10 };

struct sql_rows {
	struct sql *db;
	sqlite3_stmt *stmt;
	char *text;
	int bound;
	bool busy;
};

struct sql {
	sqlite3 *db;
	struct sql_rows kept[KEPT];          /* by hash of the text; a collision replaces */
	int depth;
	bool trouble;                        /* something was not written or read since sql_trouble */
	bool damaged;                        /* the file is no database, or not a whole one */
	int64_t complained;
};

static bool
complain(struct sql *db, const char *what)
{
	int code = sqlite3_errcode(db->db) & 0xff;

	db->trouble = true;
	db->damaged |= code == SQLITE_CORRUPT || code == SQLITE_NOTADB;
	log_seldom(&db->complained, COMPLAIN_S, "quarantine index: %s", what);
	return false;
}

bool
sql_trouble(struct sql *db)
{
	bool trouble = db->trouble;

	db->trouble = false;
	return trouble;
}

bool
sql_damaged(const struct sql *db)
{
	return db->damaged;
}

bool
sql_script(struct sql *db, const char *text)
{
	char *error = NULL;
	bool good = sqlite3_exec(db->db, text, NULL, NULL, &error) == SQLITE_OK;

	if (!good)
		complain(db, error ? error : "failed");
	sqlite3_free(error);
	return good;
}

/* An index of another version is emptied: what it says is made anew from the segments. */
static bool
set_up(struct sql *db, const char *schema, int version)
{
	char pragma[64];
	int64_t found = sql_number(db, "PRAGMA user_version", "");

	snprintf(pragma, sizeof pragma, "PRAGMA user_version=%d", version);
	if (found != 0 && found != version) {
		log_info("quarantine index: version %lld, this is %d: it is made anew", (long long)found, version);
		sqlite3_db_config(db->db, SQLITE_DBCONFIG_RESET_DATABASE, 1, 0);
		if (!sql_script(db, "VACUUM"))
			return false;
		sqlite3_db_config(db->db, SQLITE_DBCONFIG_RESET_DATABASE, 0, 0);
	}
	/* Nothing waits for its syncs but a checkpoint: after a power cut it is older than the segments, but whole. */
	return sql_script(db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-131072; PRAGMA wal_autocheckpoint=10000;"
	    " PRAGMA temp_store=MEMORY; PRAGMA mmap_size=1073741824") && sql_script(db, schema) && sql_script(db, pragma);
}

void
sql_remove(const char *path)
{
	static const char *const ends[] = { "", "-wal", "-shm" };
	char name[1200];

	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
		snprintf(name, sizeof name, "%s%s", path, ends[i]);
		unlink(name);
	}
}

struct sql *
sql_open_anew(const char *path, const char *schema, int version, char *why, size_t room)
{
	struct sql *db = sql_open(path, schema, version, why, room);

	if (db && !sql_damaged(db))
		return db;
	if (db == NULL && !strstr(why, "malformed") && !strstr(why, "not a database"))
		return NULL;
	log_error("quarantine index: %s is damaged; it is made anew from the segments", path);
	sql_close(db);
	sql_remove(path);
	return sql_open(path, schema, version, why, room);
}

struct sql *
sql_open(const char *path, const char *schema, int version, char *why, size_t room)
{
	struct sql *db = calloc(1, sizeof *db);

	if (db == NULL || sqlite3_open(path, &db->db) != SQLITE_OK || !set_up(db, schema, version)) {
		snprintf(why, room, "%s: %s", path, db && db->db ? sqlite3_errmsg(db->db) : "no memory");
		sql_close(db);
		return NULL;
	}
	return db;
}

void
sql_close(struct sql *db)
{
	if (db == NULL)
		return;
	for (int i = 0; i < KEPT; i++) {
		sqlite3_finalize(db->kept[i].stmt);
		free(db->kept[i].text);
	}
	sqlite3_close(db->db);
	free(db);
}

static struct sql_rows *
prepare(struct sql *db, const char *text)
{
	struct sql_rows *r = &db->kept[span_hash(span_of(text), 0) % KEPT];

	if (r->busy) {                       /* two statements of one slot at once: the second is not kept */
		r = calloc(1, sizeof *r);
		if (r == NULL)
			return NULL;
	} else if (r->stmt && strcmp(r->text, text) == 0) {
		r->busy = true;
		r->bound = 0;
		return r;
	}
	sqlite3_finalize(r->stmt);
	free(r->text);
	*r = (struct sql_rows){ .db = db, .text = strdup(text), .busy = true };
	if (r->text == NULL || sqlite3_prepare_v3(db->db, text, -1, SQLITE_PREPARE_PERSISTENT, &r->stmt, NULL) != SQLITE_OK) {
		complain(db, r->text ? sqlite3_errmsg(db->db) : "no memory");
		sql_end(r);
		return NULL;
	}
	return r;
}

void
sql_bind_text(struct sql_rows *r, struct span s)
{
	if (r == NULL)
		return;
	if (!utf8_valid(s))                  /* metadata is decoded; only raw addresses may be odd, and those are blobs */
		sqlite3_bind_blob(r->stmt, ++r->bound, s.p, (int)s.n, SQLITE_TRANSIENT);
	else
		sqlite3_bind_text(r->stmt, ++r->bound, s.p ? s.p : "", (int)s.n, SQLITE_TRANSIENT);
}

void
sql_bind_int(struct sql_rows *r, int64_t value)
{
	if (r)
		sqlite3_bind_int64(r->stmt, ++r->bound, value);
}

void
sql_bind_blob(struct sql_rows *r, struct span s)
{
	if (r)
		sqlite3_bind_blob(r->stmt, ++r->bound, s.p ? s.p : "", (int)s.n, SQLITE_TRANSIENT);
}

static struct sql_rows *
ask(struct sql *db, const char *text, const char *kinds, va_list args)
{
	struct sql_rows *r = prepare(db, text);

	for (; r && *kinds; kinds++)
		switch (*kinds) {
		case 't':
			sql_bind_text(r, span_of(va_arg(args, const char *)));
			break;
		case 's':
			sql_bind_text(r, va_arg(args, struct span));
			break;
		case 'i':
			sql_bind_int(r, va_arg(args, int64_t));
			break;
		case 'f':
			sqlite3_bind_double(r->stmt, ++r->bound, va_arg(args, double));
			break;
		case 'b':
			sql_bind_blob(r, va_arg(args, struct span));
			break;
		}
	return r;
}

struct sql_rows *
sql_ask(struct sql *db, const char *text, const char *kinds, ...)
{
	va_list args;

	va_start(args, kinds);
	struct sql_rows *r = ask(db, text, kinds, args);

	va_end(args);
	return r;
}

bool
sql_row(struct sql_rows *r)
{
	int result = r ? sqlite3_step(r->stmt) : SQLITE_DONE;

	if (result == SQLITE_ROW)
		return true;
	if (result != SQLITE_DONE)
		complain(r->db, sqlite3_errmsg(r->db->db));
	return false;
}

void
sql_end(struct sql_rows *r)
{
	if (r == NULL)
		return;
	bool kept = r >= r->db->kept && r < r->db->kept + KEPT;

	if (kept && r->stmt) {
		sqlite3_reset(r->stmt);
		sqlite3_clear_bindings(r->stmt);
		r->busy = false;
		return;
	}
	sqlite3_finalize(r->stmt);
	free(r->text);
	if (kept)
		*r = (struct sql_rows){ .db = r->db };
	else
		free(r);
}

bool
sql_do(struct sql *db, const char *text, const char *kinds, ...)
{
	va_list args;

	va_start(args, kinds);
	struct sql_rows *r = ask(db, text, kinds, args);

	va_end(args);
	bool good = r && sqlite3_step(r->stmt) == SQLITE_DONE;

	if (r && !good)
		complain(db, sqlite3_errmsg(db->db));
	sql_end(r);
	return good;
}

int64_t
sql_number(struct sql *db, const char *text, const char *kinds, ...)
{
	va_list args;
	int64_t value = 0;

	va_start(args, kinds);
	struct sql_rows *r = ask(db, text, kinds, args);

	va_end(args);
	if (sql_row(r))
		value = sql_int(r, 0);
	sql_end(r);
	return value;
}

int64_t
sql_int(struct sql_rows *r, int column)
{
	return sqlite3_column_int64(r->stmt, column);
}

double
sql_real(struct sql_rows *r, int column)
{
	return sqlite3_column_double(r->stmt, column);
}

struct span
sql_span(struct sql_rows *r, int column)
{
	const void *bytes = sqlite3_column_blob(r->stmt, column);

	return span_make(bytes ? bytes : "", (size_t)sqlite3_column_bytes(r->stmt, column));
}

void
sql_text(struct sql_rows *r, int column, char *to, size_t room)
{
	struct span s = span_head(sql_span(r, column), room - 1);

	memcpy(to, s.p, s.n);
	to[s.n] = '\0';
}

bool
sql_begin(struct sql *db)
{
	return db->depth++ > 0 || sql_script(db, "BEGIN");
}

bool
sql_commit(struct sql *db)
{
	if (db->depth == 0 || --db->depth > 0)
		return true;
	bool good = sql_script(db, "COMMIT");

	if (!sqlite3_get_autocommit(db->db))
		sql_script(db, "ROLLBACK");
	return good;
}

void
sql_rollback(struct sql *db)
{
	if (!sqlite3_get_autocommit(db->db))         /* a full disk may have rolled it back already */
		sql_script(db, "ROLLBACK");
	db->depth = 0;
}
