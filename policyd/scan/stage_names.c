/* stage_names.c - the names in a mail that lists of names (URIBL, DBL) are asked about: of links, of those who say they sent
 * it, of the client. Asked before ClamAV, taken after it. What each list wants to hear of, which names are never asked about, and how
 * many go to DNS is the broker's business (net/lists_names.h). */
#include "policyd/base/limits.h"
#include "policyd/scan/stage.h"
#include "policyd/wire.h"

enum { NAMES_GRACE_MS = 500, NAMES_ROOM = MAX_HOSTS_TOLD + NAME__COUNT };

struct gathered {
	struct arena *arena;
	size_t count;
	struct { unsigned places; struct span name, domain; } at[NAMES_ROOM];
};

static bool
wanted_anywhere(const struct config *config)
{
	for (uint32_t i = 0; i < config->dnsbl_count; i++)
		if (config->dnsbl[i].names)
			return true;
	return false;
}

static struct span
lower(struct arena *a, struct span s)
{
	char *out = arena_text(a, s);

	for (size_t i = 0; i < s.n; i++)
		out[i] = ascii_lower(out[i]);
	return span_make(out, s.n);
}

/* Letters, digits, hyphens and underscores in two labels or more: the rest is no name that a list would have. */
static bool
is_name(struct span s)
{
	size_t label = 0, dots = 0;

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '.' ? label == 0 : !(ascii_alnum(s.p[i]) || s.p[i] == '-' || s.p[i] == '_'))
			return false;
		dots += s.p[i] == '.';
		label = s.p[i] == '.' ? 0 : label + 1;
	}
	return label > 0 && dots > 0 && s.n < MAX_HOST_NAME;
}

/* The few that are no links come first and are few enough to be compared one by one. */
static void
add(struct gathered *g, enum name_place place, struct span name)
{
	while (name.n > 0 && name.p[name.n - 1] == '.')
		name.n--;
	if (!is_name(name))
		return;
	name = lower(g->arena, name);
	for (size_t i = 0; i < g->count && i < NAME__COUNT; i++)
		if (span_eq(g->at[i].name, name)) {
			g->at[i].places |= 1u << place;
			return;
		}
	if (g->count == NAMES_ROOM)
		return;
	g->at[g->count].places = 1u << place;
	g->at[g->count].name = name;
	g->at[g->count++].domain = domain_registrable(name);
}

static struct span
domain_of(struct span address)
{
	size_t at = span_find_last(address, '@');

	return at == SPAN_NONE ? SPAN("") : span_from(address, at + 1);
}

/* A stranger who hands over his mail himself: what he calls himself, and what his address is called, are his. */
static bool
is_stranger(const struct scan *scan)
{
	const struct session *s = &scan->session;
	const struct config *c = scan->kit->config;

	return s->login[0] == '\0' && strcmp(s->context, "submission") != 0 && s->client.family != 0 &&
	       !nets_have(c->own_networks, c->own_network_count, &s->client) &&
	       !nets_have(c->trusted_relays, c->trusted_relay_count, &s->client);
}

static void
gather(struct scan *scan, struct gathered *g)
{
	const struct message *m = &scan->message;
	const struct link **links;
	struct address *reply;
	const struct header *reply_to = header_get(&m->headers, SPAN("Reply-To"), 0);

	add(g, NAME_FROM, m->from.domain);
	if (reply_to && addresses_parse(scan->arena, reply_to->raw, &reply) > 0)
		add(g, NAME_REPLY, reply[0].domain);
	add(g, NAME_SENDER, domain_of(span_of(scan->envelope.sender)));
	if (is_stranger(scan)) {
		struct ip ip;

		if (!ip_parse(span_of(scan->session.helo), &ip))
			add(g, NAME_HELO, span_of(scan->session.helo));
		add(g, NAME_RDNS, span_of(scan->session.client_name));
	}
	size_t count = message_hosts(m, scan->arena, &links);

	for (size_t i = 0; i < count; i++)
		add(g, NAME_LINK, links[i]->host);
}

enum stage_result
stage_names(struct scan *scan)
{
	struct gathered *g;
	struct buf body = { 0 };

	if (scan->asker == NULL || !wanted_anywhere(scan->kit->config))
		return STAGE_DONE;
	g = ARENA_NEW(scan->arena, struct gathered);
	g->arena = scan->arena;
	gather(scan, g);
	if (g->count == 0)
		return STAGE_DONE;
	pack_u32(&body, (uint32_t)g->count);
	for (size_t i = 0; i < g->count; i++) {
		pack_u8(&body, (uint8_t)g->at[i].places);
		pack_span(&body, g->at[i].name);
		pack_span(&body, g->at[i].domain);
	}
	scan->asker->ask_findings(scan->asker, W_ASK_NAMES, &body);
	scan->names_asked = true;
	return STAGE_DONE;
}

enum stage_result
stage_listed(struct scan *scan)
{
	int wait_ms = (int)scan->kit->config->dns_timeout_ms + NAMES_GRACE_MS;

	return !scan->names_asked || scan->asker->take_findings(scan->asker, scan, W_ASK_NAMES, wait_ms) ? STAGE_DONE : STAGE_UNKNOWN;
}
