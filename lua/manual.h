/* manual.h - the manual of the rule kit, out of what rule files are given (bound.h) and may write (prelude.lua).
 *
 * Forms   MANUAL_TEXT Markdown; MANUAL_MAN a page for man(1), roff; MANUAL_LUALS annotations for editors (---@meta), by which
 *         lua-language-server completes and checks rule files; MANUAL_LUARC its settings beside them
 */
#ifndef LUA_MANUAL_H
#define LUA_MANUAL_H

#include "lua/rules.h"
#include "policyd/base/buf.h"

enum manual_form { MANUAL_TEXT, MANUAL_MAN, MANUAL_LUALS, MANUAL_LUARC, MANUAL__COUNT };
extern const char *const manual_form_names[MANUAL__COUNT];

void rules_manual(const struct rules *rules, enum manual_form form, struct buf *out);

#endif
