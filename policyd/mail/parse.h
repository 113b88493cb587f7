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
/* RFC 2047 in a header value: encoded words decoded once, the rest as UTF-8. */
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

/* html.c: what a reader sees, what he does not, and where it leads. */
struct html_result {
	struct span visible, hidden;
	bool smuggling, image_only;
};
void html_read(struct arena *a, struct message *msg, struct span html, int part, struct html_result *out);
/* One character reference at the start of `s` ("&amp;"): bytes used (0: none), the code point in `*code`. */
size_t html_entity(struct span s, uint32_t *code);

/* url.c */
void link_add(struct arena *a, struct message *msg, struct span raw, enum link_source source, struct span shown, int part);
void links_of_text(struct arena *a, struct message *msg, struct span text, int part);
void domain_prepare(void);

/* filetype.c: by its first bytes; empty: unknown */
struct span attachment_type(struct span data);
/* attachment.c: findings by type, archives listed (look.h) */
void attachment_read(struct tree *t, int part);

/* text.c */
void text_notes(struct arena *a, struct message *msg);

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
