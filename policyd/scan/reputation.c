#include "policyd/scan/reputation.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum { HEARD_LEAST = 3 };

const char *const reputation_kind_names[REPUTATION__COUNT] = {
	[REPUTATION_NET] = "net", [REPUTATION_DKIM] = "dkim", [REPUTATION_SENDER] = "sender",
};

void
reputation_decay(struct reputation *r, int64_t now_s)
{
	double share = r->last_s > 0 && now_s > r->last_s ? exp2((double)(r->last_s - now_s) / REPUTATION_HALF_S) : 1;

	r->good *= share;
	r->bad *= share;
	r->last_s = now_s;
}

/* Half a nat for each of odds, as a rule of middling worth has: the content speaks for itself as well. */
double
reputation_points(const struct reputation *r, enum reputation_kind kind)
{
	double n = r->good + r->bad, least = kind == REPUTATION_NET ? 0 : -REPUTATION_GOOD_MOST;

	if (n < REPUTATION_LEAST)
		return 0;
	double points = 0.7 * log((r->bad + 1) / (r->good + 1)) * n / (n + REPUTATION_DOUBT);

	return points < least ? least : points > REPUTATION_BAD_MOST ? REPUTATION_BAD_MOST : points;
}

double
known_points(const struct known *k)
{
	return k->reply ? KNOWN_REPLY : k->written > 0 ? KNOWN_WRITTEN : k->heard >= HEARD_LEAST ? KNOWN_WRITES : 0;
}

const char *
known_symbol(const struct known *k)
{
	return k->reply ? "KNOWN_REPLY" : k->written > 0 ? "KNOWN_WRITTEN_TO" : k->heard >= HEARD_LEAST ? "KNOWN_SENDER" : NULL;
}

void
reputation_net(const struct ip *client, char to[INET6_ADDRSTRLEN + 4])
{
	struct ip net = *client;
	size_t keep = client->family == AF_INET ? 3 : 8;

	memset(net.bytes + keep, 0, sizeof net.bytes - keep);
	ip_print(&net, to);
	snprintf(to + strlen(to), 5, "/%d", client->family == AF_INET ? 24 : 64);
}
