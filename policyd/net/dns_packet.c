#include "policyd/net/dns_packet.h"

#include <stdlib.h>

enum { HEADER = 12, RR_CNAME = 5, RR_SOA = 6, CLASS_IN = 1, RCODE_NAME_ERROR = 3, MOST_TTL_S = 0x7fffffff, MOST_JUMPS = 64 };

struct reader {
	const uint8_t *p;
	size_t size, at;
	bool bad;
};

static unsigned
take16(struct reader *r)
{
	if (r->size - r->at < 2) {
		r->bad = true;
		return 0;
	}
	r->at += 2;
	return (unsigned)r->p[r->at - 2] << 8 | r->p[r->at - 1];
}

static uint32_t
take32(struct reader *r)
{
	uint32_t high = take16(r);

	return high << 16 | take16(r);
}

/* The name at the reader's place, "a.b" in lower case; `*host`: it has nothing in it that no host's name has. Behind the name in
 * the record, not behind where its pointers led. */
static void
take_name(struct reader *r, char to[MAX_HOST_NAME + 1], bool *host)
{
	size_t at = r->at, n = 0, lowest = r->at;
	int jumps = 0;

	*host = true;
	for (;;) {
		if (at >= r->size)
			goto bad;
		uint8_t length = r->p[at];

		if (length >= 0xc0) {
			if (at + 1 >= r->size)
				goto bad;
			size_t to_at = (size_t)(length & 0x3f) << 8 | r->p[at + 1];

			if (jumps == 0)
				r->at = at + 2;
			if (to_at >= lowest || ++jumps > MOST_JUMPS)     /* only ever backwards */
				goto bad;
			lowest = at = to_at;
			continue;
		}
		if (length > 63)
			goto bad;
		at++;
		if (length == 0)
			break;
		if (at + length > r->size || n + length + 1 > MAX_HOST_NAME)
			goto bad;
		if (n > 0)
			to[n++] = '.';
		for (size_t i = 0; i < length; i++) {
			char c = ascii_lower((char)r->p[at + i]);

			*host &= c > ' ' && c < 0x7f && c != '.' && c != '\\';
			to[n++] = c ? c : '?';
		}
		at += length;
	}
	if (jumps == 0)
		r->at = at;
	to[n] = '\0';
	return;
bad:
	r->bad = true;
	to[0] = '\0';
}

struct record {
	char owner[MAX_HOST_NAME + 1];
	unsigned type;
	uint32_t ttl_s;
	size_t data, data_end;               /* places in the packet */
};

/* The reader stands behind the record then. */
static bool
take_record(struct reader *r, struct record *record)
{
	bool host;

	take_name(r, record->owner, &host);
	record->type = take16(r);
	unsigned class = take16(r);

	record->ttl_s = take32(r);
	if (record->ttl_s > MOST_TTL_S)      /* RFC 2181, 8 */
		record->ttl_s = 0;
	size_t length = take16(r);

	record->data = r->at;
	record->data_end = r->at + length;
	if (r->bad || length > r->size - r->at)
		return false;
	r->at += length;
	if (class != CLASS_IN)
		record->type = 0;
	return true;
}

static void
lower_ttl(struct dns_found *out, uint32_t ttl_s)
{
	if (out->ttl_s == DNS_TTL_NOT_GIVEN || ttl_s < out->ttl_s)
		out->ttl_s = ttl_s;
}

/* Where the aliases among the answers lead from `name`; false: in a circle, or too far. */
static bool
follow(struct reader answers, unsigned count, const char *name, char to[MAX_HOST_NAME + 1], struct dns_found *out, int *hops)
{
	memcpy(to, name, strlen(name) + 1);
	for (*hops = 0;; ++*hops) {
		struct reader r = answers;
		bool found = false;

		for (unsigned i = 0; i < count && !found; i++) {
			struct record record;
			bool host;

			if (!take_record(&r, &record))
				return false;
			if (record.type != RR_CNAME || strcmp(record.owner, to) != 0)
				continue;
			struct reader target = { r.p, record.data_end, record.data, false };

			take_name(&target, to, &host);
			if (target.bad || !host || *hops == MAX_DNS_ALIASES)
				return false;
			lower_ttl(out, record.ttl_s);
			found = true;
		}
		if (!found)
			return true;
	}
}

/* What one record holds; its text, if any, goes to `text` of `room` bytes. Bytes used, or SPAN_NONE: it is not well formed. */
static size_t
read_data(const struct reader *packet, const struct record *record, struct rr *rr, unsigned *preference, char *text)
{
	struct reader r = { packet->p, record->data_end, record->data, false };
	size_t length = record->data_end - record->data, n = 0;
	char name[MAX_HOST_NAME + 1];
	bool host;

	*rr = (struct rr){ 0 };
	*preference = 0;
	switch (record->type) {
	case RR_A:
	case RR_AAAA:
		if (length != (record->type == RR_A ? 4 : 16))
			return SPAN_NONE;
		rr->ip.family = record->type == RR_A ? AF_INET : AF_INET6;
		memcpy(rr->ip.bytes, packet->p + record->data, length);
		return 0;
	case RR_TXT:
		for (size_t i = record->data; i < record->data_end;) {
			size_t part = packet->p[i++];

			if (part > record->data_end - i)
				return SPAN_NONE;
			memcpy(text + n, packet->p + i, part);
			n += part;
			i += part;
		}
		rr->text = span_make(text, n);
		return n;
	case RR_MX:
		*preference = take16(&r);
		/* fall through */
	default:
		take_name(&r, name, &host);
		if (r.bad)
			return SPAN_NONE;
		n = host ? strlen(name) : 0;
		memcpy(text, name, n);
		rr->text = span_make(text, n);
		return n;
	}
}

/* By preference; few, and mostly in order. */
static void
insert_by_preference(struct rr *at, unsigned *preferences, size_t count)
{
	for (size_t i = count; i > 0 && preferences[i] < preferences[i - 1]; i--) {
		struct rr rr = at[i];
		unsigned preference = preferences[i];

		at[i] = at[i - 1];
		preferences[i] = preferences[i - 1];
		at[i - 1] = rr;
		preferences[i - 1] = preference;
	}
}

/* All records of the type at `owner`. Two rounds: how much room they need, then what they are. */
static bool
gather(struct reader answers, unsigned count, enum rr_type type, const char *owner, struct dns_found *out)
{
	struct reader r = answers;
	struct record record;
	size_t records = 0, room = 0, used = 0;
	unsigned preferences[MAX_DNS_RECORDS];

	for (unsigned i = 0; i < count; i++) {
		if (!take_record(&r, &record))
			return false;
		if (record.type != (unsigned)type || strcmp(record.owner, owner) != 0)
			continue;
		records++;
		room += type == RR_TXT ? record.data_end - record.data : type == RR_PTR || type == RR_MX ? MAX_HOST_NAME + 1 : 0;
	}
	if (records > MAX_DNS_RECORDS)
		return false;
	if (records == 0)
		return true;
	out->bytes = records * sizeof *out->at + room;
	out->at = malloc(out->bytes);
	if (out->at == NULL)
		return false;
	char *text = (char *)(out->at + records);

	r = answers;
	for (unsigned i = 0; i < count; i++) {
		if (!take_record(&r, &record) || record.type != (unsigned)type || strcmp(record.owner, owner) != 0)
			continue;
		size_t n = read_data(&answers, &record, &out->at[out->count], &preferences[out->count], text + used);

		if (n == SPAN_NONE) {
			free(out->at);
			out->at = NULL;
			out->count = 0;
			return false;
		}
		used += n;
		lower_ttl(out, record.ttl_s);
		if (type == RR_MX)
			insert_by_preference(out->at, preferences, out->count);
		out->count++;
	}
	return true;
}

/* RFC 2308, 5: how long "not there" holds, by the SOA in the authority section; false: none is there. */
static bool
negative_ttl(struct reader r, unsigned count, struct dns_found *out)
{
	for (unsigned i = 0; i < count; i++) {
		struct record record;

		if (!take_record(&r, &record))
			return false;
		if (record.type != RR_SOA || record.data_end - record.data < 20)
			continue;
		struct reader minimum = { r.p, record.data_end, record.data_end - 4, false };
		uint32_t least = take32(&minimum);

		lower_ttl(out, least < record.ttl_s ? least : record.ttl_s);
		return true;
	}
	return false;
}

bool
dns_packet_parse(const uint8_t *packet, size_t size, enum rr_type type, const char *name, struct dns_found *out)
{
	struct reader r = { packet, size, HEADER, false };
	char owner[MAX_HOST_NAME + 1];
	int hops;
	bool host;

	*out = (struct dns_found){ .ttl_s = DNS_TTL_NOT_GIVEN };
	if (size < HEADER)
		return false;
	struct reader counts = { packet, size, 2, false };
	unsigned rcode = take16(&counts) & 15, questions = take16(&counts), answers = take16(&counts), authority = take16(&counts);

	for (unsigned i = 0; i < questions && !r.bad; i++) {
		take_name(&r, owner, &host);
		take32(&r);
	}
	if (r.bad || !follow(r, answers, name, owner, out, &hops))
		return false;
	if (!gather(r, answers, type, owner, out))
		return false;
	if (out->count > 0)
		return true;
	for (unsigned i = 0; i < answers; i++) {
		struct record record;

		if (!take_record(&r, &record))
			return false;
	}
	if (!negative_ttl(r, authority, out) && hops > 0 && rcode != RCODE_NAME_ERROR)
		memcpy(out->next, owner, sizeof owner);
	return true;
}
