/* dns.h - questions to the configured resolvers, and our own cache of what they said.
 *
 * Shape   c-ares on the event loop; identical questions in flight are asked once; at most MAX_DNS_IN_FLIGHT
 *         are open, the rest wait in line
 * Units   milliseconds; TTLs in seconds, held between DNS_TTL_LEAST and DNS_TTL_MOST
 * Errors  three values: DNS_FOUND, DNS_NONE (the name or type is not there: cached by the SOA's minimum),
 *         DNS_UNKNOWN (silence, SERVFAIL, refused, a broken packet: cached for DNS_TTL_UNKNOWN)
 * Source  RFC 1035, 2308
 */
#ifndef POLICYD_NET_DNS_H
#define POLICYD_NET_DNS_H

#include <jansson.h>

#include "policyd/config.h"

enum { DNS_TTL_LEAST = 5, DNS_TTL_MOST = 3600, DNS_TTL_NONE_DEFAULT = 60, DNS_TTL_UNKNOWN = 5 };
enum dns_result { DNS_FOUND, DNS_NONE, DNS_UNKNOWN };

struct dns_answer {
	enum dns_result result;
	uint32_t a[MAX_DNS_ANSWERS];         /* A records, host byte order */
	size_t count;
	uint32_t ttl_s;
};

struct event_base;
struct dns;
struct dns_wait;

typedef void (*dns_callback)(void *arg, const struct dns_answer *answer);

struct dns *dns_open(struct event_base *base, const struct config *config);   /* NULL: no resolver can be had */
void dns_config(struct dns *dns, const struct config *config);
void dns_close(struct dns *dns);

/* A records of `name`. The callback comes once, maybe from inside the call (then NULL is returned), at the latest
 * after `timeout_ms`. */
struct dns_wait *dns_ask(struct dns *dns, const char *name, int timeout_ms, dns_callback done, void *arg);
void dns_cancel(struct dns_wait *wait);

json_t *dns_status(const struct dns *dns);

#endif
