#include "policyd/scan/session.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>

bool
ip_parse(struct span text, struct ip *ip)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	char buffer[INET6_ADDRSTRLEN + 2];

	*ip = (struct ip){ 0 };
	if (text.n > 1 && text.p[0] == '[' && text.p[text.n - 1] == ']')
		text = span_make(text.p + 1, text.n - 2);
	if (span_starts_nocase(text, SPAN("IPv6:")))
		text = span_from(text, 5);
	if (text.n == 0 || text.n >= sizeof buffer)
		return false;
	memcpy(buffer, text.p, text.n);
	buffer[text.n] = '\0';
	if (inet_pton(AF_INET, buffer, ip->bytes) == 1) {
		ip->family = AF_INET;
		return true;
	}
	if (inet_pton(AF_INET6, buffer, ip->bytes) != 1)
		return false;
	ip->family = AF_INET6;
	if (memcmp(ip->bytes, mapped, sizeof mapped) == 0) {
		memmove(ip->bytes, ip->bytes + 12, 4);
		memset(ip->bytes + 4, 0, 12);
		ip->family = AF_INET;
	}
	return true;
}

void
ip_print(const struct ip *ip, char to[INET6_ADDRSTRLEN])
{
	if (ip->family == 0 || inet_ntop(ip->family, ip->bytes, to, INET6_ADDRSTRLEN) == NULL)
		snprintf(to, INET6_ADDRSTRLEN, "unknown");
}

bool
net_parse(struct span text, struct net *net)
{
	struct span rest = text, address = span_cut(&rest, '/');
	uint64_t bits;

	if (!ip_parse(address, &net->ip))
		return false;
	uint64_t most = net->ip.family == AF_INET ? 32 : 128;

	if (address.n == text.n)
		bits = most;
	else if (!span_u64(rest, &bits) || bits > most)
		return false;
	net->bits = (uint8_t)bits;
	return true;
}

bool
net_has(const struct net *net, const struct ip *ip)
{
	size_t whole = net->bits / 8, left = net->bits % 8;

	if (net->ip.family != ip->family || ip->family == 0)
		return false;
	if (memcmp(net->ip.bytes, ip->bytes, whole) != 0)
		return false;
	return left == 0 || (net->ip.bytes[whole] ^ ip->bytes[whole]) >> (8 - left) == 0;
}

bool
nets_have(const struct net *nets, size_t count, const struct ip *ip)
{
	for (size_t i = 0; i < count; i++)
		if (net_has(&nets[i], ip))
			return true;
	return false;
}
