/* parse.h - what the files of mail/ share while one mail is parsed. Not for others. */
#ifndef POLICYD_MAIL_PARSE_H
#define POLICYD_MAIL_PARSE_H

#include "policyd/mail/message.h"

struct tree {                                /* the parse in work */
	struct arena *a;
	struct message *msg;
	size_t room;
	const char **delimiters;             /* where the lines are that the strict reading takes for delimiters */
	size_t delimiter_count, delimiter_room;
	bool undelimited;                    /* a multipart whose boundary never came */
	size_t unpacked;                     /* bytes, out of all archives of the mail */
	size_t entry_room;
};
/* A part at the end of the array; NULL (and noted) when a bound is met. */
struct part *part_new(struct tree *t, int parent, int depth, struct span raw);

/* mime.c: one part of the list, its headers first; its children go to the end of the list. */
void part_read(struct tree *t, int index);
/* Text, links and uuencoded files of a PART_TEXT or PART_HTML whose data is decoded. */
void part_read_text(struct tree *t, int index);

/* sweep.c: what clients that are not strict may find; adds parts of reading 1 */
void sweep_read(struct tree *t);
/* A delimiter-like line that belongs to no multipart of ours; empty: none. `delimiters` is sorted. */
struct span sweep_foreign(const struct tree *t);

/* Notes and arrays of a message under construction. */
void note_add(struct arena *a, struct message *msg, enum mail_note what, struct span evidence);

/* header.c: the header block at the start of `raw`; `*body` is what follows its empty line. */
void headers_parse(struct arena *a, struct message *msg, struct span raw, struct header_list *out, struct span *body);
/* words.c: RFC 2047 in a header value: encoded words decoded once, the rest as UTF-8. */
struct span header_decode(struct arena *a, struct span raw_value);

/* params.c: "text/html; charset=utf-8; name*0=..." */
struct param {
	struct span name, value;             /* lower case name; decoded UTF-8 value (RFC 2231, 2047) */
	struct span plain;                   /* beside name*=: for clients that do not know it (RFC 6266, 4.3); not ambiguous */
	struct span other;                   /* as clients read it that take no continuations, or the last of two; or empty */
	bool ambiguous;                      /* clients find values that we do not know */
	bool duplicate;                      /* it stood there twice with different values */
};
struct content {
	struct span value;                   /* before the first ';', lower case, comments removed */
	struct param params[16];
	size_t count;
	bool odd;                            /* not as RFC 2045 has it: comments, escapes, encoded words, a boundary in pieces */
	bool over;                           /* more than MAX_PARAMS: what follows was not read */
};
void content_parse(struct arena *a, struct span raw_value, struct content *out);
/* The parameter of that name; NULL: none. */
const struct param *content_find(const struct content *c, const char *name);
struct span content_param(const struct content *c, const char *name);

/* names.c: what the part's file is called, by all its headers; notes where readings differ. */
void names_read(struct arena *a, struct message *msg, struct part *p, const struct content *type, const struct content *disposition);
/* A name that stands in a body (uuencode, yEnc, BinHex), where no charset is declared. */
struct span name_utf8(struct arena *a, struct span name);
/* What follows the last dot ("exe"); empty: none. */
struct span name_extension(struct span name);
/* Is `other` another kind of file than `name`? */
bool name_differs(struct span name, struct span other);

/* decode.c: transfer encodings; every input decodes, `*broken` says that it was not clean. */
struct span decode_base64(struct arena *a, struct span in, bool *broken);
struct span decode_quoted(struct arena *a, struct span in, bool header, bool *broken);
/* uuencoded files in a text: finds the next "begin" block at or after `*at`; false when there is none. */
bool decode_uu_next(struct arena *a, struct span text, size_t *at, struct span *name, struct span *data);

/* charset.c: bytes to UTF-8. An unknown charset is read as UTF-8 if it is that, else as windows-1252. */
struct span charset_to_utf8(struct arena *a, struct span in, struct span charset, bool *unknown, bool *wrong);
void charset_prepare(void);
/* guess.c: what a page says of itself; empty: nothing. */
struct span charset_of_html(struct span html);

/* html.c: what a reader sees, what he does not, and where it leads. */
struct html_result {
	struct span visible, hidden;
	bool smuggling, image_only;
};
void html_read(struct arena *a, struct message *msg, struct span html, int part, struct html_result *out);
/* entity.c: one character reference at the start of `s` ("&amp;"): bytes used (0: none), the code point in `*code`. */
size_t html_entity(struct span s, bool in_attribute, uint32_t *code);

/* url.c: one link, relative ones to `base`; and those that its query leads on to. `raw` and `shown` need not outlive it. */
void link_add_from(struct arena *a, struct message *msg, struct span base, struct span raw, enum link_source source,
    struct span shown, int part);
void link_add(struct arena *a, struct message *msg, struct span raw, enum link_source source, struct span shown, int part);
/* links.c: those a text names; bare names of hosts too when it is one for people (LINK_TEXT). */
void links_of_text(struct arena *a, struct message *msg, struct span text, enum link_source source, int part);
void links_of_calendar(struct arena *a, struct message *msg, struct span text, int part);
void links_of_pdf(struct arena *a, struct message *msg, struct span pdf, int part);
/* host.c */
void domain_prepare(void);
/* As browsers read a host: percent codes, invisible characters, look-alike dots, case, A-labels. Empty: none that can be. */
struct span host_clean(struct arena *a, struct span raw);
bool host_is_odd_ip(struct arena *a, struct span host, struct span *dotted);   /* 0x7f.1, 2130706433 */
bool host_has_suffix(struct span host);                     /* its last label is a known top level domain */
bool host_is_homograph(struct arena *a, struct span host);  /* A-labels that look like other letters */

/* filetype.c: by its first bytes; empty: unknown */
struct span attachment_type(struct span data);
/* attachment.c: findings by type, archives listed (look.h) */
void attachment_read(struct tree *t, int part);

/* plain.c */
enum script { SCRIPT_NONE, SCRIPT_LATIN, SCRIPT_CYRILLIC, SCRIPT_GREEK, SCRIPT_ARMENIAN, SCRIPT_CHEROKEE, SCRIPT_EAST_ASIAN, SCRIPT_OTHER };
enum script script_of(uint32_t code);
char letter_looks_like(uint32_t code);                      /* the ASCII letter one takes it for; 0: none */
bool letter_is_invisible(uint32_t code);
struct plain_counts {
	size_t mixed;                        /* words of Latin letters and such as look like them */
	struct span mixed_word;              /* the first */
	size_t obfuscated;                   /* words in fancy dress, or with invisible characters inside */
	size_t tags, turns;                  /* invisible tag characters; overrides of direction */
	size_t east_asian;                   /* letters */
	bool flag;
};
/* text_plain() that says what it met. */
struct span text_plain_counted(struct arena *a, struct span text, struct plain_counts *counts);

/* text.c: text and subject made plain, and what was odd in them noted; the language. */
void text_notes(struct arena *a, struct message *msg);
/* language.c: ISO 639-1 of the text, "" when it says too little. */
void language_guess(struct span text, char out[4]);

/* author.c: From: who sent it as a reader sees it, and whether two readers would see two. */
void author_read(struct arena *a, struct message *msg);

/* A growing array in the arena. */
#define ARENA_PUSH(a, array, count, room)                                                                   \
	do {                                                                                                \
		if ((count) == (room)) {                                                                    \
			size_t new_room = (room) ? (room) * 2 : 16;                                         \
			(array) = arena_grow((a), (array), (room) * sizeof *(array), new_room * sizeof *(array)); \
			(room) = new_room;                                                                  \
		}                                                                                           \
	} while (0)

#endif
