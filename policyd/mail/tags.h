/* tags.h - what is known of the elements of HTML, and a tag's attributes as browsers read them.
 *
 * Source  HTML Living Standard, 13.2.5 (tokenization), 13.2.6 (what an element closes)
 */
#ifndef POLICYD_MAIL_TAGS_H
#define POLICYD_MAIL_TAGS_H

#include "policyd/base/span.h"

enum {
	TAG_LINE = 1 << 0,                   /* begins and ends a line */
	TAG_VOID = 1 << 1,                   /* has no end tag */
	TAG_RAW = 1 << 2,                    /* up to its end tag all is text, no markup */
	TAG_REFERENCES = 1 << 3,             /* the same, but character references count */
	TAG_QUIET = 1 << 4,                  /* its text is not part of the page */
	TAG_ENDS_P = 1 << 5,                 /* an open <p> ends before it */
	TAG_FENCE = 1 << 6,                  /* end tags inside do not reach beyond it */
	TAG_FORMAT = 1 << 7,                 /* </b> ends <b> even if a block begun in it goes on */
	TAG_SPECIAL = 1 << 8,                /* the end of a plain element (<span>) does not reach beyond it */
	TAG_LIST = 1 << 9,                   /* what <li> and <dd> do not look beyond */
	TAG_TABLE = 1 << 10,
};

enum tag_id {                                /* those that mean more to us than their flags */
	T_OTHER, T_A, T_AREA, T_BASE, T_BODY, T_BR, T_DETAILS, T_DIALOG, T_FONT, T_FORM, T_IF, T_IMG, T_INPUT, T_META, T_P,
	T_SCRIPT, T_STYLE, T_SUMMARY, T_PLAINTEXT,
	T__NAMED
};

/* Elements of one group end each other: <li>, <td>. */
enum tag_group { G_NONE, G_LI, G_DD, G_CELL, G_ROW, G_ROWS, G_OPTION };

enum { TAG_IDS = 512 };                      /* of `number`: the table's own, then hashes of unknown names */

struct tag {
	enum tag_id id;
	enum tag_group group;
	unsigned flags;
	uint16_t number;
};

struct tag tag_find(struct span name);

enum attr {
	A_HREF, A_SRC, A_STYLE, A_CLASS, A_ID, A_HIDDEN, A_HTTP_EQUIV, A_CONTENT, A_CHARSET, A_ACTION, A_FORMACTION, A_BACKGROUND,
	A_BGCOLOR, A_COLOR, A_TEXT, A_SIZE, A_SRCSET, A_DATA, A_POSTER, A_TYPE, A_VALUE, A_PLACEHOLDER, A_OPEN, A_LOWSRC, A_DYNSRC,
	A_CITE, A_PING, A_XLINK_HREF, A_LONGDESC, A_CODEBASE, A_MANIFEST, A_LINK, A_ON, A__COUNT
};

struct attrs {
	uint64_t set;                        /* 1 << A_*; the first of a name counts */
	struct span at[A__COUNT];            /* raw, character references in; only where `set` says so */
};

static inline bool
attr_has(const struct attrs *attrs, enum attr which)
{
	return attrs->set >> which & 1;
}

static inline struct span
attr_raw(const struct attrs *attrs, enum attr which)
{
	return attr_has(attrs, which) ? attrs->at[which] : (struct span){ NULL, 0 };
}

/* From behind the tag's name to behind its '>', which it returns; the end of `html` when there is none. */
size_t attrs_read(struct span html, size_t at, struct attrs *out);

#endif
