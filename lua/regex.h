/* regex.h - re(pattern, flags): PCRE2 for scripts, with JIT, bounded in time whatever pattern and text are.
 *
 * Lua     regex_functions[] and regex_methods[] (bound.h); a nil subject is no match. Made at load time only: patterns are
 *         compiled once, before workers fork
 * Bounds  subject MAX_RULE_SUBJECT bytes (the head of a longer one), PCRE_MATCH_LIMIT per start, PCRE_JIT_STACK,
 *         and the script's own deadline, looked at between windows of start positions (see match_windows)
 * Errors  any PCRE2 error but "no match" ends the call: a pattern that gave up has not found nothing
 */
#ifndef LUA_REGEX_H
#define LUA_REGEX_H

#include <lua.h>

#include "policyd/base/span.h"

struct regex_kit;
struct regex;                                /* one compiled pattern; belongs to Lua's collector */

struct regex_kit *regex_kit_open(void);
void regex_kit_close(struct regex_kit *kit);

/* For conditions that are judged without Lua (conditions.c). `L` is where a deadline that has passed is raised. */
struct regex *regex_at(lua_State *L, int index);             /* NULL: no re() object */
struct span regex_source(const struct regex *re);
enum { REGEX_CASELESS = 1, REGEX_MULTILINE = 2, REGEX_DOTALL = 4, REGEX_EXTENDED = 8, REGEX_UTF = 16, REGEX_MATCHES_EMPTY = 32 };
unsigned regex_flags(const struct regex *re);

/* The next match in `s` (its first MAX_RULE_SUBJECT bytes) at or after `*from`: true, with its place in `*first`, `*end`, and
 * `*from` moved behind it. A pattern that gives up, or runs past the deadline, is an error of the Lua call around it. */
bool regex_next(lua_State *L, const struct regex *re, struct span s, size_t *from, size_t *first, size_t *end);

/* Set `re` in the table on the stack's top. */
void regex_register(lua_State *L);

#endif
