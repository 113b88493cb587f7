#include "lua/needs.h"

#include "lua/rules_inside.h"

static const struct { const char *word; unsigned bit; } words[] = { { "text", NEED_TEXT }, { "urls", NEED_URLS },
	{ "files", NEED_FILES }, { "dns", NEED_DNS }, { "redis:ro", NEED_REDIS } };

unsigned
need_of(struct span word)
{
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (span_eq(span_of(words[i].word), word))
			return words[i].bit;
	return 0;
}

void
need_check(lua_State *L, unsigned need, const char *what)
{
	const struct rule *rule = state_of(L)->rule;

	if (rule && (rule->needs & need))
		return;
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (words[i].bit == need)
			luaL_error(L, "%s: not given to this rule; declare needs = { \"%s\" }", what, words[i].word);
}
