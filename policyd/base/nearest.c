#include "policyd/base/nearest.h"

#include <string.h>

enum { LONGEST = 64 };

/* Insertions, deletions, changes and swaps of neighbours, each of them one (optimal string alignment). */
static size_t
distance(const char *a, const char *b)
{
	size_t la = strlen(a), lb = strlen(b), rows[3][LONGEST + 1];

	if (la > LONGEST || lb > LONGEST)
		return LONGEST;
	for (size_t j = 0; j <= lb; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= la; i++) {
		size_t *row = rows[i % 3];
		const size_t *above = rows[(i + 2) % 3], *two_above = rows[(i + 1) % 3];

		row[0] = i;
		for (size_t j = 1; j <= lb; j++) {
			size_t best = above[j - 1] + (a[i - 1] != b[j - 1]);

			if (above[j] + 1 < best)
				best = above[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && two_above[j - 2] + 1 < best)
				best = two_above[j - 2] + 1;
			row[j] = best;
		}
	}
	return rows[la % 3][lb];
}

const char *
nearest_name(const char *typed, const char *const *names, size_t count)
{
	const char *best = NULL;
	size_t least = 0;

	for (size_t i = 0; i < count; i++) {
		size_t d = distance(typed, names[i]);

		if (d * 3 <= strlen(names[i]) + 2 && (best == NULL || d < least)) {
			best = names[i];
			least = d;
		}
	}
	return best;
}
