/* text.c - what is odd in the text a reader sees: directions turned around, scripts mixed inside a word, invisible
 * letters between visible ones. */
#include "policyd/base/limits.h"
#include "policyd/base/utf8.h"
#include "policyd/mail/parse.h"

enum { INVISIBLE_MANY = 12, HIDDEN_MUCH = 60 };

enum script { SCRIPT_NONE, SCRIPT_LATIN, SCRIPT_CYRILLIC, SCRIPT_GREEK };

static enum script
script_of(uint32_t code)
{
	if ((code >= 'a' && code <= 'z') || (code >= 'A' && code <= 'Z'))
		return SCRIPT_LATIN;
	if (code >= 0x400 && code < 0x530)
		return SCRIPT_CYRILLIC;
	return code >= 0x370 && code < 0x400 ? SCRIPT_GREEK : SCRIPT_NONE;
}

static void
read_text(struct arena *a, struct message *msg, struct span text)
{
	enum script word = SCRIPT_NONE;
	size_t invisible = 0, word_at = 0;

	for (size_t i = 0, len; i < text.n; i += len) {
		uint32_t code;

		if ((unsigned char)text.p[i] < 0x80) {
			code = (unsigned char)text.p[i];
			len = 1;
		} else {
			code = utf8_decode(span_from(text, i), &len);
			len = len ? len : 1;
		}
		if (code == 0x200b || code == 0x200c || code == 0x2060 || code == 0xad || code == 0xfeff)
			invisible++;
		if (code == 0x202e || code == 0x202d || (code >= 0x2066 && code <= 0x2068))
			note_add(a, msg, NOTE_BIDI_TEXT, span_head(span_from(text, i), 40));
		enum script s = script_of(code);

		if (s == SCRIPT_NONE && (code < 0x80 || code == 0x2019)) {
			word = SCRIPT_NONE;
			word_at = i + len;
		} else if (s != SCRIPT_NONE && word != SCRIPT_NONE && s != word) {
			note_add(a, msg, NOTE_MIXED_SCRIPT, span_head(span_from(text, word_at), i + len - word_at));
			word = s;
		} else if (s != SCRIPT_NONE) {
			word = s;
		}
	}
	if (invisible >= INVISIBLE_MANY)
		note_add(a, msg, NOTE_OBFUSCATED_TEXT, SPAN("zero-width characters"));
}

/* "service@bank.example" as the display name of another domain's address. */
static void
read_display_name(struct arena *a, struct message *msg)
{
	struct address *list;

	if (span_find_char(msg->from.name, '@') == SPAN_NONE)
		return;
	size_t count = addresses_parse(a, msg->from.name, &list);

	for (size_t i = 0; i < count; i++)
		if (list[i].domain.n > 3 && span_find_char(list[i].domain, '.') != SPAN_NONE && !span_eq(domain_registrable(list[i].domain), domain_registrable(msg->from.domain)))
			note_add(a, msg, NOTE_DISPLAY_SPOOF, msg->from.name);
}

void
text_notes(struct arena *a, struct message *msg)
{
	read_text(a, msg, msg->text);
	read_text(a, msg, msg->subject);
	read_display_name(a, msg);
	if (msg->hidden.n >= HIDDEN_MUCH)
		note_add(a, msg, NOTE_HIDDEN_TEXT, span_head(msg->hidden, 80));
}
