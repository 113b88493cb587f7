#include "policyd/scan/dnsbl.h"

#include <stdio.h>
#include <sys/socket.h>

bool
dnsbl_question(const struct dnsbl_list *list, const struct ip *client, char name[MAX_HOST_NAME + 1])
{
	const uint8_t *b = client->bytes;
	size_t n = 0, room = MAX_HOST_NAME + 1;

	if (client->family == AF_INET && list->ipv4) {
		n = (size_t)snprintf(name, room, "%u.%u.%u.%u.", b[3], b[2], b[1], b[0]);
	} else if (client->family == AF_INET6 && list->ipv6) {
		for (int i = 15; i >= 0; i--)
			n += (size_t)snprintf(name + n, room - n, "%x.%x.", b[i] & 15, b[i] >> 4);
	} else {
		return false;
	}
	return (size_t)snprintf(name + n, room - n, "%s", list->zone) < room - n;
}

static const struct dnsbl_code *
in_codes(const struct dnsbl_code *codes, size_t count, uint32_t a)
{
	for (size_t i = 0; i < count; i++)
		if (a >= codes[i].first && a <= codes[i].last)
			return &codes[i];
	return NULL;
}

enum dnsbl_answer
dnsbl_judge(const struct dnsbl_list *list, const uint32_t *a, size_t count, double *points)
{
	enum dnsbl_answer answer = DNSBL_CLEAR;

	*points = 0;
	/* "You may not ask" beside a listing is still "you may not ask": nothing that list says now is believed. */
	for (size_t i = 0; i < count; i++)
		if (a[i] >> 8 == 0x7fffff || in_codes(list->refused, list->refused_count, a[i]))
			return DNSBL_REFUSED;
	for (size_t i = 0; i < count; i++) {
		const struct dnsbl_code *code = in_codes(list->codes, list->code_count, a[i]);

		if (a[i] >> 24 != 127 || (list->code_count > 0 && code == NULL))
			continue;            /* a parked or hijacked zone, or a code we were not told to heed */
		double weight = code ? code->points : list->points;

		if (answer == DNSBL_CLEAR || (list->points >= 0 ? weight > *points : weight < *points))
			*points = weight;
		answer = DNSBL_LISTED;
	}
	return answer;
}
