/* stage_mime.c - the parse; each oddity it notes becomes a symbol with points. */
#include <assert.h>
#include <stdint.h>

#include "policyd/mail/forged.h"
#include "policyd/scan/banned.h"
#include "policyd/scan/scanned.h"
#include "policyd/scan/stage.h"

/* Points are towards spam; a class takes the recipient's action of that class (policy.h: unscannable, banned).
 *
 * Where two honest readers would see two different mails, no scan of one reading says what the other shows: that is
 * CLASS_UNSCANNABLE, never clean. Mere sloppiness, which lists and old programs show as often as spammers do, is
 * shown with few points or none. An archive under a password is common among people who know each other: points,
 * and the recipient's policy may ban it; a bomb is unscannable by its nature. */
static const struct { double points; unsigned classes; } found[NOTE__COUNT] = {
	[NOTE_AMBIGUOUS_BOUNDARY] = { 2.0, CLASS_UNSCANNABLE },
	[NOTE_AMBIGUOUS_TYPE]     = { 1.5, 0 },
	[NOTE_AMBIGUOUS_ENCODING] = { 2.0, CLASS_UNSCANNABLE },
	[NOTE_AMBIGUOUS_NAME]     = { 1.5, CLASS_UNSCANNABLE },      /* "a.txt" to some, "a.exe" to others */
	[NOTE_OTHER_READING]      = { 2.0, CLASS_UNSCANNABLE },
	[NOTE_BROKEN_BOUNDARY]    = { 0.2, 0 },
	[NOTE_BROKEN_BASE64]      = { 0.5, 0 },
	[NOTE_BROKEN_QP]          = { 0.2, 0 },
	[NOTE_BROKEN_HEADER]      = { 0.2, 0 },
	[NOTE_BARE_LINE_END]      = { 0.0, 0 },
	[NOTE_NUL]                = { 0.5, 0 },
	[NOTE_CONTROL_CHAR]       = { 0.3, 0 },
	[NOTE_8BIT_HEADER]        = { 0.5, 0 },
	[NOTE_PARTIAL]            = { 1.0, CLASS_UNSCANNABLE },      /* the rest comes in another mail */
	[NOTE_EXTERNAL_BODY]      = { 1.0, 0 },
	[NOTE_BINHEX]             = { 0.5, 0 },
	[NOTE_LIMIT]              = { 1.0, CLASS_UNSCANNABLE },
	[NOTE_FROM_AMBIGUOUS]     = { 1.5, 0 },
	[NOTE_FROM_MISSING]       = { 0.8, 0 },
	[NOTE_DISPLAY_SPOOF]      = { 2.5, 0 },
	[NOTE_CONFUSABLE_NAME]    = { 2.0, 0 },
	[NOTE_DUPLICATE_HEADER]   = { 0.5, 0 },
	[NOTE_CHARSET_UNKNOWN]    = { 0.3, 0 },
	[NOTE_CHARSET_WRONG]      = { 0.3, 0 },
	[NOTE_MIXED_SCRIPT]       = { 1.5, 0 },
	[NOTE_BIDI_TEXT]          = { 0.5, 0 },
	[NOTE_BIDI_NAME]          = { 4.0, CLASS_BANNED },           /* "cod.exe" shown as "exe.doc": no honest use */
	[NOTE_CONFUSABLE_FILE]    = { 2.0, 0 },
	[NOTE_HIDDEN_TEXT]        = { 0.5, 0 },
	[NOTE_OBFUSCATED_TEXT]    = { 1.0, 0 },
	[NOTE_IMAGE_ONLY]         = { 0.8, 0 },
	[NOTE_HOMOGRAPH]          = { 2.5, 0 },
	[NOTE_FROM_HOMOGRAPH]     = { 2.5, 0 },
	[NOTE_LINK_MISMATCH]      = { 0.5, 0 },
	[NOTE_POLYGLOT]           = { 2.5, 0 },
	[NOTE_TYPE_MISMATCH]      = { 0.5, 0 },
	[NOTE_DOUBLE_EXT]         = { 2.5, 0 },
	[NOTE_ENCRYPTED_ARCHIVE]  = { 1.0, 0 },
	[NOTE_ARCHIVE_BOMB]       = { 3.0, CLASS_UNSCANNABLE },
	[NOTE_ARCHIVE_BROKEN]     = { 0.5, 0 },
	[NOTE_ARCHIVE_UNREADABLE] = { 0.5, CLASS_UNSCANNABLE },
	[NOTE_ARCHIVE_AMBIGUOUS]  = { 2.0, CLASS_UNSCANNABLE },
	[NOTE_ARCHIVE_PATH]       = { 1.0, 0 },
	[NOTE_EXECUTABLE]         = { 1.5, 0 },
	[NOTE_SHORTCUT]           = { 3.0, 0 },
	[NOTE_DISK_IMAGE]         = { 1.5, 0 },
	[NOTE_ENCRYPTED_DOCUMENT] = { 0.5, 0 },
	[NOTE_MACRO]              = { 1.5, 0 },
	[NOTE_XLM]                = { 2.0, 0 },
	[NOTE_OLE_OBJECT]         = { 0.8, 0 },
	[NOTE_DOC_EXTERNAL]       = { 3.0, 0 },
	[NOTE_ONENOTE]            = { 2.5, 0 },
	[NOTE_RTF_OBJECT]         = { 2.0, 0 },
	[NOTE_HTML_SMUGGLING]     = { 3.0, 0 },
	[NOTE_PDF_SCRIPT]         = { 1.5, 0 },
	[NOTE_PDF_ACTION]         = { 0.2, 0 },                      /* many programs write one to set the zoom */
	[NOTE_PDF_LAUNCH]         = { 3.0, 0 },
	[NOTE_PDF_EMBEDDED]       = { 0.3, 0 },
	[NOTE_DKIM_LENGTH]        = { 0.2, 0 },
};

enum stage_result
stage_mime(struct scan *scan)
{
	const struct message *msg = &scan->message;

	message_parse(scan->arena, scan->message.raw, &scan->message);
	for (size_t i = 0; i < msg->note_count; i++) {
		const struct note *note = &msg->notes[i];

		assert(note->what < NOTE__COUNT);
		verdict_add(scan->arena, &scan->verdict, span_of(mail_note_names[note->what]),
		    found[note->what].points, note->evidence);
		scan->verdict.classes |= found[note->what].classes;
	}
	struct forged *forged;

	if (message_forged(msg, scan_forged_id(scan), scan->arena, &forged) > SCANNED_MAX_FORGED) {
		verdict_add(scan->arena, &scan->verdict, SPAN("MIME_LIMIT"), 0, SPAN("more headers of ours than can be removed"));
		scan->verdict.classes |= CLASS_UNSCANNABLE;
	}
	if (scan->truncated) {               /* what follows the cut was seen by nobody */
		verdict_add(scan->arena, &scan->verdict, SPAN("OVERSIZE"), 0, (struct span){ 0 });
		scan->verdict.classes |= CLASS_UNSCANNABLE;
	}
	banned_check(scan);
	return STAGE_DONE;
}
