#include "lua/manual.h"

#include "lua/bound.h"
#include "lua/rules_inside.h"

const char *const manual_form_names[MANUAL__COUNT] = { [MANUAL_TEXT] = "text", [MANUAL_MAN] = "man", [MANUAL_LUALS] = "luals",
	[MANUAL_LUARC] = "luarc" };

/* What the tables that msg gives have in them: bind_message.c makes them. */
static const struct bound address_fields[] = {
	{ "name", NULL, NULL, "string", "The display name." }, { "addr", NULL, NULL, "string", "local@domain." },
	{ "user", NULL, NULL, "string", "What stands before the @; also [\"local\"], which is a word of Lua's." },
	{ "domain", NULL, NULL, "string", "What stands behind it." }, { "site", NULL, NULL, "string", "Its registrable domain." }, { NULL },
};
static const struct bound link_fields[] = {
	{ "url", NULL, NULL, "string", "As a client follows it." }, { "raw", NULL, NULL, "string", "As it was written." },
	{ "scheme", NULL, NULL, "string", "\"http\", ..." }, { "host", NULL, NULL, "string", "Lower case." },
	{ "path", NULL, NULL, "string", "With query and fragment." }, { "site", NULL, NULL, "string", "The registrable domain." },
	{ "shown", NULL, NULL, "string", "The text that the reader clicks on." }, { "source", NULL, NULL, "string", "Where it was found." },
	{ "port", NULL, NULL, "integer", "0: the scheme's." }, { "is_ip", NULL, NULL, "boolean", "The host is an address." },
	{ "has_user", NULL, NULL, "boolean", "A user stands before the host." },
	{ "mismatch", NULL, NULL, "boolean", "The text shows another site." }, { "part", NULL, NULL, "integer", "Place in msg.parts." }, { NULL },
};
static const struct bound part_fields[] = {
	{ "type", NULL, NULL, "string", "As declared." }, { "real_type", NULL, NULL, "string", "By its content." },
	{ "kind", NULL, NULL, "string", "text, html, multipart, message or attachment." }, { "charset", NULL, NULL, "string", "As declared." },
	{ "encoding", NULL, NULL, "string", "Its Content-Transfer-Encoding." }, { "disposition", NULL, NULL, "string", "inline, attachment." },
	{ "file_name", NULL, NULL, "string", "Decoded." }, { "size", NULL, NULL, "integer", "Bytes, decoded." },
	{ "text_size", NULL, NULL, "integer", "Bytes of visible text." }, { "depth", NULL, NULL, "integer", "How deep in the tree." },
	{ "parent", NULL, NULL, "integer", "Place in msg.parts; 0: none." },
	{ "reading", NULL, NULL, "integer", "0: as the RFCs say; more: as some client might." }, { NULL },
};
static const struct bound entry_fields[] = {
	{ "name", NULL, NULL, "string", "Of the file." }, { "real_type", NULL, NULL, "string", "By its content." },
	{ "size", NULL, NULL, "integer", "Bytes." }, { "part", NULL, NULL, "integer", "Place of its archive in msg.parts." },
	{ "encrypted", NULL, NULL, "boolean", "Only a password opens it." }, { NULL },
};
static const struct bound hop_fields[] = {
	{ "helo", NULL, NULL, "string", "What the client said." }, { "name", NULL, NULL, "string", "Its name." },
	{ "client", NULL, NULL, "string", "Its address." }, { "by", NULL, NULL, "string", "Who wrote the header." },
	{ "with", NULL, NULL, "string", "\"ESMTPSA\", ..." }, { "id", NULL, NULL, "string", "Queue id." },
	{ "for", NULL, NULL, "string", "The recipient: hop[\"for\"]." }, { "login", NULL, NULL, "boolean", "The client was authenticated." },
	{ "date", NULL, NULL, "integer?", "Seconds since 1970." }, { NULL },
};

static const struct section {
	const char *class, *call, *text;     /* call: how its functions are written */
	const struct bound *functions, *fields;
} sections[] = {
	{ "Message", "msg:", "One mail: what a rule's `when` gets. It raises when it is kept beyond its mail.", message_methods, message_fields },
	{ "Address", "", "One address of a header.", NULL, address_fields },
	{ "Link", "", "One of msg.links.", NULL, link_fields },
	{ "Part", "", "One of msg.parts.", NULL, part_fields },
	{ "Entry", "", "One of msg.entries.", NULL, entry_fields },
	{ "Hop", "", "One of msg:received().", NULL, hop_fields },
	{ "", "", "Patterns, made at the top of a file.", regex_functions, NULL },
	{ "Regex", "r:", "A pattern. A nil text is no match. One that gives up (too much backtracking) ends the rule: it has not found nothing.",
	    regex_methods, NULL },
	{ "dns", "dns.", "DNS, for rules with needs = { \"dns\" }. What is asked waits for the answer, while other rules go on.", dns_functions, NULL },
	{ "redis", "redis.", "What stands in Redis for rules, for those with needs = { \"redis:ro\" }.", redis_functions, NULL },
	{ "maps", "maps.", "Maps, for rules with needs = { \"map:NAME\" }.", maps_functions, NULL },
	{ "string", "string.", "Beside Lua's own byte, char, format, len, lower, reverse, sub, upper.", string_functions, NULL },
};

enum { SECTIONS = sizeof sections / sizeof *sections };

/* --- Markdown and roff: headings, and a line a thing --- */

/* Roff takes a dot at a line's start, a backslash and a hyphen for its own. */
static void
add_text(struct buf *out, enum manual_form form, const char *text)
{
	if (form != MANUAL_MAN) {
		buf_printf(out, "%s", text);
		return;
	}
	for (const char *p = text; *p; p++) {
		if (*p == '\\' || *p == '-')
			buf_add_char(out, '\\');
		if ((*p == '.' || *p == '\'') && (p == text || p[-1] == '\n'))
			buf_printf(out, "\\&");
		buf_add_char(out, *p == '\\' ? 'e' : *p);
	}
}

static void
add_heading(struct buf *out, enum manual_form form, const char *title, const char *text)
{
	buf_printf(out, form == MANUAL_MAN ? ".SH \"" : "\n## ");
	add_text(out, form, title);
	buf_printf(out, form == MANUAL_MAN ? "\"\n" : "\n\n");
	add_text(out, form, text);
	buf_printf(out, "\n");
	if (form == MANUAL_TEXT)
		buf_printf(out, "\n");
}

static void
add_item(struct buf *out, enum manual_form form, const char *head, const char *text)
{
	buf_printf(out, form == MANUAL_MAN ? ".TP\n.B " : "- `");
	add_text(out, form, head);
	buf_printf(out, form == MANUAL_MAN ? "\n" : "`: ");
	add_text(out, form, text);
	buf_printf(out, "\n");
}

static void
add_bound(struct buf *out, enum manual_form form, const char *call, const struct bound *b)
{
	struct buf head = { 0 };

	if (b->params)
		buf_printf(&head, "%s%s(%s) -> %s", call, b->name, b->params, b->returns);
	else
		buf_printf(&head, "%s: %s", b->name, b->returns);
	buf_add_char(&head, '\0');
	if (!head.failed)
		add_item(out, form, head.p, b->text);
	buf_free(&head);
}

static void
add_section(struct buf *out, enum manual_form form, const struct section *s)
{
	add_heading(out, form, s->class[0] ? s->class : "re", s->text);
	for (const struct bound *b = s->fields; b && b->name; b++)
		add_bound(out, form, "", b);
	for (const struct bound *b = s->functions; b && b->name; b++)
		add_bound(out, form, s->call, b);
}

/* --- what the prelude has described: { class, text, fields = { { name, check, type, text }, ... } } --- */

static const char *
text_of(lua_State *L, const char *key)
{
	lua_getfield(L, -1, key);
	const char *text = luaL_optstring(L, -1, "");

	lua_pop(L, 1);                       /* the table keeps it */
	return text;
}

static const char *
word_of(lua_State *L, int i)
{
	lua_rawgeti(L, -1, i);
	const char *text = luaL_optstring(L, -1, "");

	lua_pop(L, 1);
	return text;
}

static void
add_described(struct buf *out, enum manual_form form, lua_State *L)
{
	const char *class = text_of(L, "class"), *text = text_of(L, "text");

	if (form == MANUAL_LUALS)
		buf_printf(out, "\n---%s\n---@class %s\n", text, class);
	else
		add_heading(out, form, class, text);
	lua_getfield(L, -1, "fields");
	for (size_t i = 1; i <= lua_rawlen(L, -1); i++) {
		struct buf head = { 0 };

		lua_rawgeti(L, -1, (lua_Integer)i);
		buf_printf(&head, "%s: %s", word_of(L, 1), word_of(L, 3));
		buf_add_char(&head, '\0');
		if (form == MANUAL_LUALS)
			buf_printf(out, "---@field %s? %s %s\n", word_of(L, 1), word_of(L, 3), word_of(L, 4));
		else if (!head.failed)
			add_item(out, form, head.p, word_of(L, 4));
		buf_free(&head);
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
}

static void
add_all_described(struct buf *out, enum manual_form form, lua_State *L)
{
	if (lua_getfield(L, LUA_REGISTRYINDEX, "manual") == LUA_TTABLE)
		for (size_t i = 1; i <= lua_rawlen(L, -1); i++) {
			lua_rawgeti(L, -1, (lua_Integer)i);
			add_described(out, form, L);
			lua_pop(L, 1);
		}
	lua_pop(L, 1);
}

/* --- LuaLS --- */

/* "name: string, n: integer?" a line each; and the names for the function's head. */
static void
add_luals_params(struct buf *out, struct buf *names, const char *params)
{
	struct span left = span_of(params);

	while (left.n > 0) {
		size_t comma = span_find(left, SPAN(", ")), colon = span_find_char(left, ':');
		struct span one = span_head(left, comma == SPAN_NONE ? left.n : comma), name = span_head(one, colon);
		struct span type = span_from(one, colon + 2);
		bool optional = span_ends(type, SPAN("?"));

		buf_printf(out, "---@param " SPAN_FMT "%s " SPAN_FMT "\n", SPAN_ARG(name), optional ? "?" : "", (int)(type.n - optional), type.p);
		buf_printf(names, "%s" SPAN_FMT, names->n ? ", " : "", SPAN_ARG(name));
		left = comma == SPAN_NONE ? SPAN("") : span_from(left, comma + 2);
	}
}

static void
add_luals_function(struct buf *out, const struct section *s, const struct bound *b)
{
	struct buf names = { 0 };
	bool method = s->class[0] >= 'A' && s->class[0] <= 'Z';

	buf_printf(out, "\n---%s\n", b->text);
	add_luals_params(out, &names, b->params);
	for (struct span left = span_of(b->returns); left.n > 0;) {
		size_t comma = span_find(left, SPAN(", "));

		buf_printf(out, "---@return " SPAN_FMT "\n", SPAN_ARG(span_head(left, comma == SPAN_NONE ? left.n : comma)));
		left = comma == SPAN_NONE ? SPAN("") : span_from(left, comma + 2);
	}
	buf_printf(out, "function %s%s%s(" SPAN_FMT ") end\n", s->class, s->class[0] == '\0' ? "" : method ? ":" : ".", b->name, (int)names.n,
	    names.n ? names.p : "");
	buf_free(&names);
}

static void
add_luals_section(struct buf *out, const struct section *s)
{
	if (s->class[0] && s->functions != string_functions)
		buf_printf(out, "\n---%s\n---@class %s\n", s->text, s->class);
	for (const struct bound *b = s->fields; b && b->name; b++)
		buf_printf(out, "---@field [\"%s\"] %s %s\n", b->name, b->returns, b->text);
	if (s->class[0] && s->functions != string_functions)
		buf_printf(out, "%s%s = {}\n", s->class[0] >= 'A' && s->class[0] <= 'Z' ? "local " : "", s->class);
	for (const struct bound *b = s->functions; b && b->name; b++)
		add_luals_function(out, s, b);
}

static void
add_luals(struct buf *out, lua_State *L)
{
	buf_printf(out, "---@meta\n-- What rule files are given, for lua-language-server. Made by `policyctl rules doc luals`; not to be edited.\n\n"
	    "---@alias Need \"text\"|\"urls\"|\"files\"|\"dns\"|\"redis:ro\"|string\n---@alias Flag \"nice\"|\"net\"\n"
	    "---@alias MapType \"domains\"|\"addresses\"|\"cidr\"|\"exact\"|\"regex\"\n");
	for (size_t i = 0; i < SECTIONS; i++)
		add_luals_section(out, &sections[i]);
	add_all_described(out, MANUAL_LUALS, L);
	buf_printf(out, "\n---@param spec Rule\nfunction rule(spec) end\n\n---@param spec Map\nfunction map(spec) end\n\n"
	    "---Other points than the rules say: scores { SYMBOL = POINTS }, with customer = ID or context = NAME for those only.\n"
	    "---@param spec table<string, number|string>\nfunction scores(spec) end\n");
}

/* Lua's libraries that are not there, for the language server. */
static void
add_luarc(struct buf *out)
{
	static const char *const absent[] = { "bit", "bit32", "coroutine", "debug", "ffi", "io", "jit", "os", "package", "table.clear", "table.new" };

	buf_printf(out, "{\n  \"runtime.version\": \"Lua 5.4\",\n  \"workspace." "library\": [\".\"],\n  \"runtime.builtin\": {\n");
	for (size_t i = 0; i < sizeof absent / sizeof *absent; i++)
		buf_printf(out, "    \"%s\": \"disable\"%s\n", absent[i], i + 1 < sizeof absent / sizeof *absent ? "," : "");
	buf_printf(out, "  }\n}\n");
}

void
rules_manual(const struct rules *rules, enum manual_form form, struct buf *out)
{
	lua_State *L = rules->sets[0].state->L;

	if (form == MANUAL_LUALS) {
		add_luals(out, L);
		return;
	}
	if (form == MANUAL_LUARC) {
		add_luarc(out);
		return;
	}
	if (form == MANUAL_MAN)
		buf_printf(out, ".TH POLICYD\\-RULES 7 \"\" \"policyd " POLICYD_VERSION "\" \"policyd\"\n.SH NAME\npolicyd\\-rules \\- what rule files of policyd may say\n");
	else
		buf_printf(out, "# Rule files of policyd %s\n", POLICYD_VERSION);
	add_heading(out, form, "Rule files", "Lua 5.4 in a cage: rule { }, map { } and scores { } at the top of a file, each with the fields below. There is no io, os,"
	    " load, require, debug, coroutine, random or clock. Out of memory, instructions or time a rule loses its hit on that mail.");
	add_all_described(out, form, L);
	for (size_t i = 0; i < SECTIONS; i++)
		add_section(out, form, &sections[i]);
}
