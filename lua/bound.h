/* bound.h - one function, method or field that rule files see: what Lua is given, and what the manual says of it.
 *
 * The tables of these are what is registered and what `policyctl rules doc` prints (manual.c): neither can drift from the other.
 *
 * Types   as LuaLS writes them: "name: string, n: integer?" for parameters; "string?" or "string, string?" for what comes back
 */
#ifndef LUA_BOUND_H
#define LUA_BOUND_H

#include <lua.h>

struct bound {
	const char *name;
	lua_CFunction function;              /* NULL: a field, or Lua's own function */
	const char *params;                  /* without the object of a method */
	const char *returns;                 /* of a field: its type */
	const char *text;                    /* one sentence or two */
};

/* Each ends with a name of NULL. */
extern const struct bound message_methods[], message_fields[], regex_methods[], regex_functions[], dns_functions[],
    redis_functions[], maps_functions[], string_functions[];

/* Set all of them that are functions in the table on the stack's top; `upvalues` of them stand above it, and go. */
void bound_register(lua_State *L, const struct bound *list, int upvalues);

#endif
