/* zip.c - do a zip's two tables of contents agree?
 *
 *   junk | local header, data | local header, data | ... | central directory | end record, comment
 *
 * Some programs read the local headers from the front, most the directory from the end. Where the two name different
 * members, or where there is more than one end, each reader finds files that the other does not. Source: APPNOTE.TXT 6.3. */
#include <stdlib.h>

#include "policyd/base/limits.h"
#include "policyd/mail/look.h"

enum { END = 22, CENTRAL = 46, LOCAL = 30, COMMENT = 65535, ENTRIES = 65536, SLACK = 24, TRAILER = 16 };

struct zip_end {
	size_t at;                           /* of the end record */
	size_t count, size, offset;          /* of the directory, as it says */
	size_t start;                        /* where the archive begins: bytes of junk before it */
	bool zip64;
};

static bool
is_signature(struct span s, size_t at, const char *word)
{
	return at + 4 <= s.n && memcmp(s.p + at, word, 4) == 0;
}

/* An end record at `at` whose directory stands just before it. */
static bool
read_end(struct span s, size_t at, struct zip_end *e)
{
	if (!is_signature(s, at, "PK\5\6") || at + END > s.n)
		return false;
	*e = (struct zip_end){ .at = at, .count = little(s, at + 10, 2), .size = little(s, at + 12, 4), .offset = little(s, at + 16, 4) };
	e->zip64 = e->count == 0xffff || e->size == 0xffffffff || e->offset == 0xffffffff;
	if (e->zip64)
		return at >= 20 && is_signature(s, at - 20, "PK\6\7");
	if (e->size > at || e->offset > at - e->size)
		return false;
	e->start = at - e->size - e->offset;
	return e->count == 0 ? e->size == 0 : is_signature(s, at - e->size, "PK\1\2");
}

/* The last end record whose comment runs to the end, give or take what transports add. `*others`: there is another one. */
static bool
find_end(struct span s, struct zip_end *end, bool *others)
{
	size_t low = s.n > COMMENT + END ? s.n - COMMENT - END : 0;
	struct zip_end e;
	bool found = false;

	*others = false;
	for (size_t at = s.n >= END ? s.n - END + 1 : 0; at > low; at--) {
		if (s.p[at - 1] != 'P' || !read_end(s, at - 1, &e))
			continue;
		size_t ends = at - 1 + END + little(s, at - 1 + 20, 2);

		if (ends > s.n || s.n - ends > TRAILER)
			continue;            /* of an archive inside this one */
		if (found)
			*others = true;      /* one stands in the other's comment: each is the last to some reader */
		else
			*end = e;
		found = true;
	}
	return found;
}

bool
zip_find(struct span data, size_t *start)
{
	struct zip_end end;
	bool others;

	if (data.n < END || !find_end(data, &end, &others) || end.count == 0)
		return false;
	*start = end.start;
	return true;
}

static int
by_offset(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* The directory's entry at `at` against its local header. NULL, or what differs. `*reach`: where the member ends. */
static const char *
compare(struct span s, size_t start, size_t at, uint64_t *from, uint64_t *reach)
{
	uint32_t packed = little(s, at + 20, 4), plain = little(s, at + 24, 4), flags = little(s, at + 8, 2);
	size_t name_n = little(s, at + 28, 2), local = start + little(s, at + 42, 4), local_n = little(s, local + 26, 2);

	*from = *reach = local;
	if (packed == 0xffffffff || plain == 0xffffffff || little(s, at + 42, 4) == 0xffffffff) {
		struct span extra = span_head(span_from(s, at + CENTRAL + name_n), little(s, at + 30, 2));

		while (extra.n >= 4 && little(extra, 0, 2) != 1)
			extra = span_from(extra, 4 + little(extra, 2, 2));
		return extra.n < 4 ? "sizes that only zip64 could hold, and no zip64" : NULL;
	}
	if (!is_signature(s, local, "PK\3\4") || local + LOCAL + local_n > s.n || at + CENTRAL + name_n > s.n)
		return "a member that is not where the directory says";
	*reach = local + LOCAL + local_n + little(s, local + 28, 2) + packed;
	if (local_n != name_n || memcmp(s.p + local + LOCAL, s.p + at + CENTRAL, name_n) != 0)
		return "a member of two names";
	if (little(s, local + 8, 2) != little(s, at + 10, 2))
		return "a member packed in two ways";
	if (!(flags & 8) && !(little(s, local + 6, 2) & 8) && little(s, local + 18, 4) != 0xffffffff &&
	    (little(s, local + 18, 4) != packed || little(s, local + 22, 4) != plain))
		return "a member of two sizes";
	return *reach > s.n ? "a member past the end" : NULL;
}

/* Between what the directory names, there must be nothing; and nothing twice. */
static const char *
check_ranges(const struct look *l, uint64_t (*ranges)[2], size_t count, size_t start, size_t directory)
{
	uint64_t at = start, overlap = 0;

	qsort(ranges, count, sizeof *ranges, by_offset);
	for (size_t i = 0; i <= count; i++) {
		uint64_t next = i < count ? ranges[i][0] : directory;

		if (next > at + SLACK && next <= l->data.n) {
			struct span gap = span_make(l->data.p + at, (size_t)(next - at));

			if (span_find(gap, SPAN("PK\3\4")) != SPAN_NONE)
				return "a member that the directory does not name";
		}
		if (i == count)
			break;
		if (next < at)
			overlap += at - next < ranges[i][1] - next ? at - next : ranges[i][1] - next;
		if (ranges[i][1] > at)
			at = ranges[i][1];
	}
	if (overlap > l->data.n)
		look_note(l, NOTE_ARCHIVE_BOMB);     /* the same bytes sold many times */
	return overlap > 0 ? "members that overlap" : NULL;
}

static const char *
check_directory(const struct look *l, const struct zip_end *end)
{
	struct span s = l->data;
	size_t count = 0, at = end->at - end->size;
	uint64_t (*ranges)[2] = malloc((end->count + 1) * sizeof *ranges);
	const char *why = ranges ? NULL : "no memory";

	for (; why == NULL && count < end->count && at + CENTRAL <= end->at && is_signature(s, at, "PK\1\2"); count++) {
		why = compare(s, end->start, at, &ranges[count][0], &ranges[count][1]);
		at += CENTRAL + (size_t)little(s, at + 28, 2) + little(s, at + 30, 2) + little(s, at + 32, 2);
	}
	if (why == NULL && (count < end->count || at != end->at))
		why = "a directory that does not hold what it counts";
	if (why == NULL)
		why = check_ranges(l, ranges, count, end->start, end->at - end->size);
	free(ranges);
	return why;
}

bool
zip_check(const struct look *l)
{
	struct zip_end end;
	bool others;
	const char *why;

	if (!find_end(l->data, &end, &others))
		return true;                 /* cut off: only the local headers are there */
	why = others ? "two end records" : end.zip64 ? NULL : check_directory(l, &end);
	if (why)
		note_add(l->t->a, l->t->msg, NOTE_ARCHIVE_AMBIGUOUS, span_of(why));
	return why != NULL || end.zip64;
}
