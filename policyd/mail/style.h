/* style.h - the little of CSS that decides what a reader sees: what hides, what size, what colour on what.
 *
 * Shape   struct style: what one declaration list says; struct sight: what an element looks like, made from its parent's
 *         look and its styles in the order of the cascade; struct sheet: the rules of all <style> of a page
 * Errors  none: what is no CSS is passed over, as browsers do. What cannot be known (an image behind the text, calc(),
 *         a selector with siblings) is taken for visible
 * Bounds  limits.h: MAX_STYLE_RULES kept, MAX_STYLE_WORK comparisons a page; beyond, rules count no more
 * Source  CSS 2.2, Color 4, Selectors 3, Syntax 3.
 *         A text is unseen when no channel of its colour is more than UNSEEN_STEP from what is behind it
 */
#ifndef POLICYD_MAIL_STYLE_H
#define POLICYD_MAIL_STYLE_H

#include "policyd/base/arena.h"

/* Properties that have two states for us: on is what hides. */
enum {
	STYLE_NONE = 1 << 0,                 /* display: none */
	STYLE_UNSEEN = 1 << 1,               /* visibility: hidden */
	STYLE_FADED = 1 << 2,                /* opacity: 0, filter: opacity(0) */
	STYLE_CLIPPED = 1 << 3,              /* clip, clip-path to nothing */
	STYLE_MSO = 1 << 4,                  /* mso-hide: all */
	STYLE_MOVED = 1 << 5,                /* transform: scale(0), translate(-9999px) */
	STYLE_INDENT = 1 << 6,               /* text-indent beyond the page */
	STYLE_MARGIN = 1 << 7,               /* margin-left, margin-top beyond the page */
	STYLE_LEFT = 1 << 8, STYLE_RIGHT = 1 << 9, STYLE_TOP = 1 << 10, STYLE_BOTTOM = 1 << 11,
	STYLE_POSITION = 1 << 12,            /* one that left and top have a say in */
	STYLE_OVERFLOW = 1 << 13,            /* what does not fit the box is cut */
	STYLE_HEIGHT = 1 << 14, STYLE_MAX_HEIGHT = 1 << 15, STYLE_WIDTH = 1 << 16, STYLE_MAX_WIDTH = 1 << 17,
	/* with a value */
	STYLE_COLOR = 1 << 18, STYLE_BACK = 1 << 19, STYLE_SIZE = 1 << 20, STYLE_FILL = 1 << 21,
};

enum size_unit { SIZE_PX, SIZE_TIMES, SIZE_ROOT };           /* TIMES: of the parent's; ROOT: of 16 px */

/* 0xAARRGGBB; what no colour can be is an image, or a gradient */
enum { COLOR_WHITE = -1, COLOR_UNKNOWN = 0x00abcdef };

struct style {
	uint32_t set, on;                    /* STYLE_*: spoken of; hides */
	uint32_t color, back, fill;
	float size;
	enum size_unit unit;
};

struct sight {
	bool gone;                           /* with all that is inside */
	bool unseen;                         /* what is inside may be seen again, as with the three below */
	float size;                          /* px */
	uint32_t color, back;
};

extern const struct sight sight_of_page;

/* Comments and escapes out, for style_parse; a copy only when there are some. */
struct span css_plain(struct arena *a, struct span css);
/* "color:red;display:none!important": adds to both. */
void style_parse(struct span declarations, struct style *normal, struct style *important);
/* Later ones win. */
void style_add(struct style *to, const struct style *more);
/* "12.5px" at the start of `s`, which then is behind it; the unit in `*unit`. False: no number there. */
bool css_number(struct span *s, double *value, struct span *unit);
bool style_color(struct span text, uint32_t *color);        /* "#fff", "white", "rgba(...)"; of HTML too: "ffffff" */
struct sight sight_inside(const struct sight *outer, const struct style *style);
bool sight_hides(const struct sight *look);                    /* a text with it is not seen */

struct sheet;
struct sheet *sheet_new(struct arena *a);
/* A <style> element's text. */
void sheet_add(struct sheet *s, struct span css);
bool sheet_empty(const struct sheet *s);
bool sheet_over(const struct sheet *s);                      /* a bound was met */

/* An element as selectors see it. */
struct element {
	struct span name, id, classes;       /* name lower case; classes as written, blanks between */
	uint64_t around;                     /* one bit for each name, class, id (by hash) of the elements it is in */
};
/* The bits of one element itself. */
uint64_t element_bits(const struct element *e);
/* What the sheet says of it, in the cascade's order; false: nothing. */
bool sheet_style(struct sheet *s, const struct element *e, struct style *normal, struct style *important);

#endif
