/* complaints.c - mistakes in rule files, each with file, line and column.
 *
 * Lua tells the line of `rule {`, and no column; the word at fault is looked for in the file from there. */
#include <stdio.h>
#include <stdlib.h>

#include "lua/rules_inside.h"

enum { MAX_FILE = 1024 * 1024, MAX_AHEAD = 20000, WARNING_ROOM = 64 * 1024 };

static char *
read_all(const char *path)
{
	FILE *f = fopen(path, "re");
	char *text = f ? malloc(MAX_FILE + 1) : NULL;
	size_t n = text ? fread(text, 1, MAX_FILE, f) : 0;

	if (text)
		text[n] = '\0';
	if (f)
		fclose(f);
	return text;
}

static const char *
line_start(const char *text, int line)
{
	for (int i = 1; i < line && text; i++) {
		text = strchr(text, '\n');
		text = text ? text + 1 : NULL;
	}
	return text;
}

static bool
is_word(char c)
{
	return ascii_alnum(c) || c == '_';
}

/* The word in the lines from `from` on, up to the next `rule` at a line's start. */
static const char *
find_word(const char *from, const char *word, int *line)
{
	size_t n = strlen(word);

	for (const char *p = from, *end = from + MAX_AHEAD; *p && p < end; p++) {
		if (strncmp(p, word, n) == 0 && (!is_word(word[0]) || p == from || !is_word(p[-1])) &&
		    (!is_word(word[n - 1]) || !is_word(p[n])))
			return p;
		if (*p == '\n') {
			++*line;
			if (strncmp(p + 1, "rule", 4) == 0 || strncmp(p + 1, "scores", 6) == 0)
				break;
		}
	}
	return NULL;
}

/* "file:line" to "file:line:column". */
static void
place(const char *where, const char *field, int offset, char *to, size_t room)
{
	const char *colon = strrchr(where, ':');
	int line = colon ? atoi(colon + 1) : 0, column = 1;
	char path[PATH_ROOM + 300];

	snprintf(path, sizeof path, "%.*s", colon ? (int)(colon - where) : 0, where);
	char *text = line > 0 ? read_all(path) : NULL;
	const char *start = text ? line_start(text, line) : NULL, *at = start;

	if (start) {
		int found_line = line;
		const char *word = field ? find_word(start, field, &found_line) : NULL;

		if (word) {
			line = found_line;
			at = word;
			if (offset >= 0) {           /* inside the text the field is set to: behind = and the opening quote */
				const char *q = word + strcspn(word, "=\n");

				q += *q == '=';
				q += strspn(q, " \t{");
				q += *q == '"' || *q == '\'' ? 1 : strncmp(q, "[[", 2) == 0 ? 2 : 0;
				at = strcspn(q, "\n") >= (size_t)offset ? q + offset : word;
			}
		} else {
			at = start + strspn(start, " \t");
		}
		const char *begin = at;

		while (begin > text && begin[-1] != '\n')
			begin--;
		column = (int)(at - begin) + 1;
	}
	snprintf(to, room, "%s:%d:%d", path, line, column);
	free(text);
}

static void
say(char *to, size_t room, size_t *used, const char *where, const char *text)
{
	if (*used >= room)
		return;
	int n = snprintf(to + *used, room - *used, "%s%s%s%s", *used ? "\n" : "", where, where[0] ? ": " : "", text);

	*used += n > 0 ? (size_t)n : 0;
}

void
complain(struct complaints *c, const char *where, const char *field, int offset, const char *text)
{
	char exact[PATH_ROOM + 330] = "";

	if (where)
		place(where, field, offset, exact, sizeof exact);
	c->failed = true;
	say(c->why, c->room, &c->used, exact, text);
}

void
warn(struct complaints *c, const char *where, const char *field, const char *text)
{
	char exact[PATH_ROOM + 330] = "";

	if (c->warnings == NULL && (c->warnings = calloc(1, WARNING_ROOM)) != NULL)
		c->warning_room = WARNING_ROOM;
	if (where)
		place(where, field, -1, exact, sizeof exact);
	say(c->warnings, c->warning_room, &c->warning_used, exact, text);
}

void
complain_lua(struct complaints *c, const char *why)
{
	const char *colon = strstr(why, ".lua:"), *near = strstr(why, " near '"), *rest;
	char where[PATH_ROOM + 300], word[80] = "";

	if (colon == NULL || (rest = strstr(colon + 5, ": ")) == NULL) {
		complain(c, NULL, NULL, -1, why);
		return;
	}
	snprintf(where, sizeof where, "%.*s", (int)(rest - why), why);
	if (near)
		snprintf(word, sizeof word, "%.*s", (int)strcspn(near + 7, "'"), near + 7);
	complain(c, where, word[0] ? word : NULL, -1, rest + 2);
}
