/* Rules end to end: loading and its complaints, what `msg` shows, failures and the breaker, the scorer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "lua/rules.h"
#include "policyd/base/clock.h"
#include "policyd/scan/stage.h"

/* The rule kit of the source tree, one rule file of the test's own. */
struct bench {
	char dir[64], file[96], score[96];
	struct config config;
	struct arena *arena;
	struct kit kit;
	struct policy policy;
	struct class_score class;
	struct scan scan;
	char why[4096];
};

static void
write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	fclose(f);
}

static struct bench *
bench_open(const char *rules, const char *score)
{
	struct bench *b = calloc(1, sizeof *b);

	assert_non_null(b);
	snprintf(b->dir, sizeof b->dir, "/tmp/policyd-rules-XXXXXX");
	assert_non_null(mkdtemp(b->dir));
	snprintf(b->file, sizeof b->file, "%s/a.lua", b->dir);
	snprintf(b->score, sizeof b->score, "%s/score.txt", b->dir);
	write_file(b->file, rules);
	snprintf(b->config.lua_dir, sizeof b->config.lua_dir, "lua");
	snprintf(b->config.rules[0], PATH_ROOM, "%s", b->dir);
	b->config.rule_dir_count = 1;
	snprintf(b->config.score_script, PATH_ROOM, "%s", score ? b->score : "lua/score.lua");
	if (score)
		write_file(b->score, score);
	policy_default(&b->policy);
	b->arena = arena_open(64 << 20);
	b->kit.config = &b->config;
	b->kit.rules = rules_load(&b->config, b->why, sizeof b->why);
	return b;
}

static void
bench_close(struct bench *b)
{
	rules_free(b->kit.rules);
	arena_close(b->arena);
	unlink(b->file);
	unlink(b->score);
	rmdir(b->dir);
	free(b);
}

static struct scan *
scan_text(struct bench *b, const char *mail)
{
	memset(&b->scan, 0, sizeof b->scan);
	b->class = (struct class_score){ .policy = &b->policy, .probability = 0.5 };
	b->scan.arena = b->arena;
	b->scan.kit = &b->kit;
	b->scan.classes = &b->class;
	b->scan.class_count = 1;
	b->scan.message.raw = span_of(mail);
	b->scan.deadline_ms = clock_ms() + 10000;
	snprintf(b->scan.session.helo, sizeof b->scan.session.helo, "mx.example");
	snprintf(b->scan.envelope.sender, sizeof b->scan.envelope.sender, "s@x.example");
	stage_mime(&b->scan);
	return &b->scan;
}

static bool
found(const struct scan *scan, const char *symbol)
{
	return verdict_find(&scan->verdict, span_of(symbol)) != NULL;
}

#define REST "score = 1, group = \"g\", description = \"d\""

static void
complains(void **state)
{
	static const struct { const char *rules, *want; } bad[] = {
		{ "rule { symbol = 'AAA', " REST " }", "a.lua:1:1: AAA: no condition" },
		{ "\nrule { symbol = 'AAA', group = 'g', description = 'd', body = 'x' }", "a.lua:2:1: AAA: no score" },
		{ "rule { symbol = 'AAA', group = 'g', score = 1, body = 'x' }", "a.lua:1:1: AAA: no description" },
		{ "rule { " REST ", body = 'x' }", "no symbol" },
		{ "rule { symbol = 'a b', " REST ", body = 'x' }", "capitals" },
		{ "rule { symbol = 'AAA', " REST ", body = 'x' }\nrule { symbol = 'AAA', " REST ", body = 'x' }", "a.lua:2:8: AAA: stands already at" },
		{ "rule { symbol = 'DNSBL_X', " REST ", body = 'x' }", "policyd's own" },
		{ "rule { symbol = 'MIME_NUL', " REST ", body = 'x' }", "policyd's own" },
		{ "rule { symbol = 'AAA', " REST ", bdy = 'x' }", ":1:67: AAA: unknown field bdy; did you mean body?" },
		{ "rule { symbol = 'AAA', score = '1', group = 'g', description = 'd', body = 'x' }", "score must be a number" },
		{ "rule { symbol = 'AAA', " REST ", header = 'X' }", "header without matches" },
		{ "rule { symbol = 'AAA', " REST ", all = { 'NOBODY' } }", ":1:76: AAA: asks for NOBODY, which nothing finds" },
		{ "rule { symbol = 'AAA', " REST ", body = '(' }", "a.lua:1:76: AAA: re: missing closing parenthesis" },
		{ "rule { symbol = 'AAA', " REST ", body = 'x', tests = { { text = 'x' } } }", "no hit" },
		{ "rule { symbol = 'AAA', " REST ", when = function(m) return m.x end", "a.lua:1:" },
		{ "rule { symbol = 'AAA', " REST ", meta = 'BBB && ' }", ":1:82: AAA: meta: something is missing at the end" },
		{ "rule { symbol = 'AAA', " REST ", meta = '(BBB' }", "meta: a ) is missing" },
		{ "rule { symbol = 'AAA', " REST ", meta = 'AAB' }\nrule { symbol = 'AAC', " REST ", body = 'x' }", "asks for AAB, which nothing finds; did you mean AAC?" },
		{ "rule { symbol = 'AAA', " REST ", meta = 'AAB' }\nrule { symbol = 'AAB', " REST ", meta = '!AAA' }",
		    "AAA: looks at itself: AAA -> AAB -> AAA" },
		{ "rule { symbol = 'AAA', " REST ", meta = 'AAA' }", "AAA -> AAA" },
		{ "rule { symbol = 'AAA', " REST ", body = 'x', mode = 'ghost' }", "mode must be on, off, shadow or canary" },
		{ "rule { symbol = 'AAA', " REST ", body = 'x', flags = { 'nise' } }", "unknown flag nise; did you mean nice?" },
		{ "rule { symbol = 'AAA', " REST ", body = 'x', flags = { 'nice' } }", "speaks for the mail" },
		{ "rule { symbol = 'AAA', " REST ", body = 'x', max_shots = 0 }", "max_shots must be a whole number" },
		{ "rule { symbol = 'AAA', " REST ", body = 'x', max_shots = 2000 }", "max_shots must lie in" },
		/* types and shapes, each with its place and what was expected */
		{ "rule {}", "give score = POINTS, or call it __NAME" },
		{ "rule('x')", "a.lua:1:1: rule: rule must be given a table" },
		{ "rul { symbol = 'AAA' }", "a.lua:1:1: unknown name rul" },
		{ "rule { symbol = 'AAA' score = 1 }", "a.lua:1:23: '}' expected near 'score'" },
		{ "rule { symbol = 'AAA', " REST ", body = 5 }", ":1:67: AAA: body must be a pattern: a text, { text, flags } or re()" },
		{ "rule { symbol = 'AAA', " REST ", body = { 'x', 2 } }", "AAA: body must be a pattern" },
		{ "rule { symbol = 'AAA', " REST ", body = { 'x', 'q' } }", "unknown flag q; known are i m s x u" },
		{ "rule { symbol = 'AAA', " REST ", missing = 5 }", ":1:67: AAA: missing must be a text or a list of texts" },
		{ "rule { symbol = 'AAA', " REST ", all = {} }", ":1:67: AAA: all must be a list of at least one text" },
		{ "rule { symbol = 'AAA', " REST ", all = { {} } }", "AAA: all must be a list of at least one text" },
		{ "rule { symbol = 'AAA', " REST ", body = 'x', at_least = 2 }", ":1:79: AAA: at_least counts what stands in any" },
		{ "rule { symbol = 'AAA', " REST ", any = { 'MIME_NUL' }, at_least = 1.5 }", "at_least must be a whole number" },
		{ "rule { symbol = 'AAA', " REST ", header = 'From:adr', matches = 'x' }", "a.lua:1:67: AAA: header: \"From:adr\" is no header to look at" },
		{ "rule { symbol = 'AAA', " REST ", body = 'x', mode = 'canary(0)' }", "canary(PERCENT)" },
		{ "rule { symbol = 'AAA\\0', " REST ", body = 'x' }", "a.lua:1:8: " },
		{ "rule { symbol = 'AAA', " REST ", body = 'x', tests = { hit = true } }", "tests must be a list of tables" },
		{ "rule { symbol = 'AAA', " REST ", body = 'x', tests = { { eml = 'no.eml', hit = true } } }",
		    "AAA: test 1: there is no file tests/no.eml beside this one" },
		{ "rule { symbol = 'AAA', " REST ", body = 'x', tests = { { eml = '../../a.lua', hit = true } } }", "there is no file" },
		{ "rule { symbol = 'AAA', " REST ", body = 'x', tests = { { headers = { 5 }, hit = true } } }", "headers are texts by name" },
		{ "rule { symbol = 'AAA', " REST ", body = 'x', tests = { { dns = { txd = {} }, hit = true } } }", "no txd; did you mean txt?" },
		{ "map { name = 'mm', type = 'domains', file = 'nope.map' }", "a.lua:1:38: " },
		{ "map { name = 'mm', type = 'domains', values = { {} } }", "map mm: values must be a list of texts" },
		{ "map { name = 'mm', type = 'domain', values = { 'x.example' } }", "did you mean domains?" },
		{ "scores 'x'", "a.lua:1:1: scores must be given a table" },
		{ "scores { customer = 5, AAA = 1 }", "scores: customer and context are texts" },
		{ "error {}", "a.lua: an error that is no text" },
		{ "local t = {} while true do t[#t + 1] = ('x'):rep(1000) .. #t end", "a.lua: stopped: over its memory" },
		{ "\xff\xfer\0u\0", "a.lua:1:1: this is UTF-16; save it as UTF-8" },
		{ "\xef\xbb\xbfrule { symbol = 'AAA', " REST ", bdy = 'x' }", "AAA: unknown field bdy; did you mean body?" },
		{ "rule { symbol = 'AAA', " REST ", header = 'X:nonsense', matches = 'x' }", "is no header to look at" },
		{ "scores { AAA = 'x' }", "a number in -1000" },
		{ "rule { symbol = 'AAA', " REST ", needs = { 'redis' }, when = function() end }", ":1:67: AAA: unknown capability redis; did you mean redis:ro?" },
		{ "rule { symbol = 'AAA', " REST ", needs = { 'dns' }, body = 'x' }", "needs is for a function" },
		{ "map { name = 'friends', type = 'domains', values = { 'x.example' } }\n"
		  "rule { symbol = 'AAA', " REST ", needs = { 'map:frends' }, when = function() end }",
		    "AAA: no map is called frends; did you mean friends?" },
		{ "nonsense", "a.lua:1:1: syntax error" },
	};
	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct bench *b = bench_open(bad[i].rules, NULL);

		if (b->kit.rules != NULL || strstr(b->why, bad[i].want) == NULL)
			fail_msg("%s: \"%s\" instead of \"%s\"", bad[i].rules, b->why, bad[i].want);
		bench_close(b);
	}
}

static void
shows_the_mail(void **state)
{
	struct bench *b = bench_open(
	    "local kept\n"
	    "rule { symbol = 'SEES', " REST ", needs = { 'text', 'urls', 'files' }, when = function(msg)\n"
	    "  kept = kept or msg\n"
	    "  assert(msg:header('subject') == 'Hi' and msg.subject == 'Hi' and msg:header('Nope') == nil)\n"
	    "  assert(#msg:headers('X-A') == 2 and msg:headers('x-a')[2] == 'two' and msg:header_count('X-A') == 2)\n"
	    "  assert(msg:header_names()[1] == 'From')\n"
	    "  local a = msg:address('From') assert(a.domain == 'shop.example.co.uk' and a.user == 'ann' and a.name == 'Ann B')\n"
	    "  assert(a.site == 'example.co.uk' and msg:address('From') == a and not msg:address('Cc') and not msg:address('Cc'))\n"
	    "  assert(#msg:addresses('To') == 2 and msg:addresses('To')[2].addr == 'c@d.example')\n"
	    "  assert(msg.links[1].host == 'www.evil.example' and msg.urls:find('http://www.evil.example/x'))\n"
	    "  assert(msg.parts[1].kind == 'multipart' and msg.file_names == 'a.pdf\\n')\n"
	    "  assert(msg.helo == 'mx.example' and msg.sender == 's@x.example' and msg.login == '' and msg.size > 100)\n"
	    "  assert(msg.text:find('hello') and msg:found('NONE') == nil)\n"
	    "  assert(not pcall(function() return msg.nosuch end) and not pcall(function() msg.x = 1 end))\n"
	    "  assert(not pcall(msg.noted, msg, 'NO_SUCH_NOTE'))\n"
	    "  return 'it does' end }\n"
	    "rule { symbol = 'KEEPS', " REST ", when = function(msg) return kept:header('Subject') ~= nil end }\n"
	    "rule { symbol = 'LATER', score = 2, group = 'g', description = 'd', all = { 'SEES' }, none = { 'LACKS' } }\n"
	    "rule { symbol = 'NEVER', " REST ", any = { 'SEES', 'LATER2' }, at_least = 2 }\n"
	    "rule { symbol = 'LATER2', " REST ", header = 'X-A', matches = '^two$', subject = 'hi' }\n"
	    "rule { symbol = 'LACKS', " REST ", header = 'X-A', lacks = 'two' }\n", NULL);
	struct scan *scan;
	static const char mail[] =
	    "From: Ann B <ann@shop.example.co.uk>\nTo: a@b.example, C <c@d.example>\nX-A: one\nX-A: two\nSubject: Hi\n"
	    "MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nhello http://www.evil.example/x\n"
	    "--b\nContent-Type: application/pdf; name=a.pdf\nContent-Disposition: attachment; filename=a.pdf\n\nx\n--b--\n";

	(void)state;
	if (b->kit.rules == NULL)
		fail_msg("%s", b->why);
	for (int round = 0; round < 2; round++) {
		scan = scan_text(b, mail);
		assert_int_equal(stage_rules(scan), STAGE_DONE);
		for (size_t i = 0; i < scan->verdict.count; i++)
			if (span_eq(scan->verdict.at[i].name, SPAN("RULE_FAILED")))
				fail_msg(SPAN_FMT, SPAN_ARG(scan->verdict.at[i].evidence));
		assert_true(found(scan, "SEES") && found(scan, "LATER2") && found(scan, "KEEPS") && !found(scan, "LACKS"));
		assert_true(span_eq(verdict_find(&scan->verdict, SPAN("SEES"))->evidence, SPAN("it does")));
		assert_true(found(scan, "LATER"));
		assert_true(found(scan, "NEVER"));
		stage_score(scan);
		assert_true(scan->classes[0].points >= 6);
	}
	bench_close(b);
}

/* --- rules that ask --- */

struct oracle {                              /* answers every question but those about "silent", and counts */
	struct asker asker;                  /* first */
	const struct question *questions;
	size_t batches, asked;
	char customers[200];
};

static uint32_t
oracle_ask(struct asker *asker, const struct question *questions, size_t count)
{
	struct oracle *o = (struct oracle *)asker;

	o->questions = questions;
	o->batches++;
	o->asked += count;
	for (size_t i = 0; i < count; i++)
		if (questions[i].kind >= ASK_GET)
			snprintf(o->customers + strlen(o->customers), sizeof o->customers - strlen(o->customers), SPAN_FMT ";",
			    SPAN_ARG(questions[i].customer));
	return 1;
}

static bool
oracle_take(struct asker *asker, uint32_t batch, struct arena *a, struct rr_answer *answers, size_t count, int timeout_ms)
{
	struct oracle *o = (struct oracle *)asker;

	(void)batch;
	assert_true(timeout_ms > 0 && timeout_ms <= MAX_RULES_WAIT_MS);
	for (size_t i = 0; i < count; i++) {
		struct rr *rr = ARENA_ARRAY(a, struct rr, 1);

		if (o->questions[i].kind == RR_A)
			ip_parse(SPAN("127.0.0.2"), &rr->ip);
		else
			rr->text = o->questions[i].name;
		answers[i] = (struct rr_answer){ .status = span_starts(o->questions[i].name, SPAN("silent")) ? RR_UNKNOWN : RR_FOUND,
		    .at = rr, .count = 1 };
	}
	return true;
}

/* However many rules ask, and in whatever order: a round for each step of the longest chain, each question once. */
static void
asks_side_by_side(void **state)
{
	struct bench *b = bench_open(
	    "rule { symbol = 'ONE', " REST ", needs = { 'dns' }, when = function(msg)\n"
	    "  local ok, list = pcall(function() return dns.a('x.example') end) return ok and list[1] == '127.0.0.2' end }\n"
	    "rule { symbol = 'TWO', " REST ", needs = { 'dns', 'redis:ro' }, when = function(msg)\n"
	    "  assert(dns.mx('x.example')[1] == 'x.example') return dns.txt('y.example')[1] .. redis.get('key') end }\n"
	    "rule { symbol = 'SAME', " REST ", needs = { 'dns' }, when = function(msg) return dns.a('x.example') and true end }\n"
	    "rule { symbol = 'MANY', " REST ", needs = { 'dns' }, when = function(msg)\n"
	    "  local t = dns.a { 'x.example', 'z.example', 'silent.example' }\n"
	    "  return t['z.example'][1] == '127.0.0.2' and t['silent.example'] == nil and 'two of three' end }\n"
	    "rule { symbol = 'SILENT', " REST ", needs = { 'dns' }, when = function(msg)\n"
	    "  local list, why = dns.a('silent.example') assert(list == nil and why == 'unknown') return true end }\n"
	    "rule { symbol = 'LISTED', " REST ", needs = { 'dns' }, when = function(msg) return dns.listed('192.0.2.9', 'bl.example') == '127.0.0.2' end }\n"
	    "rule { symbol = 'AFTER', " REST ", meta = 'ONE && TWO && !NONE' }\n"
	    "rule { symbol = 'NONE', " REST ", subject = 'not there' }\n"
	    "rule { symbol = 'CHAIN', " REST ", needs = { 'dns' }, depends_on = { 'ONE' }, when = function(msg)\n"
	    "  return msg:found('ONE') and dns.a('last.example') and true end }\n", NULL);
	struct oracle oracle = { .asker = { .ask = oracle_ask, .take = oracle_take } };
	struct scan *scan = scan_text(b, "From: a@b.example\nSubject: x\n\nx\n");

	(void)state;
	if (b->kit.rules == NULL)
		fail_msg("%s", b->why);
	scan->asker = &oracle.asker;
	assert_int_equal(stage_rules(scan), STAGE_UNKNOWN);      /* of silent.example nobody knows: it is said */
	assert_non_null(strstr(verdict_find(&scan->verdict, SPAN("RULES_UNKNOWN"))->evidence.p, "no answer for silent.example"));
	for (const char *const *s = (const char *const[]){ "ONE", "TWO", "SAME", "MANY", "SILENT", "LISTED", "AFTER", "CHAIN", NULL }; *s; s++)
		if (!found(scan, *s))
			fail_msg("%s was not found", *s);
	assert_true(!found(scan, "RULE_FAILED"));
	assert_true(span_eq(verdict_find(&scan->verdict, SPAN("ONE"))->evidence, SPAN("dns.a x.example: 127.0.0.2")));
	assert_true(span_eq(verdict_find(&scan->verdict, SPAN("LISTED"))->evidence, SPAN("dns.listed 9.2.0.192.bl.example: 127.0.0.2")));
	assert_int_equal(oracle.batches, 4);         /* TWO's three steps, then CHAIN's */
	assert_int_equal(oracle.asked, 8);           /* x (a, mx), z, silent, bl; y; key; last */
	scan = scan_text(b, "From: a@b.example\nSubject: x\n\nx\n");     /* nobody to ask: unknown, and no rule fails for that */
	assert_int_equal(stage_rules(scan), STAGE_UNKNOWN);
	assert_true(!found(scan, "ONE") && found(scan, "SILENT"));
	bench_close(b);
}

/* What rules may not look at, and how much they may ask; a mail with many links makes no rule fail. */
static void
asks_within_bounds(void **state)
{
	struct bench *b = bench_open(
	    "rule { symbol = 'FLOOD', " REST ", needs = { 'dns' }, when = function(msg)\n"
	    "  local known = 0 for i = 1, 1000 do if dns.a('h' .. i .. '.example') then known = known + 1 end end return 'known ' .. known end }\n"
	    "rule { symbol = 'BULK', " REST ", needs = { 'dns' }, when = function(msg)\n"
	    "  local t, n = {}, 0 for i = 1, 5000 do t[i] = 'b' .. i .. '.example' end for k in pairs(dns.a(t)) do n = n + 1 end return 'known ' .. n end }\n"
	    "rule { symbol = 'ABSURD', " REST ", needs = { 'dns', 'redis:ro' }, when = function(msg)\n"
	    "  return #dns.a(('x'):rep(100000)) == 0 and #dns.ptr('unknown') == 0 and #dns.a('') == 0 and redis.get(('k'):rep(100000)) == nil end }\n"
	    "map { name = 'm', type = 'domains', values = { 'x.example' } }\n"
	    "rule { symbol = 'MAPPED', " REST ", needs = { 'map:m' }, when = function(msg) return maps.find('m', 'a.x.example') end }\n", NULL);
	struct oracle oracle = { .asker = { .ask = oracle_ask, .take = oracle_take } };
	struct scan *scan = scan_text(b, "From: a@b.example\nSubject: x\n\nx\n");

	(void)state;
	if (b->kit.rules == NULL)
		fail_msg("%s", b->why);
	scan->asker = &oracle.asker;
	stage_rules(scan);
	assert_true(!found(scan, "RULE_FAILED") && found(scan, "ABSURD") && found(scan, "MAPPED"));
	assert_true(span_eq(verdict_find(&scan->verdict, SPAN("FLOOD"))->evidence, SPAN("known 32")));
	assert_true(span_eq(verdict_find(&scan->verdict, SPAN("BULK"))->evidence, SPAN("known 32")));
	bench_close(b);
}

static void
asks_no_more_than_declared(void **state)
{
	static const struct { const char *needs, *function, *want; } bad[] = {
		{ "", "return dns.a('x.example')", "dns.a: not given to this rule; declare needs = { \"dns\" }" },
		{ "'dns'", "return redis.get('x')", "redis.get: not given to this rule; declare needs = { \"redis:ro\" }" },
		{ "", "return msg.text", "text: not given to this rule; declare needs = { \"text\" }" },
		{ "'text'", "return #msg.links", "declare needs = { \"urls\" }" },
		{ "'text', 'urls'", "return msg.file_names", "declare needs = { \"files\" }" },
		{ "", "return maps.find('m', 'x.example')", "declare needs = { \"map:m\" }" },
		{ "'dns'", "local t = { 'b', 'a' } table.sort(t, function(x, y) return #dns.a(x) < #dns.a(y) end)", "not from inside a function" },
		{ "'dns'", "local t = setmetatable({}, { __index = function(t, k) return dns.a(k) end }) return #t.x", "" },
		{ "'dns'", "while true do dns.a('x.example') end", "stopped: over its" },
		{ "'dns'", "while true do pcall(dns.a, {}) end", "stopped: over its" },
		{ "'dns'", "return dns.a()", "bad argument" },
		{ "'dns'", "return dns.a { {} }", "bad argument" },
		{ "'dns'", "return dns.listed('x')", "bad argument" },
		{ "'redis:ro'", "return redis.set('x', 'y')", "attempt to call a nil value" },
		{ "'dns'", "dns.a = nil", "cannot set a" },
		{ "'dns'", "dns.resolve('x')", "attempt to call a nil value" },
	};
	struct oracle oracle = { .asker = { .ask = oracle_ask, .take = oracle_take } };
	char text[1000];

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		snprintf(text, sizeof text, "map { name = 'm', type = 'domains', values = { 'x.example' } }\n"
		    "rule { symbol = 'BAD', " REST ", needs = { %s }, when = function(msg) %s end }", bad[i].needs, bad[i].function);
		struct bench *b = bench_open(text, NULL);

		if (b->kit.rules == NULL)
			fail_msg("%s: %s", bad[i].function, b->why);
		struct scan *scan = scan_text(b, "From: a@b.example\nSubject: x\n\nx\n");

		scan->asker = &oracle.asker;
		stage_rules(scan);
		const struct symbol *failed = verdict_find(&scan->verdict, SPAN("RULE_FAILED"));

		if ((failed == NULL) != (bad[i].want[0] == '\0') || (failed && strstr(failed->evidence.p, bad[i].want) == NULL))
			fail_msg("%s: %s", bad[i].function, failed ? failed->evidence.p : "was allowed");
		bench_close(b);
	}
}

static void
outlives_bad_rules(void **state)
{
	struct bench *b = bench_open(
	    "local old\n"
	    "rule { symbol = 'BAD', " REST ", when = function(msg)\n local x\n return x.y end }\n"
	    "rule { symbol = 'LOOP', " REST ", when = function(msg) if msg.subject == 'loop' then while true do end end end }\n"
	    "rule { symbol = 'GOOD', " REST ", subject = '.' }\n", NULL);
	struct scan *scan = NULL;

	(void)state;
	if (b->kit.rules == NULL)
		fail_msg("%s", b->why);
	for (int i = 0; i < RULE_BREAKER_FAILS; i++) {
		scan = scan_text(b, "From: a@b.example\nSubject: x\n\nx\n");
		assert_int_equal(stage_rules(scan), STAGE_DONE);
		assert_true(found(scan, "RULE_FAILED") && found(scan, "GOOD"));
		assert_non_null(strstr(verdict_find(&scan->verdict, SPAN("RULE_FAILED"))->evidence.p, "a.lua:4"));
		assert_true(verdict_find(&scan->verdict, SPAN("RULE_FAILED"))->points == 0);
	}
	scan = scan_text(b, "From: a@b.example\nSubject: x\n\nx\n");     /* now it is off, and the record says so */
	assert_int_equal(stage_rules(scan), STAGE_UNKNOWN);
	assert_true(!found(scan, "RULE_FAILED") && found(scan, "RULES_UNKNOWN") && found(scan, "GOOD"));

	scan = scan_text(b, "From: a@b.example\nSubject: loop\n\nx\n");
	stage_rules(scan);
	assert_non_null(strstr(verdict_find(&scan->verdict, SPAN("RULE_FAILED"))->evidence.p, "LOOP: "));
	assert_true(found(scan, "GOOD"));

	scan = scan_text(b, "From: a@b.example\nSubject: x\n\nx\n");     /* out of time: said, not silent */
	scan->deadline_ms = clock_ms() - 1;
	assert_int_equal(stage_rules(scan), STAGE_UNKNOWN);
	assert_true(found(scan, "RULES_UNKNOWN"));
	bench_close(b);
}

static void
scores(void **state)
{
	struct bench *b = bench_open("", NULL);
	struct scan *scan = scan_text(b, "From: a@b.example\nSubject: x\nDate: x\nMessage-ID: <1@b.example>\n\nx\n");
	double last = -100;

	(void)state;
	if (b->kit.rules == NULL)
		fail_msg("%s", b->why);
	scan->verdict.count = 0;
	verdict_add(scan->arena, &scan->verdict, SPAN("DNSBL_ZEN"), 6, (struct span){ 0 });
	verdict_add(scan->arena, &scan->verdict, SPAN("OTHER"), 1.5, (struct span){ 0 });
	scan->classes[0].log_odds = 9;               /* but the model does not know enough yet */
	assert_int_equal(stage_score(scan), STAGE_DONE);
	assert_true(scan->classes[0].points == 7.5 && scan->classes[0].bayes_points == 0);
	b->policy.dnsbl = DNSBL_MODE_OFF;
	assert_int_equal(stage_score(scan), STAGE_DONE);
	assert_true(scan->classes[0].points == 1.5);
	scan->classes[0].model_known = true;
	for (double z = -40; z <= 40; z += 0.25) {   /* smooth, rising, bounded; alone it never discards */
		scan->classes[0].log_odds = z;
		assert_int_equal(stage_score(scan), STAGE_DONE);
		double bayes = scan->classes[0].bayes_points;

		assert_true(fabs(scan->classes[0].points - 1.5 - bayes) < 1e-9);
		assert_true(bayes >= last && (z == -40 || bayes - last < 0.3) && bayes <= 8 && bayes >= -4);
		last = bayes;
	}
	scan->classes[0].log_odds = log(999);        /* p = 0.999: tagged, not quarantined on its own */
	stage_score(scan);
	assert_true(scan->classes[0].bayes_points > 4 && scan->classes[0].bayes_points < 7);
	bench_close(b);
}

static void
bad_scorers_defer(void **state)
{
	static const char *const bad[] = { "return function() return 0/0, 0 end", "return function() return 'x' end",
	    "return function(s) while true do end end", "return function() error('no') end" };

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct bench *b = bench_open("", bad[i]);
		struct scan *scan = scan_text(b, "From: a@b.example\n\nx\n");

		assert_non_null(b->kit.rules);
		assert_int_equal(stage_score(scan), STAGE_UNKNOWN);
		assert_true(found(scan, "SCORE_UNKNOWN"));
		bench_close(b);
	}
	struct bench *b = bench_open("", "return 1");

	assert_null(b->kit.rules);
	bench_close(b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(complains), cmocka_unit_test(shows_the_mail), cmocka_unit_test(asks_side_by_side), cmocka_unit_test(asks_within_bounds),
		cmocka_unit_test(asks_no_more_than_declared),
		cmocka_unit_test(outlives_bad_rules),
		cmocka_unit_test(scores), cmocka_unit_test(bad_scorers_defer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
