/* policy_rspamd.c - rspamd's settings.conf, in UCL, into records of ours: rules that name recipients and hold for all their mail. */
#include <stdlib.h>
#include <string.h>

#include "policyd/base/buf.h"
#include "policyd/base/utf8.h"
#include "policyd/ctl/policy_inside.h"

enum { DEPTH_MOST = 20 };

struct ucl {
	struct import *in;
	const char *p;
};

/* In every object: where it began. No field is called so. */
static const char line_field[] = "#line";

/* Blanks and comments; a comment that does not end is none. */
static void
ucl_blanks(struct ucl *u)
{
	for (const char *end;;) {
		if (*u->p == '#') {
			u->p += strcspn(u->p, "\n");
		} else if (u->p[0] == '/' && u->p[1] == '*' && (end = strstr(u->p + 2, "*/")) != NULL) {
			for (; u->p < end; u->p++)
				u->in->line += *u->p == '\n';
			u->p += 2;
		} else if (*u->p != '\0' && strchr(" \t\r\n", *u->p)) {
			u->in->line += *u->p++ == '\n';
		} else {
			return;
		}
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
	if (quote && *u->p == '\0')
		import_bad(u->in, "the file ends in a text; expected %c", quote);
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
	json_t *object = json_pack("{s:i}", line_field, (int)u->in->line);

	for (ucl_blanks(u); *u->p && *u->p != '}' && !u->in->failed; ucl_blanks(u)) {
		if (*u->p == ',' || *u->p == ';') {
			u->p++;
			continue;
		}
		char *word = ucl_word(u, " \t\r\n={}:;");
		json_t *name = foreign_text(span_of(word));
		const char *key = json_string_value(name);

		free(word);

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
		json_decref(name);
	}
	if (*u->p != (depth > 1 ? '}' : '\0') && !u->in->failed)
		import_bad(u->in, depth > 1 ? "the file ends; expected }" : "} without {; expected NAME = VALUE; or NAME { ... }");
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
			const char *before = u->p;

			if (*u->p == ',')
				u->p++;
			else
				json_array_append_new(list, ucl_value(u, depth + 1));
			if (u->p == before)  /* a ; or } that closes nothing here */
				break;
		}
		if (*u->p != ']' && !u->in->failed)
			import_bad(u->in, "expected ]");
		u->p += *u->p == ']';
		return list;
	}
	char *text = ucl_word(u, depth ? ";,\n}]#" : ";\n#");
	json_t *v = foreign_text(span_of(text));

	free(text);
	return v;
}

static void
rspamd_actions(struct import *in, const char *rule, json_t *actions, json_t *values)
{
	const char *action;
	json_t *v;

	in->line = (uint32_t)json_integer_value(json_object_get(actions, line_field));
	json_object_foreach(actions, action, v) {
		if (action[0] == '#')
			continue;
		const char *text = json_string_value(v), *points = text && strcmp(text, "null") == 0 ? "off" : text;

		if (points && (strcmp(action, "add header") == 0 || strcmp(action, "add_header") == 0))
			foreign_points(in, values, "tag", points);
		else if (points && strcmp(action, "quarantine") == 0)
			foreign_points(in, values, "quarantine", points);
		else if (points && (strcmp(action, "reject") == 0 || strcmp(action, "discard") == 0)) {
			foreign_points(in, values, "discard", points);
			foreign_set(values, "top_action", action);
		} else {
			import_untranslated(in, "settings %s: action %s", rule, action);
		}
	}
}

static void
rspamd_rule(struct import *in, const char *rule, json_t *settings, json_t *records)
{
	json_t *apply = json_object_get(settings, "apply"), *rcpt = json_object_get(settings, "rcpt"), *values = json_object(), *v, *one;
	uint32_t line = (uint32_t)json_integer_value(json_object_get(settings, line_field));
	const char *name;
	size_t i;

	in->line = line;
	json_object_foreach(settings, name, v)
		if (name[0] != '#' && strcmp(name, "apply") && strcmp(name, "rcpt") && strcmp(name, "id") && strcmp(name, "priority") && strcmp(name, "whitelist") && strcmp(name, "want_spam"))
			import_untranslated(in, "settings %s: condition %s", rule, name);
	json_object_foreach(apply, name, v) {
		if (name[0] == '#')
			continue;
		if (strcmp(name, "actions") == 0)
			rspamd_actions(in, rule, v, values);
		else if (strcmp(name, "subject") == 0 && json_string_value(v)) {
			const char *percent = strstr(json_string_value(v), "%s");

			json_object_set_new(values, "subject_tag", foreign_text(utf8_head(span_of(json_string_value(v)), percent ? (size_t)(percent - json_string_value(v)) : 60)));
		} else {
			import_untranslated(in, "settings %s: apply %s", rule, name);
		}
	}
	if (json_object_get(settings, "whitelist") || json_object_get(settings, "want_spam"))
		foreign_set(values, "filter", "false");
	/* One that also asks for a sender, a client, ... holds for less than the whole recipient: it may not become his policy. */
	bool whole = true;

	in->line = line;
	json_object_foreach(settings, name, v)
		whole &= name[0] == '#' || !strcmp(name, "apply") || !strcmp(name, "rcpt") || !strcmp(name, "id") || !strcmp(name, "priority") || !strcmp(name, "whitelist") || !strcmp(name, "want_spam");
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
			json_object_update(foreign_record(in, records, key), values);
	}
	if (json_array_size(list) == 0)
		import_untranslated(in, "settings %s: it names no recipient", rule);
	json_decref(list);
	json_decref(values);
}

void
read_rspamd(struct import *in, FILE *file)
{
	char *all = foreign_whole(in, file);
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
			else if (name[0] != '#')
				import_untranslated(in, "settings: %s", name);
		}
	foreign_done(in, records);
	json_decref(top);
	free(all);
}
