/* sql.h - SQLite, as little of it as the index needs: statements are prepared once and kept.
 *
 * Shape   sql_ask(db, "SELECT a FROM t WHERE b=? AND c>?", "ti", text, number) and then sql_row until it says false;
 *         letters of the arguments: t const char *, s struct span, i int64_t, f double, b struct span as a blob
 * Errors  logged once here, with what to do; then rows end and sql_do answers false. The truth is in the segments
 * Lifetime a statement is asked for, read and ended by sql_end before it is asked again; spans live until sql_end
 */
#ifndef QUARANTINE_STORE_SQL_H
#define QUARANTINE_STORE_SQL_H

#include <stdint.h>

#include "policyd/base/span.h"

struct sql;
struct sql_rows;

struct sql *sql_open(const char *path, const char *schema, int version, char *why, size_t room);
/* The same; a file that is no whole database gives way to an empty one. */
struct sql *sql_open_anew(const char *path, const char *schema, int version, char *why, size_t room);
void sql_remove(const char *path);           /* the files of a database */
/* Was something not read or written since this was last asked? */
bool sql_trouble(struct sql *db);
bool sql_damaged(const struct sql *db);      /* found while it was read */
void sql_close(struct sql *db);

bool sql_script(struct sql *db, const char *text);
bool sql_do(struct sql *db, const char *text, const char *kinds, ...);
struct sql_rows *sql_ask(struct sql *db, const char *text, const char *kinds, ...);   /* NULL is as good as no rows */
bool sql_row(struct sql_rows *rows);
void sql_end(struct sql_rows *rows);

/* For questions made at run time: arguments one by one, in order. */
void sql_bind_text(struct sql_rows *rows, struct span text);
void sql_bind_int(struct sql_rows *rows, int64_t value);
void sql_bind_blob(struct sql_rows *rows, struct span bytes);

int64_t sql_int(struct sql_rows *rows, int column);
double sql_real(struct sql_rows *rows, int column);
struct span sql_span(struct sql_rows *rows, int column);
void sql_text(struct sql_rows *rows, int column, char *to, size_t room);

/* The first column of the first row, or 0. */
int64_t sql_number(struct sql *db, const char *text, const char *kinds, ...);

/* Transactions nest: only the outermost begins and commits. */
bool sql_begin(struct sql *db);
bool sql_commit(struct sql *db);
void sql_rollback(struct sql *db);           /* all levels */

#endif
