/* import.h - rules of other filters as rule files of ours. The work is done in Lua (import_sa.lua, import_rspamd.lua), in the cage.
 *
 * Errors  false and why; what could not be translated is no error but stands in the report, a line each
 */
#ifndef LUA_IMPORT_H
#define LUA_IMPORT_H

#include "policyd/base/buf.h"

struct imported {
	struct buf rules;                    /* the rule file; caller frees both */
	struct buf report;
	long translated, known;              /* rules that came through, of those that need no network */
};

/* `kind` "sa" or "rspamd"; paths are files, or directories of *.cf or *.conf. */
bool rules_import(const char *lua_dir, const char *kind, char *const *paths, int count, const char *prefix, struct imported *out,
    char *why, size_t room);
void imported_free(struct imported *out);

#endif
