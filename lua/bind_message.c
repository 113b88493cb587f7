#include "lua/bind_message.h"

#include <stdio.h>

#include "lua/bound.h"
#include "lua/needs.h"
#include "lua/relays.h"
#include "lua/view.h"
#include "policyd/mail/date.h"
#include "policyd/mail/forged.h"
#include "policyd/scan/received.h"

enum { MAX_RULE_LINE = 4096 };               /* of a subject, for rules */

static const char message_type[] = "message";

static const struct scan *
check_scan(lua_State *L)
{
	const struct scan **ref = luaL_checkudata(L, 1, message_type);

	if (*ref == NULL)
		luaL_argerror(L, 1, "message used after its scan");
	return *ref;
}

static const struct message *
check_message(lua_State *L)
{
	return &check_scan(L)->message;
}

static void
set_span(lua_State *L, const char *key, struct span value)
{
	lua_pushlstring(L, value.p ? value.p : "", value.n);
	lua_setfield(L, -2, key);
}

static void
set_integer(lua_State *L, const char *key, lua_Integer value)
{
	lua_pushinteger(L, value);
	lua_setfield(L, -2, key);
}

static void
set_bool(lua_State *L, const char *key, bool value)
{
	lua_pushboolean(L, value);
	lua_setfield(L, -2, key);
}

/* --- headers and addresses --- */

static int
message_header(lua_State *L)
{
	const struct header *h = header_get(&check_message(L)->headers, check_span(L, 2), 0);

	if (h == NULL)
		lua_pushnil(L);
	else
		lua_pushlstring(L, h->value.p ? h->value.p : "", h->value.n);
	return 1;
}

static int
message_raw_header(lua_State *L)
{
	const struct header *h = header_get(&check_message(L)->headers, check_span(L, 2), 0);

	if (h == NULL)
		lua_pushnil(L);
	else
		lua_pushlstring(L, h->raw.p ? h->raw.p : "", h->raw.n);
	return 1;
}

static int
message_headers(lua_State *L)
{
	const struct header_list *list = &check_message(L)->headers;
	struct span name = check_span(L, 2);
	lua_Integer n = 0;

	lua_newtable(L);
	for (size_t i = 0; i < list->count; i++)
		if (span_eq_nocase(list->at[i].name, name)) {
			lua_pushlstring(L, list->at[i].value.p ? list->at[i].value.p : "", list->at[i].value.n);
			lua_rawseti(L, -2, ++n);
		}
	return 1;
}

static int
message_header_count(lua_State *L)
{
	const struct header_list *list = &check_message(L)->headers;
	struct span name = check_span(L, 2);
	lua_Integer n = 0;

	for (size_t i = 0; i < list->count; i++)
		n += span_eq_nocase(list->at[i].name, name);
	lua_pushinteger(L, n);
	return 1;
}

static int
message_header_names(lua_State *L)
{
	const struct header_list *list = &check_message(L)->headers;

	lua_createtable(L, (int)list->count, 0);
	for (size_t i = 0; i < list->count; i++) {
		lua_pushlstring(L, list->at[i].name.p ? list->at[i].name.p : "", list->at[i].name.n);
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
	return 1;
}

static void
push_address(lua_State *L, const struct address *a)
{
	lua_createtable(L, 0, 6);
	set_span(L, "name", a->name);
	set_span(L, "local", a->local);
	set_span(L, "user", a->local);
	set_span(L, "domain", a->domain);
	set_span(L, "addr", a->addr);
	set_span(L, "site", a->domain.n ? domain_registrable(a->domain) : a->domain);
}

/* The addresses of all headers of that name; with `first`, the first of them or nil. */
static int
addresses(lua_State *L, const struct scan *scan, bool first)
{
	const struct header_list *list = &scan->message.headers;
	struct span name = check_span(L, 2);
	lua_Integer n = 0;

	if (!first)
		lua_newtable(L);
	for (size_t i = 0; i < list->count; i++) {
		struct address *found;

		if (!span_eq_nocase(list->at[i].name, name))
			continue;
		size_t count = addresses_parse(scan->arena, list->at[i].raw, &found);

		state_charge(L, list->at[i].raw.n / 16);
		for (size_t k = 0; k < count && n < MAX_ADDRESSES; k++) {
			if (found[k].addr.n == 0 && first)
				continue;
			push_address(L, &found[k]);
			if (first)
				return 1;
			lua_rawseti(L, -2, ++n);
		}
	}
	if (first)
		lua_pushnil(L);
	return 1;
}

/* Many rules ask for the same one: it is kept under its name until the scan ends. */
static int
message_address(lua_State *L)
{
	const struct scan *scan = check_scan(L);

	luaL_checkstring(L, 2);
	lua_getiuservalue(L, 1, 2);
	lua_pushvalue(L, 2);
	if (lua_rawget(L, -2) != LUA_TNIL)
		return 1;                            /* false: looked for, and none there */
	lua_pop(L, 1);
	addresses(L, scan, true);
	lua_pushvalue(L, 2);
	if (lua_isnil(L, -2))
		lua_pushboolean(L, 0);
	else
		lua_pushvalue(L, -2);
	lua_rawset(L, -4);
	return 1;
}

static int
message_addresses(lua_State *L)
{
	return addresses(L, check_scan(L), false);
}

/* --- what was found before --- */

static int
message_found(lua_State *L)
{
	const struct symbol *s = verdict_find(&check_scan(L)->verdict, check_span(L, 2));

	if (s == NULL)
		lua_pushnil(L);
	else
		lua_pushlstring(L, s->evidence.p ? s->evidence.p : "", s->evidence.n);
	return 1;
}

static int
message_points(lua_State *L)
{
	const struct symbol *s = verdict_find(&check_scan(L)->verdict, check_span(L, 2));

	if (s == NULL)
		lua_pushnil(L);
	else
		lua_pushnumber(L, s->points);
	return 1;
}

static int
message_was_noted(lua_State *L)
{
	const struct message *msg = check_message(L);
	struct span name = check_span(L, 2);
	size_t what = 0;

	while (what < NOTE__COUNT && !span_eq(span_of(mail_note_names[what]), name))
		what++;
	if (what == NOTE__COUNT)
		return luaL_argerror(L, 2, "no such note of the parse");
	for (size_t i = 0; i < msg->note_count; i++)
		if (msg->notes[i].what == what) {
			lua_pushlstring(L, msg->notes[i].evidence.p ? msg->notes[i].evidence.p : "", msg->notes[i].evidence.n);
			return 1;
		}
	lua_pushnil(L);
	return 1;
}

static int
message_relays(lua_State *L)
{
	const struct scan *scan = check_scan(L);
	struct span s = relays_text(scan->arena, &scan->message.headers, RELAYS_OUTSIDE);

	lua_pushlstring(L, s.p ? s.p : "", s.n);
	return 1;
}

static int
message_site(lua_State *L)
{
	check_scan(L);
	push_span(L, domain_registrable(check_span(L, 2)));
	return 1;
}

/* msg:received(): the hops, the one nearest to us first. */
static int
message_received(lua_State *L)
{
	const struct header_list *list = &check_message(L)->headers;
	lua_Integer n = 0;

	lua_newtable(L);
	for (size_t i = 0; i < list->count && n < MAX_RECEIVED; i++) {
		char address[INET6_ADDRSTRLEN];
		struct hop hop;

		if (!span_eq_nocase(list->at[i].name, SPAN("Received")))
			continue;
		state_charge(L, list->at[i].raw.n / 16);
		received_hop(list->at[i].raw, &hop);
		ip_print(&hop.client, address);
		lua_createtable(L, 0, 10);
		set_span(L, "helo", hop.helo);
		set_span(L, "name", hop.name);
		set_span(L, "client", hop.what == RECEIVED_FROM ? span_of(address) : SPAN(""));
		set_span(L, "by", hop.by);
		set_span(L, "with", hop.with);
		set_span(L, "id", hop.id);
		set_span(L, "for", hop.recipient);
		set_bool(L, "login", hop.what == RECEIVED_LOGIN);
		if (hop.date)
			set_integer(L, "date", hop.date);
		lua_rawseti(L, -2, ++n);
	}
	return 1;
}

/* msg:date(): of the Date header, in seconds since 1970; nil when there is none that can be read. */
static int
message_date(lua_State *L)
{
	const struct header *h = header_get(&check_message(L)->headers, SPAN("Date"), 0);
	int64_t date;

	if (h && date_parse(h->raw, &date))
		lua_pushinteger(L, date);
	else
		lua_pushnil(L);
	return 1;
}

/* msg:authentication_results(): the values of those headers that a trusted milter before us has written, none else. */
static int
message_authentication_results(lua_State *L)
{
	const struct scan *scan = check_scan(L);
	const struct header_list *list = &scan->message.headers;
	const struct config *config = scan->kit ? scan->kit->config : NULL;
	lua_Integer n = 0;

	lua_newtable(L);
	for (size_t i = 0; config && config->authserv_guarded && i < list->count; i++) {
		if (!span_eq_nocase(list->at[i].name, SPAN("Authentication-Results")) ||
		    !span_eq_nocase(authserv_id_of(scan->arena, list->at[i].raw), span_of(config->authserv_id)))
			continue;
		push_span(L, list->at[i].value);
		lua_rawseti(L, -2, ++n);
	}
	return 1;
}

/* --- fields: made when first asked for, then kept until the scan ends --- */

static void
push_text(lua_State *L, struct span s)
{
	enum { HEAD = MAX_RULE_SUBJECT / 4 * 3, TAIL = MAX_RULE_SUBJECT - HEAD - 1 };

	if (s.n <= MAX_RULE_SUBJECT) {
		lua_pushlstring(L, s.p ? s.p : "", s.n);
		return;
	}
	lua_pushlstring(L, s.p, HEAD);
	lua_pushliteral(L, "\n");
	lua_pushlstring(L, s.p + s.n - TAIL, TAIL);
	lua_concat(L, 3);
}

static void
push_links(lua_State *L, const struct message *msg)
{
	lua_createtable(L, (int)msg->link_count, 0);
	for (size_t i = 0; i < msg->link_count; i++) {
		const struct link *link = &msg->links[i];

		lua_createtable(L, 0, 13);
		set_span(L, "url", link->url);
		set_span(L, "raw", link->raw);
		set_span(L, "scheme", link->scheme);
		set_span(L, "host", link->host);
		set_span(L, "path", link->path);
		set_span(L, "site", link->domain);
		set_span(L, "shown", link->shown);
		set_span(L, "source", span_of(link_source_names[link->source]));
		set_integer(L, "port", link->port);
		set_bool(L, "is_ip", link->is_ip);
		set_bool(L, "has_user", link->has_user);
		set_bool(L, "mismatch", link->mismatch);
		set_integer(L, "part", link->part + 1);
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
}

static void
push_parts(lua_State *L, const struct message *msg)
{
	static const char *const kinds[] = { [PART_TEXT] = "text", [PART_HTML] = "html", [PART_MULTIPART] = "multipart",
	    [PART_MESSAGE] = "message", [PART_ATTACHMENT] = "attachment" };

	lua_createtable(L, (int)msg->part_count, 0);
	for (size_t i = 0; i < msg->part_count; i++) {
		const struct part *part = &msg->parts[i];

		lua_createtable(L, 0, 12);
		set_span(L, "type", part->type);
		set_span(L, "real_type", part->real_type);
		set_span(L, "kind", span_of(kinds[part->kind]));
		set_span(L, "charset", part->charset);
		set_span(L, "encoding", part->encoding);
		set_span(L, "disposition", part->disposition);
		set_span(L, "file_name", part->file_name);
		set_integer(L, "size", (lua_Integer)part->data.n);
		set_integer(L, "text_size", (lua_Integer)part->text.n);
		set_integer(L, "depth", part->depth);
		set_integer(L, "parent", part->parent + 1);
		set_integer(L, "reading", part->reading);
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
}

static void
push_entries(lua_State *L, const struct message *msg)
{
	lua_createtable(L, (int)msg->entry_count, 0);
	for (size_t i = 0; i < msg->entry_count; i++) {
		lua_createtable(L, 0, 5);
		set_span(L, "name", msg->entries[i].name);
		set_span(L, "real_type", msg->entries[i].type);
		set_integer(L, "size", (lua_Integer)msg->entries[i].size);
		set_integer(L, "part", msg->entries[i].part + 1);
		set_bool(L, "encrypted", msg->entries[i].encrypted);
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
}

/* All values of a view (view.h), one after another. */
static void
push_view(lua_State *L, const struct scan *scan, enum view_kind kind)
{
	struct view view = { .kind = kind };
	struct span *values;

	size_t count = view_values(&view, scan, &values), n = 0;
	luaL_Buffer b;

	luaL_buffinit(L, &b);
	for (size_t i = 0; i < count && n + values[i].n <= MAX_RULE_SUBJECT; n += values[i++].n)
		luaL_addlstring(&b, values[i].p ? values[i].p : "", values[i].n);
	luaL_pushresult(&b);
}

enum field { F_SUBJECT, F_TEXT, F_HIDDEN, F_RAW_HEAD, F_SIZE, F_LANGUAGE, F_LINKS, F_PARTS, F_ENTRIES, F_URLS, F_FILE_NAMES,
	F_RAWBODY, F_PARAGRAPHS,
	F_SENDER, F_QUEUE_ID, F_CLIENT, F_CLIENT_NAME, F_HELO, F_LOGIN, F_CONTEXT, F__COUNT };
const struct bound message_fields[F__COUNT + 1] = {
	[F_SUBJECT] = { "subject", NULL, NULL, "string", "The subject as one reads it: decoded, no invisible characters, plain letters for fancy ones; its first 4096 bytes." },
	[F_TEXT] = { "text", NULL, NULL, "string", "The visible text. Of one over 256 KB three quarters head and one quarter tail." },
	[F_HIDDEN] = { "hidden", NULL, NULL, "string", "Text that is there but that a reader would not see." },
	[F_RAW_HEAD] = { "raw_head", NULL, NULL, "string", "The first 64 KB of the mail as it came." },
	[F_SIZE] = { "size", NULL, NULL, "integer", "Bytes of the mail." },
	[F_LANGUAGE] = { "language", NULL, NULL, "string", "Of the text, as two letters; empty where it cannot be told." },
	[F_LINKS] = { "links", NULL, NULL, "Link[]", "Every link, in the text, in HTML and in files that carry some." },
	[F_PARTS] = { "parts", NULL, NULL, "Part[]", "Every MIME part of every reading." },
	[F_ENTRIES] = { "entries", NULL, NULL, "Entry[]", "Every file inside archives." },
	[F_URLS] = { "urls", NULL, NULL, "string", "The links as one text, a line each, for one pattern over all of them." },
	[F_FILE_NAMES] = { "file_names", NULL, NULL, "string", "The names of attachments and archive members, a line each." },
	[F_RAWBODY] = { "rawbody", NULL, NULL, "string", "The decoded text parts with their markup." },
	[F_PARAGRAPHS] = { "paragraphs", NULL, NULL, "string", "Subject and text, a paragraph a line, blanks made one." },
	[F_SENDER] = { "sender", NULL, NULL, "string", "Of the envelope; empty: the null sender." },
	[F_QUEUE_ID] = { "queue_id", NULL, NULL, "string", "The MTA's." },
	[F_CLIENT] = { "client", NULL, NULL, "string", "The SMTP client's address, or \"unknown\"." },
	[F_CLIENT_NAME] = { "client_name", NULL, NULL, "string", "Its name as the MTA verified it, or \"unknown\"." },
	[F_HELO] = { "helo", NULL, NULL, "string", "What it said in HELO." },
	[F_LOGIN] = { "login", NULL, NULL, "string", "The user it is authenticated as; empty: not." },
	[F_CONTEXT] = { "context", NULL, NULL, "string", "Of the listener: \"mx\", \"submission\", ..." },
};

/* What a rule must have declared to look at it; those without a line are everybody's. */
static const unsigned field_needs[F__COUNT] = { [F_TEXT] = NEED_TEXT, [F_HIDDEN] = NEED_TEXT, [F_RAW_HEAD] = NEED_TEXT,
	[F_RAWBODY] = NEED_TEXT, [F_PARAGRAPHS] = NEED_TEXT, [F_LINKS] = NEED_URLS, [F_URLS] = NEED_URLS, [F_PARTS] = NEED_FILES,
	[F_ENTRIES] = NEED_FILES, [F_FILE_NAMES] = NEED_FILES };

static void
push_field(lua_State *L, const struct scan *scan, enum field field)
{
	const struct message *msg = &scan->message;
	char address[INET6_ADDRSTRLEN];

	switch (field) {
	case F_SUBJECT:
		lua_pushlstring(L, msg->subject.p ? msg->subject.p : "", span_head(msg->subject, MAX_RULE_LINE).n);
		break;
	case F_TEXT:        push_text(L, msg->text); break;
	case F_HIDDEN:      push_text(L, msg->hidden); break;
	case F_RAW_HEAD:    lua_pushlstring(L, msg->raw.p ? msg->raw.p : "", span_head(msg->raw, 65536).n); break;
	case F_SIZE:        lua_pushinteger(L, (lua_Integer)msg->raw.n); break;
	case F_LANGUAGE:    lua_pushstring(L, msg->language); break;
	case F_LINKS:       push_links(L, msg); break;
	case F_PARTS:       push_parts(L, msg); break;
	case F_ENTRIES:     push_entries(L, msg); break;
	case F_URLS:        push_view(L, scan, VIEW_URI); break;
	case F_FILE_NAMES:  push_view(L, scan, VIEW_FILE_NAME); break;
	case F_RAWBODY:     push_view(L, scan, VIEW_RAWBODY); break;
	case F_PARAGRAPHS:  push_view(L, scan, VIEW_PARAGRAPH); break;
	case F_SENDER:      lua_pushstring(L, scan->envelope.sender); break;
	case F_QUEUE_ID:    lua_pushstring(L, scan->envelope.queue_id); break;
	case F_CLIENT:
		ip_print(&scan->session.client, address);
		lua_pushstring(L, address);
		break;
	case F_CLIENT_NAME: lua_pushstring(L, scan->session.client_name); break;
	case F_HELO:        lua_pushstring(L, scan->session.helo); break;
	case F_LOGIN:       lua_pushstring(L, scan->session.login); break;
	case F_CONTEXT:     lua_pushstring(L, scan->session.context); break;
	case F__COUNT:      lua_pushnil(L); break;
	}
}

/* upvalue: by name the methods, and the fields' numbers (enum field) */
static int
message_index(lua_State *L)
{
	const struct scan *scan = check_scan(L);

	lua_pushvalue(L, 2);
	switch (lua_rawget(L, lua_upvalueindex(1))) {
	case LUA_TFUNCTION:
		return 1;
	case LUA_TNUMBER:
		break;
	default:
		return luaL_error(L, "msg has no field %s", lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : luaL_typename(L, 2));
	}
	enum field field = (enum field)lua_tointeger(L, -1);

	if (field_needs[field])
		need_check(L, field_needs[field], lua_tostring(L, 2));
	lua_getiuservalue(L, 1, 1);                          /* what was made for this scan already */
	lua_pushvalue(L, 2);
	if (lua_rawget(L, -2) != LUA_TNIL)
		return 1;
	lua_pop(L, 1);
	push_field(L, scan, field);
	lua_pushvalue(L, 2);
	lua_pushvalue(L, -2);
	lua_rawset(L, -4);
	return 1;
}

const struct bound message_methods[] = {
	{ "header", message_header, "name: string", "string?", "The decoded value of the first header of that name." },
	{ "raw_header", message_raw_header, "name: string", "string?", "The same as it was written." },
	{ "headers", message_headers, "name: string", "string[]", "The decoded values of all of that name." },
	{ "header_count", message_header_count, "name: string", "integer", "How many there are." },
	{ "header_names", message_header_names, "", "string[]", "The names of all headers, in order, as written." },
	{ "address", message_address, "name: string", "Address|false", "The first address in headers of that name." },
	{ "addresses", message_addresses, "name: string", "Address[]", "All of them." },
	{ "found", message_found, "symbol: string", "string?", "The evidence if an earlier stage or rule found it (\"\" without); say depends_on for a rule's." },
	{ "points", message_points, "symbol: string", "number?", "Its points, if it was found." },
	{ "noted", message_was_noted, "symbol: string", "string?", "The same as found for what the parse noted: \"HTML_HIDDEN_TEXT\"." },
	{ "site", message_site, "host: string", "string", "The registrable domain of a host." },
	{ "relays", message_relays, "", "string", "Who handed the mail on, as text: view.h, relays.h." },
	{ "received", message_received, "", "Hop[]", "The Received headers, nearest first." },
	{ "date", message_date, "", "integer?", "Of the Date header, seconds since 1970." },
	{ "authentication_results", message_authentication_results, "", "string[]",
	    "Those of a trusted milter before us (authserv_guarded), and no others." },
	{ NULL },
};

void
message_register(lua_State *L)
{
	luaL_newmetatable(L, message_type);
	lua_newtable(L);
	bound_register(L, message_methods, 0);
	for (int i = 0; i < F__COUNT; i++)
		set_integer(L, message_fields[i].name, i);
	lua_pushcclosure(L, message_index, 1);
	lua_setfield(L, -2, "__index");
	lua_pop(L, 1);

	const struct scan **ref = lua_newuserdatauv(L, sizeof *ref, 2);

	*ref = NULL;
	luaL_setmetatable(L, message_type);
	state_of(L)->message = luaL_ref(L, LUA_REGISTRYINDEX);
}

void
message_bind(lua_State *L, const struct scan *scan)
{
	lua_rawgeti(L, LUA_REGISTRYINDEX, state_of(L)->message);

	const struct scan **ref = lua_touserdata(L, -1);

	if (*ref == scan)
		return;
	*ref = scan;
	for (int i = 1; i <= 2; i++) {               /* fields; addresses */
		lua_newtable(L);
		lua_setiuservalue(L, -2, i);
	}
}

void
message_unbind(lua_State *L)
{
	lua_rawgeti(L, LUA_REGISTRYINDEX, state_of(L)->message);
	*(const struct scan **)lua_touserdata(L, -1) = NULL;
	for (int i = 1; i <= 2; i++) {
		lua_pushnil(L);
		lua_setiuservalue(L, -2, i);
	}
	lua_pop(L, 1);
}
