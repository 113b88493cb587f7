/* bind_message.h - one mail as Lua sees it: the userdata every rule gets as `msg`.
 *
 * Methods, fields    message_methods[] and message_fields[] (bound.h); `policyctl rules doc` prints them
 * Bounds   subject: 4096 bytes; text and hidden: MAX_RULE_SUBJECT bytes, of a longer one three quarters head and one quarter tail
 * Errors   a msg kept beyond its scan raises; an unknown field raises
 */
#ifndef LUA_BIND_MESSAGE_H
#define LUA_BIND_MESSAGE_H

#include "lua/state.h"
#include "policyd/scan/scan.h"

void message_register(lua_State *L);                 /* once per state */
/* Push the state's one message, showing `scan`: what was made for the same scan before is kept. */
void message_bind(lua_State *L, const struct scan *scan);
/* The scan ends: a msg that a rule kept raises from now on. */
void message_unbind(lua_State *L);

#endif
