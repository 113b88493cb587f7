/* policy_sql.c - rows out of an SQL dump: CREATE TABLE tells the order of columns, INSERT (MySQL, SQLite) or COPY (PostgreSQL) has
 * the rows. Everything else in the dump is skipped, statement by statement. */
#include <stdlib.h>
#include <string.h>

#include "policyd/base/buf.h"
#include "policyd/ctl/policy_inside.h"

enum { MAX_COLUMNS = 100, MAX_TABLES = 1000 };

struct table {
	char name[64];
	char *columns[MAX_COLUMNS];
	size_t count;
};

struct sql {
	struct import *in;
	char *p;
	struct table *tables;
	size_t table_count;
	sql_row row;
	void *arg;
};

static void
skip_blanks(struct sql *s)
{
	for (; *s->p; s->p++) {
		if (s->p[0] == '-' && s->p[1] == '-')
			s->p += strcspn(s->p, "\n");
		if (*s->p == '\n')
			s->in->line++;
		else if (*s->p != ' ' && *s->p != '\t' && *s->p != '\r')
			return;
	}
}

static bool
keyword(struct sql *s, const char *word)
{
	size_t n = strlen(word);

	skip_blanks(s);
	if (strncasecmp(s->p, word, n) != 0 || s->p[n] == '_' || ascii_alnum(s->p[n]))
		return false;
	s->p += n;
	return true;
}

/* users, `users`, "users", public.users */
static bool
name(struct sql *s, char to[64])
{
	size_t n = 0;

	skip_blanks(s);
	for (; *s->p && strchr(" \t\r\n(),;", *s->p) == NULL; s->p++)
		if (*s->p == '.')
			n = 0;
		else if (*s->p != '`' && *s->p != '"' && n < 63)
			to[n++] = *s->p;
	to[n] = '\0';
	return n > 0;
}

/* NULL: there are too many, and it has been said. */
static struct table *
table_of(struct sql *s, const char *wanted)
{
	size_t i = 0;
	struct table *more;

	while (i < s->table_count && strcasecmp(s->tables[i].name, wanted) != 0)
		i++;
	if (i < s->table_count)
		return &s->tables[i];
	if (i == MAX_TABLES || (more = realloc(s->tables, (i + 1) * sizeof *more)) == NULL) {
		import_bad(s->in, "table %s: expected at most %d tables", wanted, MAX_TABLES);
		return NULL;
	}
	s->tables = more;
	s->tables[i] = (struct table){ 0 };
	snprintf(s->tables[i].name, sizeof s->tables[i].name, "%s", wanted);
	s->table_count++;
	return &s->tables[i];
}

static void
forget_columns(struct table *t)
{
	for (size_t i = 0; i < t->count; i++)
		free(t->columns[i]);
	t->count = 0;
}

/* (a, b type(10), KEY x (a)): the first word of each item that is a column. */
static void
columns(struct sql *s, struct table *t)
{
	static const char *const no_column[] = { "PRIMARY", "KEY", "UNIQUE", "CONSTRAINT", "INDEX", "FOREIGN", "CHECK" };
	char word[64];
	int depth = 0;

	skip_blanks(s);
	if (*s->p != '(')
		return;
	s->p++;
	forget_columns(t);
	for (bool first = true; *s->p && depth >= 0; s->p += *s->p != '\0') {
		skip_blanks(s);
		bool column = first && depth == 0 && strchr(",()'", *s->p) == NULL && name(s, word);

		for (size_t i = 0; column && i < sizeof no_column / sizeof *no_column; i++)
			column = strcasecmp(word, no_column[i]) != 0;
		if (column && t->count < MAX_COLUMNS)
			t->columns[t->count++] = strdup(word);
		skip_blanks(s);
		if (*s->p == '\'')
			for (s->p++; *s->p && *s->p != '\''; s->p++)
				continue;
		depth += (*s->p == '(') - (*s->p == ')');
		first = depth == 0 && *s->p == ',';
	}
}

/* 'it''s', 12, NULL */
static json_t *
value(struct sql *s)
{
	struct buf text = { 0 };
	json_t *v;

	skip_blanks(s);
	if (*s->p != '\'') {
		while (*s->p && strchr(",) \t\r\n", *s->p) == NULL)
			buf_add_char(&text, *s->p++);
	} else {
		for (s->p++; *s->p && !(s->p[0] == '\'' && s->p[1] != '\''); s->p++) {
			if (*s->p == '\n')
				s->in->line++;
			if ((*s->p == '\\' || *s->p == '\'') && s->p[1])
				s->p++;
			buf_add_char(&text, *s->p);
		}
		s->p += *s->p != '\0';
		v = foreign_text(buf_span(&text));
		buf_free(&text);
		return v;
	}
	v = span_eq_nocase(buf_span(&text), SPAN("NULL")) ? json_null() : foreign_text(buf_span(&text));
	buf_free(&text);
	return v;
}

static void
rows(struct sql *s, const struct table *t)
{
	for (skip_blanks(s); *s->p == '('; skip_blanks(s)) {
		json_t *row = json_object();
		size_t i = 0;

		do {
			s->p++;
			json_t *v = value(s);

			if (i < t->count)
				json_object_set_new(row, t->columns[i], v);
			else
				json_decref(v);
			i++;
			skip_blanks(s);
		} while (*s->p == ',');
		if (*s->p != ')' || (t->count && i != t->count))
			import_bad(s->in, "INSERT INTO %s: %zu values; expected %zu", t->name, i, t->count);
		else
			s->row(s->arg, t->name, row);
		json_decref(row);
		s->p += *s->p == ')';
		skip_blanks(s);
		if (*s->p != ',' || s->in->failed)
			return;
		s->p++;
	}
}

/* COPY ... FROM stdin; then cells by tabs, \N for NULL, up to "\." */
static void
copied_rows(struct sql *s, const struct table *t)
{
	s->p += strcspn(s->p, "\n");
	for (s->p += *s->p == '\n'; *s->p && !(s->p[0] == '\\' && s->p[1] == '.') && !s->in->failed; s->p += *s->p == '\n') {
		json_t *row = json_object();
		size_t i = 0;

		s->in->line++;
		for (; i < t->count; i++) {
			size_t n = strcspn(s->p, "\t\n");
			bool null = n == 2 && s->p[0] == '\\' && s->p[1] == 'N';

			json_object_set_new(row, t->columns[i], null ? json_null() : foreign_text(span_make(s->p, n)));
			s->p += n;
			if (*s->p != '\t')
				break;
			s->p++;
		}
		if (i + 1 != t->count || *s->p == '\t')
			import_bad(s->in, "COPY %s: a row of %zu cells or more; expected %zu", t->name, i + 1, t->count);
		else
			s->row(s->arg, t->name, row);
		json_decref(row);
		s->p += strcspn(s->p, "\n");
	}
	if (*s->p == '\0' && !s->in->failed)
		import_bad(s->in, "COPY %s: the file ends; expected a line \"\\.\"", t->name);
}

void
read_sql(struct import *in, FILE *file, sql_row row, void *arg)
{
	struct sql s = { .in = in, .row = row, .arg = arg };
	char *all = foreign_whole(in, file), table[64];

	s.in->line = 1;
	for (s.p = all; s.p && *s.p && !s.in->failed;) {
		bool insert = keyword(&s, "INSERT") && keyword(&s, "INTO"), create = !insert && keyword(&s, "CREATE") && keyword(&s, "TABLE");
		bool copy = !insert && !create && keyword(&s, "COPY");

		if (create && keyword(&s, "IF") && keyword(&s, "NOT"))
			keyword(&s, "EXISTS");
		if ((insert || create || copy) && name(&s, table)) {
			struct table *t = table_of(&s, table);

			if (t == NULL)
				break;
			columns(&s, t);
			if (insert && keyword(&s, "VALUES"))
				rows(&s, t);
			else if (copy) {
				copied_rows(&s, t);
				s.p += strcspn(s.p, "\n");
				skip_blanks(&s);
				continue;
			}
		}
		/* To the end of the statement; a semicolon in a text is none. */
		for (bool quoted = false; *s.p && (quoted || *s.p != ';'); s.p++) {
			if (quoted && s.p[0] == '\\' && s.p[1])
				s.p++;
			else if (*s.p == '\'')
				quoted = !quoted;
			if (*s.p == '\n')
				s.in->line++;
		}
		s.p += *s.p == ';';
		skip_blanks(&s);
	}
	for (size_t i = 0; i < s.table_count; i++)
		forget_columns(&s.tables[i]);
	free(s.tables);
	free(all);
}
