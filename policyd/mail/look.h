/* look.h - what the readers of attachments share. Not for others.
 *
 * A look is one file: a part's bytes, or a member of an archive, a stream of a document inside one. look_inside() tells its
 * type and lets that type's reader note what is odd, list what is inside and look at that in turn.
 *
 * Owner   at depth 0 the bytes are the message's; below, they are lent for the call: what is kept is copied
 * Bounds  MAX_ARCHIVE_DEPTH, MAX_ARCHIVE_ENTRIES, MAX_UNPACKED for all of a mail; what is over one is noted, and the mail
 *         then counts as one that could not be scanned
 */
#ifndef POLICYD_MAIL_LOOK_H
#define POLICYD_MAIL_LOOK_H

#include "policyd/mail/parse.h"

struct look {
	struct tree *t;
	int part;                            /* all this is inside of it */
	int depth;                           /* archives and documents around it */
	struct span name, data, type;        /* type: by the content */
};

void look_inside(struct look *l);
/* A file found inside `outer`: listed, named, looked at. NULL when there is no room in the list. */
struct archive_member *look_member(const struct look *outer, struct span name, uint64_t size);
void look_member_data(const struct look *outer, struct archive_member *m, struct span data);
/* It becomes a part of its own, so that ClamAV gets bytes it cannot reach by itself. Copied. */
void look_keep(const struct look *outer, struct span name, struct span data);
void look_note(const struct look *l, enum mail_note what);  /* evidence: the file's name */
void look_link(const struct look *l, struct span url, enum link_source source);
/* May that many more bytes be unpacked of this mail? False (and noted) when not. */
bool look_afford(const struct look *l, size_t bytes);

/* filetype.c */
bool type_is_archive(struct span type);                     /* libarchive lists it */
bool type_runs(struct span type);                           /* opened, it runs */
/* Does a file of this name or declared type promise something harmless that bytes of type `real` are not? */
bool type_lies(struct span real, struct span extension, struct span declared);

/* filename.c */
void name_read(const struct look *l);

/* One reader a family of types. */
void archive_read(const struct look *l);
bool zip_find(struct span data, size_t *start);             /* a zip that ends where `data` ends; where it begins */
bool zip_check(const struct look *l);                       /* true: its readers may find different members */
void tnef_read(const struct look *l);
void ole_read(const struct look *l);
void office_member_read(const struct look *l);              /* a member of an office document that is a zip */
void office_text_read(const struct look *l);                /* RTF, MHTML, ActiveMime */
void onenote_read(const struct look *l);
void pdf_read(const struct look *l);

/* Little-endian numbers of a file; 0 past its end. */
static inline uint32_t
little(struct span s, size_t at, int bytes)
{
	uint32_t v = 0;

	for (int i = 0; i < bytes && at < s.n && (size_t)i < s.n - at; i++)
		v |= (uint32_t)(unsigned char)s.p[at + (size_t)i] << (8 * i);
	return v;
}

#endif
