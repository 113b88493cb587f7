/* message.h - what one mail says: headers, parts, text, links, as found in its bytes.
 *
 * Shape   struct message: arrays in the order of the mail; everything lives in the arena or in the raw bytes
 * Errors  none: all bytes parse. What is odd is a note (enum mail_note), each once, with the first evidence
 * Bounds  limits.h; what is over one is cut and noted NOTE_LIMIT
 * Source  RFC 5322, 2045-2049, 2231, 6532; the readings of real clients beside them
 *
 * Pure: no I/O, no clock. Only workers and tools call message_parse.
 */
#ifndef POLICYD_MAIL_MESSAGE_H
#define POLICYD_MAIL_MESSAGE_H

#include "policyd/base/arena.h"
#include "policyd/base/span.h"

/* What is odd in the mail's form. NOTE_LIST is the one place: enum, and the symbol that log, rules and tests speak. */
#define MAIL_NOTE_LIST(X)                                               \
	X(NOTE_AMBIGUOUS_BOUNDARY, "MIME_AMBIGUOUS_BOUNDARY")           \
	X(NOTE_AMBIGUOUS_TYPE, "MIME_AMBIGUOUS_TYPE")                   \
	X(NOTE_AMBIGUOUS_ENCODING, "MIME_AMBIGUOUS_ENCODING")           \
	X(NOTE_AMBIGUOUS_NAME, "MIME_AMBIGUOUS_NAME")                   \
	X(NOTE_OTHER_READING, "MIME_OTHER_READING")                     \
	X(NOTE_BROKEN_BOUNDARY, "MIME_BROKEN_BOUNDARY")                 \
	X(NOTE_BROKEN_BASE64, "MIME_BROKEN_BASE64")                     \
	X(NOTE_BROKEN_QP, "MIME_BROKEN_QP")                             \
	X(NOTE_BROKEN_HEADER, "MIME_BROKEN_HEADER")                     \
	X(NOTE_BARE_LINE_END, "MIME_BARE_LINE_END")                     \
	X(NOTE_NUL, "MIME_NUL")                                         \
	X(NOTE_CONTROL_CHAR, "MIME_CONTROL_CHAR")                       \
	X(NOTE_8BIT_HEADER, "MIME_8BIT_HEADER")                         \
	X(NOTE_PARTIAL, "MIME_PARTIAL")                                 \
	X(NOTE_EXTERNAL_BODY, "MIME_EXTERNAL_BODY")                     \
	X(NOTE_BINHEX, "MIME_BINHEX")                                   \
	X(NOTE_LIMIT, "MIME_LIMIT")                                     \
	X(NOTE_FROM_AMBIGUOUS, "FROM_AMBIGUOUS")                        \
	X(NOTE_FROM_MISSING, "FROM_MISSING")                            \
	X(NOTE_DISPLAY_SPOOF, "FROM_DISPLAY_SPOOF")                     \
	X(NOTE_CONFUSABLE_NAME, "FROM_CONFUSABLE_NAME")                 \
	X(NOTE_DUPLICATE_HEADER, "DUPLICATE_HEADER")                    \
	X(NOTE_CHARSET_UNKNOWN, "CHARSET_UNKNOWN")                      \
	X(NOTE_CHARSET_WRONG, "CHARSET_WRONG")                          \
	X(NOTE_MIXED_SCRIPT, "TEXT_MIXED_SCRIPT")                       \
	X(NOTE_BIDI_TEXT, "TEXT_BIDI")                                  \
	X(NOTE_BIDI_NAME, "ATTACHMENT_BIDI_NAME")                       \
	X(NOTE_CONFUSABLE_FILE, "ATTACHMENT_CONFUSABLE_NAME")           \
	X(NOTE_HIDDEN_TEXT, "HTML_HIDDEN_TEXT")                         \
	X(NOTE_OBFUSCATED_TEXT, "TEXT_OBFUSCATED")                      \
	X(NOTE_IMAGE_ONLY, "HTML_IMAGE_ONLY")                           \
	X(NOTE_HOMOGRAPH, "URL_HOMOGRAPH")                              \
	X(NOTE_FROM_HOMOGRAPH, "FROM_HOMOGRAPH")                        \
	X(NOTE_LINK_MISMATCH, "URL_TEXT_MISMATCH")                      \
	X(NOTE_POLYGLOT, "ATTACHMENT_POLYGLOT")                         \
	X(NOTE_TYPE_MISMATCH, "ATTACHMENT_TYPE_MISMATCH")               \
	X(NOTE_DOUBLE_EXT, "ATTACHMENT_DOUBLE_EXT")                     \
	X(NOTE_ENCRYPTED_ARCHIVE, "ARCHIVE_ENCRYPTED")                  \
	X(NOTE_ARCHIVE_BOMB, "ARCHIVE_BOMB")                            \
	X(NOTE_ARCHIVE_BROKEN, "ARCHIVE_BROKEN")                        \
	X(NOTE_ARCHIVE_UNREADABLE, "ARCHIVE_UNREADABLE")                \
	X(NOTE_ARCHIVE_AMBIGUOUS, "ARCHIVE_AMBIGUOUS")                  \
	X(NOTE_ARCHIVE_PATH, "ARCHIVE_PATH")                            \
	X(NOTE_EXECUTABLE, "ATTACHMENT_EXECUTABLE")                     \
	X(NOTE_SHORTCUT, "ATTACHMENT_SHORTCUT")                         \
	X(NOTE_DISK_IMAGE, "ATTACHMENT_DISK_IMAGE")                     \
	X(NOTE_ENCRYPTED_DOCUMENT, "DOCUMENT_ENCRYPTED")                \
	X(NOTE_MACRO, "OFFICE_MACRO")                                   \
	X(NOTE_XLM, "OFFICE_XLM_MACRO")                                 \
	X(NOTE_OLE_OBJECT, "OFFICE_EMBEDDED_OBJECT")                    \
	X(NOTE_DOC_EXTERNAL, "OFFICE_EXTERNAL_TEMPLATE")                \
	X(NOTE_ONENOTE, "ATTACHMENT_ONENOTE")                           \
	X(NOTE_RTF_OBJECT, "RTF_OBJECT")                                \
	X(NOTE_HTML_SMUGGLING, "HTML_SMUGGLING")                        \
	X(NOTE_PDF_SCRIPT, "PDF_SCRIPT")                                \
	X(NOTE_PDF_ACTION, "PDF_OPEN_ACTION")                           \
	X(NOTE_PDF_LAUNCH, "PDF_LAUNCH")                                \
	X(NOTE_PDF_EMBEDDED, "PDF_EMBEDDED_FILE")                       \
	X(NOTE_DKIM_LENGTH, "DKIM_BODY_LENGTH")

#define NOTE_ENUM(id, symbol) id,
enum mail_note { MAIL_NOTE_LIST(NOTE_ENUM) NOTE__COUNT };
#undef NOTE_ENUM
extern const char *const mail_note_names[NOTE__COUNT];

struct header {
	struct span name;                    /* as written */
	struct span raw;                     /* value as written, folds included, without the final line end */
	struct span value;                   /* unfolded, trimmed, encoded words decoded once, UTF-8 */
};

struct header_list {
	struct header *at;
	size_t count;
};

/* One address of a From, To, ... header; all UTF-8. */
struct address {
	struct span name;                    /* display name, decoded; empty if none */
	struct span local, domain;           /* domain lower case, A-labels turned to UTF-8 for `domain_shown` */
	struct span addr;                    /* local@domain */
};

enum part_kind { PART_TEXT, PART_HTML, PART_MULTIPART, PART_MESSAGE, PART_ATTACHMENT };

/* One node of the part tree; of a second reading too (reading > 0). */
struct part {
	int parent;                          /* index, -1 for the root */
	int depth, reading;                  /* reading 0 is the strict one, 1 what other clients may find (sweep.c) */
	bool doubtful;                       /* its body decodes otherwise elsewhere */
	bool blocks;                         /* yEnc or BinHex stands in its data */
	bool unpacked;                       /* out of another part: what ClamAV cannot take out itself (archive.c) */
	enum part_kind kind;
	struct header_list headers;
	struct span type;                    /* "text/html", lower case; by the header, "text/plain" without one */
	struct span real_type;               /* by the content: "application/zip"; empty if it says nothing */
	struct span charset;                 /* as declared, lower case */
	struct span encoding;                /* "base64", "quoted-printable", ... lower case */
	struct span disposition;             /* "attachment", "inline", "" */
	struct span file_name;               /* decoded, UTF-8; empty if none */
	struct span other_name;              /* another kind of file, as other clients read the same headers; empty if none */
	struct span raw;                     /* the body as it stands in the mail */
	struct span data;                    /* decoded bytes (may be `raw`) */
	struct span text;                    /* PART_TEXT, PART_HTML: visible text, UTF-8 */
	struct span hidden;                  /* PART_HTML: what a reader would not see */
};

enum link_source { LINK_TEXT, LINK_HTML, LINK_FORM, LINK_REFRESH, LINK_CSS, LINK_IMAGE, LINK_CALENDAR, LINK_PDF, LINK_DOCUMENT,
    LINK__COUNT };
extern const char *const link_source_names[LINK__COUNT];

struct link {
	struct span url;                     /* normalised: "http://host/path" */
	struct span raw;                     /* as written */
	struct span scheme, host, path;      /* host: lower case, A-label form; or an address */
	struct span domain;                  /* registrable, by the Public Suffix List; the host if none */
	struct span shown;                   /* the visible text of an <a>, at most MAX_EVIDENCE bytes */
	enum link_source source;
	uint16_t port;                       /* 0 if not given */
	bool is_ip, has_user, mismatch;      /* mismatch: the text shows another domain than the target */
	int part;
};

/* A file inside an archive, by name. */
struct archive_member {
	struct span name;                    /* UTF-8; empty: it has none */
	struct span type;                    /* by its content; empty: unknown, or it could not be opened */
	uint64_t size;                       /* unpacked */
	int part, depth;                     /* depth 1: in the part itself, 2: in an archive in it, ... */
	bool encrypted;
};

struct note {
	enum mail_note what;
	struct span evidence;                /* UTF-8, at most MAX_EVIDENCE bytes */
	uint32_t times;
};

struct message {
	struct span raw;                     /* the whole mail */
	struct header_list headers;          /* of the mail itself */
	struct part *parts;                  /* parts[0] is the root; strict reading first, in order */
	size_t part_count, strict_count;     /* of all readings, of the strict one */
	bool odd;                            /* its form gives cause to try other readings */
	struct link *links;
	size_t link_count, link_room;
	uint16_t *link_slots;                /* hash table of their places, while they are gathered */
	struct archive_member *entries;
	size_t entry_count;
	struct note *notes;
	size_t note_count;
	struct span text;                    /* visible text of all parts of the strict reading, in reading order, UTF-8, as
	                                      * one reads it: text_plain(); as it was sent it is in the parts */
	struct span hidden;
	struct span subject;                 /* decoded, then as one reads it: text_plain() */
	struct address from;                 /* the author a reader sees; addr empty if there is none */
	char language[4];                    /* ISO 639-1 guess, "" when there is none */
};

/* Parse it all. `raw` must outlive the message. Options come with their issue; today there are none. */
void message_parse(struct arena *a, struct span raw, struct message *msg);

/* The nth (from 0) header of that name, any case; NULL if there is none. */
const struct header *header_get(const struct header_list *headers, struct span name, size_t nth);
/* Its decoded value, empty if there is none. */
struct span header_value(const struct header_list *headers, const char *name);

/* All addresses of a header value, at most MAX_ADDRESSES; returns how many. */
size_t addresses_parse(struct arena *a, struct span raw_value, struct address **list);

struct address_list {
	struct address *at;
	size_t count;
	bool group;                          /* "staff: a@b, c@d;" */
	bool odd;                            /* not by the grammar: others may find other addresses */
};
void addresses_read(struct arena *a, struct span raw_value, struct address_list *list);

/* Text as one reads it: without invisible characters, full-width, mathematical and circled letters as plain ones, letters
 * of other scripts in a word of Latin ones as those they look like. A copy only where that changes something. */
struct span text_plain(struct arena *a, struct span text);

/* The mail's links for lists of names, one a host: those that text and forms lead to before pictures. At most
 * MAX_HOSTS_TOLD; how many. */
size_t message_hosts(const struct message *msg, struct arena *a, const struct link ***links);

bool message_noted(const struct message *msg, enum mail_note what);

/* The extension by which systems would open a file of that name: lower case, without the dot; empty if none. */
struct span file_extension(struct arena *a, struct span name);
/* The extension that files of that real type ("application/x-dosexec") go by: "exe"; empty if unknown. */
struct span type_extension(struct span type);

/* Registrable domain of a host ("shop.co.uk"), or the host itself when it is one label, an address, a suffix. */
struct span domain_registrable(struct span host);

#endif
