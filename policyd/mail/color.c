/* color.c - colours as CSS and old HTML write them, as 0xAARRGGBB. */
#include "policyd/mail/style.h"

static const struct { const char *name; uint32_t rgb; } named[] = {
	{ "aliceblue", 0xf0f8ff }, { "antiquewhite", 0xfaebd7 }, { "aqua", 0x00ffff }, { "aquamarine", 0x7fffd4 },
	{ "azure", 0xf0ffff }, { "beige", 0xf5f5dc }, { "bisque", 0xffe4c4 }, { "black", 0x000000 },
	{ "blanchedalmond", 0xffebcd }, { "blue", 0x0000ff }, { "blueviolet", 0x8a2be2 }, { "brown", 0xa52a2a },
	{ "burlywood", 0xdeb887 }, { "cadetblue", 0x5f9ea0 }, { "chartreuse", 0x7fff00 }, { "chocolate", 0xd2691e },
	{ "coral", 0xff7f50 }, { "cornflowerblue", 0x6495ed }, { "cornsilk", 0xfff8dc }, { "crimson", 0xdc143c },
	{ "cyan", 0x00ffff }, { "darkblue", 0x00008b }, { "darkcyan", 0x008b8b }, { "darkgoldenrod", 0xb8860b },
	{ "darkgray", 0xa9a9a9 }, { "darkgreen", 0x006400 }, { "darkgrey", 0xa9a9a9 }, { "darkkhaki", 0xbdb76b },
	{ "darkmagenta", 0x8b008b }, { "darkolivegreen", 0x556b2f }, { "darkorange", 0xff8c00 }, { "darkorchid", 0x9932cc },
	{ "darkred", 0x8b0000 }, { "darksalmon", 0xe9967a }, { "darkseagreen", 0x8fbc8f }, { "darkslateblue", 0x483d8b },
	{ "darkslategray", 0x2f4f4f }, { "darkslategrey", 0x2f4f4f }, { "darkturquoise", 0x00ced1 },
	{ "darkviolet", 0x9400d3 }, { "deeppink", 0xff1493 }, { "deepskyblue", 0x00bfff }, { "dimgray", 0x696969 },
	{ "dimgrey", 0x696969 }, { "dodgerblue", 0x1e90ff }, { "firebrick", 0xb22222 }, { "floralwhite", 0xfffaf0 },
	{ "forestgreen", 0x228b22 }, { "fuchsia", 0xff00ff }, { "gainsboro", 0xdcdcdc }, { "ghostwhite", 0xf8f8ff },
	{ "gold", 0xffd700 }, { "goldenrod", 0xdaa520 }, { "gray", 0x808080 }, { "green", 0x008000 },
	{ "greenyellow", 0xadff2f }, { "grey", 0x808080 }, { "honeydew", 0xf0fff0 }, { "hotpink", 0xff69b4 },
	{ "indianred", 0xcd5c5c }, { "indigo", 0x4b0082 }, { "ivory", 0xfffff0 }, { "khaki", 0xf0e68c },
	{ "lavender", 0xe6e6fa }, { "lavenderblush", 0xfff0f5 }, { "lawngreen", 0x7cfc00 }, { "lemonchiffon", 0xfffacd },
	{ "lightblue", 0xadd8e6 }, { "lightcoral", 0xf08080 }, { "lightcyan", 0xe0ffff },
	{ "lightgoldenrodyellow", 0xfafad2 }, { "lightgray", 0xd3d3d3 }, { "lightgreen", 0x90ee90 },
	{ "lightgrey", 0xd3d3d3 }, { "lightpink", 0xffb6c1 }, { "lightsalmon", 0xffa07a }, { "lightseagreen", 0x20b2aa },
	{ "lightskyblue", 0x87cefa }, { "lightslategray", 0x778899 }, { "lightslategrey", 0x778899 },
	{ "lightsteelblue", 0xb0c4de }, { "lightyellow", 0xffffe0 }, { "lime", 0x00ff00 }, { "limegreen", 0x32cd32 },
	{ "linen", 0xfaf0e6 }, { "magenta", 0xff00ff }, { "maroon", 0x800000 }, { "mediumaquamarine", 0x66cdaa },
	{ "mediumblue", 0x0000cd }, { "mediumorchid", 0xba55d3 }, { "mediumpurple", 0x9370db },
	{ "mediumseagreen", 0x3cb371 }, { "mediumslateblue", 0x7b68ee }, { "mediumspringgreen", 0x00fa9a },
	{ "mediumturquoise", 0x48d1cc }, { "mediumvioletred", 0xc71585 }, { "midnightblue", 0x191970 },
	{ "mintcream", 0xf5fffa }, { "mistyrose", 0xffe4e1 }, { "moccasin", 0xffe4b5 }, { "navajowhite", 0xffdead },
	{ "navy", 0x000080 }, { "oldlace", 0xfdf5e6 }, { "olive", 0x808000 }, { "olivedrab", 0x6b8e23 },
	{ "orange", 0xffa500 }, { "orangered", 0xff4500 }, { "orchid", 0xda70d6 }, { "palegoldenrod", 0xeee8aa },
	{ "palegreen", 0x98fb98 }, { "paleturquoise", 0xafeeee }, { "palevioletred", 0xdb7093 }, { "papayawhip", 0xffefd5 },
	{ "peachpuff", 0xffdab9 }, { "peru", 0xcd853f }, { "pink", 0xffc0cb }, { "plum", 0xdda0dd },
	{ "powderblue", 0xb0e0e6 }, { "purple", 0x800080 }, { "rebeccapurple", 0x663399 }, { "red", 0xff0000 },
	{ "rosybrown", 0xbc8f8f }, { "royalblue", 0x4169e1 }, { "saddlebrown", 0x8b4513 }, { "salmon", 0xfa8072 },
	{ "sandybrown", 0xf4a460 }, { "seagreen", 0x2e8b57 }, { "seashell", 0xfff5ee }, { "sienna", 0xa0522d },
	{ "silver", 0xc0c0c0 }, { "skyblue", 0x87ceeb }, { "slateblue", 0x6a5acd }, { "slategray", 0x708090 },
	{ "slategrey", 0x708090 }, { "snow", 0xfffafa }, { "springgreen", 0x00ff7f }, { "steelblue", 0x4682b4 },
	{ "tan", 0xd2b48c }, { "teal", 0x008080 }, { "thistle", 0xd8bfd8 }, { "tomato", 0xff6347 },
	{ "turquoise", 0x40e0d0 }, { "violet", 0xee82ee }, { "wheat", 0xf5deb3 }, { "white", 0xffffff },
	{ "whitesmoke", 0xf5f5f5 }, { "yellow", 0xffff00 }, { "yellowgreen", 0x9acd32 },};

static bool
by_name(struct span text, uint32_t *color)
{
	size_t low = 0, high = sizeof named / sizeof *named;
	char name[24];

	if (text.n >= sizeof name)
		return false;
	for (size_t i = 0; i < text.n; i++)
		name[i] = ascii_lower(text.p[i]);
	name[text.n] = '\0';
	while (low < high) {
		size_t middle = (low + high) / 2;
		int order = strcmp(named[middle].name, name);

		if (order == 0) {
			*color = 0xff000000 | named[middle].rgb;
			return true;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

/* "fff", "fffa", "ffffff", "ffffffaa" */
static bool
by_hex(struct span digits, uint32_t *color)
{
	uint32_t v = 0;

	if (digits.n != 3 && digits.n != 4 && digits.n != 6 && digits.n != 8)
		return false;
	for (size_t i = 0; i < digits.n; i++) {
		char c = ascii_lower(digits.p[i]);
		uint32_t d = c >= '0' && c <= '9' ? (uint32_t)(c - '0') : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10) : 99;

		if (d == 99)
			return false;
		v = digits.n < 6 ? v << 8 | d * 17 : v << 4 | d;
	}
	*color = digits.n == 3 || digits.n == 6 ? 0xff000000 | v : v >> 8 | v << 24;
	return true;
}

static double
clamp(double v, double most)
{
	return v < 0 ? 0 : v > most ? most : v;
}

static uint32_t
pack(double a, double r, double g, double b)
{
	return (uint32_t)(clamp(a, 1) * 255 + 0.5) << 24 | (uint32_t)(clamp(r, 255) + 0.5) << 16 |
	       (uint32_t)(clamp(g, 255) + 0.5) << 8 | (uint32_t)(clamp(b, 255) + 0.5);
}

/* One channel of hsl(): CSS Color 4, section 7. */
static double
hue_channel(double n, double hue, double saturation, double light)
{
	double k = n + hue / 30, low = light < 1 - light ? light : 1 - light;

	while (k >= 12)
		k -= 12;
	double slope = k - 3 < 9 - k ? k - 3 : 9 - k;

	return 255 * (light - saturation * low * (slope < -1 ? -1 : slope > 1 ? 1 : slope));
}

/* "rgb(1, 2, 3)", "rgba(0 0 0 / 5%)", "hsl(...)": what is between the brackets */
static bool
by_function(struct span inside, bool hsl, uint32_t *color)
{
	double v[4] = { 0, 0, 0, 1 };
	size_t count = 0;

	while (inside.n > 0 && inside.p[0] != ')') {
		struct span unit;
		double number;

		if (ascii_space(inside.p[0]) || inside.p[0] == ',' || inside.p[0] == '/') {
			inside = span_from(inside, 1);
			continue;
		}
		if (count == 4 || !css_number(&inside, &number, &unit))
			return false;
		bool percent = span_eq(unit, SPAN("%"));

		v[count] = percent ? number / 100 * (count == 3 || hsl ? 1 : 255) : number;
		count++;
	}
	if (count < 3)
		return false;
	if (!hsl) {
		*color = pack(v[3], v[0], v[1], v[2]);
		return true;
	}
	double hue = v[0] - 360 * (double)(int)(clamp(v[0] < 0 ? -v[0] : v[0], 1e6) / 360) * (v[0] < 0 ? -1 : 1);

	hue = hue < 0 ? hue + 360 : hue > 360 ? 0 : hue;
	v[1] = clamp(v[1], 1);
	v[2] = clamp(v[2], 1);
	*color = pack(v[3], hue_channel(0, hue, v[1], v[2]), hue_channel(8, hue, v[1], v[2]), hue_channel(4, hue, v[1], v[2]));
	return true;
}

bool
style_color(struct span text, uint32_t *color)
{
	if (text.n == 0)
		return false;
	if (text.p[0] == '#')
		return by_hex(span_from(text, 1), color);
	if (span_starts_nocase(text, SPAN("rgb")) || span_starts_nocase(text, SPAN("hsl"))) {
		size_t open = span_find_char(span_head(text, 6), '(');

		return open != SPAN_NONE && by_function(span_from(text, open + 1), ascii_lower(text.p[0]) == 'h', color);
	}
	if (span_eq_nocase(text, SPAN("transparent"))) {
		*color = 0;
		return true;
	}
	return by_name(text, color) || by_hex(text, color);
}
