#include "policyd/mail/tags.h"

enum { BLOCK = TAG_LINE | TAG_ENDS_P | TAG_SPECIAL, SLOTS = 512 };

static const struct known { const char *name; unsigned flags; enum tag_id id; enum tag_group group; } known[] = {
	{ "a", TAG_FORMAT, T_A, 0 }, { "b", TAG_FORMAT, 0, 0 }, { "big", TAG_FORMAT, 0, 0 }, { "code", TAG_FORMAT, 0, 0 },
	{ "em", TAG_FORMAT, 0, 0 }, { "font", TAG_FORMAT, T_FONT, 0 }, { "i", TAG_FORMAT, 0, 0 }, { "nobr", TAG_FORMAT, 0, 0 },
	{ "s", TAG_FORMAT, 0, 0 }, { "small", TAG_FORMAT, 0, 0 }, { "strike", TAG_FORMAT, 0, 0 }, { "strong", TAG_FORMAT, 0, 0 },
	{ "tt", TAG_FORMAT, 0, 0 }, { "u", TAG_FORMAT, 0, 0 }, { "span", 0, 0, 0 }, { "label", 0, 0, 0 }, { "sup", 0, 0, 0 },
	{ "sub", 0, 0, 0 }, { "o:p", 0, 0, 0 }, { "if", TAG_QUIET | TAG_FENCE | TAG_SPECIAL, T_IF, 0 },
	{ "p", BLOCK, T_P, 0 }, { "div", BLOCK, 0, 0 }, { "center", BLOCK, 0, 0 }, { "h1", BLOCK, 0, 0 }, { "h2", BLOCK, 0, 0 },
	{ "h3", BLOCK, 0, 0 }, { "h4", BLOCK, 0, 0 }, { "h5", BLOCK, 0, 0 }, { "h6", BLOCK, 0, 0 }, { "pre", BLOCK, 0, 0 },
	{ "blockquote", BLOCK, 0, 0 }, { "article", BLOCK, 0, 0 }, { "section", BLOCK, 0, 0 }, { "header", BLOCK, 0, 0 },
	{ "footer", BLOCK, 0, 0 }, { "main", BLOCK, 0, 0 }, { "nav", BLOCK, 0, 0 }, { "aside", BLOCK, 0, 0 },
	{ "address", BLOCK, 0, 0 }, { "figure", BLOCK, 0, 0 }, { "figcaption", BLOCK, 0, 0 }, { "fieldset", BLOCK, 0, 0 },
	{ "legend", TAG_LINE, 0, 0 }, { "form", BLOCK, T_FORM, 0 }, { "details", BLOCK, T_DETAILS, 0 },
	{ "summary", BLOCK, T_SUMMARY, 0 }, { "dialog", BLOCK, T_DIALOG, 0 }, { "dir", BLOCK | TAG_LIST, 0, 0 },
	{ "ul", BLOCK | TAG_LIST, 0, 0 }, { "ol", BLOCK | TAG_LIST, 0, 0 }, { "menu", BLOCK | TAG_LIST, 0, 0 },
	{ "dl", BLOCK | TAG_LIST, 0, 0 }, { "li", BLOCK, 0, G_LI }, { "dd", BLOCK, 0, G_DD }, { "dt", BLOCK, 0, G_DD },
	{ "table", BLOCK | TAG_FENCE | TAG_TABLE, 0, 0 }, { "caption", TAG_LINE | TAG_FENCE | TAG_SPECIAL, 0, 0 },
	{ "tbody", TAG_SPECIAL, 0, G_ROWS }, { "thead", TAG_SPECIAL, 0, G_ROWS }, { "tfoot", TAG_SPECIAL, 0, G_ROWS },
	{ "tr", TAG_LINE | TAG_SPECIAL, 0, G_ROW }, { "td", TAG_FENCE | TAG_SPECIAL, 0, G_CELL },
	{ "th", TAG_FENCE | TAG_SPECIAL, 0, G_CELL }, { "html", TAG_FENCE | TAG_SPECIAL, 0, 0 }, { "head", TAG_SPECIAL, 0, 0 },
	{ "body", TAG_SPECIAL, T_BODY, 0 }, { "button", TAG_FENCE | TAG_SPECIAL, 0, 0 }, { "select", TAG_SPECIAL, 0, 0 },
	{ "option", TAG_LINE, 0, G_OPTION }, { "object", TAG_FENCE | TAG_SPECIAL, 0, 0 }, { "marquee", TAG_LINE | TAG_FENCE | TAG_SPECIAL, 0, 0 },
	{ "br", TAG_LINE | TAG_VOID, T_BR, 0 }, { "hr", TAG_LINE | TAG_VOID | TAG_ENDS_P, 0, 0 }, { "img", TAG_VOID, T_IMG, 0 },
	{ "image", TAG_VOID, T_IMG, 0 }, { "input", TAG_VOID, T_INPUT, 0 }, { "meta", TAG_VOID, T_META, 0 },
	{ "link", TAG_VOID, 0, 0 }, { "base", TAG_VOID, T_BASE, 0 }, { "area", TAG_VOID, T_AREA, 0 }, { "col", TAG_VOID, 0, 0 },
	{ "embed", TAG_VOID, 0, 0 }, { "source", TAG_VOID, 0, 0 }, { "track", TAG_VOID, 0, 0 }, { "wbr", TAG_VOID, 0, 0 },
	{ "param", TAG_VOID, 0, 0 }, { "bgsound", TAG_VOID, 0, 0 }, { "keygen", TAG_VOID, 0, 0 },
	{ "script", TAG_RAW | TAG_QUIET, T_SCRIPT, 0 }, { "style", TAG_RAW | TAG_QUIET, T_STYLE, 0 },
	{ "iframe", TAG_RAW | TAG_QUIET, 0, 0 }, { "noembed", TAG_RAW | TAG_QUIET, 0, 0 }, { "noframes", TAG_RAW | TAG_QUIET, 0, 0 },
	{ "xmp", TAG_RAW | TAG_LINE, 0, 0 }, { "plaintext", TAG_LINE, T_PLAINTEXT, 0 }, { "title", TAG_REFERENCES | TAG_QUIET, 0, 0 },
	{ "textarea", TAG_REFERENCES | TAG_LINE, 0, 0 }, { "template", TAG_QUIET | TAG_FENCE | TAG_SPECIAL, 0, 0 },
	{ "datalist", TAG_QUIET, 0, 0 }, { "audio", 0, 0, 0 }, { "video", 0, 0, 0 }, { "canvas", TAG_QUIET, 0, 0 },
};

static const char *const attr_names[A__COUNT] = {
	[A_HREF] = "href", [A_SRC] = "src", [A_STYLE] = "style", [A_CLASS] = "class", [A_ID] = "id", [A_HIDDEN] = "hidden",
	[A_HTTP_EQUIV] = "http-equiv", [A_CONTENT] = "content", [A_CHARSET] = "charset", [A_ACTION] = "action",
	[A_FORMACTION] = "formaction", [A_BACKGROUND] = "background", [A_BGCOLOR] = "bgcolor", [A_COLOR] = "color",
	[A_TEXT] = "text", [A_SIZE] = "size", [A_SRCSET] = "srcset", [A_DATA] = "data", [A_POSTER] = "poster", [A_TYPE] = "type",
	[A_VALUE] = "value", [A_PLACEHOLDER] = "placeholder", [A_OPEN] = "open", [A_LOWSRC] = "lowsrc", [A_DYNSRC] = "dynsrc",
	[A_CITE] = "cite", [A_PING] = "ping", [A_XLINK_HREF] = "xlink:href", [A_LONGDESC] = "longdesc",
	[A_CODEBASE] = "codebase", [A_MANIFEST] = "manifest", [A_LINK] = "link",
};

/* A name of up to 16 bytes in lower case is a key of two words. */
struct key { uint64_t low, high; };

static struct key
key_of(struct span name)
{
	const uint64_t capital = 0x4040404040404040u;
	struct key key = { 0, 0 };

	memcpy(&key.low, name.p, name.n < 8 ? name.n : 8);
	if (name.n > 8)
		memcpy(&key.high, name.p + 8, name.n < 16 ? name.n - 8 : 8);
	key.low |= (key.low & capital) >> 1;         /* small letters; what is no letter becomes no name of ours */
	key.high |= (key.high & capital) >> 1;
	return key;
}

static size_t
slot_of(struct key key)
{
	return (size_t)((key.low * 0x9e3779b97f4a7c15u ^ key.high * 0xc2b2ae3d27d4eb4fu) >> 55) % SLOTS;
}

struct slot { struct key key; int value; };  /* value: index + 1 */

static void
slot_put(struct slot *slots, const char *name, int index)
{
	struct key key = key_of(span_of(name));
	size_t at = slot_of(key);

	while (slots[at].value)
		at = (at + 1) % SLOTS;
	slots[at] = (struct slot){ key, index + 1 };
}

/* -1: not there */
static int
slot_get(const struct slot *slots, struct key key)
{
	for (size_t at = slot_of(key); slots[at].value; at = (at + 1) % SLOTS)
		if (slots[at].key.low == key.low && slots[at].key.high == key.high)
			return slots[at].value - 1;
	return -1;
}

static struct slot tag_slots[SLOTS], attr_slots[SLOTS];

static void
prepare(void)
{
	static bool ready;

	if (ready)
		return;
	ready = true;
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		slot_put(tag_slots, known[i].name, (int)i);
	for (size_t i = 0; i < A__COUNT; i++)
		if (attr_names[i])
			slot_put(attr_slots, attr_names[i], (int)i);
}

struct tag
tag_find(struct span name)
{
	struct key key = key_of(name);
	const size_t named = sizeof known / sizeof *known;

	prepare();
	int at = name.n <= 16 ? slot_get(tag_slots, key) : -1;

	if (at >= 0)
		return (struct tag){ known[at].id, known[at].group, known[at].flags, (uint16_t)at };
	size_t hash = (size_t)((key.low ^ key.high) * 0x9e3779b97f4a7c15u >> 40) % (TAG_IDS - named);

	return (struct tag){ .id = T_OTHER, .number = (uint16_t)(named + hash) };
}

static void
keep(struct attrs *out, struct span name, struct span value)
{
	int which = -1;

	if (name.n <= 16)
		which = slot_get(attr_slots, key_of(name));
	if (which < 0 && name.n > 2 && ascii_lower(name.p[0]) == 'o' && ascii_lower(name.p[1]) == 'n')
		which = A_ON;
	if (which < 0 || attr_has(out, (enum attr)which))
		return;
	out->set |= (uint64_t)1 << which;
	out->at[which] = value;
}

static bool
ends_name(char c)
{
	return c == '>' || c == '/' || c == '=' || ascii_space(c) || c == '\f';
}

static size_t
skip_blanks(struct span html, size_t at)
{
	while (at < html.n && (ascii_space(html.p[at]) || html.p[at] == '\f'))
		at++;
	return at;
}

size_t
attrs_read(struct span html, size_t at, struct attrs *out)
{
	prepare();
	out->set = 0;
	for (;;) {
		while (at < html.n && (ascii_space(html.p[at]) || html.p[at] == '/' || html.p[at] == '\f'))
			at++;
		if (at >= html.n)
			return html.n;
		if (html.p[at] == '>')
			return at + 1;
		size_t start = at++;                 /* a '=' here is part of the name */

		while (at < html.n && !ends_name(html.p[at]))
			at++;
		struct span name = span_make(html.p + start, at - start), value = SPAN("");

		at = skip_blanks(html, at);
		if (at < html.n && html.p[at] == '=') {
			at = skip_blanks(html, at + 1);
			if (at < html.n && (html.p[at] == '"' || html.p[at] == '\'')) {
				size_t n = span_find_char(span_from(html, at + 1), html.p[at]);

				value = n == SPAN_NONE ? span_from(html, at + 1) : span_make(html.p + at + 1, n);
				at = n == SPAN_NONE ? html.n : at + n + 2;
			} else {
				start = at;
				while (at < html.n && html.p[at] != '>' && !ascii_space(html.p[at]) && html.p[at] != '\f')
					at++;
				value = span_make(html.p + start, at - start);
			}
		}
		keep(out, name, value);
	}
}
