/* dns_packet.h - one answer packet taken apart: the records that were asked for, at the end of the aliases that lead to them.
 *
 * Shape   RFC 1035, 4.1: header 12 bytes | question | answers | authority | additional; names may point back (4.1.4)
 * Units   TTLs in seconds: the least of the records and aliases used; of "not there", the SOA's (RFC 2308, 5), or none given
 * Errors  false: not such a packet, or more of it than dns_packet.c has room for. Aliases in a circle are one
 * Bounds  MAX_DNS_RECORDS, MAX_DNS_ALIASES; a name of 255 bytes; each pointer leads further back than the one before
 */
#ifndef POLICYD_NET_DNS_PACKET_H
#define POLICYD_NET_DNS_PACKET_H

#include "policyd/scan/rr.h"

enum { DNS_TTL_NOT_GIVEN = -1 };

struct dns_found {
	struct rr *at;                       /* one block with its texts: free() it */
	size_t count;                        /* 0: not there, and `at` is NULL */
	size_t bytes;                        /* of the block */
	int64_t ttl_s;
	/* The packet ends at an alias whose target it says nothing of (an authoritative server's answer): ask for this name.
	 * Empty: it does not. */
	char next[MAX_HOST_NAME + 1];
};

/* `name` as it was asked for: lower case, without the final dot. */
bool dns_packet_parse(const uint8_t *packet, size_t size, enum rr_type type, const char *name, struct dns_found *out);

#endif
