/* bind_ask.c - dns, redis and maps as rules see them: functions that look as if they answered at once (asking.h). */
#include <stdio.h>

#include "lua/asking.h"
#include "lua/bound.h"
#include "lua/needs.h"
#include "lua/rules_inside.h"

enum { ASK_LISTED = 2001 };                  /* dns.listed: an A question, its answer read as a list's */

struct ask {
	const char *what;                    /* as rules call it */
	unsigned need;
	uint32_t kind;
};
enum which { W_A, W_AAAA, W_MX, W_TXT, W_PTR, W_LISTED_BY, W_GET, W_HGET, W_HAS };
static const struct ask asks[] = {
	[W_A] = { "dns.a", NEED_DNS, RR_A }, [W_AAAA] = { "dns.aaaa", NEED_DNS, RR_AAAA }, [W_MX] = { "dns.mx", NEED_DNS, RR_MX },
	[W_TXT] = { "dns.txt", NEED_DNS, RR_TXT }, [W_PTR] = { "dns.ptr", NEED_DNS, RR_PTR },
	[W_LISTED_BY] = { "dns.listed", NEED_DNS, ASK_LISTED }, [W_GET] = { "redis.get", NEED_REDIS, ASK_GET },
	[W_HGET] = { "redis.hget", NEED_REDIS, ASK_HGET }, [W_HAS] = { "redis.has", NEED_REDIS, ASK_SISMEMBER },
};

/* --- names --- */

/* What is asked in DNS for the argument at `arg`: pushed, lower case as the parse has names. */
static struct span
push_name(lua_State *L, uint32_t kind, int arg)
{
	struct span text = check_span(L, arg);
	char reversed[REVERSED_ROOM];
	struct ip ip;
	bool address = (kind == RR_PTR || kind == ASK_LISTED) && ip_parse(text, &ip);
	luaL_Buffer b;

	if (kind == RR_PTR && !address) {    /* "unknown": it has no name */
		lua_pushliteral(L, "");
		return SPAN("");
	}
	luaL_buffinit(L, &b);
	if (address) {
		asking_reverse(&ip, reversed);
		luaL_addstring(&b, reversed);
	} else {
		luaL_addlstring(&b, text.p, text.n);
	}
	if (kind == RR_PTR)
		luaL_addstring(&b, ip.family == AF_INET ? "in-addr.arpa" : "ip6.arpa");
	if (kind == ASK_LISTED) {
		if (!address)
			luaL_addchar(&b, '.');
		luaL_addstring(&b, luaL_checkstring(L, 2));
	}
	luaL_pushresult(&b);
	return check_span(L, -1);
}

/* --- answers --- */

static void
push_rr(lua_State *L, const struct rr *rr)
{
	char address[INET6_ADDRSTRLEN];

	if (rr->ip.family == 0) {
		lua_pushlstring(L, rr->text.p ? rr->text.p : "", rr->text.n);
		return;
	}
	ip_print(&rr->ip, address);
	lua_pushstring(L, address);
}

static void
show_answer(struct turn *turn, const struct ask *ask, const struct asked *asked)
{
	const struct rr *first = &asked->answer.at[0];
	char address[INET6_ADDRSTRLEN] = "";

	if (first->ip.family)
		ip_print(&first->ip, address);
	turn->shown = arena_printf(turn->asking->scan->arena, "%s " SPAN_FMT ": %s" SPAN_FMT, ask->what,
	    SPAN_ARG(span_head(asked->question.name, 100)), address, SPAN_ARG(span_head(first->text, 60)));
}

/* What a list says: "127.0.0.2", or false. 127.255.255.0/24 is its refusal to answer us, an address outside 127/8 no list's. */
static bool
push_listed(lua_State *L, const struct rr_answer *answer)
{
	const uint8_t *at = answer->status == RR_FOUND ? answer->at[0].ip.bytes : NULL;

	if (answer->status == RR_NONE) {
		lua_pushboolean(L, 0);
		return true;
	}
	if (at == NULL || at[0] != 127 || (at[1] == 255 && at[2] == 255))
		return false;
	push_rr(L, &answer->at[0]);
	return true;
}

static void
push_list(lua_State *L, const struct rr_answer *answer)
{
	lua_createtable(L, (int)answer->count, 0);
	for (size_t i = 0; answer->status == RR_FOUND && i < answer->count; i++) {
		push_rr(L, &answer->at[i]);
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
}

/* One answer as a Lua value. False, and nil is pushed: it is not known. */
static bool
push_answer(lua_State *L, struct turn *turn, const struct ask *ask, const struct asked *asked)
{
	bool known = asked != NULL && asked->answer.status != RR_UNKNOWN;

	if (known && asked->answer.status == RR_FOUND)
		show_answer(turn, ask, asked);
	if (known && ask->kind == ASK_LISTED)
		known = push_listed(L, &asked->answer);
	else if (known && ask->kind == ASK_SISMEMBER)
		lua_pushboolean(L, asked->answer.status == RR_FOUND);
	else if (known && ask->need == NEED_DNS)
		push_list(L, &asked->answer);
	else if (known && asked->answer.status == RR_FOUND)
		push_rr(L, &asked->answer.at[0]);
	else if (known)
		lua_pushnil(L);
	if (known)
		return true;
	lua_pushnil(L);
	if (turn->unknown.n == 0)
		turn->unknown = asked ? asked->question.name : SPAN("more questions than one rule may ask");
	return false;
}

/* --- the functions --- */

static const struct asked *
find_question(lua_State *L, struct turn *turn, const struct ask *ask, int arg)
{
	struct question q = { .kind = ask->kind == ASK_LISTED ? RR_A : ask->kind };

	if (ask->need == NEED_DNS) {
		q.name = push_name(L, ask->kind, arg);
	} else {
		lua_pushvalue(L, arg);
		q.name = check_span(L, -1);
		q.customer = turn->customer;
		if (ask->kind != ASK_GET)
			q.field = check_span(L, 2);
	}
	state_charge(L, 100 + turn->asking->count / 4);
	const struct asked *asked = asking_find(turn, &q);

	lua_pop(L, 1);
	return asked;
}

static bool
is_pending(lua_State *L, struct turn *turn, const struct ask *ask, int arg)
{
	const struct asked *asked = find_question(L, turn, ask, arg);

	return asked && asked->answer.status == RR_PENDING;
}

static int answer_again(lua_State *L, int status, lua_KContext ask);

/* A name, or a list of them: their answers, or a wait for those. */
static int
answer(lua_State *L, const struct ask *ask)
{
	struct turn *turn = state_of(L)->turn;
	lua_Integer count = lua_istable(L, 1) ? (lua_Integer)lua_rawlen(L, 1) : 0;
	bool pending = !lua_istable(L, 1) && is_pending(L, turn, ask, 1);

	for (lua_Integer i = 1; i <= count; i++) {
		lua_rawgeti(L, 1, i);
		pending |= is_pending(L, turn, ask, lua_gettop(L));
		lua_pop(L, 1);
	}
	if (pending)
		return lua_yieldk(L, 0, (lua_KContext)ask, answer_again);
	if (!lua_istable(L, 1)) {
		lua_pushstring(L, push_answer(L, turn, ask, find_question(L, turn, ask, 1)) ? NULL : "unknown");
		return 2;
	}
	lua_newtable(L);
	for (lua_Integer i = 1; i <= count; i++) {
		lua_rawgeti(L, 1, i);
		push_answer(L, turn, ask, find_question(L, turn, ask, lua_gettop(L)));
		lua_rawset(L, -3);
	}
	return 1;
}

static int
answer_again(lua_State *L, int status, lua_KContext ask)
{
	(void)status;
	return answer(L, (const struct ask *)ask);
}

static int
ask_first(lua_State *L, enum which which)
{
	const struct ask *ask = &asks[which];

	need_check(L, ask->need, ask->what);
	if (state_of(L)->turn == NULL || !lua_isyieldable(L))
		return luaL_error(L, "%s: not from inside a function that sorts, formats or compares", ask->what);
	lua_settop(L, 2);
	if (!lua_istable(L, 1))
		luaL_checkstring(L, 1);
	if (ask->kind == ASK_LISTED || ask->kind == ASK_HGET || ask->kind == ASK_SISMEMBER)
		luaL_checkstring(L, 2);
	return answer(L, ask);
}

#define ASK_FUNCTION(name, which) static int name(lua_State *L) { return ask_first(L, which); }
ASK_FUNCTION(dns_a, W_A)
ASK_FUNCTION(dns_aaaa, W_AAAA)
ASK_FUNCTION(dns_mx, W_MX)
ASK_FUNCTION(dns_txt, W_TXT)
ASK_FUNCTION(dns_ptr, W_PTR)
ASK_FUNCTION(dns_listed, W_LISTED_BY)
ASK_FUNCTION(redis_get, W_GET)
ASK_FUNCTION(redis_hget, W_HGET)
ASK_FUNCTION(redis_has, W_HAS)
#undef ASK_FUNCTION

/* maps.find(name, value): the line of that map that has it, or nil. Upvalue 1: struct rules. */
static int
maps_find(lua_State *L)
{
	const struct rules *r = lua_touserdata(L, lua_upvalueindex(1));
	const struct rule *rule = state_of(L)->rule;
	struct span name = check_span(L, 1), value = check_span(L, 2), entry;

	state_charge(L, 10 + value.n / 4);
	for (size_t i = 0; rule && i < rule->map_count; i++) {
		const struct rule_map *m = &r->maps[rule->maps[i]];

		if (!span_eq(span_of(m->name), name))
			continue;
		if (named_map_has(m->map, value, &entry))
			push_span(L, entry);
		else
			lua_pushnil(L);
		return 1;
	}
	return luaL_error(L, "maps.find: %s is not given to this rule; declare needs = { \"map:%s\" }", name.p, name.p);
}

#define LIST_TOO " For a list, a table of the answers by name."

const struct bound dns_functions[] = {
	{ "a", dns_a, "name: string|string[]", "string[]?, string?", "IPv4 addresses of a name; empty when it has none, nil and \"unknown\" without an"
	    " answer." LIST_TOO },
	{ "aaaa", dns_aaaa, "name: string|string[]", "string[]?, string?", "IPv6 addresses." LIST_TOO },
	{ "mx", dns_mx, "name: string|string[]", "string[]?, string?", "Mail exchangers, the preferred first." LIST_TOO },
	{ "txt", dns_txt, "name: string|string[]", "string[]?, string?", "Texts, the strings of each joined." LIST_TOO },
	{ "ptr", dns_ptr, "address: string|string[]", "string[]?, string?", "Names of an address; none of what is no address." LIST_TOO },
	{ "listed", dns_listed, "what: string|string[], zone: string", "string|false|nil, string?",
	    "Does a DNS list have that address or domain? Its code (\"127.0.0.2\"), or false; a list's refusal to answer is nil and \"unknown\"."
	    LIST_TOO },
	{ NULL },
};
const struct bound redis_functions[] = {
	{ "get", redis_get, "key: string|string[]", "string?, string?", "The text at a key; nil when there is none, nil and \"unknown\" without an answer."
	    " Keys stand in Redis below {r:}, those of a customer's rules below {r:ID}." LIST_TOO },
	{ "hget", redis_hget, "key: string|string[], field: string", "string?, string?", "A field of the hash at a key." LIST_TOO },
	{ "has", redis_has, "key: string|string[], member: string", "boolean?, string?", "Is it a member of the set at a key?" LIST_TOO },
	{ NULL },
};
const struct bound maps_functions[] = {
	{ "find", maps_find, "map: string, value: string", "string?", "The line of that map that has the value; declare needs = { \"map:NAME\" }." },
	{ NULL },
};

void
asking_register(lua_State *L, void *rules)
{
	lua_newtable(L);
	bound_register(L, dns_functions, 0);
	state_library(L, "dns");
	lua_newtable(L);
	bound_register(L, redis_functions, 0);
	state_library(L, "redis");
	lua_newtable(L);
	lua_pushlightuserdata(L, rules);
	bound_register(L, maps_functions, 1);
	state_library(L, "maps");
}
