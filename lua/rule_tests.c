/* rule_tests.c - the examples that stand beside each rule: made into mails, run, and compared. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lua/rules_inside.h"
#include "policyd/base/clock.h"
#include "policyd/scan/stage.h"

enum { MAX_TEST_MAIL = 4 * 1024 * 1024, TEST_MS = 10 * 1000 };

/* found = { SYMBOL = points, ... } of the test on the stack's top. */
static void
read_found(lua_State *L, struct arena *a, struct rule_test *out)
{
	if (lua_getfield(L, -1, "found") == LUA_TTABLE)
		for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
			if (lua_type(L, -2) == LUA_TSTRING && out->found_count < sizeof out->found / sizeof *out->found)
				out->found[out->found_count++] = (struct symbol){ .name = arena_copy(a, span_of(lua_tostring(L, -2))),
				    .points = lua_tonumber(L, -1) };
	lua_pop(L, 1);
	if (lua_getfield(L, -1, "clamd") == LUA_TSTRING)
		out->clamd = arena_copy(a, span_of(lua_tostring(L, -1)));
	lua_pop(L, 1);
}

static bool
read_mail(struct arena *a, const char *path, struct span *raw, char *why, size_t room)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > MAX_TEST_MAIL) {
		snprintf(why, room, "%s: %s", path, fd < 0 ? strerror(errno) : "no mail of at most 4 MB");
		if (fd >= 0)
			close(fd);
		return false;
	}
	char *bytes = arena_alloc(a, (size_t)st.st_size + 1);
	ssize_t n = read(fd, bytes, (size_t)st.st_size);

	close(fd);
	if (n < 0) {
		snprintf(why, room, "%s: %s", path, strerror(errno));
		return false;
	}
	*raw = span_make(bytes, (size_t)n);
	return true;
}

static void
copy_field(lua_State *L, const char *key, char *to, size_t room)
{
	if (lua_getfield(L, -1, key) == LUA_TSTRING)
		snprintf(to, room, "%s", lua_tostring(L, -1));
	lua_pop(L, 1);
}

bool
rules_test(struct rules *r, size_t i, int test, struct arena *a, struct rule_test *out, char *why, size_t room)
{
	const struct rule *rule = &r->at[i];
	lua_State *L = r->sets[rule->set].state->L;
	char client[64] = "", eml[128] = "";
	bool ok = true;

	*out = (struct rule_test){ .label = "" };
	lua_rawgeti(L, LUA_REGISTRYINDEX, rule->tests);
	lua_rawgeti(L, -1, test + 1);
	copy_field(L, "label", out->label, sizeof out->label);
	copy_field(L, "sender", out->envelope.sender, sizeof out->envelope.sender);
	copy_field(L, "helo", out->session.helo, sizeof out->session.helo);
	copy_field(L, "client_name", out->session.client_name, sizeof out->session.client_name);
	copy_field(L, "login", out->session.login, sizeof out->session.login);
	copy_field(L, "context", out->session.context, sizeof out->session.context);
	copy_field(L, "client", client, sizeof client);
	copy_field(L, "evidence", out->evidence, sizeof out->evidence);
	read_found(L, a, out);
	copy_field(L, "eml", eml, sizeof eml);
	lua_getfield(L, -1, "hit");
	out->hit = lua_toboolean(L, -1);
	lua_pop(L, 1);
	if (client[0] != '\0' && !ip_parse(span_of(client), &out->session.client)) {
		snprintf(why, room, "client: %s is no address", client);
		ok = false;
	}
	if (eml[0] != '\0') {
		const char *slash = strrchr(rule->where, '/');

		ok = ok && read_mail(a, arena_printf(a, "%.*s/tests/%s", slash ? (int)(slash - rule->where) : 1,
		    slash ? rule->where : ".", eml).p, &out->raw, why, room);
	} else if (lua_getfield(L, -1, "raw") == LUA_TSTRING) {
		out->raw = arena_copy(a, check_span(L, -1));
		lua_pop(L, 1);
	} else {
		lua_pop(L, 1);
	}
	lua_pop(L, 2);
	return ok;
}

/* --- DNS and Redis as the test has them --- */

/* dns = { a = { NAME = { "127.0.0.2" } }, ptr = { ADDRESS = { ... } } }, redis = { KEY = "text", HASH = { field = "text" },
 * SET = { "member" } }: what does not stand there is not there; false: no answer. */
struct made_up {
	struct asker asker;                  /* first */
	lua_State *L;
	int tests, test;                     /* where the table is */
	const struct question *questions;
};

static const char *
table_of(uint32_t kind)
{
	switch (kind) {
	case RR_A:    return "a";
	case RR_AAAA: return "aaaa";
	case RR_MX:   return "mx";
	case RR_TXT:  return "txt";
	case RR_PTR:  return "ptr";
	default:      return NULL;
	}
}

/* The value of the table on top at a question's name, pushed. PTR questions are written down by address. */
static void
push_made_up(lua_State *L, const struct question *q)
{
	char reversed[REVERSED_ROOM];
	struct ip ip;

	for (lua_pushnil(L); q->kind == RR_PTR && lua_next(L, -2); lua_pop(L, 1)) {
		if (lua_type(L, -2) != LUA_TSTRING || !ip_parse(span_of(lua_tostring(L, -2)), &ip))
			continue;
		asking_reverse(&ip, reversed);
		if (span_starts(q->name, span_of(reversed))) {
			lua_remove(L, -2);
			return;
		}
	}
	if (q->kind != RR_PTR)
		lua_pop(L, 1);               /* the nil */
	push_span(L, q->name);
	lua_rawget(L, -2);
}

/* From the value on top: a text, or a list of them. */
static struct rr_answer
answer_of(lua_State *L, struct arena *a, const struct question *q)
{
	size_t count = lua_istable(L, -1) ? lua_rawlen(L, -1) : (size_t)lua_isstring(L, -1);
	struct rr *at = ARENA_ARRAY(a, struct rr, count + 1);

	if (lua_isboolean(L, -1))
		return (struct rr_answer){ .status = RR_UNKNOWN };
	for (size_t i = 0; i < count; i++) {
		if (lua_istable(L, -1))
			lua_rawgeti(L, -1, (lua_Integer)i + 1);
		else
			lua_pushvalue(L, -1);
		at[i].text = arena_copy(a, lua_isstring(L, -1) ? span_of(lua_tostring(L, -1)) : SPAN(""));
		if (q->kind == RR_A || q->kind == RR_AAAA)
			ip_parse(at[i].text, &at[i].ip);
		lua_pop(L, 1);
	}
	return (struct rr_answer){ .status = count ? RR_FOUND : RR_NONE, .at = at, .count = count };
}

static struct rr_answer
make_up(lua_State *L, struct arena *a, const struct question *q)
{
	struct rr_answer none = { .status = RR_NONE }, out = none;
	const char *kind = table_of(q->kind);

	if (lua_getfield(L, -1, kind ? "dns" : "redis") != LUA_TTABLE)
		return none;
	if (kind && lua_getfield(L, -1, kind) != LUA_TTABLE)
		return none;
	push_made_up(L, q);
	if (q->kind == ASK_HGET && lua_istable(L, -1)) {
		push_span(L, q->field);
		lua_rawget(L, -2);
	}
	if (lua_isnil(L, -1))
		return none;
	out = answer_of(L, a, q);
	if (q->kind != ASK_SISMEMBER || out.status != RR_FOUND)
		return out;
	for (size_t i = 0; i < out.count; i++)
		if (span_eq(out.at[i].text, q->field))
			return out;
	return none;
}

static uint32_t
make_up_ask(struct asker *asker, const struct question *questions, size_t count)
{
	(void)count;
	((struct made_up *)asker)->questions = questions;
	return 1;
}

static bool
make_up_take(struct asker *asker, uint32_t batch, struct arena *a, struct rr_answer *answers, size_t count, int timeout_ms)
{
	const struct made_up *made_up = (struct made_up *)asker;
	lua_State *L = made_up->L;
	int top = lua_gettop(L);

	(void)batch;
	(void)timeout_ms;
	for (size_t i = 0; i < count; i++) {
		lua_rawgeti(L, LUA_REGISTRYINDEX, made_up->tests);
		lua_rawgeti(L, -1, made_up->test + 1);
		answers[i] = make_up(L, a, &made_up->questions[i]);
		lua_settop(L, top);
	}
	return true;
}

/* What the test says was found before the rules. */
static void
add_answers(const struct rule_test *test, struct scan *scan)
{
	for (size_t i = 0; i < test->found_count; i++)
		verdict_add(scan->arena, &scan->verdict, test->found[i].name, test->found[i].points, SPAN(""));
	if (test->clamd.n > 0) {
		verdict_add(scan->arena, &scan->verdict, SPAN("VIRUS"), 0, test->clamd);
		scan->verdict.classes |= CLASS_VIRUS;
	}
}

bool
rules_test_run(struct rules *r, size_t i, int t, struct arena *a, const struct kit *kit, char *label, size_t label_room, char *why,
    size_t room)
{
	struct rule_test test;
	struct scan *scan = ARENA_NEW(a, struct scan);
	struct policy policy;
	struct class_score class = { .policy = &policy, .probability = 0.5 };

	snprintf(why, room, "%s", "");
	snprintf(label, label_room, "%s", "");
	if (!rules_test(r, i, t, a, &test, why, room))
		return false;
	policy_default(&policy);
	snprintf(policy.customer, sizeof policy.customer, "%s", r->sets[r->at[i].set].customer);
	snprintf(label, label_room, "%s", test.label);
	*scan = (struct scan){ .arena = a, .kit = kit, .session = test.session, .envelope = test.envelope, .classes = &class,
	    .class_count = 1, .deadline_ms = clock_ms() + TEST_MS };
	struct made_up made_up = { { .ask = make_up_ask, .take = make_up_take }, r->sets[r->at[i].set].state->L, r->at[i].tests, t, NULL };

	scan->message.raw = test.raw;
	scan->asker = &made_up.asker;
	add_answers(&test, scan);
	atomic_store(&r->breakers[i].fails, 0);      /* tests that fail do not switch the rule off for the next */
	atomic_store(&r->breakers[i].off_until_ms, 0);
	stage_mime(scan);
	stage_rules(scan);

	const struct symbol *broken = verdict_find(&scan->verdict, SPAN("RULE_FAILED"));
	const struct symbol *found = verdict_find(&scan->verdict, span_of(r->at[i].symbol));
	struct span shown = found ? found->evidence : SPAN("");
	bool hit = rules_hit(r, i);

	if (broken)
		snprintf(why, room, SPAN_FMT, SPAN_ARG(broken->evidence));
	else if (hit != test.hit)
		snprintf(why, room, test.hit ? "did not find it" : "found it where it must not: " SPAN_FMT, SPAN_ARG(shown));
	else if (test.evidence[0] && span_find(shown, span_of(test.evidence)) == SPAN_NONE)
		snprintf(why, room, "the evidence is \"" SPAN_FMT "\", without \"%s\"", SPAN_ARG(shown), test.evidence);
	else
		return true;
	return false;
}

bool
rules_pass(struct rules *r, const struct config *config, char *why, size_t room)
{
	struct arena *a = arena_open(MAX_SCAN_MEMORY);
	struct arena_mark start = arena_mark(a);
	struct kit kit = { .config = config, .rules = r };
	struct complaints complaints = { .why = why, .room = room };
	char label[120], text[300], line[500];

	for (size_t i = 0; i < r->count; i++) {
		for (int t = 0; t < r->at[i].test_count; t++) {
			if (!rules_test_run(r, i, t, a, &kit, label, sizeof label, text, sizeof text)) {
				snprintf(line, sizeof line, "%s: test %d%s%s: %s", r->at[i].symbol, t + 1, label[0] ? ": " : "", label, text);
				complain(&complaints, r->at[i].where, NULL, -1, line);
			}
			arena_rewind(a, start);
		}
		luaL_unref(r->sets[r->at[i].set].state->L, LUA_REGISTRYINDEX, r->at[i].tests);
		r->at[i].tests = LUA_NOREF;
		r->at[i].test_count = 0;
	}
	if (!score_passes(r, a, text, sizeof text)) {
		snprintf(line, sizeof line, "%s: %s", config->score_script, text);
		complain(&complaints, NULL, NULL, -1, line);
	}
	for (size_t i = 0; i < r->set_count; i++)
		lua_gc(r->sets[i].state->L, LUA_GCCOLLECT);
	arena_close(a);
	return !complaints.failed;
}
