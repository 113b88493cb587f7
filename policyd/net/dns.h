/* dns.h - questions to the configured resolvers, and our own cache of what they said.
 *
 * Shape   c-ares on the event loop; identical questions in flight are asked once; at most MAX_DNS_IN_FLIGHT
 *         are open, the rest wait in line. What is cut short over UDP is asked again over TCP; aliases are followed
 * Units   milliseconds; TTLs in seconds, held between DNS_TTL_LEAST and DNS_TTL_MOST
 * Errors  of rr.h: RR_NONE is cached as long as the SOA says (RFC 2308), RR_UNKNOWN for DNS_TTL_UNKNOWN
 * Bounds  MAX_DNS_CACHE questions and MAX_DNS_CACHE_BYTES of records: the longest unused go
 * Source  RFC 1035, 2308
 */
#ifndef POLICYD_NET_DNS_H
#define POLICYD_NET_DNS_H

#include <jansson.h>

#include "policyd/config.h"
#include "policyd/scan/rr.h"

enum { DNS_TTL_LEAST = 5, DNS_TTL_MOST = 3600, DNS_TTL_NONE_DEFAULT = 60, DNS_TTL_UNKNOWN = 5 };

struct dns_records;

struct dns_answer {
	enum rr_status status;               /* never RR_PENDING */
	const struct rr *at;                 /* valid during the callback, or as long as `records` is held */
	size_t count;
	uint32_t ttl_s;
	struct dns_records *records;         /* owns them; NULL when there are none */
};

struct event_base;
struct dns;
struct dns_wait;

typedef void (*dns_callback)(void *arg, const struct dns_answer *answer);

struct dns *dns_open(struct event_base *base, const struct config *config);   /* NULL: no resolver can be had */
void dns_config(struct dns *dns, const struct config *config);
void dns_close(struct dns *dns);

/* What `name` has of that type. The callback comes once, maybe from inside the call (then NULL is returned), at the latest
 * after `timeout_ms`. What cannot be a name (an empty label, a blank, 254 bytes) is RR_NONE at once. */
struct dns_wait *dns_ask(struct dns *dns, enum rr_type type, const char *name, int timeout_ms, dns_callback done, void *arg);
void dns_cancel(struct dns_wait *wait);

/* Keep an answer's records beyond the callback. */
void dns_hold(const struct dns_answer *answer);
void dns_drop(const struct dns_answer *answer);

/* The IPv4 addresses of an answer in host byte order, as lists answer; how many. */
size_t dns_addresses(const struct dns_answer *answer, uint32_t to[MAX_DNS_ANSWERS]);

json_t *dns_status(const struct dns *dns);

#endif
