/* Whom a Received header names: the ways of the MTAs, and what a client can say of itself to look like another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "policyd/scan/received.h"

static const struct { const char *label, *raw; enum received want; const char *client; } cases[] = {
	{ "postfix", " from helo.example (rdns.example [192.0.2.1])\r\n\tby mx.example (Postfix) with ESMTPS id 4X\r\n\tfor <a@b>; Tue, 1 Jan",
	    RECEIVED_FROM, "192.0.2.1" },
	{ "postfix, no name", "from helo (unknown [192.0.2.1]) by mx with SMTP id 4X; x", RECEIVED_FROM, "192.0.2.1" },
	{ "postfix, v6", "from helo (unknown [IPv6:2001:db8::1]) by mx with SMTP id 4X; x", RECEIVED_FROM, "2001:db8::1" },
	{ "postfix, TLS", "from h (r [192.0.2.1])\n\t(using TLSv1.3 with cipher TLS_AES (256/256 bits))\n\t(Client CN \"[203.0.113.1]\")\n\tby mx",
	    RECEIVED_FROM, "192.0.2.1" },
	{ "postfix, login", "from [10.0.0.1] (r [192.0.2.1]) by mx (Postfix) with ESMTPSA id 4X; x", RECEIVED_LOGIN, NULL },
	{ "postfix, login named", "from h (r [192.0.2.1])\n\t(Authenticated sender: ann)\n\tby mx with ESMTPS; x", RECEIVED_LOGIN, NULL },
	{ "postfix, local", "by mx.example (Postfix, from userid 1000)\n\tid 4X; x", RECEIVED_LOCAL, NULL },
	{ "sendmail", "from helo (r.example [192.0.2.1] (may be forged))\n\tby mx (8.17/8.17) with ESMTP id x", RECEIVED_FROM, "192.0.2.1" },
	{ "sendmail, ident", "from helo (IDENT:[203.0.113.1]@r.example [192.0.2.1]) by mx", RECEIVED_FROM, "192.0.2.1" },
	{ "exim", "from r.example ([192.0.2.1] helo=[203.0.113.1])\n\tby mx with esmtps", RECEIVED_FROM, "192.0.2.1" },
	{ "exim, port", "from r.example ([192.0.2.1]:4711 helo=x)\n\tby mx with esmtpsa", RECEIVED_LOGIN, NULL },
	{ "exim, no name", "from [192.0.2.1] (helo=[203.0.113.1]) by mx with smtp", RECEIVED_FROM, "192.0.2.1" },
	{ "exim, no name, port", "from [192.0.2.1] (port=4711 helo=x) by mx with esmtp", RECEIVED_FROM, "192.0.2.1" },
	{ "qmail", "from unknown (HELO [203.0.113.1]) (192.0.2.1)\n  by mx with SMTP; x", RECEIVED_FROM, "192.0.2.1" },
	{ "qmail, its note", "(qmail 123 invoked from network); 1 Jan", RECEIVED_NOTE, NULL },
	{ "qmail, local", "(qmail 123 invoked by uid 0); 1 Jan", RECEIVED_LOCAL, NULL },
	{ "exchange", "from A.example (192.0.2.1) by B.example (198.51.100.1) with Microsoft SMTP Server (TLS) id 14", RECEIVED_FROM, "192.0.2.1" },
	{ "fetchmail", "from pop.example [192.0.2.1] by localhost with POP3 (fetchmail-6.3.9)", RECEIVED_FROM, "192.0.2.1" },
	{ "HELO is an address", "from [203.0.113.1] (r [192.0.2.1]) by mx", RECEIVED_FROM, "192.0.2.1" },
	{ "HELO is \"by\"", "from by (r [192.0.2.1]) by mx with SMTP", RECEIVED_FROM, "192.0.2.1" },
	{ "HELO is \"with\"", "from with (r [192.0.2.1]) by esmtpa (x) with ESMTP", RECEIVED_FROM, "192.0.2.1" },
	{ "HELO is an encoded word", "from =?us-ascii?Q?x=28y=5B203.0.113.1=5D=29?= (r [192.0.2.1]) by mx", RECEIVED_FROM, "192.0.2.1" },
	{ "only a HELO", "from [203.0.113.1] by mx with SMTP", RECEIVED_UNCLEAR, NULL },
	{ "address only after by", "from helo by mx ([203.0.113.1]) with SMTP", RECEIVED_UNCLEAR, NULL },
	{ "no address", "from helo (unknown) by mx", RECEIVED_UNCLEAR, NULL },
	{ "no comment's end", "from helo (r [192.0.2.1] by mx", RECEIVED_FROM, "192.0.2.1" },
	{ "broken address", "from helo (r [192.0.2.999]) by mx", RECEIVED_UNCLEAR, NULL },
	{ "from and nothing", "from", RECEIVED_UNCLEAR, NULL },
	{ "nothing", "", RECEIVED_LOCAL, NULL },
};

static void
names_the_client(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct ip client, want = { 0 };
		enum received got = received_parse(span_of(cases[i].raw), &client);

		if (got != cases[i].want)
			fail_msg("%s: %d, want %d", cases[i].label, got, cases[i].want);
		if (cases[i].client == NULL)
			continue;
		assert_true(ip_parse(span_of(cases[i].client), &want));
		if (memcmp(&client, &want, sizeof client) != 0)
			fail_msg("%s: another client", cases[i].label);
	}
}

/* Any bytes parse, in a time that grows with their number. */
static void
takes_any_bytes(void **state)
{
	enum { SIZE = 64 * 1024 };
	static char bytes[SIZE];
	const char *units[] = { "(", ")", "[", "(((a", "\\", "from ", "helo=", "x [", "\n\t" };
	struct ip client;

	(void)state;
	for (size_t k = 0; k < sizeof units / sizeof *units; k++) {
		size_t n = 0, length = strlen(units[k]);

		struct hop hop;

		memcpy(bytes, "from a (", 8);
		for (n = 8; n + length <= SIZE; n += length)
			memcpy(bytes + n, units[k], length);
		received_parse(span_make(bytes, n), &client);
		received_hop(span_make(bytes, n), &hop);
	}
}

static const struct {
	const char *label, *raw, *helo, *name, *by, *with, *id, *recipient;
	int64_t date;
} hops[] = {
	{ "Postfix", "from mail.a.example (mx.a.example [192.0.2.1])\r\n\tby mx.b.example (Postfix) with ESMTPS id 4F1A\r\n\tfor <bob@b.example>; Mon, 2 Nov 2026 10:11:12 +0000 (UTC)",
	    "mail.a.example", "mx.a.example", "mx.b.example", "ESMTPS", "4F1A", "<bob@b.example>", 1793614272 },
	{ "no name", "from x (unknown [192.0.2.1]) by y with SMTP id 1; Mon, 2 Nov 2026 11:11:12 +0100", "x", "", "y", "SMTP", "1", "", 1793614272 },
	{ "Sendmail", "from h (mx.a.example [192.0.2.1] (may be forged)) by y (8.17/8.17) with ESMTP id abc; 2 Nov 26 05:11 EST",
	    "h", "mx.a.example", "y", "ESMTP", "abc", "", 1793614260 },
	{ "Exim", "from mx.a.example ([192.0.2.1] helo=h.example) by y with esmtp (Exim 4.96) id 1a-2b; Mon, 02 Nov 2026 10:11:12 +0000",
	    "h.example", "mx.a.example", "y", "esmtp", "1a-2b", "", 1793614272 },
	{ "words in a comment", "from a (by x with y; z) by b", "a", "", "b", "", "", "", 0 },
	{ "local", "by y (Postfix, from userid 0) id 7; yesterday", "", "", "y", "", "7", "", 0 },
};

static void
splits_a_hop(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof hops / sizeof *hops; i++) {
		struct hop h;

		received_hop(span_of(hops[i].raw), &h);
		if (!span_eq(h.helo, span_of(hops[i].helo)) || !span_eq(h.name, span_of(hops[i].name)) || !span_eq(h.by, span_of(hops[i].by)) ||
		    !span_eq(h.with, span_of(hops[i].with)) || !span_eq(h.id, span_of(hops[i].id)) ||
		    !span_eq(h.recipient, span_of(hops[i].recipient)) || h.date != hops[i].date)
			fail_msg("%s: from " SPAN_FMT " (" SPAN_FMT ") by " SPAN_FMT " with " SPAN_FMT " id " SPAN_FMT " for " SPAN_FMT " at %lld", hops[i].label,
			    SPAN_ARG(h.helo), SPAN_ARG(h.name), SPAN_ARG(h.by), SPAN_ARG(h.with), SPAN_ARG(h.id), SPAN_ARG(h.recipient), (long long)h.date);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(names_the_client), cmocka_unit_test(splits_a_hop), cmocka_unit_test(takes_any_bytes) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
