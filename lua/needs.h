/* needs.h - what a rule's function may look at, beside headers, session and symbols: what its `needs` declares, and no more.
 *
 * Shape   needs = { "text", "urls", "files", "dns", "redis:ro", "map:NAME" }; a bit a word, the maps in a list of their own
 * Errors  looking at what was not declared is an error of that rule, which says the word that is missing
 */
#ifndef LUA_NEEDS_H
#define LUA_NEEDS_H

#include <lua.h>

#include "policyd/base/span.h"

enum need { NEED_TEXT = 1, NEED_URLS = 2, NEED_FILES = 4, NEED_DNS = 8, NEED_REDIS = 16, NEED_WAITS = NEED_DNS | NEED_REDIS };

/* The bit of a word; 0: no such word. */
unsigned need_of(struct span word);

/* Raises unless the rule that runs in L has declared it; `what` is what it wanted to look at. */
void need_check(lua_State *L, unsigned need, const char *what);

#endif
