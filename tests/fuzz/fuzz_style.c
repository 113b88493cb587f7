/* fuzz_style.c - style sheets and declarations: the first line is a class, the rest a sheet and a style attribute. */
#include "policyd/mail/style.h"
#include "tests/fuzz/fuzz.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_open(MAX_SCAN_MEMORY);
	struct span in = fuzz_input(a, data, size), classes = span_cut(&in, '\n');
	struct sheet *sheet = sheet_new(a);
	struct style normal = { 0 }, important = { 0 };
	struct element e = { SPAN("p"), classes, classes, 0 };
	uint32_t color;

	sheet_add(sheet, in);
	e.around = element_bits(&e);
	sheet_style(sheet, &e, &normal, &important);
	style_parse(css_plain(a, in), &normal, &important);
	style_add(&normal, &important);
	FUZZ_PROMISE((normal.on & ~normal.set) == 0);
	struct sight sight = sight_inside(&sight_of_page, &normal);

	sight_hides(&sight);
	style_color(in, &color);
	arena_close(a);
	return 0;
}
