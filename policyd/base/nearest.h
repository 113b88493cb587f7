/* nearest.h - "did you mean ...?": the known name that is closest to a mistyped one. */
#ifndef POLICYD_BASE_NEAREST_H
#define POLICYD_BASE_NEAREST_H

#include <stddef.h>

/* The candidate with the smallest edit distance (a swap of neighbours is one), NULL when none is within a third of its length. */
const char *nearest_name(const char *typed, const char *const *names, size_t count);

#endif
