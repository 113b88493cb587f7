/* session.h - the SMTP client and the present envelope, as gate and policy server know them.
 *
 * Shape   flat, bounded texts: they travel between processes (wire.h)
 */
#ifndef POLICYD_SCAN_SESSION_H
#define POLICYD_SCAN_SESSION_H

#include <netinet/in.h>

#include "policyd/base/limits.h"
#include "policyd/base/span.h"

/* An IP address: v4 in the first 4 bytes when family is AF_INET; family 0: unknown (local submission). */
struct ip {
	uint16_t family;                     /* AF_INET, AF_INET6 or 0 */
	uint16_t port;
	uint8_t bytes[16];
};

/* "192.0.2.1", "2001:db8::1", Sendmail's and Postfix's "IPv6:2001:db8::1"; a v4-mapped v6 address becomes v4. */
bool ip_parse(struct span text, struct ip *ip);
void ip_print(const struct ip *ip, char to[INET6_ADDRSTRLEN]);     /* "unknown" when family is 0 */

/* A network: "192.0.2.0/24", "2001:db8::/32", or a single address. */
struct net {
	struct ip ip;
	uint8_t bits;
};
bool net_parse(struct span text, struct net *net);
bool net_has(const struct net *net, const struct ip *ip);
bool nets_have(const struct net *nets, size_t count, const struct ip *ip);

struct session {
	struct ip client;
	char client_name[MAX_HOST_NAME + 1]; /* as the MTA gives it: verified PTR or "unknown" or "[192.0.2.1]" */
	char helo[MAX_HELO + 1];
	char login[MAX_LOGIN + 1];           /* SASL login; empty: not authenticated */
	char context[32];                    /* of the listener: "mx", "submission", ... */
	char mta[MAX_HOST_NAME + 1];         /* {daemon_name} or j macro: who asks */
};

struct envelope {
	char queue_id[MAX_QUEUE_ID + 1];     /* may be empty until the end of the message */
	char sender[MAX_ADDRESS + 1];        /* without brackets; empty: null sender */
};

#endif
