/* bind_message.h - one mail as Lua sees it: the userdata every rule gets as `msg`.
 *
 * Methods  msg:header(name)     decoded value of the first, or nil     msg:raw_header(name)  as written
 *          msg:headers(name)    list of all decoded values             msg:header_count(name)
 *          msg:header_names()   list, in order, as written
 *          msg:address(name)    { name, local, domain, addr, site } of the first address, or nil
 *          msg:addresses(name)  list of them ("local" is a word of Lua's: a["local"], or a.user)
 *          msg:found(symbol)    the evidence if an earlier stage or rule found it ("" without), or nil
 *          msg:noted(symbol)    the same for what the parse noted, by its symbol ("HTML_HIDDEN_TEXT")
 *          msg:points(symbol)   its points, or nil
 *          msg:site(host)       the registrable domain of a host      msg:relays()  who handed it on, a text (relays.h)
 *          msg:received()       list of hops, nearest first: helo, name, client, by, with, id, ["for"], login, date
 *          msg:date()           of the Date header, seconds since 1970, or nil
 *          msg:authentication_results()    list: those of the trusted milter before us (authserv_guarded), none else
 * Fields   subject, text, hidden, raw_head (first 64 KB of the mail), size, language
 *          links  { url, raw, scheme, host, path, site, shown, source, port, is_ip, has_user, mismatch, part }
 *          parts  { type, real_type, kind, charset, encoding, disposition, file_name, size, depth, parent, reading }
 *          entries { name, real_type, size, part, encrypted } files inside archives
 *          urls, file_names: the same as one text, a line each, for one pattern over all of them; rawbody: the decoded text
 *          parts; paragraphs: subject and text, a paragraph a line, blanks made one
 *          sender, queue_id, client, client_name, helo, login, context ("" where the MTA did not say)
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
