#include "policyd/base/nearest.h"

#include <string.h>

enum { LONGEST = 64 };

static size_t
distance(const char *a, const char *b)
{
	size_t la = strlen(a), lb = strlen(b), row[LONGEST + 1];

	if (la > LONGEST || lb > LONGEST)
		return LONGEST;
	for (size_t j = 0; j <= lb; j++)
		row[j] = j;
	for (size_t i = 1; i <= la; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= lb; j++) {
			size_t best = diagonal + (a[i - 1] != b[j - 1]);

			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			diagonal = row[j];
			row[j] = best;
		}
	}
	return row[lb];
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
