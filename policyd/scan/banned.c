#include "policyd/scan/banned.h"

#include "policyd/scan/strip.h"

enum { MAX_KINDS = 512, MAX_TRIALS = 16 };   /* distinct kinds of file in one mail; more are those of a bomb */

struct file_kind {
	struct span extension, type;         /* either may be empty */
	struct span name;                    /* of the first file of that kind */
};

struct file_kinds {
	struct file_kind at[MAX_KINDS];
	size_t count;
};

static void
add_kind(struct arena *a, struct file_kinds *kinds, struct span name, struct span type)
{
	struct span extension = file_extension(a, name);

	if ((extension.n == 0 && type.n == 0) || kinds->count == MAX_KINDS)
		return;
	for (size_t i = 0; i < kinds->count; i++)
		if (span_eq(kinds->at[i].extension, extension) && span_eq(kinds->at[i].type, type))
			return;
	kinds->at[kinds->count++] = (struct file_kind){ extension, type, name };
}

static bool
is_meant(const struct file_kind *kind, struct span word)
{
	if (span_find_char(word, '/') == SPAN_NONE)
		return span_eq_nocase(kind->extension, word) || span_eq_nocase(type_extension(kind->type), word);
	if (span_ends(word, SPAN("/")))
		return span_starts_nocase(kind->type, word);
	return span_eq_nocase(kind->type, word);
}

static bool
is_taken_back(const char *list, struct span word)
{
	for (struct span rest = span_of(list); rest.n > 0;) {
		struct span other = span_cut(&rest, ' ');

		if (other.n > 1 && other.p[0] == '-' && span_eq_nocase(span_from(other, 1), word))
			return true;
	}
	return false;
}

static struct span
first_banned(const struct file_kind *kinds, size_t count, const char *list)
{
	for (struct span rest = span_of(list); rest.n > 0;) {
		struct span word = span_cut(&rest, ' ');

		if (word.n == 0 || word.p[0] == '-' || is_taken_back(list, word))
			continue;
		for (size_t i = 0; i < count; i++)
			if (is_meant(&kinds[i], word))
				return kinds[i].name.n > 0 ? kinds[i].name : kinds[i].type;
	}
	return SPAN("");
}

static struct file_kinds *
kinds_of(struct arena *a, const struct message *msg)
{
	struct file_kinds *kinds = ARENA_NEW(a, struct file_kinds);

	for (size_t i = 0; i < msg->part_count; i++) {
		const struct part *p = &msg->parts[i];

		if (p->kind == PART_MULTIPART)
			continue;
		add_kind(a, kinds, p->file_name, p->real_type);
		if (p->other_name.n > 0)
			add_kind(a, kinds, p->other_name, p->real_type);
	}
	for (size_t i = 0; i < msg->entry_count; i++)
		add_kind(a, kinds, msg->entries[i].name, msg->entries[i].type);
	return kinds;
}

bool
banned_file(struct arena *a, struct span name, struct span type, const char *list)
{
	const struct file_kind one = { file_extension(a, name), type, name.n > 0 ? name : type };

	return first_banned(&one, 1, list).n > 0;
}

bool
banned_any(struct arena *a, const struct message *msg, const char *list)
{
	const struct file_kinds *kinds = kinds_of(a, msg);

	return first_banned(kinds->at, kinds->count, list).n > 0;
}

/* Tried here, so that nobody is promised a copy that cannot be made. */
static bool
can_strip(const struct scan *scan, const char *list)
{
	struct arena_mark mark = arena_mark(scan->arena);
	struct buf trial = { 0 };
	bool can = strip_mail(scan->arena, &trial, &scan->message, list, "");

	buf_free(&trial);
	arena_rewind(scan->arena, mark);
	return can;
}

/* One list has one answer; a mail for very many who all ban otherwise is not tried for each of them. */
static void
strip_check(struct scan *scan)
{
	const struct class_score *tried[MAX_TRIALS];
	size_t count = 0;

	for (size_t i = 0; i < scan->class_count; i++) {
		struct class_score *c = &scan->classes[i];
		size_t k = 0;

		if (c->banned.n == 0 || !c->policy->strip)
			continue;
		while (k < count && strcmp(tried[k]->policy->banned_types, c->policy->banned_types) != 0)
			k++;
		if (k < count) {
			c->strippable = tried[k]->strippable;
		} else if (count < MAX_TRIALS) {
			c->strippable = can_strip(scan, c->policy->banned_types);
			tried[count++] = c;
		}
	}
}

void
banned_check(struct scan *scan)
{
	const struct file_kinds *kinds = kinds_of(scan->arena, &scan->message);

	for (size_t i = 0; i < scan->class_count; i++)
		scan->classes[i].banned = first_banned(kinds->at, kinds->count, scan->classes[i].policy->banned_types);
	if (!scan->truncated)
		strip_check(scan);
}
