/* policy_foreign.c - policies as other filters keep them, read into records of ours. What has no counterpart is said, line by
 * line, and counted: nobody finds out later that half of it stayed behind.
 *
 * Sources  amavisd-new README.sql-mysql (users, policy, mailaddr, wblist); Mail::SpamAssassin::Conf; rspamd's settings module;
 *          Proxmox Mail Gateway's table userprefs */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "policyd/base/buf.h"
#include "policyd/ctl/policy_inside.h"

json_t *
foreign_text(struct span text)
{
	struct buf utf8 = { 0 };
	json_t *v = json_stringn(text.n ? text.p : "", text.n);

	if (v)
		return v;
	for (size_t i = 0; i < text.n; i++) {
		unsigned char c = (unsigned char)text.p[i];

		if (c >= 0x80)
			buf_add_char(&utf8, (char)(0xc0 | c >> 6));
		buf_add_char(&utf8, (char)(c < 0x80 ? c : 0x80 | (c & 0x3f)));
	}
	v = json_stringn(utf8.p, utf8.n);
	buf_free(&utf8);
	return v;
}

void
foreign_set(json_t *values, const char *name, const char *text)
{
	json_object_set_new(values, name, foreign_text(span_of(text)));
}

void
foreign_points(struct import *in, json_t *values, const char *name, const char *text)
{
	char *end;
	double points = strtod(text, &end);

	if (strcmp(text, "off") != 0 && (end == text || *end || !isfinite(points)))
		import_bad(in, "%s=\"%.60s\": expected a number of points", name, text);
	else
		foreign_set(values, name, text);
}

/* No field is called so: where the record was first spoken of. */
static const char line_field[] = "#line";

json_t *
foreign_record(const struct import *in, json_t *records, const char *key)
{
	json_t *name = foreign_text(span_of(key)), *values = json_object_get(records, json_string_value(name));

	if (values == NULL)
		json_object_set_new(records, json_string_value(name), values = json_pack("{s:i}", line_field, (int)in->line));
	json_decref(name);
	return values;
}

void
foreign_done(struct import *in, json_t *records)
{
	const char *key;
	json_t *values;

	json_object_foreach(records, key, values) {
		in->line = (uint32_t)json_integer_value(json_object_get(values, line_field));
		json_object_del(values, line_field);
		if (json_object_size(values))
			import_add(in, key, json_incref(values));
	}
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
	json_t *text = foreign_text(span_of(name));

	json_object_set_new(entries, json_string_value(text), json_pack("{s:s}", "comment", origin));
	json_decref(text);
	return true;
}

char *
foreign_whole(struct import *in, FILE *file)
{
	struct buf all = { 0 };
	char chunk[65536];
	size_t n;

	while ((n = fread(chunk, 1, sizeof chunk, file)) > 0)
		buf_add(&all, chunk, n);
	if (memchr(all.p ? all.p : "", '\0', all.n))
		import_bad(in, "a NUL byte in the file; expected text");
	buf_add_char(&all, '\0');
	return all.p;
}

static const char *
cell(const json_t *row, const char *column)
{
	const char *text = json_string_value(json_object_get(row, column));

	return text ? text : "";
}

/* ---- amavis ---- */

struct amavis {
	struct import *in;
	json_t *policies, *senders, *users;  /* by id */
	json_t *pending;                     /* rows of users and wblist: what they speak of may stand behind them */
	json_t *records;
};

static bool
yes(const json_t *row, const char *column)
{
	return cell(row, column)[0] == 'Y' || cell(row, column)[0] == 'y';
}

static void
amavis_policy(struct amavis *s, const json_t *row)
{
	static const struct { const char *column, *field; bool points; } same[] = {
		{ "spam_tag2_level", "tag", true }, { "spam_subject_tag2", "subject_tag", false }, { "addr_extension_spam", "folder", false },
	}, lovers[] = {
		{ "virus_lover", "virus", false }, { "bypass_virus_checks", "virus", false }, { "banned_files_lover", "banned", false },
		{ "bypass_banned_checks", "banned", false }, { "unchecked_lover", "unscannable", false },
	};
	static const char *const known[] = { "id", "policy_name", "spam_lover", "bypass_spam_checks", "spam_kill_level", "spam_quarantine_cutoff_level",
	    "spam_quarantine_to", "spam_modifies_subj" };
	json_t *values = json_object(), *v;
	const char *column;

	for (size_t i = 0; i < sizeof same / sizeof *same; i++)
		if (cell(row, same[i].column)[0] && same[i].points)
			foreign_points(s->in, values, same[i].field, cell(row, same[i].column));
		else if (cell(row, same[i].column)[0])
			foreign_set(values, same[i].field, cell(row, same[i].column));
	for (size_t i = 0; i < sizeof lovers / sizeof *lovers; i++)
		if (yes(row, lovers[i].column))
			foreign_set(values, lovers[i].field, "deliver");
	if (cell(row, "spam_kill_level")[0])
		foreign_points(s->in, values, cell(row, "spam_quarantine_to")[0] ? "quarantine" : "discard", cell(row, "spam_kill_level"));
	if (cell(row, "spam_quarantine_cutoff_level")[0] && cell(row, "spam_quarantine_to")[0])
		foreign_points(s->in, values, "discard", cell(row, "spam_quarantine_cutoff_level"));
	if (cell(row, "spam_modifies_subj")[0] == 'N')
		foreign_set(values, "subject_tag", "");
	if (yes(row, "spam_lover") || yes(row, "bypass_spam_checks")) {
		foreign_set(values, "quarantine", "off");
		foreign_set(values, "discard", "off");
	}
	if (yes(row, "bypass_spam_checks"))
		foreign_set(values, "tag", "off");
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
amavis_row(void *arg, const char *table, json_t *row)
{
	struct amavis *s = arg;

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
amavis_pending(struct amavis *s, json_t *row)
{
	bool user = strcasecmp(cell(row, "table"), "users") == 0;
	char keys[2][400];

	s->in->line = (uint32_t)json_integer_value(json_object_get(row, "line"));
	if (user)
		json_object_set_new(s->users, cell(row, "id"), json_string(cell(row, "email")));
	const char *email = user ? cell(row, "email") : json_string_value(json_object_get(s->users, cell(row, "rid")));
	size_t n = amavis_keys(s->in, email ? email : "", keys);

	for (size_t i = 0; i < n; i++) {
		json_t *values = foreign_record(s->in, s->records, keys[i]), *policy = json_object_get(s->policies, cell(row, "policy_id"));
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
	struct amavis s = { .in = in, .policies = json_object(), .senders = json_object(), .users = json_object(),
	    .pending = json_array(), .records = json_object() };
	size_t i;
	json_t *row;

	read_sql(in, file, amavis_row, &s);
	for (int pass = 0; pass < 2; pass++)         /* users before the lists that speak of them */
		json_array_foreach(s.pending, i, row)
			if ((strcasecmp(cell(row, "table"), "users") == 0) == (pass == 0))
				amavis_pending(&s, row);
	foreign_done(in, s.records);
	json_decref(s.policies);
	json_decref(s.senders);
	json_decref(s.users);
	json_decref(s.pending);
}

/* ---- Proxmox Mail Gateway ---- */

struct proxmox {
	struct import *in;
	json_t *records;
};

static void
proxmox_row(void *arg, const char *table, json_t *row)
{
	struct proxmox *s = arg;
	const char *list = strcmp(cell(row, "name"), "WL") == 0 ? "allow" : strcmp(cell(row, "name"), "BL") == 0 ? "block" : NULL;
	char *data = strdup(cell(row, "data")), *save = NULL, key[400];

	if (strcasecmp(table, "userprefs") != 0) {
		import_untranslated(s->in, "table %s", table);
	} else if (list == NULL) {
		import_untranslated(s->in, "userprefs of %s: %s", cell(row, "pmail"), cell(row, "name"));
	} else {
		snprintf(key, sizeof key, "mailbox:%.380s", cell(row, "pmail"));
		for (char *one = data ? strtok_r(data, ", \t\n", &save) : NULL; one; one = strtok_r(NULL, ", \t\n", &save))
			add_entry(s->in, foreign_record(s->in, s->records, key), list, one, "from Proxmox");
	}
	free(data);
}

void
read_proxmox(struct import *in, FILE *file)
{
	struct proxmox s = { in, json_object() };

	read_sql(in, file, proxmox_row, &s);
	foreign_done(in, s.records);
}

/* ---- SpamAssassin ---- */

void
read_spamassassin(struct import *in, FILE *file, const char *key)
{
	static const struct { const char *word, *list; } lists[] = {
		{ "whitelist_from", "allow" }, { "welcomelist_from", "allow" }, { "whitelist_auth", "allow" }, { "welcomelist_auth", "allow" },
		{ "whitelist_from_dkim", "allow" }, { "welcomelist_from_dkim", "allow" }, { "blacklist_from", "block" }, { "blocklist_from", "block" },
	};
	json_t *records = json_object(), *values = foreign_record(in, records, key);
	char *line = NULL;
	size_t room = 0;
	ssize_t got;

	while ((got = getline(&line, &room, file)) > 0 && !in->failed) {
		char *save = NULL, *word, *rest;
		const char *list = NULL;

		in->line++;
		if (memchr(line, '\0', (size_t)got))
			import_bad(in, "a NUL byte; expected text");
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
			foreign_points(in, values, "tag", rest);
		} else if (strcmp(word, "rewrite_header") == 0 && strncasecmp(rest, "subject", 7) == 0) {
			char tag[256];

			snprintf(tag, sizeof tag, "%s ", rest + 7 + strspn(rest + 7, " \t"));
			foreign_set(values, "subject_tag", tag);
		} else if (list) {
			for (char *one = strtok_r(rest, " \t", &save); one; one = strtok_r(NULL, " \t", &save))
				add_entry(in, values, list, one, "from SpamAssassin");
		} else {
			import_untranslated(in, "%s %s", word, rest);
		}
	}
	free(line);
	foreign_done(in, records);
}
