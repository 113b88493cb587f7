/* style.c - declarations to what they hide, and what an element looks like inside another. */
#include "policyd/mail/style.h"

enum {
	FAR = 300,                           /* px: what is moved so far left or up is off the page */
	UNSEEN_STEP = 18,                    /* of 255 */
	FADED_ALPHA = 26,                    /* of 255: a tenth */
};
static const float READABLE = 3;             /* px: what is smaller is no text to anybody */

const struct sight sight_of_page = { .size = 16, .color = 0xff000000, .back = 0xffffffff };

bool
css_number(struct span *s, double *value, struct span *unit)
{
	size_t i = 0, digits = 0;
	double v = 0, scale = 1;
	bool minus = false;

	if (i < s->n && (s->p[i] == '-' || s->p[i] == '+'))
		minus = s->p[i++] == '-';
	for (; i < s->n && s->p[i] >= '0' && s->p[i] <= '9'; i++, digits++)
		v = v < 1e12 ? v * 10 + (s->p[i] - '0') : v;
	if (i < s->n && s->p[i] == '.')
		for (i++; i < s->n && s->p[i] >= '0' && s->p[i] <= '9'; i++, digits++)
			v += (s->p[i] - '0') * (scale /= 10);
	if (digits == 0)
		return false;
	size_t start = i;

	while (i < s->n && ((ascii_lower(s->p[i]) >= 'a' && ascii_lower(s->p[i]) <= 'z') || s->p[i] == '%'))
		i++;
	*value = minus ? -v : v;
	*unit = span_make(s->p + start, i - start);
	*s = span_from(*s, i);
	return true;
}

/* In px, as far as it does not hang on what is around. Relative ones as if in 16 px text, percents as of a page. */
static bool
length(struct span *text, double *px)
{
	static const struct { const char *unit; double px; } units[] = {
		{ "px", 1 }, { "pt", 4.0 / 3 }, { "em", 16 }, { "rem", 16 }, { "%", 8 }, { "in", 96 }, { "cm", 37.8 },
		{ "mm", 3.78 }, { "pc", 16 }, { "ex", 8 }, { "ch", 8 }, { "vw", 8 }, { "vh", 8 },
	};
	struct span unit;

	if (!css_number(text, px, &unit))
		return false;
	for (size_t i = 0; i < sizeof units / sizeof *units; i++)
		if (span_eq_nocase(unit, span_of(units[i].unit)))
			*px *= units[i].px;
	return true;
}

static bool
far_off(struct span value)
{
	double px;

	return length(&value, &px) && px <= -FAR;
}

/* left: 5000px is as far off as -5000px */
static bool
far_either(struct span value)
{
	double px;

	return length(&value, &px) && (px <= -FAR || px >= 10 * FAR);
}

static bool
nothing_high(struct span value)
{
	double px;

	return length(&value, &px) && px >= 0 && px < 2;
}

static bool
nearly_zero(struct span value)
{
	struct span unit;
	double v;

	return css_number(&value, &v, &unit) && v * (span_eq(unit, SPAN("%")) ? 0.01 : 1) <= 0.1;
}

/* The inside of "name(" in a value; empty when it is not there. */
static struct span
function_of(struct span value, const char *name)
{
	size_t at = span_find_nocase(value, span_of(name));

	return at == SPAN_NONE ? SPAN("") : span_from(value, at + strlen(name));
}

/* A negative scale only mirrors. */
static bool
shrunk(struct span scale)
{
	struct span unit;
	double v;

	return css_number(&scale, &v, &unit) && v < 0.05 && v > -0.05;
}

static bool
scaled_away(struct span value)
{
	struct span scale = function_of(value, "scale("), move = function_of(value, "translate");

	if (shrunk(scale))
		return true;
	size_t open = span_find_char(span_head(move, 4), '(');

	return open != SPAN_NONE && far_either(span_trim(span_from(move, open + 1)));
}

/* rect(0,0,0,0), rect(1px 1px 1px 1px): right - left and bottom - top; "auto" leaves it open */
static bool
clip_rect(struct span value)
{
	struct span inside = function_of(value, "rect(");
	double edge[4];

	for (int i = 0; i < 4; i++) {
		while (inside.n > 0 && (ascii_space(inside.p[0]) || inside.p[0] == ','))
			inside = span_from(inside, 1);
		if (!length(&inside, &edge[i]))
			return false;
	}
	return edge[1] - edge[3] < 2 || edge[2] - edge[0] < 2;
}

static bool
clip_path(struct span value)
{
	struct span inset = function_of(value, "inset("), circle = function_of(value, "circle("), unit;
	double v;

	if (css_number(&inset, &v, &unit) && span_eq(unit, SPAN("%")) && v >= 50)
		return true;
	return (css_number(&circle, &v, &unit) && v <= 0) || span_starts(function_of(value, "polygon("), SPAN("0 0, 0 0, 0 0"));
}

static void
set_size(struct style *s, struct span value)
{
	static const struct { const char *name; float px; } sizes[] = {
		{ "xx-small", 9 }, { "x-small", 10 }, { "small", 13 }, { "medium", 16 }, { "large", 18 }, { "x-large", 24 },
		{ "xx-large", 32 }, { "initial", 16 },
	};
	struct span rest = value, unit;
	double v;

	s->set |= STYLE_SIZE;
	s->unit = SIZE_PX;
	s->size = 16;                        /* calc() and what else cannot be known: one can read it */
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
		if (span_eq_nocase(value, span_of(sizes[i].name)))
			s->size = sizes[i].px;
	if (span_eq_nocase(value, SPAN("inherit")) || span_eq_nocase(value, SPAN("smaller")) || span_eq_nocase(value, SPAN("larger"))) {
		s->unit = SIZE_TIMES;
		s->size = span_eq_nocase(value, SPAN("smaller")) ? 0.83f : span_eq_nocase(value, SPAN("larger")) ? 1.2f : 1;
	}
	if (!css_number(&rest, &v, &unit))
		return;
	if (span_eq_nocase(unit, SPAN("em")) || span_eq(unit, SPAN("%"))) {
		s->unit = SIZE_TIMES;
		s->size = (float)(span_eq(unit, SPAN("%")) ? v / 100 : v);
	} else if (span_eq_nocase(unit, SPAN("rem"))) {
		s->unit = SIZE_ROOT;
		s->size = (float)v;
	} else if (unit.n > 0 || v == 0) {
		length(&value, &v);
		s->size = (float)v;
	} else {
		s->set &= ~(uint32_t)STYLE_SIZE;     /* "font-size: 5" is no CSS */
	}
}

/* "italic 700 0/0 Arial": the first length, before any '/' */
static void
set_font(struct style *s, struct span value)
{
	while (value.n > 0) {
		struct span word = span_cut(&value, ' '), size = word, unit;
		double v;

		size = span_cut(&word, '/');
		word = size;
		if (css_number(&word, &v, &unit) && (unit.n > 0 || v == 0)) {
			set_size(s, size);
			return;
		}
	}
}

static void
set_color(struct style *s, uint32_t property, struct span value, uint32_t *to)
{
	if (!style_color(value, to))
		return;
	s->set |= property;
}

/* "#fff url(x) no-repeat": a picture behind the text may have any colour */
static void
set_back(struct style *s, struct span value)
{
	if (span_find_nocase(value, SPAN("url(")) != SPAN_NONE || span_find_nocase(value, SPAN("gradient(")) != SPAN_NONE) {
		s->set |= STYLE_BACK;
		s->back = COLOR_UNKNOWN;
		return;
	}
	if (style_color(value, &s->back)) {
		s->set |= STYLE_BACK;
		return;
	}
	while (value.n > 0) {
		struct span word = span_cut(&value, ' ');

		if (style_color(word, &s->back)) {
			s->set |= STYLE_BACK;
			return;
		}
	}
}

static void
set_flag(struct style *s, uint32_t flag, bool on)
{
	s->set |= flag;
	s->on = on ? s->on | flag : s->on & ~flag;
}

/* "\64 isplay" is "display" */
static size_t
unescape(struct span css, size_t at, char *out, size_t *n)
{
	uint32_t code = 0;
	size_t digits = 0;

	for (at++; at < css.n && digits < 6; at++, digits++) {
		char c = ascii_lower(css.p[at]);
		uint32_t d = c >= '0' && c <= '9' ? (uint32_t)(c - '0') : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10) : 99;

		if (d == 99)
			break;
		code = code * 16 + d;
	}
	if (digits == 0)
		return at;                           /* the character behind it stands for itself */
	if (at < css.n && ascii_space(css.p[at]))
		at++;
	out[(*n)++] = code > 0 && code < 0x80 ? (char)code : '?';
	return at;
}

struct span
css_plain(struct arena *a, struct span css)
{
	size_t n = 0;
	char *out;

	if (span_find_char(css, '\\') == SPAN_NONE && span_find(css, SPAN("/*")) == SPAN_NONE)
		return css;
	out = arena_alloc(a, css.n + 1);
	for (size_t i = 0; i < css.n;) {
		if (css.p[i] == '\\') {
			i = unescape(css, i, out, &n);
		} else if (css.p[i] == '/' && i + 1 < css.n && css.p[i + 1] == '*') {
			size_t end = span_find(span_from(css, i + 2), SPAN("*/"));

			i = end == SPAN_NONE ? css.n : i + 2 + end + 2;
		} else {
			out[n++] = css.p[i++];
		}
	}
	return span_make(out, n);
}

enum property {
	P_DISPLAY, P_VISIBILITY, P_OPACITY, P_CLIP, P_CLIP_PATH, P_MSO_HIDE, P_TRANSFORM, P_TEXT_INDENT, P_MARGIN, P_MARGIN_LEFT,
	P_MARGIN_TOP, P_LEFT, P_RIGHT, P_TOP, P_BOTTOM, P_POSITION, P_OVERFLOW, P_HEIGHT, P_MAX_HEIGHT, P_WIDTH, P_MAX_WIDTH,
	P_COLOR, P_BACKGROUND, P_BACKGROUND_COLOR, P_BACKGROUND_IMAGE, P_FONT, P_FONT_SIZE, P_FILL, P_FILTER, P_SCALE,
	P__COUNT
};
static const struct { const char *name; size_t n; } properties[P__COUNT] = {
#define P(id, name) [id] = { name, sizeof name - 1 }
	P(P_DISPLAY, "display"), P(P_VISIBILITY, "visibility"), P(P_OPACITY, "opacity"), P(P_CLIP, "clip"),
	P(P_CLIP_PATH, "clip-path"), P(P_MSO_HIDE, "mso-hide"), P(P_TRANSFORM, "transform"), P(P_TEXT_INDENT, "text-indent"),
	P(P_MARGIN, "margin"), P(P_MARGIN_LEFT, "margin-left"), P(P_MARGIN_TOP, "margin-top"), P(P_LEFT, "left"),
	P(P_RIGHT, "right"), P(P_TOP, "top"), P(P_BOTTOM, "bottom"), P(P_POSITION, "position"), P(P_OVERFLOW, "overflow"),
	P(P_HEIGHT, "height"), P(P_MAX_HEIGHT, "max-height"), P(P_WIDTH, "width"), P(P_MAX_WIDTH, "max-width"),
	P(P_COLOR, "color"), P(P_BACKGROUND, "background"), P(P_BACKGROUND_COLOR, "background-color"),
	P(P_BACKGROUND_IMAGE, "background-image"), P(P_FONT, "font"), P(P_FONT_SIZE, "font-size"),
	P(P_FILL, "-webkit-text-fill-color"), P(P_FILTER, "filter"), P(P_SCALE, "scale"),
#undef P
};

static enum property
property_of(struct span name)
{
	enum property p = 0;

	while (p < P__COUNT && (properties[p].n != name.n || ascii_lower(name.p[0]) != properties[p].name[0] ||
	    !span_eq_nocase(name, span_make(properties[p].name, name.n))))
		p++;
	return p;
}

static void
set_property(struct style *s, enum property p, struct span value)
{
	switch (p) {
	case P_DISPLAY:          set_flag(s, STYLE_NONE, span_eq_nocase(value, SPAN("none"))); break;
	case P_VISIBILITY:       set_flag(s, STYLE_UNSEEN, !span_eq_nocase(value, SPAN("visible"))); break;
	case P_OPACITY:          set_flag(s, STYLE_FADED, nearly_zero(value)); break;
	case P_CLIP:             set_flag(s, STYLE_CLIPPED, clip_rect(value)); break;
	case P_CLIP_PATH:        set_flag(s, STYLE_CLIPPED, clip_path(value)); break;
	case P_MSO_HIDE:         set_flag(s, STYLE_MSO, span_eq_nocase(value, SPAN("all"))); break;
	case P_TRANSFORM:        set_flag(s, STYLE_MOVED, scaled_away(value)); break;
	case P_SCALE:            set_flag(s, STYLE_MOVED, shrunk(value)); break;
	case P_TEXT_INDENT:      set_flag(s, STYLE_INDENT, far_either(value)); break;
	case P_MARGIN: case P_MARGIN_LEFT: case P_MARGIN_TOP: set_flag(s, STYLE_MARGIN, far_off(value)); break;
	case P_LEFT:             set_flag(s, STYLE_LEFT, far_either(value)); break;
	case P_RIGHT:            set_flag(s, STYLE_RIGHT, far_either(value)); break;
	case P_TOP:              set_flag(s, STYLE_TOP, far_off(value)); break;
	case P_BOTTOM:           set_flag(s, STYLE_BOTTOM, far_off(value)); break;
	case P_POSITION:         set_flag(s, STYLE_POSITION, !span_eq_nocase(value, SPAN("static"))); break;
	case P_OVERFLOW:         set_flag(s, STYLE_OVERFLOW, !span_eq_nocase(value, SPAN("visible"))); break;
	case P_HEIGHT:           set_flag(s, STYLE_HEIGHT, nothing_high(value)); break;
	case P_MAX_HEIGHT:       set_flag(s, STYLE_MAX_HEIGHT, nothing_high(value)); break;
	case P_WIDTH:            set_flag(s, STYLE_WIDTH, nothing_high(value)); break;
	case P_MAX_WIDTH:        set_flag(s, STYLE_MAX_WIDTH, nothing_high(value)); break;
	case P_COLOR:            set_color(s, STYLE_COLOR, value, &s->color); break;
	case P_FILL:             set_color(s, STYLE_FILL, value, &s->fill); break;
	case P_BACKGROUND: case P_BACKGROUND_COLOR: case P_BACKGROUND_IMAGE: set_back(s, value); break;
	case P_FONT:             set_font(s, value); break;
	case P_FONT_SIZE:        set_size(s, value); break;
	case P_FILTER:
		set_flag(s, STYLE_FADED, nearly_zero(function_of(value, "opacity(")) || nearly_zero(function_of(value, "opacity=")));
		break;
	case P__COUNT:           break;
	}
}

/* Where a declaration ends: at a ';' outside of brackets and quotes. */
static size_t
declaration_end(struct span css)
{
	char quote = 0;
	int depth = 0;

	for (size_t i = 0; i < css.n; i++) {
		char c = css.p[i];

		if (quote)
			quote = c == quote ? 0 : quote;
		else if (c == ';' && depth <= 0)
			return i;
		else if (c == '"' || c == '\'')
			quote = c;
		else
			depth += (c == '(') - (c == ')');
	}
	return css.n;
}

/* "red !important": the mark off */
static bool
cut_important(struct span *value)
{
	size_t mark = span_find_last(*value, '!');

	if (mark == SPAN_NONE || !span_eq_nocase(span_trim(span_from(*value, mark + 1)), SPAN("important")))
		return false;
	*value = span_trim(span_head(*value, mark));
	return true;
}

void
style_parse(struct span css, struct style *normal, struct style *important)
{
	while (css.n > 0) {
		struct span value = span_head(css, declaration_end(css)), name;

		css = span_from(css, value.n + 1);
		name = span_trim(span_cut(&value, ':'));
		if (name.n == 0 || value.n == 0)
			continue;
		enum property p = property_of(name);

		if (p == P__COUNT)
			continue;
		value = span_trim(value);
		bool loud = cut_important(&value);

		set_property(loud ? important : normal, p, value);
	}
}

void
style_add(struct style *to, const struct style *more)
{
	to->on = (to->on & ~more->set) | more->on;
	to->set |= more->set;
	if (more->set & STYLE_COLOR)
		to->color = more->color;
	if (more->set & STYLE_BACK)
		to->back = more->back;
	if (more->set & STYLE_FILL)
		to->fill = more->fill;
	if (more->set & STYLE_SIZE) {
		to->size = more->size;
		to->unit = more->unit;
	}
}

static uint32_t
channel(uint32_t color, int shift)
{
	return color >> shift & 255;
}

/* A half transparent background lets the one behind it through. */
static uint32_t
blend(uint32_t over, uint32_t under)
{
	uint32_t alpha = over >> 24, mixed = 0xff000000;

	if (over == COLOR_UNKNOWN || alpha == 255)
		return over;
	if (alpha == 0 || under == COLOR_UNKNOWN)
		return under;
	for (int shift = 0; shift < 24; shift += 8)
		mixed |= (channel(over, shift) * alpha + channel(under, shift) * (255 - alpha)) / 255 << shift;
	return mixed;
}

/* Nothing is left of a box without height, when what does not fit is cut. */
static bool
is_gone(uint32_t on)
{
	const uint32_t alone = STYLE_NONE | STYLE_FADED | STYLE_CLIPPED | STYLE_MSO | STYLE_MOVED | STYLE_INDENT | STYLE_MARGIN,
	    box = STYLE_HEIGHT | STYLE_MAX_HEIGHT | STYLE_WIDTH | STYLE_MAX_WIDTH,
	    side = STYLE_LEFT | STYLE_RIGHT | STYLE_TOP | STYLE_BOTTOM;

	return (on & alone) || ((on & STYLE_OVERFLOW) && (on & box)) || ((on & STYLE_POSITION) && (on & side));
}

struct sight
sight_inside(const struct sight *outer, const struct style *s)
{
	struct sight look = *outer;

	if (s->set == 0)
		return look;
	look.gone |= is_gone(s->on);
	if (s->set & STYLE_UNSEEN)
		look.unseen = s->on & STYLE_UNSEEN;
	if (s->set & STYLE_SIZE)
		look.size = s->unit == SIZE_TIMES ? outer->size * s->size : s->unit == SIZE_ROOT ? 16 * s->size : s->size;
	if (s->set & STYLE_COLOR)
		look.color = s->color;
	if ((s->set & STYLE_FILL) && !(s->set & STYLE_BACK && s->back == COLOR_UNKNOWN))
		look.color = s->fill;        /* else the letters are cut out of a gradient */
	if (s->set & STYLE_BACK)
		look.back = blend(s->back, outer->back);
	return look;
}

static bool
same_color(uint32_t a, uint32_t b)
{
	for (int shift = 0; shift < 24; shift += 8) {
		int step = (int)channel(a, shift) - (int)channel(b, shift);

		if (step > UNSEEN_STEP || step < -UNSEEN_STEP)
			return false;
	}
	return true;
}

bool
sight_hides(const struct sight *look)
{
	if (look->gone || look->unseen || look->size < READABLE || look->color >> 24 <= FADED_ALPHA)
		return true;
	return look->back != COLOR_UNKNOWN && same_color(blend(look->color, look->back), look->back);
}
