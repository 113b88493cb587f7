#include "policyd/config_values.h"

#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "policyd/net/listen.h"
#include "policyd/store/redis_url.h"

bool
value_resolver(const char *text, struct sockaddr_storage *to)
{
	struct span address = span_of(text), port = SPAN("53");
	size_t colon = span_find_last(address, ':');
	bool bracket = address.n > 0 && address.p[0] == '[';
	struct ip ip;
	uint64_t number;

	if (colon != SPAN_NONE && (bracket ? address.p[address.n - 1] != ']' : span_find_char(address, ':') == colon)) {
		port = span_from(address, colon + 1);
		address = span_head(address, colon);
	}
	if (!ip_parse(address, &ip) || !span_u64(port, &number) || number == 0 || number > 65535)
		return false;
	memset(to, 0, sizeof *to);
	if (ip.family == AF_INET) {
		struct sockaddr_in *in = (struct sockaddr_in *)to;

		in->sin_family = AF_INET;
		in->sin_port = htons((uint16_t)number);
		memcpy(&in->sin_addr, ip.bytes, 4);
	} else {
		struct sockaddr_in6 *in = (struct sockaddr_in6 *)to;

		in->sin6_family = AF_INET6;
		in->sin6_port = htons((uint16_t)number);
		memcpy(&in->sin6_addr, ip.bytes, 16);
	}
	return true;
}

static bool
in_loopback(const struct dnsbl_code *code)
{
	return code->first >> 24 == 127 && code->last >> 24 == 127;
}

/* "=4.5:PHISH" behind a code, each part of it or none. */
static bool
code_weight(struct span text, struct dnsbl_code *code)
{
	struct span suffix = text, number = span_cut(&suffix, ':');
	char digits[32], *end;

	if (number.n >= sizeof digits || suffix.n >= sizeof code->suffix)
		return false;
	for (size_t i = 0; i < suffix.n; i++)
		if (!(suffix.p[i] >= 'A' && suffix.p[i] <= 'Z') && !(suffix.p[i] >= '0' && suffix.p[i] <= '9') && suffix.p[i] != '_')
			return false;
	memcpy(code->suffix, suffix.p ? suffix.p : "", suffix.n);
	code->suffix[suffix.n] = '\0';
	if (number.n == 0)
		return suffix.n > 0;
	memcpy(digits, number.p, number.n);
	digits[number.n] = '\0';
	code->points = strtod(digits, &end);
	return *end == '\0';
}

static bool
code_range(struct span range, struct dnsbl_code *code)
{
	struct span rest = range, first;
	struct ip ip;
	struct net net;
	uint64_t last;

	if (span_find_char(range, '/') != SPAN_NONE) {
		if (!net_parse(range, &net) || net.ip.family != AF_INET)
			return false;
		uint32_t mask = net.bits == 0 ? 0 : 0xffffffffu << (32 - net.bits);

		memcpy(&code->first, net.ip.bytes, 4);
		code->first = ntohl(code->first) & mask;
		code->last = code->first | ~mask;
		return in_loopback(code);
	}
	first = span_cut(&rest, '-');
	if (!ip_parse(first, &ip) || ip.family != AF_INET)
		return false;
	memcpy(&code->first, ip.bytes, 4);
	code->first = ntohl(code->first);
	code->last = code->first;
	if (rest.n == 0)
		return in_loopback(code);
	if (!span_u64(rest, &last) || last > 255 || last < (code->first & 255))
		return false;
	code->last = (code->first & 0xffffff00u) | (uint32_t)last;
	return in_loopback(code);
}

bool
value_code(struct span text, double points, struct dnsbl_code *code)
{
	struct span weight = text, bits = span_cut(&weight, '='), range = span_cut(&bits, '&');
	uint64_t mask = 0;

	*code = (struct dnsbl_code){ .points = points };
	if (span_find_char(text, '=') != SPAN_NONE && !code_weight(weight, code))
		return false;
	if (span_find_char(text, '&') != SPAN_NONE && (!span_u64(bits, &mask) || mask == 0 || mask > 0xffffff))
		return false;
	code->mask = (uint32_t)mask;
	return code_range(range, code);
}

/* "host:port" or "[address]:port". */
static bool
is_server(struct span text)
{
	size_t colon = span_find_last(text, ':');
	uint64_t port;

	if (colon == SPAN_NONE || colon == 0 || !span_u64(span_from(text, colon + 1), &port) || port == 0 || port > 65535)
		return false;
	struct span host = span_head(text, colon);

	if (host.p[0] == '[')
		return host.n > 2 && host.p[host.n - 1] == ']';
	return span_find_char(host, ':') == SPAN_NONE && span_find_char(host, ' ') == SPAN_NONE;
}

/* Labels of letters, digits, hyphens and underscores. */
static bool
is_domain(struct span text)
{
	size_t label = 0;

	if (text.n == 0 || text.n > MAX_HOST_NAME)
		return false;
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] == '.') {
			if (label == 0)
				return false;
			label = 0;
		} else if ((!ascii_alnum(text.p[i]) && text.p[i] != '-' && text.p[i] != '_') || ++label > 63) {
			return false;
		}
	}
	return label > 0;
}

bool
value_check(enum value_kind kind, const char *text, char *why, size_t room)
{
	struct redis_place place;

	switch (kind) {
	case VALUE_PATH:
		if (access(text, R_OK) == 0)
			return true;
		snprintf(why, room, "%s: %s", text, strerror(errno));
		return false;
	case VALUE_SOCKET:
		return listen_check(text, why, room);
	case VALUE_REDIS:                    /* the URL may hold a password: it is not repeated */
		return redis_url_parse(text, &place, why, room);
	case VALUE_SERVER:
		snprintf(why, room, "\"%s\" is no server; expected \"127.0.0.1:10026\"", text);
		return is_server(span_of(text));
	case VALUE_HTTP:
		snprintf(why, room, "\"%s\" is no web server's place; expected \"http://127.0.0.1:8892\" or \"https://...\"", text);
		return (strncmp(text, "http://", 7) == 0 && is_server(span_of(text + 7))) ||
		       (strncmp(text, "https://", 8) == 0 && is_server(span_of(text + 8)));
	case VALUE_USER:
		snprintf(why, room, "there is no user \"%s\" on this system", text);
		return getpwnam(text) != NULL;
	case VALUE_GROUP:
		snprintf(why, room, "there is no group \"%s\" on this system", text);
		return getgrnam(text) != NULL;
	case VALUE_DOMAIN:
		snprintf(why, room, "\"%s\" is no domain name; expected letters, digits and hyphens between dots", text);
		return is_domain(span_of(text));
	}
	return false;
}
