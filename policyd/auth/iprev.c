#include "policyd/auth/iprev.h"

#include <stdio.h>

const char *const iprev_result_names[IPREV__COUNT] = {
	[IPREV_NONE] = "none", [IPREV_PASS] = "pass", [IPREV_FAIL] = "fail", [IPREV_TEMPERROR] = "temperror",
	[IPREV_PERMERROR] = "permerror", [IPREV_PENDING] = "pending",
};

struct span
reverse_name(struct arena *a, const struct ip *ip)
{
	const uint8_t *b = ip->bytes;
	char text[80];
	size_t n = 0;

	if (ip->family == AF_INET)
		return arena_printf(a, "%u.%u.%u.%u.in-addr.arpa", b[3], b[2], b[1], b[0]);
	for (int i = 15; i >= 0; i--)
		n += (size_t)snprintf(text + n, sizeof text - n, "%x.%x.", b[i] & 15, b[i] >> 4);
	return arena_printf(a, "%sip6.arpa", text);
}

enum iprev_result
iprev_check(struct arena *a, struct answers *dns, const struct ip *client, struct span *name)
{
	enum rr_type type = client->family == AF_INET6 ? RR_AAAA : RR_A;
	bool unknown = false, pending = false;

	*name = (struct span){ 0 };
	if (client->family == 0)
		return IPREV_NONE;
	struct rr_answer names = dns->look(dns, RR_PTR, reverse_name(a, client));

	if (names.status != RR_FOUND)
		return names.status == RR_NONE ? IPREV_PERMERROR : names.status == RR_PENDING ? IPREV_PENDING : IPREV_TEMPERROR;
	for (size_t i = 0; i < names.count && i < MAX_REVERSE_NAMES; i++) {
		if (names.at[i].text.n == 0)
			continue;
		struct rr_answer found = dns->look(dns, type, names.at[i].text);

		unknown |= found.status == RR_UNKNOWN;
		pending |= found.status == RR_PENDING;
		if (name->n == 0)
			*name = names.at[i].text;
		for (size_t k = 0; found.status == RR_FOUND && k < found.count; k++)
			if (found.at[k].ip.family == client->family && memcmp(found.at[k].ip.bytes, client->bytes, sizeof client->bytes) == 0) {
				*name = names.at[i].text;
				return IPREV_PASS;
			}
	}
	return pending ? IPREV_PENDING : unknown ? IPREV_TEMPERROR : IPREV_FAIL;
}

/* Letters, digits and hyphens (underscores: many have one) in at least two labels, the last not of digits alone. */
static bool
is_fqdn(struct span name)
{
	size_t label = 0, labels = 1;
	bool letter = false;

	if (name.n > 0 && name.p[name.n - 1] == '.')
		name.n--;
	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];

		if (c == '.') {
			if (label == 0)
				return false;
			labels++;
			label = 0;
			letter = false;
			continue;
		}
		if (!ascii_alnum(c) && c != '-' && c != '_' && (unsigned char)c < 0x80)
			return false;
		letter |= !(c >= '0' && c <= '9');
		label++;
	}
	return label > 0 && labels > 1 && letter;
}

unsigned
helo_check(struct span helo, const struct ip *client, const struct span *us, size_t us_count)
{
	struct span bare = helo.n > 0 && helo.p[helo.n - 1] == '.' ? span_head(helo, helo.n - 1) : helo;
	struct ip ip;

	if (helo.n == 0)
		return HELO_EMPTY;
	for (size_t i = 0; i < us_count; i++)
		if (us[i].n > 0 && span_eq_nocase(bare, us[i]))
			return HELO_IS_US;
	if (ip_parse(helo, &ip)) {
		bool same = ip.family == client->family && memcmp(ip.bytes, client->bytes, sizeof ip.bytes) == 0;

		return helo.p[0] != '[' ? HELO_BARE_IP : same ? HELO_LITERAL : HELO_LITERAL | HELO_LITERAL_WRONG;
	}
	if (helo.p[0] == '[')
		return HELO_LITERAL | HELO_LITERAL_WRONG;
	return is_fqdn(helo) ? 0 : HELO_NOT_FQDN;
}
