/* page.h - what the files of the HTML reader share: the page in work. html.c reads tags, html_stack.c keeps what is open and how
 * it looks, html_links.c finds where it leads. Not for others. */
#ifndef POLICYD_MAIL_PAGE_H
#define POLICYD_MAIL_PAGE_H

#include "policyd/base/limits.h"
#include "policyd/mail/parse.h"
#include "policyd/mail/style.h"
#include "policyd/mail/tags.h"

enum { SHOWN_ROOM = MAX_EVIDENCE };

struct open_tag {
	struct tag tag;
	struct style own;                    /* kept to look again when what is around ends first */
	struct sight look;
	uint64_t around;                     /* with its own */
	bool quiet, hides;
};

struct out {
	char *p;
	size_t n, room;
};

struct page {
	struct arena *a;
	struct message *msg;
	int part;
	struct open_tag *stack;
	size_t depth;
	uint16_t open[TAG_IDS];              /* how many of each are on the stack */
	struct sheet *sheet;
	size_t restyled;                     /* looks made anew; bounded as the sheet's work is */
	struct out visible, hidden, quiet;
	size_t images, letters;
	bool smuggling, late_style, again;
	struct span base;
	struct span link;                    /* of the <a> that is open */
	size_t plain;                        /* visible text from here on is in no link, and not searched for any yet */
	char shown[SHOWN_ROOM];
	size_t shown_n;
};

/* html.c: where text goes that stands here; white space: ' ', or '\n' for the end of a line. */
struct out *page_out(struct page *p);
void page_break(struct page *p, struct out *o, char c);

/* html_stack.c */
void page_open(struct page *p, const struct tag *tag, struct span name, const struct attrs *attrs);
void page_close(struct page *p, const struct tag *tag);
void page_close_implied(struct page *p, const struct tag *tag);      /* what ends without an end tag before this one */
void page_pop(struct page *p, size_t depth);

/* html_links.c: an attribute's value without character references; the links of a tag, of CSS, of the text that is in none. */
struct span attr_text(struct arena *a, struct span raw);
void page_links(struct page *p, const struct tag *tag, const struct attrs *attrs);
void page_css_links(struct page *p, struct span css);
void page_end_link(struct page *p);
void page_end_plain(struct page *p);

#endif
