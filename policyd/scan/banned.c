#include "policyd/scan/banned.h"

enum { MAX_KINDS = 512 };                    /* distinct kinds of file in one mail; more are those of a bomb */

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
first_banned(const struct file_kinds *kinds, const char *list)
{
	for (struct span rest = span_of(list); rest.n > 0;) {
		struct span word = span_cut(&rest, ' ');

		if (word.n == 0 || word.p[0] == '-' || is_taken_back(list, word))
			continue;
		for (size_t i = 0; i < kinds->count; i++)
			if (is_meant(&kinds->at[i], word))
				return kinds->at[i].name.n > 0 ? kinds->at[i].name : kinds->at[i].type;
	}
	return SPAN("");
}

void
banned_check(struct scan *scan)
{
	const struct message *msg = &scan->message;
	struct file_kinds *kinds = ARENA_NEW(scan->arena, struct file_kinds);

	for (size_t i = 0; i < msg->part_count; i++) {
		const struct part *p = &msg->parts[i];

		if (p->kind == PART_MULTIPART)
			continue;
		add_kind(scan->arena, kinds, p->file_name, p->real_type);
		if (p->other_name.n > 0)
			add_kind(scan->arena, kinds, p->other_name, p->real_type);
	}
	for (size_t i = 0; i < msg->entry_count; i++)
		add_kind(scan->arena, kinds, msg->entries[i].name, msg->entries[i].type);
	for (size_t i = 0; i < scan->class_count; i++)
		scan->classes[i].banned = first_banned(kinds, scan->classes[i].policy->banned_types);
}
