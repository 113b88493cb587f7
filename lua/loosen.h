/* loosen.h - a pattern as Vectorscan gets it: it finds more than the one that was written, never less, and compiles soon.
 *
 * Long bounded repeats cost Vectorscan a state each: 200 patterns with two ".{1,900}" took minutes. Here they lose their upper
 * bound; PCRE2 confirms what is found with the pattern as it was written.
 */
#ifndef LUA_LOOSEN_H
#define LUA_LOOSEN_H

#include "policyd/base/span.h"

/* `s` has a NUL behind it. malloc'd; NULL: no memory. */
char *pattern_loosen(struct span s);

#endif
