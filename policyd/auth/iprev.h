/* iprev.h - names that lead back to the client's address (FCrDNS), and what can be said of its HELO without any DNS.
 *
 * Shape   at most MAX_REVERSE_NAMES names of an address are looked at, as SPF's ptr does
 * Source  RFC 8601, 2.7.3 and 3 (iprev); RFC 5321, 4.1.1.1 and 4.1.3 (HELO)
 */
#ifndef POLICYD_AUTH_IPREV_H
#define POLICYD_AUTH_IPREV_H

#include "policyd/auth/answers.h"

enum { MAX_REVERSE_NAMES = 10 };

/* In the words of RFC 8601: permerror is "it has no name". */
enum iprev_result { IPREV_NONE, IPREV_PASS, IPREV_FAIL, IPREV_TEMPERROR, IPREV_PERMERROR, IPREV_PENDING, IPREV__COUNT };
extern const char *const iprev_result_names[IPREV__COUNT];

/* `*name`: the one that leads back, else the first it has; in the arena. */
enum iprev_result iprev_check(struct arena *a, struct answers *dns, const struct ip *client, struct span *name);

/* "1.2.0.192.in-addr.arpa", "...ip6.arpa". */
struct span reverse_name(struct arena *a, const struct ip *ip);

enum helo_flag {
	HELO_NOT_FQDN = 1,                   /* no dot, an empty label, a character that no host name has */
	HELO_LITERAL = 2,                    /* "[192.0.2.1]" */
	HELO_LITERAL_WRONG = 4,              /* of another address than the client's */
	HELO_BARE_IP = 8,                    /* an address without brackets: never right */
	HELO_IS_US = 16,                     /* our own name or address, from a stranger */
	HELO_EMPTY = 32,
};
/* `us`: names that are ours alone. */
unsigned helo_check(struct span helo, const struct ip *client, const struct span *us, size_t us_count);

#endif
