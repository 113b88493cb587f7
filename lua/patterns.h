/* patterns.h - all declarative patterns of the rules, as one multi-pattern database (Vectorscan) a view.
 *
 * Flow    patterns_add while rules load, patterns_build once, then for each mail patterns_begin and patterns_scan: each view is
 *         gone over once for all its patterns, and says which of them may match. PCRE2 has the last word (regex_next), and finds
 *         where: so what Vectorscan cannot say exactly (look-around, back-references) it says too often, never too seldom, and
 *         what it cannot take at all is always "may match".
 * Cache   a view's database is kept in the directory given to patterns_build, by a name that holds the digest of patterns,
 *         library and processor, with an HMAC under a key that only the daemon reads: a file from elsewhere is not looked at
 * Memory  databases are read only after the build, and shared by fork
 * Errors  patterns_build: none that stops it; without a database of a view all its patterns are "may match", and the log says so
 */
#ifndef LUA_PATTERNS_H
#define LUA_PATTERNS_H

#include "lua/regex.h"
#include "lua/view.h"

struct patterns;

struct patterns *patterns_open(void);
void patterns_close(struct patterns *p);

/* The view's number, the same for the same view. */
int patterns_view(struct patterns *p, const struct view *view);
/* A pattern over that view; `re` must outlive `p`. Its number, or -1: no memory. */
int patterns_add(struct patterns *p, int view, const struct regex *re);

/* Make the cache's directory, for `user` to write to (he loads, and is no more than a worker), and the key file beside it, which he
 * must not be able to write. Before privileges go. False with errno. */
bool patterns_prepare(const char *dir, const char *key, unsigned user, unsigned group);
/* `dir` and `key` may be "": no cache. */
void patterns_build(struct patterns *p, const char *dir, const char *key);

struct patterns_info {
	size_t patterns, exact, prefilter, alone;    /* alone: by PCRE2 only */
	size_t views, from_cache;
	size_t bytes;
	int64_t build_us;
};
struct patterns_info patterns_info(const struct patterns *p);
/* How one is run: "exact", "prefilter", "pcre". */
const char *patterns_way(const struct patterns *p, int pattern);

/* Go over all views of this mail that have patterns; `may` is called for each pattern that may match. */
void patterns_scan(struct patterns *p, const struct scan *scan, void (*may)(void *arg, int pattern), void *arg);
/* The same again for measuring: everything is left to PCRE2. */
void patterns_alone(struct patterns *p, bool alone);

bool patterns_may(const struct patterns *p, int pattern);                /* of the mail gone over last */
const struct view *patterns_view_of(const struct patterns *p, int view);
size_t patterns_values(struct patterns *p, int view, const struct scan *scan, struct span **values);

#endif
