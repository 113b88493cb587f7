/* The stage table: what each stage leaves, and what the mail suffers when one cannot tell. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lua/rules.h"
#include "policyd/base/clock.h"
#include "policyd/mail/prepare.h"
#include "policyd/scan/stage.h"
#include "policyd/worker/antivirus.h"

static const char mail[] =
    "From: Ann <ann@shop.example>\nTo: b@c.example\nSubject: Lunch\nDate: Mon, 1 Jan 2024 10:00:00 +0000\n"
    "Message-ID: <1@shop.example>\n\nLunch on Friday?\n";

struct bench {
	struct arena *arena;
	struct config config;
	struct kit kit;
	struct policy policy;
	struct class_score class;
	struct scan *scan;
};

static void
bench_open(struct bench *b, enum clamav_engine engine, const char *raw)
{
	char why[2000] = "";

	memset(b, 0, sizeof *b);
	mail_prepare();
	b->arena = arena_open(64 << 20);
	strcpy(b->config.lua_dir, "lua");
	strcpy(b->config.score_script, "lua/score.lua");
	strcpy(b->config.rules[0], "rules");
	b->config.rule_dir_count = 1;
	b->config.clamav = engine;
	b->config.clamav_timeout_ms = 1000;
	policy_default(&b->policy);
	b->kit.config = &b->config;
	assert_true(antivirus_open(&b->config, "/tmp", &b->kit.antivirus, why, sizeof why));
	b->kit.rules = rules_load(&b->config, why, sizeof why);
	if (b->kit.rules == NULL)
		fail_msg("%s", why);
	b->scan = ARENA_NEW(b->arena, struct scan);
	b->class = (struct class_score){ .policy = &b->policy, .probability = 0.5 };
	b->scan->arena = b->arena;
	b->scan->kit = &b->kit;
	b->scan->classes = &b->class;
	b->scan->class_count = 1;
	b->scan->message.raw = span_of(raw);
	b->scan->deadline_ms = clock_ms() + 20000;
}

static void
bench_close(struct bench *b)
{
	rules_free(b->kit.rules);
	antivirus_close(b->kit.antivirus);
	arena_close(b->arena);
}

static const char *
evidence(const struct bench *b, const char *symbol)
{
	const struct symbol *s = verdict_find(&b->scan->verdict, span_of(symbol));

	return s == NULL ? NULL : s->evidence.p ? s->evidence.p : "";
}

static void
plain_mail_is_clean(void **state)
{
	struct bench b;
	int64_t deadline;

	(void)state;
	bench_open(&b, CLAMAV_OFF, mail);
	deadline = b.scan->deadline_ms;
	pipeline_run(b.scan);
	assert_false(b.scan->verdict.defer);
	assert_int_equal(b.scan->verdict.classes, 0);
	assert_true(b.class.points < 1);
	assert_true(b.scan->verdict.spam_probability == 0.5);
	assert_true(b.scan->deadline_ms == deadline);
	bench_close(&b);
}

/* clamd is asked for, but nobody lent a connection: never clean, and the score is there all the same. */
static void
silent_scanner_defers(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b, CLAMAV_CLAMD, mail);
	pipeline_run(b.scan);
	assert_true(b.scan->verdict.defer);
	assert_non_null(evidence(&b, "CLAMAV_UNKNOWN"));
	assert_true(span_starts(b.scan->verdict.defer_reason, SPAN("clamav: ")));
	assert_true(isfinite(b.class.points));
	bench_close(&b);
}

static void
no_time_defers(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b, CLAMAV_OFF, mail);
	b.scan->deadline_ms = clock_ms() - 1;
	pipeline_run(b.scan);
	assert_true(b.scan->verdict.defer);
	assert_non_null(evidence(&b, "MIME_UNKNOWN"));
	assert_non_null(evidence(&b, "RULES_UNKNOWN"));
	bench_close(&b);
}

static void
cut_mail_is_unscannable(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b, CLAMAV_OFF, mail);
	b.scan->truncated = true;
	pipeline_run(b.scan);
	assert_true(b.scan->verdict.classes & CLASS_UNSCANNABLE);
	assert_non_null(evidence(&b, "OVERSIZE"));
	bench_close(&b);
}

static void
gtube_is_discarded(void **state)
{
	struct bench b;
	char text[400];

	(void)state;
	snprintf(text, sizeof text, "Subject: x\n\n%s%s\n", "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-", "STANDARD-ANTI-UBE-TEST-EMAIL*C.34X");
	bench_open(&b, CLAMAV_OFF, text);
	pipeline_run(b.scan);
	assert_true(b.class.points > 900);
	bench_close(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_mail_is_clean), cmocka_unit_test(silent_scanner_defers), cmocka_unit_test(no_time_defers),
		cmocka_unit_test(cut_mail_is_unscannable), cmocka_unit_test(gtube_is_discarded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
