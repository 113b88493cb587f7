#include "policyd/auth/taglist.h"

static bool
name_char(char c)
{
	return ascii_alnum(c) || c == '_';
}

/* VALCHAR and blanks between them: what is printable but ';'. UTF-8 is let through, for RFC 8616. */
static bool
is_value(struct span value)
{
	for (size_t i = 0; i < value.n; i++)
		if (!ascii_space(value.p[i]) && ((unsigned char)value.p[i] <= 0x20 || value.p[i] == 0x7f))
			return false;
	return true;
}

static bool
take_tag(struct span text, struct taglist *out)
{
	struct span value = text, name = span_trim(span_cut(&value, '='));

	if (span_find_char(text, '=') == SPAN_NONE || name.n == 0 || !((name.p[0] | 0x20) >= 'a' && (name.p[0] | 0x20) <= 'z') || out->count == MAX_TAGS)
		return false;
	for (size_t i = 0; i < name.n; i++)
		if (!name_char(name.p[i]))
			return false;
	for (size_t i = 0; i < out->count; i++)
		if (span_eq(out->at[i].name, name))
			return false;
	if (!is_value(value))
		return false;
	out->at[out->count++] = (struct tag){ name, span_trim(value), value };
	return true;
}

bool
taglist_parse(struct span text, struct taglist *out)
{
	struct span rest = text;

	out->count = 0;
	while (span_trim(rest).n > 0)        /* one ';' at the end is fine, two are not */
		if (!take_tag(span_cut(&rest, ';'), out))
			return false;
	return out->count > 0;
}

void
taglist_read(struct span text, struct taglist *out)
{
	out->count = 0;
	while (text.n > 0)
		take_tag(span_cut(&text, ';'), out);
}

const struct tag *
taglist_find(const struct taglist *list, const char *name)
{
	for (size_t i = 0; i < list->count; i++)
		if (span_eq(list->at[i].name, span_of(name)))
			return &list->at[i];
	return NULL;
}

struct span
taglist_get(const struct taglist *list, const char *name)
{
	const struct tag *tag = taglist_find(list, name);

	return tag ? tag->value : (struct span){ 0 };
}

struct span
taglist_squeeze(struct arena *a, struct span value)
{
	char *out = arena_alloc(a, value.n + 1);
	size_t n = 0;

	for (size_t i = 0; i < value.n; i++)
		if (!ascii_space(value.p[i]))
			out[n++] = value.p[i];
	return span_make(out, n);
}

static int
base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool
base64_read(struct arena *a, struct span text, struct span *out)
{
	char *to = arena_alloc(a, text.n / 4 * 3 + 4);
	size_t n = 0, digits = 0, padding = 0;
	uint32_t bits = 0;

	for (size_t i = 0; i < text.n; i++) {
		int value = base64_value(text.p[i]);

		if (ascii_space(text.p[i]))
			continue;
		if (text.p[i] == '=' && padding < 2) {
			padding++;
			continue;
		}
		if (value < 0 || padding > 0)
			return false;
		bits = bits << 6 | (uint32_t)value;
		if (++digits % 4 == 0) {
			to[n++] = (char)(bits >> 16);
			to[n++] = (char)(bits >> 8);
			to[n++] = (char)bits;
		}
	}
	if (digits % 4 == 1 || (padding > 0 && (digits + padding) % 4 != 0))
		return false;
	if (digits % 4 == 2)
		to[n++] = (char)(bits >> 4);
	if (digits % 4 == 3) {
		to[n++] = (char)(bits >> 10);
		to[n++] = (char)(bits >> 2);
	}
	*out = span_make(to, n);
	return true;
}
