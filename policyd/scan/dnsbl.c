#include "policyd/scan/dnsbl.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

const char *const name_place_names[NAME__COUNT] = {
	[NAME_LINK] = "links", [NAME_FROM] = "from", [NAME_REPLY] = "reply_to", [NAME_SENDER] = "sender", [NAME_HELO] = "helo",
	[NAME_RDNS] = "rdns",
};

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

bool
dnsbl_name_question(const struct dnsbl_list *list, struct span name, char to[MAX_HOST_NAME + 1])
{
	struct ip ip;

	if (ip_parse(name, &ip))
		return ip.family == AF_INET && snprintf(to, MAX_HOST_NAME + 1, "%u.%u.%u.%u.%s", ip.bytes[3], ip.bytes[2], ip.bytes[1],
		    ip.bytes[0], list->zone) <= MAX_HOST_NAME;
	return name.n > 0 && snprintf(to, MAX_HOST_NAME + 1, SPAN_FMT ".%s", SPAN_ARG(name), list->zone) <= MAX_HOST_NAME - 2;
}

static const struct dnsbl_code *
in_codes(const struct dnsbl_code *codes, size_t count, uint32_t a)
{
	for (size_t i = 0; i < count; i++)
		if (a >= codes[i].first && a <= codes[i].last && (a & codes[i].mask) == codes[i].mask)
			return &codes[i];
	return NULL;
}

/* "You may not ask" beside a listing is still "you may not ask": nothing that list says now is believed. */
static bool
refused(const struct dnsbl_list *list, const uint32_t *a, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (a[i] >> 8 == 0x7fffff || in_codes(list->refused, list->refused_count, a[i]))
			return true;
	return false;
}

enum dnsbl_answer
dnsbl_judge(const struct dnsbl_list *list, const uint32_t *a, size_t count, double *points)
{
	enum dnsbl_answer answer = DNSBL_CLEAR;

	*points = 0;
	if (refused(list, a, count))
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

/* One of several codes with the same suffix counts: the weightiest. */
static void
add_hit(const struct dnsbl_list *list, const char *suffix, double points, uint32_t code, struct dnsbl_hit *hits, size_t *count)
{
	for (size_t i = 0; i < *count; i++) {
		if (strcmp(hits[i].suffix, suffix) != 0)
			continue;
		if (list->points >= 0 ? points > hits[i].points : points < hits[i].points) {
			hits[i].points = points;
			hits[i].code = code;
		}
		return;
	}
	if (*count < DNSBL_MAX_CODES)
		hits[(*count)++] = (struct dnsbl_hit){ suffix, points, code };
}

enum dnsbl_answer
dnsbl_judge_all(const struct dnsbl_list *list, const uint32_t *a, size_t count, struct dnsbl_hit hits[DNSBL_MAX_CODES], size_t *hit_count)
{
	*hit_count = 0;
	if (refused(list, a, count))
		return DNSBL_REFUSED;
	for (size_t i = 0; i < count; i++) {
		if (a[i] >> 24 != 127)
			continue;
		if (list->code_count == 0)
			add_hit(list, "", list->points, a[i], hits, hit_count);
		for (size_t k = 0; k < list->code_count; k++)
			if (in_codes(&list->codes[k], 1, a[i]))
				add_hit(list, list->codes[k].suffix, list->codes[k].points, a[i], hits, hit_count);
	}
	return *hit_count > 0 ? DNSBL_LISTED : DNSBL_CLEAR;
}

const char *
dnsbl_suffix(const struct dnsbl_list *list, uint32_t a)
{
	const struct dnsbl_code *code = in_codes(list->codes, list->code_count, a);

	return code ? code->suffix : "";
}
