/* stage_relay.c - behind a trusted relay, the client that stands before it: DNS lists are asked about him, not the relay.
 *
 * Received headers are walked from the top, and only as long as a trusted relay (or this hop's own loopback) wrote them:
 * the first is the work of the relay that is connected to us, the next that of the relay it names as its client, and so
 * on. What lies below the first client that is no relay may be forged, and is not looked at. */
#include "policyd/base/limits.h"
#include "policyd/scan/received.h"
#include "policyd/scan/stage.h"
#include "policyd/wire.h"

enum { LISTS_GRACE_MS = 500 };               /* the broker answers in dns_timeout_ms; its answer needs a moment */

static bool
loopback(const struct ip *ip)
{
	static const struct net nets[] = { { { .family = AF_INET, .bytes = { 127 } }, 8 },
	    { { .family = AF_INET6, .bytes = { [15] = 1 } }, 128 } };

	return nets_have(nets, sizeof nets / sizeof *nets, ip);
}

static bool
behind_relay(const struct session *s, const struct config *config)
{
	return s->login[0] == '\0' && strcmp(s->context, "submission") != 0 &&
	       nets_have(config->trusted_relays, config->trusted_relay_count, &s->client);
}

/* The client before all trusted relays. RECEIVED_NOTE: there is no header left. */
static enum received
find_client(const struct header_list *headers, const struct config *config, struct ip *client, struct span *helo)
{
	int hops = 0;

	for (size_t i = 0; i < headers->count && hops < MAX_RECEIVED; i++) {
		if (!span_eq_nocase(headers->at[i].name, SPAN("Received")))
			continue;
		enum received what = received_parse(headers->at[i].raw, client);

		hops++;
		if (what == RECEIVED_NOTE)
			continue;
		if (what != RECEIVED_FROM)
			return what;
		if (!loopback(client) && !nets_have(config->trusted_relays, config->trusted_relay_count, client)) {
			struct hop hop;

			received_hop(headers->at[i].raw, &hop);
			*helo = hop.helo;
			return RECEIVED_FROM;
		}
	}
	return RECEIVED_NOTE;
}

enum stage_result
stage_relay(struct scan *scan)
{
	const struct config *config = scan->kit->config;
	struct ip client;
	char text[INET6_ADDRSTRLEN];

	if ((config->dnsbl_count == 0 && !config->auth) || scan->asker == NULL || !behind_relay(&scan->session, config))
		return STAGE_DONE;
	switch (find_client(&scan->message.headers, config, &client, &scan->origin_helo)) {
	case RECEIVED_FROM:
		break;
	case RECEIVED_LOGIN:
	case RECEIVED_LOCAL:
		return STAGE_DONE;           /* the relay's own users: nobody asks a list about them */
	case RECEIVED_NOTE:
	case RECEIVED_UNCLEAR:
		verdict_unknown(scan->arena, &scan->verdict, SPAN("RELAY"),
		    SPAN("the trusted relay's Received header names no client"));
		return STAGE_UNKNOWN;
	}
	ip_print(&client, text);
	verdict_add(scan->arena, &scan->verdict, SPAN("RELAYED"), 0, span_of(text));
	if (nets_have(config->own_networks, config->own_network_count, &client))
		return STAGE_DONE;
	scan->origin = client;
	if (config->dnsbl_count == 0)
		return STAGE_DONE;
	struct buf body = { 0 };

	pack_u32(&body, client.family);
	pack_span(&body, span_make(client.bytes, sizeof client.bytes));
	scan->asker->ask_findings(scan->asker, W_ASK_LISTS, &body);
	scan->lists_asked = true;
	return STAGE_DONE;
}

enum stage_result
stage_lists(struct scan *scan)
{
	if (!scan->lists_asked)
		return STAGE_DONE;
	return scan->asker->take_findings(scan->asker, scan, W_ASK_LISTS, (int)scan->kit->config->dns_timeout_ms + LISTS_GRACE_MS) ?
	    STAGE_DONE : STAGE_UNKNOWN;
}
