/* spf_record.h - one SPF record taken apart; what spf.c and its parser share. Not for others.
 *
 * Source  RFC 7208, 4.6 (grammar: a mistake anywhere spoils the whole record), 7 (macros)
 */
#ifndef POLICYD_AUTH_SPF_RECORD_H
#define POLICYD_AUTH_SPF_RECORD_H

#include "policyd/auth/spf.h"

enum spf_mechanism { SPF_ALL, SPF_INCLUDE, SPF_A, SPF_MX, SPF_PTR, SPF_IP4, SPF_IP6, SPF_EXISTS };

struct spf_term {
	enum spf_mechanism what;
	enum spf_result match;               /* by its qualifier */
	struct span spec;                    /* domain-spec, macros not expanded; empty: the current domain */
	struct net net;                      /* SPF_IP4, SPF_IP6 */
	uint8_t bits4, bits6;                /* SPF_A, SPF_MX */
};

struct spf_record {
	struct spf_term *terms;
	size_t count;
	struct span redirect, explanation;   /* domain-specs; empty: none */
};

/* `text` begins with "v=spf1". False: a permanent error. */
bool spf_record_parse(struct arena *a, struct span text, struct spf_record *out);

struct spf_macros {                          /* what the letters stand for */
	struct span sender, local, sender_domain, domain, helo, receiver;
	struct ip client;
	int64_t time_s;
	struct span validated;               /* %{p} */
};
/* In a text that spf_record_parse has passed. `name`: the result is a domain name, cut from the left to 253 bytes. */
struct span spf_expand(struct arena *a, struct span text, const struct spf_macros *m, bool name);
/* Is the text one that may be expanded? `explaining`: the letters c, r and t too. */
bool spf_macros_valid(struct span text, bool explaining);
bool spf_wants_validated(struct span text);

#endif
