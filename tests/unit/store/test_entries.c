/* Allow and block lists: which entry stands for a mail's sender, and what that entry lets in afterwards. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "policyd/store/entries.h"

enum { NOW_S = 1790000000, SIGNERS = 3 };

static struct entry_facts
facts(const char *sender, const char *from, const char *list_id, const char *const signers[SIGNERS], struct span spans[SIGNERS], bool proved)
{
	struct entry_facts f = { .sender = span_of(sender), .from = span_of(from), .list_id = span_of(list_id), .signers = spans, .proved = proved };

	while (f.signer_count < SIGNERS && signers[f.signer_count]) {
		spans[f.signer_count] = span_of(signers[f.signer_count]);
		f.signer_count++;
	}
	return f;
}

static void
test_entry_for(void **state)
{
	static const struct {
		const char *label, *sender, *from, *list_id, *signers[SIGNERS];
		bool proved;
		const char *want;
	} rows[] = {
		{ "unproved", "ann@b.example", "Ann@B.example", "", { NULL }, false, "from:ann@b.example" },
		{ "proved: his domain", "ann@b.example", "ann@b.example", "", { "b.example" }, true, "domain:b.example" },
		{ "proved by SPF alone", "ann@b.example", "ann@b.example", "", { NULL }, true, "domain:b.example" },
		{ "a domain of thousands", "ann@gmail.com", "Ann@Gmail.com", "", { "gmail.com" }, true, "from:ann@gmail.com" },
		{ "never the envelope", "bounce-bob=shop.example-4711@mailer.example", "news@b.example", "", { NULL }, true, "domain:b.example" },
		{ "no author, an envelope", "bounce+1@mailer.example", "", "", { NULL }, true, "" },
		{ "list and who signs for it", "dev-bounces+bob=shop.example@lists.example", "alice@gmail.com", "dev.lists.example",
		  { "gmail.com", "lists.example" }, false, "list-id:dev.lists.example+dkim:lists.example" },
		{ "list in the signer's domain above", "b@x.example", "alice@gmail.com", "Dev.Lists.Python.example", { "python.example" }, false,
		  "list-id:dev.lists.python.example+dkim:python.example" },
		{ "newsletter: its author's signature, not the mailer's", "b-1@esp.example", "news@shop.example", "4711.xt.esp-lists.example",
		  { "esp.example", "shop.example" }, true, "list-id:4711.xt.esp-lists.example+dkim:shop.example" },
		{ "list whose name nobody vouches for", "b@x.example", "news@shop.example", "dev.lists.example", { "esp.example" }, true, "domain:shop.example" },
		{ "list, not signed", "b@x.example", "news@shop.example", "dev.lists.example", { NULL }, false, "from:news@shop.example" },
		{ "odd bytes", "a@b.example", "a b@c.example", "", { NULL }, true, "domain:c.example" },
		{ "no domain", "a@b.example", "a@", "", { NULL }, true, "" },
		{ "both forms of a domain are one", "a@b.example", "a@b\xc3\xbc""cher.example", "", { NULL }, true, "domain:xn--bcher-kva.example" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct span spans[SIGNERS];
		const struct entry_facts f = facts(rows[i].sender, rows[i].from, rows[i].list_id, rows[i].signers, spans, rows[i].proved);
		char got[600];

		entry_for(&f, got, sizeof got);
		if (strcmp(got, rows[i].want) != 0)
			fail_msg("%s: \"%s\", want \"%s\"", rows[i].label, got, rows[i].want);
	}
}

/* What an allow entry takes for a friend, and what only claims to be one. */
static void
test_match(void **state)
{
	static const struct {
		const char *label, *entry, *sender, *from, *list_id, *signers[SIGNERS];
		bool proved;
		enum listed want;
	} rows[] = {
		{ "list, signed", "list-id:dev.lists.example+dkim:lists.example", "b@z.example", "al@gmail.com", "dev.lists.example", { "lists.example" }, false, LISTED_ALLOW },
		{ "list, signed below", "list-id:dev.lists.example+dkim:lists.example", "", "", "DEV.lists.example", { "m1.lists.example" }, false, LISTED_ALLOW },
		{ "list's name alone", "list-id:dev.lists.example+dkim:lists.example", "b@evil.example", "x@evil.example", "dev.lists.example", { "evil.example" }, true, LISTED_NOT },
		{ "signer alone", "list-id:dev.lists.example+dkim:lists.example", "", "", "other.lists.example", { "lists.example" }, true, LISTED_NOT },
		{ "no list at all", "list-id:dev.lists.example+dkim:lists.example", "", "", "", { "lists.example" }, true, LISTED_NOT },
		{ "domain, proved", "domain:b.example", "x@mailer.example", "ann@b.example", "", { NULL }, true, LISTED_ALLOW },
		{ "domain, forged", "domain:b.example", "ann@b.example", "ann@b.example", "", { NULL }, false, LISTED_NOT },
		{ "domain of the envelope, another author proved", "domain:b.example", "ann@b.example", "x@evil.example", "", { NULL }, true, LISTED_NOT },
		{ "look-alike", "domain:b.example", "", "ann@notb.example", "", { NULL }, true, LISTED_NOT },
		{ "dkim", "dkim:b.example", "", "", "", { "x.example", "mail.b.example" }, false, LISTED_ALLOW },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct span spans[SIGNERS];
		const struct entry_facts f = facts(rows[i].sender, rows[i].from, rows[i].list_id, rows[i].signers, spans, rows[i].proved);
		json_t *allow = json_pack("{s:{}}", rows[i].entry);
		struct entries *e;
		char why[200];

		assert_true(entries_read(allow, NULL, &e, why, sizeof why));
		enum listed got = entries_match(e, &f, NOW_S, NULL);

		if (got != rows[i].want)
			fail_msg("%s: %d, want %d", rows[i].label, got, rows[i].want);
		entries_free(e);
		json_decref(allow);
	}
}

static void
test_names(void **state)
{
	static const struct { const char *name, *want; } rows[] = {
		{ "list-id:A.b+dkim:C.Example", "list-id:a.b+dkim:c.example" }, { "list-id:a.b+dkim:", NULL }, { "list-id:a.b+dkim:a b", NULL },
		{ "list-id:+dkim:c.example", NULL }, { "list-id:a.b+dkim:c..example", NULL }, { "list-id:a.b", "list-id:a.b" },
		{ "from:a+dkim.b@c.example", "from:a+dkim.b@c.example" }, { "domain:a+dkim:b", NULL }, { "verp:a", NULL }, { "", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char got[600], why[300];
		bool good = entry_name(span_of(rows[i].name), got, sizeof got, why, sizeof why);

		if (good != (rows[i].want != NULL) || (good && strcmp(got, rows[i].want) != 0))
			fail_msg("%s: %s", rows[i].name, good ? got : why);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_entry_for), cmocka_unit_test(test_match), cmocka_unit_test(test_names) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
