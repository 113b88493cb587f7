/* Which file of a mail each policy bans: by name, by content, inside archives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "policyd/base/limits.h"
#include "policyd/scan/banned.h"

static const struct { const char *label, *list, *name, *type, *entry, *entry_type, *want; } rows[] = {
	{ "nothing is banned", "", "a.exe", "", NULL, NULL, "" },
	{ "by name", "exe", "a.EXE", "", NULL, NULL, "a.EXE" },
	{ "another name", "exe", "a.pdf", "application/pdf", NULL, NULL, "" },
	{ "by content, whatever it is called", "exe", "photo.jpg", "application/x-dosexec", NULL, NULL, "photo.jpg" },
	{ "by real type", "application/x-dosexec", "a.dat", "application/x-dosexec", NULL, NULL, "a.dat" },
	{ "a family of types", "image/", "a", "image/png", NULL, NULL, "a" },
	{ "content without a name", "exe", "", "application/x-elf application/x-dosexec", NULL, NULL, "" },
	{ "type only, no name", "application/zip", "", "application/zip", NULL, NULL, "application/zip" },
	{ "inside an archive, by name", "exe js", "a.zip", "application/zip", "x/run.js", "", "x/run.js" },
	{ "inside an archive, by content", "exe", "a.zip", "application/zip", "readme.txt", "application/x-dosexec", "readme.txt" },
	{ "taken back", "exe js -exe", "a.exe", "application/x-dosexec", NULL, NULL, "" },
	{ "dots and blanks that systems drop", "exe", "a.exe. . ", "", NULL, NULL, "a.exe. . " },
	{ "a stream of NTFS", "exe", "a.exe::$DATA", "", NULL, NULL, "a.exe::$DATA" },
	{ "full-width letters", "exe", "a.\xef\xbd\x85\xef\xbd\x98\xef\xbd\x85", "", NULL, NULL, "a.\xef\xbd\x85\xef\xbd\x98\xef\xbd\x85" },
	{ "hidden by a change of direction", "exe", "a\xe2\x80\xae" "fdp.exe", "", NULL, NULL, "a\xe2\x80\xae" "fdp.exe" },
	{ "no extension", "exe", "exe", "", NULL, NULL, "" },
};

static void
bans_by_name_and_content(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct arena *a = arena_open(MAX_SCAN_MEMORY);
		struct policy policy = { 0 };
		struct class_score class = { .policy = &policy };
		struct part part = { .kind = PART_ATTACHMENT, .file_name = span_of(rows[i].name), .real_type = span_of(rows[i].type) };
		struct archive_member entry = { .name = span_of(rows[i].entry), .type = span_of(rows[i].entry_type) };
		struct scan scan = { .arena = a, .classes = &class, .class_count = 1 };

		snprintf(policy.banned_types, sizeof policy.banned_types, "%s", rows[i].list);
		scan.message.parts = &part;
		scan.message.part_count = 1;
		scan.message.entries = &entry;
		scan.message.entry_count = rows[i].entry != NULL;
		banned_check(&scan);
		if (!span_eq(class.banned, span_of(rows[i].want)))
			fail_msg("%s: \"" SPAN_FMT "\" is banned, not \"%s\"", rows[i].label, SPAN_ARG(class.banned), rows[i].want);
		arena_close(a);
	}
}

static void
each_policy_its_own(void **state)
{
	struct arena *a = arena_open(MAX_SCAN_MEMORY);
	struct policy strict = { 0 }, loose = { 0 };
	struct class_score classes[] = { { .policy = &strict }, { .policy = &loose } };
	struct part part = { .kind = PART_ATTACHMENT, .file_name = SPAN("a.zip"), .real_type = SPAN("application/zip") };
	struct scan scan = { .arena = a, .classes = classes, .class_count = 2 };

	(void)state;
	snprintf(strict.banned_types, sizeof strict.banned_types, "zip");
	scan.message.parts = &part;
	scan.message.part_count = 1;
	banned_check(&scan);
	assert_true(classes[0].banned.n > 0 && classes[1].banned.n == 0);
	arena_close(a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(bans_by_name_and_content), cmocka_unit_test(each_policy_its_own) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
