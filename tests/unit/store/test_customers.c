/* customers: from an address to its record, levels and their merge rules, aliases, and 40 writes that may not be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "policyd/store/customers_table.h"

static struct config config;
static struct customers *c;

static void
apply(const char *key, const char *json)
{
	char folded[KEY_ROOM], why[256];

	if (!customers_key(span_of(key), folded, why, sizeof why))
		fail_msg("%s", why);
	assert_true(customers_apply(c, folded, span_of(json)));
}

static int
open_table(void **state)
{
	char dir[] = "/tmp/test-customers-XXXXXX";

	(void)state;
	policy_default(&config.policy_default);
	assert_non_null(mkdtemp(dir));
	snprintf(config.state, sizeof config.state, "%s", dir);
	c = customers_open(NULL, NULL, &config);
	assert_non_null(c);
	apply("tier:gold", "{\"retention_days\": 30, \"max.retention_days\": 60, \"locked\": \"own_model\", \"min.virus\": \"quarantine\"}");
	apply("customer:acme", "{\"tier\": \"gold\", \"tag\": 3, \"quarantine\": 6}");
	apply("customer:other", "{\"dnsbl\": \"off\"}");
	apply("domain:shop.example", "{\"customer\": \"acme\", \"subject_tag\": \"[SPAM] \", \"delimiters\": \"+-\", \"catch_all\": \"info@shop.example\"}");
	apply("domain:laden.example", "{\"alias_of\": \"shop.example\"}");
	apply("domain:xn--bcher-kva.example", "{\"customer\": \"other\", \"tag\": 2}");
	apply("*@*.example", "{\"tag\": 3.5}");
	apply("*.deep.shop.example", "{\"customer\": \"acme\", \"tag\": 2.5}");
	apply("bob@shop.example", "{\"discard\": \"off\"}");
	apply("bob+lists@shop.example", "{\"tag\": \"off\"}");
	apply("info@shop.example", "{\"filter\": false}");
	apply("\"odd one\"@shop.example", "{\"tag\": 1}");
	apply("j\xc3\xb6rg@shop.example", "{\"tag\": 1.5}");
	apply("stra\xc3\x9f" "e@shop.example", "{\"tag\": 2.25}");
	apply("\xce\xb1\xcf\x83@shop.example", "{\"tag\": 2.25}");
	apply("i@shop.example", "{\"tag\": 2.25}");
	apply("sales@shop.example", "{\"alias_of\": \"bob@shop.example\"}");
	apply("post@shop.example", "{\"alias_of\": \"bob@shop.example info@shop.example eve@xn--bcher-kva.example\"}");
	apply("own@shop.example", "{\"alias_of\": \"bob@shop.example\", \"tag\": 5}");
	apply("a@ring.example", "{\"alias_of\": \"b@ring.example\"}");
	apply("b@ring.example", "{\"alias_of\": \"a@ring.example\"}");
	return 0;
}

static int
close_table(void **state)
{
	char path[PATH_ROOM + 32];

	(void)state;
	customers_close(c);
	snprintf(path, sizeof path, "%s/policies.snapshot", config.state);
	unlink(path);
	rmdir(config.state);
	return 0;
}

static void
finds_the_record(void **state)
{
	static const struct { const char *address, *record; } cases[] = {
		{ "bob@shop.example", "bob@shop.example" },
		{ "<BOB@Shop.Example.>", "bob@shop.example" },
		{ "\"bob\"@shop.example", "bob@shop.example" },
		{ "bob+lists@shop.example", "bob+lists@shop.example" },
		{ "bob+x@shop.example", "bob@shop.example" },
		{ "bob-x+y@shop.example", "bob@shop.example" },
		{ "bob@laden.example", "bob@shop.example" },
		{ "Bob+Q@LADEN.example", "bob@shop.example" },
		{ "nobody@shop.example", "info@shop.example" },
		{ "nobody@laden.example", "info@shop.example" },
		{ "\"Odd One\"@shop.example", "\"odd one\"@shop.example" },
		{ "J\xc3\x96RG@shop.example", "j\xc3\xb6rg@shop.example" },
		{ "jo\xcc\x88rg@shop.example", "j\xc3\xb6rg@shop.example" },       /* NFD */
		{ "eve@b\xc3\xbc" "cher.example", "xn--bcher-kva.example" },
		{ "eve@XN--BCHER-KVA.example", "xn--bcher-kva.example" },
		{ "who@far.example", "*.example" },
		{ "who@a.b.deep.shop.example", "*.deep.shop.example" },
		{ "who@deep.shop.example", "*.example" },
		{ "sales@shop.example", "bob@shop.example" },
		{ "sales+x@shop.example", "bob@shop.example" },
		{ "own@shop.example", "own@shop.example" },
		{ "who@elsewhere.test", "" },
		{ "a@ring.example", "*.example" },
		{ "postmaster", "" },
		{ "+x@shop.example", "info@shop.example" },
		{ "\"bob+x\"@shop.example", "bob@shop.example" },                  /* these quotes say nothing */
		{ "\"bob +x\"@shop.example", "info@shop.example" },
		{ "Stra\xc3\x9f" "E@shop.example", "stra\xc3\x9f" "e@shop.example" },
		{ "strasse@shop.example", "info@shop.example" },                   /* another mailbox: folding is letter by letter */
		{ "STRA\xe1\xba\x9e" "E@shop.example", "stra\xc3\x9f" "e@shop.example" },
		{ "\xce\x91\xce\xa3@shop.example", "\xce\xb1\xcf\x83@shop.example" },         /* sigma, */
		{ "\xce\xb1\xcf\x82@shop.example", "\xce\xb1\xcf\x83@shop.example" },         /* also at the end of a word */
		{ "\xc4\xb1@shop.example", "info@shop.example" },                 /* dotless i is not i */
		{ "eve@B\xc3\x9c" "CHER.example", "xn--bcher-kva.example" },
		{ "eve@bu\xcc\x88" "cher.example", "xn--bcher-kva.example" },
		{ "eve@b\xc3\xbc" "cher\xe3\x80\x82" "example", "xn--bcher-kva.example" },      /* an ideographic full stop */
		{ "bob@shop.example..", "bob@shop.example" },
		{ " bob@shop.example ", "bob@shop.example" },
		{ "\"bob\\@x\"@shop.example", "info@shop.example" },
		{ "\"b\\ob\"@shop.example", "bob@shop.example" },
		{ "@shop.example", "info@shop.example" },
		{ "bob@@shop.example", "info@shop.example" },
		{ "\xff\xfe@shop.example", "info@shop.example" },
	};
	char canonical[2 * MAX_ADDRESS + 2];
	const char *members;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		canonical_address(span_of(cases[i].address), canonical, sizeof canonical);
		uint32_t r = customers_resolve(c, canonical, &members);
		const char *got = r ? record_name(c, r) : "";

		if (strcmp(got, cases[i].record) != 0)
			fail_msg("%s: \"%s\", want \"%s\"", cases[i].address, got, cases[i].record);
	}
}

static const struct policy *
policy_of(const char *address)
{
	uint32_t class_id;

	return customers_lookup(c, span_of(address), &class_id);
}

static void
merges_by_level(void **state)
{
	const struct policy *bob = policy_of("bob@shop.example"), *lists = policy_of("bob+lists@shop.example"), *post = policy_of("post@shop.example");

	(void)state;
	assert_string_equal(bob->customer, "acme");
	assert_true(bob->tag == 3 && bob->quarantine == 6 && bob->discard == THRESHOLD_OFF);
	assert_int_equal(bob->retention_days, 30);
	assert_string_equal(bob->subject_tag, "[SPAM] ");
	assert_true(lists->tag == THRESHOLD_OFF && lists->discard == THRESHOLD_OFF);
	assert_true(policy_of("who@far.example")->tag == 3.5);
	assert_true(policy_of("x@b\xc3\xbc" "cher.example")->tag == 2);
	assert_string_equal(policy_of("who@x.deep.shop.example")->customer, "acme");
	assert_true(policy_of("who@elsewhere.test")->tag == config.policy_default.tag);
	assert_true(policy_of("own@shop.example")->tag == 5);

	/* bob is filtered, info is not, eve tags at 2: filtered, 2, the others' discard */
	assert_true(post->filter == 1 && post->tag == 2 && post->quarantine == 6 && post->discard == 15);
	assert_string_equal(post->customer, "acme");

	/* A lock and a bound that come later hold for what stands there already. */
	apply("bob@shop.example", "{\"discard\": \"off\", \"own_model\": true, \"retention_days\": 90, \"virus\": \"deliver\"}");
	bob = policy_of("bob@shop.example");
	assert_true(bob->own_model == 0 && bob->retention_days == 60 && bob->virus == OUT_QUARANTINE);
	apply("bob@shop.example", "{\"discard\": \"off\"}");
}

static void
equal_policies_are_one(void **state)
{
	uint32_t a, b, d;

	(void)state;
	customers_lookup(c, SPAN("who@far.example"), &a);
	customers_lookup(c, SPAN("who@near.example"), &b);
	customers_lookup(c, SPAN("bob@shop.example"), &d);
	assert_int_equal(a, b);
	assert_int_not_equal(a, d);
	apply("customer:acme", "{\"tier\": \"gold\", \"tag\": 3, \"quarantine\": 6.5}");
	assert_true(policy_of("bob@shop.example")->quarantine == 6.5);       /* at once, for all below */
	apply("customer:acme", "{\"tier\": \"gold\", \"tag\": 3, \"quarantine\": 6}");
	assert_true(policy_of("bob@shop.example")->quarantine == 6);
	apply("domain:far.example", "{\"tag\": 1}");
	assert_true(policy_of("who@far.example")->tag == 1);
	apply("domain:far.example", "");
	assert_true(policy_of("who@far.example")->tag == 3.5);
}

static void
lists_by_level(void **state)
{
	struct ip client;
	struct entry_facts facts = { .client = &client, .sender = SPAN("News@mail.letter.example"), .from = SPAN("ann@b.example") };
	const char *which = "";

	(void)state;
	assert_true(ip_parse(SPAN("192.0.2.7"), &client));
	apply("customer:acme", "{\"tier\": \"gold\", \"tag\": 3, \"quarantine\": 6, \"block\": {\"domain:letter.example\": {}}, "
	    "\"allow\": {\"ip:192.0.2.0/28\": {}}}");
	apply("bob@shop.example", "{\"discard\": \"off\", \"allow\": {\"from:ann@b.example\": {\"until\": 2000, \"comment\": \"for now\"}}}");
	const struct policy *bob = policy_of("bob@shop.example"), *info = policy_of("info@shop.example");

	assert_int_equal(customers_listed(c, info, &facts, 1000, &which), LISTED_BLOCK);      /* a block wins at its level */
	assert_string_equal(which, "domain:letter.example");
	assert_int_equal(customers_listed(c, bob, &facts, 1000, NULL), LISTED_BLOCK);         /* nobody proves that it is ann */
	facts.proved = true;
	assert_int_equal(customers_listed(c, bob, &facts, 1000, NULL), LISTED_ALLOW);         /* the nearer level */
	assert_int_equal(customers_listed(c, bob, &facts, 2000, NULL), LISTED_BLOCK);         /* it has run out */
	facts.sender = SPAN("x@notletter.example");
	assert_int_equal(customers_listed(c, info, &facts, 1000, NULL), LISTED_ALLOW);
	assert_true(ip_parse(SPAN("192.0.2.16"), &client));
	assert_int_equal(customers_listed(c, info, &facts, 1000, NULL), LISTED_NOT);
	apply("customer:acme", "{\"tier\": \"gold\", \"tag\": 3, \"quarantine\": 6}");
	apply("bob@shop.example", "{\"discard\": \"off\"}");
}

static json_t *answer;

static void
take_answer(void *arg, json_t *reply)
{
	(void)arg;
	answer = reply;
}

/* Tried, and if it may be, not done: no Redis is asked. */
static const char *
try_write(const char *key, const char *values, const char *scope)
{
	json_t *request = json_pack("{s:s, s:s, s:o, s:b}", "cmd", "policy.set", "key", key, "values", json_loads(values, 0, NULL), "dry_run", 1);
	const char *error;

	if (scope)
		json_object_set_new(request, "scope", json_string(scope));
	json_decref(answer);
	answer = NULL;
	customers_request(c, request, take_answer, NULL);
	json_decref(request);
	assert_non_null(answer);
	error = json_string_value(json_object_get(answer, "error"));
	return error ? error : "";
}

static void
refuses_what_may_not_be(void **state)
{
	static const struct { const char *key, *values, *scope, *says; } cases[] = {
		{ "bob@shop.example", "{\"tag\": 8}", NULL, "tag=8 must be below quarantine=6" },
		{ "bob@shop.example", "{\"tag\": 6, \"quarantine\": 6}", NULL, "tag=6 must be below quarantine=6" },
		{ "bob@shop.example", "{\"discard\": 5}", NULL, "quarantine=6 must be below discard=5" },
		{ "customer:acme", "{\"quarantine\": 0.5}", NULL, "tag=3 must be below quarantine=0.5" },
		{ "customer:acme", "{\"tag\": 0.5, \"quarantine\": 0.9}", NULL, "must be below quarantine=0.9 at " },
		{ "tier:gold", "{\"quarantine\": 1, \"tag\": 20}", NULL, "tag=20 must be below quarantine=1" },
		{ "bob@shop.example", "{\"tag\": \"abc\"}", NULL, "tag: \"abc\"" },
		{ "bob@shop.example", "{\"tag\": \"\"}", NULL, "tag: \"\"" },
		{ "bob@shop.example", "{\"tag\": \"nan\"}", NULL, "tag: \"nan\"" },
		{ "bob@shop.example", "{\"tag\": \"inf\"}", NULL, "tag: \"inf\"" },
		{ "bob@shop.example", "{\"tag\": 99999}", NULL, "tag: \"99999\"" },
		{ "bob@shop.example", "{\"tag\": [1]}", NULL, "tag: " },
		{ "bob@shop.example", "{\"tags\": 3}", NULL, "unknown field \"tags\"; did you mean \"tag\"?" },
		{ "bob@shop.example", "{\"zzzz\": 3}", NULL, "unknown field \"zzzz\"" },
		{ "bob@shop.example", "{\"filter\": \"maybe\"}", NULL, "filter: \"maybe\"" },
		{ "bob@shop.example", "{\"virus\": \"burn\"}", NULL, "virus: \"burn\" is not good; expected deliver" },
		{ "bob@shop.example", "{\"virus\": \"deliver\"}", NULL, "virus=deliver: at least quarantine by tier:gold" },
		{ "bob@shop.example", "{\"top_action\": \"tag\"}", NULL, "top_action: \"tag\" is not good; expected discard | reject" },
		{ "bob@shop.example", "{\"dnsbl\": \"yes\"}", NULL, "dnsbl: \"yes\"" },
		{ "bob@shop.example", "{\"retention_days\": 0}", NULL, "retention_days: \"0\"" },
		{ "bob@shop.example", "{\"retention_days\": 61}", NULL, "retention_days=61: at most 60 by tier:gold" },
		{ "bob@shop.example", "{\"retention_days\": \"-1\"}", NULL, "retention_days: \"-1\"" },
		{ "bob@shop.example", "{\"subject_tag\": \"a\\nb\"}", NULL, "subject_tag: " },
		{ "bob@shop.example", "{\"subject_tag\": \"0123456789012345678901234567890123456789012345678901234567890123\"}", NULL, "at most 63 bytes" },
		{ "bob@shop.example", "{\"folder\": \"a b\"}", NULL, "folder: \"a b\"" },
		{ "bob@shop.example", "{\"own_model\": true}", NULL, "own_model=true: it is locked at tier:gold" },
		{ "customer:acme", "{\"own_model\": true}", NULL, "it is locked at tier:gold" },
		{ "bob@shop.example", "{\"locked\": \"tag\"}", NULL, "locked: " },
		{ "customer:acme", "{\"locked\": \"tag frob\"}", NULL, "unknown field \"frob\"" },
		{ "customer:acme", "{\"min.retention_days\": 9, \"max.retention_days\": 8}", NULL, "min.retention_days is above max.retention_days" },
		{ "customer:acme", "{\"max.subject_tag\": \"x\"}", NULL, "max.subject_tag: " },
		{ "bob@shop.example", "{\"max.tag\": 5}", NULL, "max.tag: " },
		{ "customer:acme", "{\"max.frob\": 5}", NULL, "unknown field \"frob\"" },
		{ "customer:acme", "{\"customer\": \"x\"}", NULL, "customer: \"x\" is not good here" },
		{ "bob@shop.example", "{\"tier\": \"gold\"}", NULL, "tier: \"gold\" is not good here" },
		{ "domain:shop.example", "{\"customer\": \"a b\"}", NULL, "customer: \"a b\"" },
		{ "domain:shop.example", "{\"delimiters\": \"ab\"}", NULL, "delimiters: \"ab\"" },
		{ "bob@shop.example", "{\"delimiters\": \"+\"}", NULL, "delimiters: \"+\"" },
		{ "domain:shop.example", "{\"catch_all\": \"info\"}", NULL, "catch_all: \"info\"" },
		{ "bob@shop.example", "{\"alias_of\": \"bob@shop.example\"}", NULL, "another one than itself" },
		{ "bob@shop.example", "{\"alias_of\": \"sales@shop.example\"}", NULL, "comes back to itself" },
		{ "bob@shop.example", "{\"alias_of\": \"nobody\"}", NULL, "alias_of: \"nobody\"" },
		{ "domain:shop.example", "{\"alias_of\": \"laden.example\"}", NULL, "comes back to itself" },
		{ "domain:x.example", "{\"alias_of\": \"a.example b.example\"}", NULL, "alias_of: " },
		{ "bob@shop.example", "{\"allow\": {\"ann@b.example\": {}}}", NULL, "is no list entry" },
		{ "bob@shop.example", "{\"allow\": {\"ip:1.2.3\": {}}}", NULL, "is no list entry" },
		{ "bob@shop.example", "{\"block\": {\"from:ann\": {}}}", NULL, "is no list entry" },
		{ "bob@shop.example", "{\"block\": {\"domain:b.example\": {\"until\": \"soon\"}}}", NULL, "until is not a time" },
		{ "bob@shop.example", "{\"block\": {\"domain:b.example\": {\"til\": 1}}}", NULL, "unknown setting \"til\"" },
		{ "tier:gold", "{\"block\": {\"domain:b.example\": {}}}", NULL, "block: " },
		{ "", "{\"tag\": 1}", NULL, "expected mailbox:USER@DOMAIN" },
		{ "bob@", "{\"tag\": 1}", NULL, "expected mailbox:USER@DOMAIN" },
		{ "@", "{\"tag\": 1}", NULL, "expected mailbox:USER@DOMAIN" },
		{ "bob@-..example", "{\"tag\": 1}", NULL, "expected mailbox:USER@DOMAIN" },
		{ "bob smith@shop.example", "{\"tag\": 1}", NULL, "expected mailbox:USER@DOMAIN" },
		{ "bob@shop.example\n", "{\"tag\": 1}", NULL, "expected mailbox:USER@DOMAIN" },
		{ "bob@exa mple.example", "{\"tag\": 1}", NULL, "expected mailbox:USER@DOMAIN" },
		{ "customer:a/b", "{\"tag\": 1}", NULL, "expected mailbox:USER@DOMAIN" },
		{ "domain:a*b.example", "{\"tag\": 1}", NULL, "expected mailbox:USER@DOMAIN" },
		{ "eve@xn--bcher-kva.example", "{\"tag\": 1}", "acme", "is not of customer acme" },
		{ "domain:new.example", "{\"customer\": \"acme\"}", "acme", "is not of customer acme" },
		{ "domain:shop.example", "{\"customer\": \"other\"}", "acme", "is not of customer acme" },
		{ "customer:other", "{\"tag\": 1}", "acme", "is not of customer acme" },
		{ "tier:gold", "{\"tag\": 1}", "acme", "is not of customer acme" },
		{ "customer:acme", "{\"tier\": \"lead\"}", "acme", "tier: it is set for customer acme, not by him" },
		{ "customer:acme", "{\"max.retention_days\": 3000}", "acme", "max.retention_days: it is set for customer acme" },
	};
	static const struct { const char *key, *values, *scope; } good[] = {
		{ "bob@shop.example", "{\"tag\": 5}", NULL }, { "bob@shop.example", "{\"tag\": 5}", "acme" },
		{ "customer:acme", "{\"tag\": \"off\", \"quarantine\": \"off\"}", "acme" }, { "customer:acme", "{\"tier\": \"lead\"}", NULL },
		{ "new@shop.example", "{\"folder\": \"Junk\", \"block\": {\"from:X@B.example\": {\"until\": 1790000000, \"comment\": \"c\"}}}", "acme" },
	};
	uint32_t before = c->present_count;

	(void)state;
	assert_true(sizeof cases / sizeof *cases >= 40);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const char *error = try_write(cases[i].key, cases[i].values, cases[i].scope);

		if (strstr(error, cases[i].says) == NULL)
			fail_msg("%s %s: \"%s\", want \"%s\"", cases[i].key, cases[i].values, error, cases[i].says);
	}
	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		if (*try_write(good[i].key, good[i].values, good[i].scope))
			fail_msg("%s %s: %s", good[i].key, good[i].values, json_string_value(json_object_get(answer, "error")));
	assert_int_equal(c->present_count, before);          /* nothing was half applied */
	assert_true(policy_of("bob@shop.example")->tag == 3);
}

static void
import_is_all_or_nothing(void **state)
{
	json_t *request = json_loads("{\"cmd\": \"policy.import\", \"dry_run\": true, \"diff\": true, \"records\": ["
	    "{\"key\": \"a@fresh.example\", \"values\": {\"tag\": 2}}, {\"key\": \"customer:fresh\", \"values\": {\"quarantine\": 9}},"
	    "{\"key\": \"domain:fresh.example\", \"values\": {\"customer\": \"fresh\"}}, {\"key\": \"b@fresh.example\", \"values\": {\"tag\": 8}}]}", 0, NULL);
	json_t *records = json_object_get(request, "records");

	(void)state;
	json_decref(answer);
	customers_request(c, request, take_answer, NULL);
	assert_null(json_object_get(answer, "error"));       /* 8 is below the 9 that comes with the same import */
	assert_int_equal(json_integer_value(json_object_get(answer, "changed")), 4);
	json_object_set_new(json_object_get(json_array_get(records, 3), "values"), "tag", json_integer(10));
	json_decref(answer);
	customers_request(c, request, take_answer, NULL);
	assert_string_equal(json_string_value(json_object_get(answer, "error")), "b@fresh.example: tag=10 must be below quarantine=9");
	assert_int_equal(json_integer_value(json_object_get(answer, "record")), 3);
	assert_true(policy_of("b@fresh.example")->tag == 3.5);
	json_decref(answer);
	answer = NULL;
	json_decref(request);
}

static void
snapshot_is_the_same(void **state)
{
	const struct policy before = *policy_of("bob+lists@shop.example"), members = *policy_of("post@shop.example");
	uint32_t count = c->present_count;

	(void)state;
	snapshot_save(c);
	customers_close(c);
	c = customers_open(NULL, NULL, &config);
	assert_non_null(c);
	assert_int_equal(c->present_count, count);
	assert_memory_equal(policy_of("bob+lists@shop.example"), &before, sizeof before);
	assert_memory_equal(policy_of("post@shop.example"), &members, sizeof members);
	finds_the_record(state);

	/* One bit off anywhere, or cut short: it is not believed. */
	char path[PATH_ROOM + 32];
	snprintf(path, sizeof path, "%s/policies.snapshot", config.state);
	FILE *f = fopen(path, "r+");

	assert_non_null(f);
	fseek(f, 200, SEEK_SET);
	int byte = fgetc(f);

	fseek(f, 200, SEEK_SET);
	fputc(byte ^ 1, f);
	fclose(f);
	struct customers *bad = customers_open(NULL, NULL, &config);

	assert_non_null(bad);
	assert_int_equal(bad->present_count, 0);
	customers_close(bad);
	assert_int_equal(truncate(path, 100), 0);
	bad = customers_open(NULL, NULL, &config);
	assert_non_null(bad);
	customers_close(bad);
}

/* A share of the mailboxes, always the same ones, has the canary's values; bounds and locks above hold for them. */
static void
canary_for_a_share(void **state)
{
	char name[64];
	int drawn = 0;
	struct canary_draw draw;

	(void)state;
	apply("customer:cage", "{\"tag\": 3, \"locked\": \"tag\", \"canary\": {\"share\": 25, \"values\": {\"tag\": 1, \"discard\": 9}}}");
	apply("domain:cage.example", "{\"customer\": \"cage\"}");
	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof name, "u%d@cage.example", i);
		if (i % 3 == 0)
			apply(name, "{\"retention_days\": 5}");
		const struct policy one = *policy_of(name);

		assert_true((one.tag == 1 && one.discard == 9) || (one.tag == 3 && one.discard == 15));
		assert_int_equal(customers_canary(c, span_of(name), &draw), one.tag == 1);
		if (one.tag == 1)
			assert_true(draw.without->tag == 3 && draw.without->discard == 15 && strcmp(draw.key, "customer:cage") == 0 && draw.most == CANARY_MOST);
		snprintf(name, sizeof name, "U%d+ext@Cage.example", i);
		assert_true(policy_of(name)->tag == one.tag);
		drawn += one.tag == 1;
	}
	assert_in_range(drawn, 200, 300);
	assert_false(customers_canary(c, SPAN("bob@shop.example"), &draw));
	uint32_t before = c->canaries;

	snapshot_save(c);
	customers_close(c);
	c = customers_open(NULL, NULL, &config);
	assert_int_equal(c->canaries, before);
	int again = 0;

	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof name, "u%d@cage.example", i);
		again += policy_of(name)->tag == 1;
	}
	assert_int_equal(again, drawn);
	apply("customer:cage", "{\"tag\": 3}");
	assert_int_equal(c->canaries, 0);
}

/* More classes than there is room for: they are made anew, and what a mail holds stays as it was. */
static void
classes_come_and_go(void **state)
{
	struct classes *held = customers_hold(c);
	const struct policy *bob = policy_of("bob@shop.example"), before = *bob;
	struct policy one = before;
	size_t most = classes_bytes(c);

	(void)state;
	for (uint32_t i = 0; i < 5 * CLASSES_MOST; i++) {
		one.retention_days = 1000 + i;
		assert_int_not_equal(class_intern(c, &one), 0);
		if (i == 2 * CLASSES_MOST) {
			assert_memory_equal(bob, &before, sizeof before);
			assert_ptr_not_equal(policy_of("bob@shop.example"), bob);
			assert_memory_equal(policy_of("bob@shop.example"), &before, sizeof before);
			assert_ptr_not_equal(c->oldest, c->classes);
			customers_let_go(c, held);
			assert_ptr_equal(c->oldest, c->classes);
			most = 0;
		}
		if (i > 2 * CLASSES_MOST && i % 1024 == 0 && classes_bytes(c) > most)
			most = classes_bytes(c);
	}
	assert_true(most < 2 * CLASSES_MOST * sizeof(struct policy));
	finds_the_record(state);
}

/* What nobody has any more is not written: years of changes do not add up. */
static void
snapshot_forgets_old_fields(void **state)
{
	const struct policy before = *policy_of("bob@shop.example");
	char json[64];

	(void)state;
	for (int i = 0; i < 500; i++) {
		snprintf(json, sizeof json, "{\"tag\": %g}", 1 + i / 1000.0);
		apply("churn@shop.example", json);
	}
	size_t count = c->by_fields.count;

	snapshot_save(c);
	customers_close(c);
	c = customers_open(NULL, NULL, &config);
	assert_non_null(c);
	assert_true(c->by_fields.count + 490 < count);
	assert_true(policy_of("churn@shop.example")->tag == 1.499);
	assert_memory_equal(policy_of("bob@shop.example"), &before, sizeof before);
	finds_the_record(state);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_the_record),
		cmocka_unit_test(merges_by_level),
		cmocka_unit_test(equal_policies_are_one),
		cmocka_unit_test(lists_by_level),
		cmocka_unit_test(refuses_what_may_not_be),
		cmocka_unit_test(import_is_all_or_nothing),
		cmocka_unit_test(snapshot_is_the_same),
		cmocka_unit_test(canary_for_a_share),
		cmocka_unit_test(classes_come_and_go),
		cmocka_unit_test(snapshot_forgets_old_fields),
	};

	return cmocka_run_group_tests(tests, open_table, close_table);
}
