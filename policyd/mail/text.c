/* text.c - what is odd in the text a reader sees: directions turned around, scripts mixed inside a word, letters in fancy
 * dress, invisible ones between visible ones. */
#include "policyd/base/limits.h"
#include "policyd/base/utf8.h"
#include "policyd/mail/parse.h"

static struct span
read_text(struct arena *a, struct message *msg, struct span text)
{
	struct plain_counts counts;
	struct span plain = text_plain_counted(a, text, &counts);

	if (counts.mixed > 0)
		note_add(a, msg, NOTE_MIXED_SCRIPT, counts.mixed_word);
	if (counts.obfuscated > 0)
		note_add(a, msg, NOTE_OBFUSCATED_TEXT, SPAN("letters in disguise, or invisible ones between them"));
	if (counts.tags > 0)
		note_add(a, msg, NOTE_OBFUSCATED_TEXT, SPAN("invisible tag characters"));
	if (counts.turns > 0)
		note_add(a, msg, NOTE_BIDI_TEXT, utf8_head(plain, 40));
	return plain;
}

void
text_notes(struct arena *a, struct message *msg)
{
	msg->text = read_text(a, msg, msg->text);
	msg->subject = read_text(a, msg, msg->subject);
	language_guess(msg->text, msg->language);
}
