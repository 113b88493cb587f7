/* policy_foreign.c - policies as other filters keep them, read into records of ours. What has no counterpart is said, line by
 * line, and counted: nobody finds out later that half of it stayed behind.
 *
 * Sources  amavisd-new README.sql-mysql (users, policy, mailaddr, wblist); Mail::SpamAssassin::Conf; rspamd's settings module;
 *          Proxmox Mail Gateway's table userprefs */
#include <stdlib.h>
#include <string.h>

#include "policyd/base/buf.h"
#include "policyd/ctl/policy_inside.h"

enum { MAX_COLUMNS = 100, DEPTH_MOST = 20 };

static void
set_text(json_t *values, const char *name, const char *text)
{
	json_object_set_new(values, name, json_string(text));
}

/* The values of one key, made on first use. */
static json_t *
record_of(json_t *records, const char *key)
{
	json_t *values = json_object_get(records, key);

	if (values == NULL)
		json_object_set_new(records, key, values = json_object());
	return values;
}

static void
add_all(struct import *in, json_t *records)
{
	const char *key;
	json_t *values;

	json_object_foreach(records, key, values)
		if (json_object_size(values))
			import_add(in, key, json_incref(values));
	json_decref(records);
}

/* A sender as address, *@domain, @domain or .domain on one of the lists. */
static bool
add_entry(struct import *in, json_t *values, const char *list, const char *sender, const char *origin)
{
	const char *domain = sender + strspn(sender, "*@.");
	bool whole_domain = domain != sender, address = strchr(sender, '@') && !whole_domain;
	json_t *entries = json_object_get(values, list);
	char name[400];

	if (strpbrk(domain, "*?/[]() \t") || domain[0] == '\0' || strlen(domain) > 300 || (!whole_domain && !address && strchr(sender, '.') == NULL) || (address && (strchr(sender, '@')[1] == '\0' || sender[0] == '@'))) {
		import_untranslated(in, "%s \"%s\": a pattern", list, sender);
		return false;
	}
	if (entries == NULL)
		json_object_set_new(values, list, entries = json_object());
	snprintf(name, sizeof name, "%s:%s", address ? "from" : "domain", address ? sender : domain);
	json_object_set_new(entries, name, json_pack("{s:s}", "comment", origin));
	return true;
}

static char *
read_whole(FILE *file)
{
	struct buf all = { 0 };
	char chunk[65536];
	size_t n;

	while ((n = fread(chunk, 1, sizeof chunk, file)) > 0)
		buf_add(&all, chunk, n);
	buf_add_char(&all, '\0');
	return all.p;
}

/* ---- SQL dumps: CREATE TABLE for the order of columns, INSERT or COPY for rows ---- */

struct table {
	char name[64];
	char *columns[MAX_COLUMNS];
	size_t count;
};

struct sql {
	struct import *in;
	char *p;
	struct table tables[16];
	size_t table_count;
	void (*row)(struct sql *s, const char *table, json_t *row);
	json_t *policies, *senders, *users, *pending, *records;
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

static struct table *
table_of(struct sql *s, const char *wanted)
{
	size_t i = 0;

	while (i < s->table_count && strcasecmp(s->tables[i].name, wanted) != 0)
		i++;
	if (i == sizeof s->tables / sizeof *s->tables)
		i = 0;
	if (i == s->table_count) {
		snprintf(s->tables[i].name, sizeof s->tables[i].name, "%s", wanted);
		s->table_count++;
	}
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
		buf_add_char(&text, '\0');
		v = json_string(text.p);
		buf_free(&text);
		return v ? v : json_string("");
	}
	buf_add_char(&text, '\0');
	v = strcasecmp(text.p, "NULL") == 0 ? json_null() : json_string(text.p);
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
			s->row(s, t->name, row);
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
	for (s->p += *s->p == '\n'; *s->p && !(s->p[0] == '\\' && s->p[1] == '.'); s->p += *s->p == '\n') {
		json_t *row = json_object();

		s->in->line++;
		for (size_t i = 0; i < t->count; i++) {
			size_t n = strcspn(s->p, "\t\n");
			bool null = n == 2 && s->p[0] == '\\' && s->p[1] == 'N';

			json_object_set_new(row, t->columns[i], null ? json_null() : json_stringn(s->p, n));
			s->p += n;
			if (*s->p != '\t')
				break;
			s->p++;
		}
		s->row(s, t->name, row);
		json_decref(row);
		s->p += strcspn(s->p, "\n");
	}
}

static void
read_sql(struct sql *s, FILE *file)
{
	char *all = read_whole(file), table[64];

	s->in->line = 1;
	for (s->p = all; s->p && *s->p && !s->in->failed;) {
		bool insert = keyword(s, "INSERT") && keyword(s, "INTO"), create = !insert && keyword(s, "CREATE") && keyword(s, "TABLE");
		bool copy = !insert && !create && keyword(s, "COPY");

		if (create && keyword(s, "IF") && keyword(s, "NOT"))
			keyword(s, "EXISTS");
		if ((insert || create || copy) && name(s, table)) {
			struct table *t = table_of(s, table);

			columns(s, t);
			if (insert && keyword(s, "VALUES"))
				rows(s, t);
			else if (copy) {
				copied_rows(s, t);
				s->p += strcspn(s->p, "\n");
				skip_blanks(s);
				continue;
			}
		}
		/* To the end of the statement; a semicolon in a text is none. */
		for (bool quoted = false; *s->p && (quoted || *s->p != ';'); s->p++) {
			if (*s->p == '\n')
				s->in->line++;
			if (*s->p == '\'')
				quoted = !quoted;
		}
		s->p += *s->p == ';';
		skip_blanks(s);
	}
	for (size_t i = 0; i < s->table_count; i++)
		forget_columns(&s->tables[i]);
	free(all);
}

static const char *
cell(const json_t *row, const char *column)
{
	const char *text = json_string_value(json_object_get(row, column));

	return text ? text : "";
}

/* ---- amavis ---- */

static bool
yes(const json_t *row, const char *column)
{
	return cell(row, column)[0] == 'Y' || cell(row, column)[0] == 'y';
}

static void
amavis_policy(struct sql *s, const json_t *row)
{
	static const struct { const char *column, *field; } same[] = {
		{ "spam_tag2_level", "tag" }, { "spam_subject_tag2", "subject_tag" }, { "addr_extension_spam", "folder" },
	}, lovers[] = {
		{ "virus_lover", "virus" }, { "bypass_virus_checks", "virus" }, { "banned_files_lover", "banned" },
		{ "bypass_banned_checks", "banned" }, { "unchecked_lover", "unscannable" },
	};
	static const char *const known[] = { "id", "policy_name", "spam_lover", "bypass_spam_checks", "spam_kill_level", "spam_quarantine_cutoff_level",
	    "spam_quarantine_to", "spam_modifies_subj" };
	json_t *values = json_object(), *v;
	const char *column;

	for (size_t i = 0; i < sizeof same / sizeof *same; i++)
		if (cell(row, same[i].column)[0])
			set_text(values, same[i].field, cell(row, same[i].column));
	for (size_t i = 0; i < sizeof lovers / sizeof *lovers; i++)
		if (yes(row, lovers[i].column))
			set_text(values, lovers[i].field, "deliver");
	if (cell(row, "spam_kill_level")[0])
		set_text(values, cell(row, "spam_quarantine_to")[0] ? "quarantine" : "discard", cell(row, "spam_kill_level"));
	if (cell(row, "spam_quarantine_cutoff_level")[0] && cell(row, "spam_quarantine_to")[0])
		set_text(values, "discard", cell(row, "spam_quarantine_cutoff_level"));
	if (cell(row, "spam_modifies_subj")[0] == 'N')
		set_text(values, "subject_tag", "");
	if (yes(row, "spam_lover") || yes(row, "bypass_spam_checks")) {
		set_text(values, "quarantine", "off");
		set_text(values, "discard", "off");
	}
	if (yes(row, "bypass_spam_checks"))
		set_text(values, "tag", "off");
	json_object_foreach((json_t *)row, column, v) {
		bool used = json_is_null(v) || json_string_length(v) == 0 || json_string_value(v)[0] == 'N' || json_string_value(v)[0] == 'n';

		for (size_t i = 0; i < sizeof same / sizeof *same; i++)
			used |= strcmp(column, same[i].column) == 0;
		for (size_t i = 0; i < sizeof lovers / sizeof *lovers; i++)
			used |= strcmp(column, lovers[i].column) == 0;
		for (size_t i = 0; i < sizeof known / sizeof *known; i++)
			used |= strcmp(column, known[i]) == 0;
		if (!used)
			import_untranslated(s->in, "policy %s: %s=%s", cell(row, "id"), column, json_string_value(v));
	}
	json_object_set_new(s->policies, cell(row, "id"), values);
}

static void
amavis_row(struct sql *s, const char *table, json_t *row)
{
	if (strcasecmp(table, "policy") == 0) {
		amavis_policy(s, row);
	} else if (strcasecmp(table, "mailaddr") == 0) {
		json_object_set_new(s->senders, cell(row, "id"), json_string(cell(row, "email")));
	} else if (strcasecmp(table, "users") == 0 || strcasecmp(table, "wblist") == 0) {
		json_object_set_new(row, "table", json_string(table));
		json_object_set_new(row, "line", json_integer(s->in->line));
		json_array_append(s->pending, row);
	} else {
		import_untranslated(s->in, "table %s", table);
	}
}

/* user@dom -> mailbox, @dom -> domain, @.dom -> the domain and those below; user+ext@dom is a mailbox of ours too. */
static size_t
amavis_keys(struct import *in, const char *email, char keys[2][400])
{
	if (strcmp(email, "@.") == 0 || email[0] == '\0' || strchr(email, '@') == NULL) {
		import_untranslated(in, "users: \"%s\": %s", email, strcmp(email, "@.") == 0 ? "what holds for all stands in policyd.conf" : "a local part in all domains");
		return 0;
	}
	if (strncmp(email, "@.", 2) == 0) {
		snprintf(keys[0], 400, "domain:%.380s", email + 2);
		snprintf(keys[1], 400, "domain:*.%.380s", email + 2);
		return 2;
	}
	snprintf(keys[0], 400, "%s%.380s", email[0] == '@' ? "domain:" : "mailbox:", email[0] == '@' ? email + 1 : email);
	return 1;
}

static void
amavis_pending(struct sql *s, json_t *row)
{
	bool user = strcasecmp(cell(row, "table"), "users") == 0;
	char keys[2][400];

	s->in->line = (uint32_t)json_integer_value(json_object_get(row, "line"));
	if (user)
		json_object_set_new(s->users, cell(row, "id"), json_string(cell(row, "email")));
	const char *email = user ? cell(row, "email") : json_string_value(json_object_get(s->users, cell(row, "rid")));
	size_t n = amavis_keys(s->in, email ? email : "", keys);

	for (size_t i = 0; i < n; i++) {
		json_t *values = record_of(s->records, keys[i]), *policy = json_object_get(s->policies, cell(row, "policy_id"));
		const char *sender = json_string_value(json_object_get(s->senders, cell(row, "sid"))), *wb = cell(row, "wb");
		bool listed = strchr("WwYyBbNn", wb[0]) && wb[0] && wb[1] == '\0';

		if (user && policy)
			json_object_update(values, policy);
		else if (user)
			import_untranslated(s->in, "users: \"%s\" has policy %s, which is not there", email, cell(row, "policy_id"));
		else if (sender && listed)
			add_entry(s->in, values, strchr("WwYy", wb[0]) ? "allow" : "block", sender, "from amavis");
		else
			import_untranslated(s->in, "wblist: \"%s\" for %s: %s", sender ? sender : "?", email, listed ? "unknown sender" : "a score");
	}
}

void
read_amavis(struct import *in, FILE *file)
{
	struct sql s = { .in = in, .row = amavis_row, .policies = json_object(), .senders = json_object(), .users = json_object(),
	    .pending = json_array(), .records = json_object() };
	size_t i;
	json_t *row;

	read_sql(&s, file);
	for (int pass = 0; pass < 2; pass++)         /* users before the lists that speak of them */
		json_array_foreach(s.pending, i, row)
			if ((strcasecmp(cell(row, "table"), "users") == 0) == (pass == 0))
				amavis_pending(&s, row);
	add_all(in, s.records);
	json_decref(s.policies);
	json_decref(s.senders);
	json_decref(s.users);
	json_decref(s.pending);
}

/* ---- Proxmox Mail Gateway ---- */

static void
proxmox_row(struct sql *s, const char *table, json_t *row)
{
	const char *list = strcmp(cell(row, "name"), "WL") == 0 ? "allow" : strcmp(cell(row, "name"), "BL") == 0 ? "block" : NULL;
	char *data = strdup(cell(row, "data")), *save = NULL, key[400];

	if (strcasecmp(table, "userprefs") != 0) {
		import_untranslated(s->in, "table %s", table);
	} else if (list == NULL) {
		import_untranslated(s->in, "userprefs of %s: %s", cell(row, "pmail"), cell(row, "name"));
	} else {
		snprintf(key, sizeof key, "mailbox:%.380s", cell(row, "pmail"));
		for (char *one = data ? strtok_r(data, ", \t\n", &save) : NULL; one; one = strtok_r(NULL, ", \t\n", &save))
			add_entry(s->in, record_of(s->records, key), list, one, "from Proxmox");
	}
	free(data);
}

void
read_proxmox(struct import *in, FILE *file)
{
	struct sql s = { .in = in, .row = proxmox_row, .records = json_object() };

	read_sql(&s, file);
	add_all(in, s.records);
}

/* ---- SpamAssassin ---- */

void
read_spamassassin(struct import *in, FILE *file, const char *key)
{
	static const struct { const char *word, *list; } lists[] = {
		{ "whitelist_from", "allow" }, { "welcomelist_from", "allow" }, { "whitelist_auth", "allow" }, { "welcomelist_auth", "allow" },
		{ "whitelist_from_dkim", "allow" }, { "welcomelist_from_dkim", "allow" }, { "blacklist_from", "block" }, { "blocklist_from", "block" },
	};
	json_t *records = json_object(), *values = record_of(records, key);
	char *line = NULL;
	size_t room = 0;

	while (getline(&line, &room, file) > 0) {
		char *save = NULL, *word, *rest;
		const char *list = NULL;

		in->line++;
		line[strcspn(line, "#\r\n")] = '\0';
		word = strtok_r(line, " \t", &save);
		if (word == NULL)
			continue;
		rest = save + strspn(save, " \t");
		for (size_t n = strlen(rest); n > 0 && (rest[n - 1] == ' ' || rest[n - 1] == '\t'); rest[--n] = '\0')
			continue;
		for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
			if (strcmp(word, lists[i].word) == 0)
				list = lists[i].list;
		if (strcmp(word, "required_score") == 0 || strcmp(word, "required_hits") == 0) {
			set_text(values, "tag", rest);
		} else if (strcmp(word, "rewrite_header") == 0 && strncasecmp(rest, "subject", 7) == 0) {
			json_object_set_new(values, "subject_tag", json_sprintf("%s ", rest + 7 + strspn(rest + 7, " \t")));
		} else if (list) {
			for (char *one = strtok_r(rest, " \t", &save); one; one = strtok_r(NULL, " \t", &save))
				add_entry(in, values, list, one, "from SpamAssassin");
		} else {
			import_untranslated(in, "%s %s", word, rest);
		}
	}
	free(line);
	add_all(in, records);
}

/* ---- rspamd: settings.conf, in UCL ---- */

struct ucl {
	struct import *in;
	const char *p;
};

static void
ucl_blanks(struct ucl *u)
{
	for (; *u->p; u->p++) {
		if (*u->p == '#')
			u->p += strcspn(u->p, "\n");
		else if (u->p[0] == '/' && u->p[1] == '*' && strstr(u->p, "*/"))
			u->p = strstr(u->p, "*/") + 1;
		if (*u->p == '\n')
			u->in->line++;
		if (*u->p == '\0' || strchr(" \t\r\n/", *u->p) == NULL)
			return;
		if (*u->p == '/' && u->p[-1] != '*')
			return;
	}
}

static char *
ucl_word(struct ucl *u, const char *ends)
{
	struct buf text = { 0 };
	char quote = *u->p == '"' || *u->p == '\'' ? *u->p++ : '\0';

	while (*u->p && (quote ? *u->p != quote : strchr(ends, *u->p) == NULL)) {
		if (quote && *u->p == '\\' && u->p[1])
			u->p++;
		buf_add_char(&text, *u->p++);
	}
	u->p += quote && *u->p;
	while (!quote && text.n > 0 && strchr(" \t\r", text.p[text.n - 1]))
		text.n--;
	buf_add_char(&text, '\0');
	return text.p;
}

static json_t *ucl_value(struct ucl *u, int depth);

/* What stands between the braces; the same key twice is a list. */
static json_t *
ucl_object(struct ucl *u, int depth)
{
	json_t *object = json_object();

	for (ucl_blanks(u); *u->p && *u->p != '}' && !u->in->failed; ucl_blanks(u)) {
		if (*u->p == ',' || *u->p == ';') {
			u->p++;
			continue;
		}
		char *key = ucl_word(u, " \t\r\n={}:;");

		ucl_blanks(u);
		if (*u->p == '=' || *u->p == ':')
			u->p++;
		ucl_blanks(u);
		if (key[0] == '\0' || depth > DEPTH_MOST)
			import_bad(u->in, "expected NAME = VALUE; or NAME { ... }");
		json_t *v = ucl_value(u, depth + 1), *there = json_object_get(object, key);

		if (there && json_is_array(there))
			json_array_append_new(there, v);
		else if (there)
			json_object_set_new(object, key, json_pack("[O, o]", there, v));
		else
			json_object_set_new(object, key, v);
		free(key);
	}
	u->p += *u->p == '}';
	return object;
}

static json_t *
ucl_value(struct ucl *u, int depth)
{
	if (*u->p == '{') {
		u->p++;
		return ucl_object(u, depth);
	}
	if (*u->p == '[') {
		json_t *list = json_array();

		for (u->p++, ucl_blanks(u); *u->p && *u->p != ']' && depth <= DEPTH_MOST; ucl_blanks(u)) {
			if (*u->p == ',')
				u->p++;
			else
				json_array_append_new(list, ucl_value(u, depth + 1));
		}
		u->p += *u->p == ']';
		return list;
	}
	char *text = ucl_word(u, depth ? ";,\n}]#" : ";\n#");
	json_t *v = json_string(text);

	free(text);
	return v ? v : json_string("");
}

static void
rspamd_actions(struct import *in, const char *rule, json_t *actions, json_t *values)
{
	const char *action;
	json_t *v;

	json_object_foreach(actions, action, v) {
		const char *text = json_string_value(v), *points = text && strcmp(text, "null") == 0 ? "off" : text;

		if (points && (strcmp(action, "add header") == 0 || strcmp(action, "add_header") == 0))
			set_text(values, "tag", points);
		else if (points && strcmp(action, "quarantine") == 0)
			set_text(values, "quarantine", points);
		else if (points && (strcmp(action, "reject") == 0 || strcmp(action, "discard") == 0)) {
			set_text(values, "discard", points);
			set_text(values, "top_action", action);
		} else {
			import_untranslated(in, "settings %s: action %s", rule, action);
		}
	}
}

static void
rspamd_rule(struct import *in, const char *rule, json_t *settings, json_t *records)
{
	json_t *apply = json_object_get(settings, "apply"), *rcpt = json_object_get(settings, "rcpt"), *values = json_object(), *v, *one;
	const char *name;
	size_t i;

	json_object_foreach(settings, name, v)
		if (strcmp(name, "apply") && strcmp(name, "rcpt") && strcmp(name, "id") && strcmp(name, "priority") && strcmp(name, "whitelist") && strcmp(name, "want_spam"))
			import_untranslated(in, "settings %s: condition %s", rule, name);
	json_object_foreach(apply, name, v) {
		if (strcmp(name, "actions") == 0)
			rspamd_actions(in, rule, v, values);
		else if (strcmp(name, "subject") == 0 && json_string_value(v)) {
			const char *percent = strstr(json_string_value(v), "%s");

			json_object_set_new(values, "subject_tag", json_sprintf("%.*s", percent ? (int)(percent - json_string_value(v)) : 60, json_string_value(v)));
		} else {
			import_untranslated(in, "settings %s: apply %s", rule, name);
		}
	}
	if (json_object_get(settings, "whitelist") || json_object_get(settings, "want_spam"))
		set_text(values, "filter", "false");
	/* One that also asks for a sender, a client, ... holds for less than the whole recipient: it may not become his policy. */
	bool whole = true;

	json_object_foreach(settings, name, v)
		whole &= !strcmp(name, "apply") || !strcmp(name, "rcpt") || !strcmp(name, "id") || !strcmp(name, "priority") || !strcmp(name, "whitelist") || !strcmp(name, "want_spam");
	json_t *list = json_is_array(rcpt) ? json_incref(rcpt) : rcpt ? json_pack("[O]", rcpt) : json_array();

	json_array_foreach(list, i, one) {
		const char *address = json_string_value(one);
		char key[400];

		if (address == NULL || strpbrk(address, "/*^$") || strchr(address, '@') == NULL) {
			import_untranslated(in, "settings %s: rcpt %s: a pattern", rule, address ? address : "?");
			continue;
		}
		snprintf(key, sizeof key, "%s%.380s", address[0] == '@' ? "domain:" : "mailbox:", address[0] == '@' ? address + 1 : address);
		if (whole)
			json_object_update(record_of(records, key), values);
	}
	if (json_array_size(list) == 0)
		import_untranslated(in, "settings %s: it names no recipient", rule);
	json_decref(list);
	json_decref(values);
}

void
read_rspamd(struct import *in, FILE *file)
{
	char *all = read_whole(file);
	struct ucl u = { in, all };
	json_t *top, *rules, *records = json_object(), *rule;
	const char *name;

	in->line = 1;
	top = all ? ucl_object(&u, 1) : json_object();
	rules = json_object_get(top, "settings") ? json_object_get(top, "settings") : top;
	if (json_is_object(rules))
		json_object_foreach(rules, name, rule) {
			if (json_is_object(rule))
				rspamd_rule(in, name, rule, records);
			else
				import_untranslated(in, "settings: %s", name);
		}
	add_all(in, records);
	json_decref(top);
	free(all);
}
