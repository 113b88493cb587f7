/* auth.h - who sent it: the identities behind a mail, for all who decide by them (policies, lists, limits, reputation,
 * greylisting). Nothing else needs to be read for that.
 *
 * Shape   flat and without pointers, so that it travels between processes as it is: they are one binary
 * When    struct auth_sender is known from RCPT on, if its DNS answers are in by then; struct auth once a worker has read the mail
 * Names   domains lower case, in their ASCII form, without the final dot; empty: there is none
 * Errors  each result has a word for "cannot tell" (temperror), which is neither pass nor fail
 * Source  RFC 8601, 2.7: the words of the results
 *
 * What may be credited, in the order of trust: dkim[].domain where the result is pass, spf_domain where spf is SPF_PASS, the
 * client's network. `from_domain` is what the mail says of itself, and proves nothing unless dmarc is DMARC_PASS.
 */
#ifndef POLICYD_AUTH_AUTH_H
#define POLICYD_AUTH_AUTH_H

#include "policyd/auth/iprev.h"
#include "policyd/auth/spf.h"

enum { AUTH_NAME_ROOM = 256, AUTH_SELECTOR_ROOM = 64, AUTH_DKIM_MOST = 10, AUTH_EXPLANATION_ROOM = 200 };

/* The client and the envelope: what is known before the mail is. */
struct auth_sender {
	uint8_t asked;                       /* 0: one of ours, or nobody could be asked; all else is empty then */
	uint8_t iprev;                       /* enum iprev_result */
	uint8_t helo_flags;                  /* enum helo_flag */
	uint8_t spf_helo, spf;               /* enum spf_result: of the HELO name; of the sender (the null sender: of the HELO name) */
	struct ip client;                    /* whom it was about: behind a trusted relay, the client before that */
	char client_name[AUTH_NAME_ROOM];    /* that leads back to it when iprev is a pass */
	char helo[AUTH_NAME_ROOM];
	char spf_domain[AUTH_NAME_ROOM];     /* of the sender, or the HELO name for the null sender */
	char spf_explanation[AUTH_EXPLANATION_ROOM];         /* on SPF_FAIL the domain's own words, printable ASCII */
};

enum dkim_result { DKIM_NONE, DKIM_PASS, DKIM_FAIL, DKIM_POLICY, DKIM_NEUTRAL, DKIM_TEMPERROR, DKIM_PERMERROR, DKIM__COUNT };
enum dmarc_result { DMARC_NONE, DMARC_PASS, DMARC_FAIL, DMARC_TEMPERROR, DMARC_PERMERROR, DMARC__COUNT };
enum dmarc_policy { DMARC_P_NONE, DMARC_P_QUARANTINE, DMARC_P_REJECT, DMARC_P__COUNT };
enum arc_result { ARC_NONE, ARC_PASS, ARC_FAIL, ARC_TEMPERROR, ARC__COUNT };
extern const char *const dkim_result_names[DKIM__COUNT];     /* "none" ... as in Authentication-Results */
extern const char *const dmarc_result_names[DMARC__COUNT];
extern const char *const dmarc_policy_names[DMARC_P__COUNT]; /* "none", "quarantine", "reject" */
extern const char *const arc_result_names[ARC__COUNT];

struct auth_dkim {                           /* one signature */
	uint8_t result;                      /* enum dkim_result */
	uint8_t ed25519;                     /* else RSA */
	uint8_t partial;                     /* by its l= not all of the body is signed */
	uint8_t aligned;                     /* with the domain of From, as its DMARC record wants it */
	uint16_t key_bits;
	char domain[AUTH_NAME_ROOM];         /* d= */
	char selector[AUTH_SELECTOR_ROOM];   /* s= */
	char reason[AUTH_SELECTOR_ROOM];     /* why not, in a few words */
};

struct auth {
	struct auth_sender sender;
	uint8_t dkim_count;
	uint8_t dmarc;                       /* enum dmarc_result */
	uint8_t dmarc_policy;                /* enum dmarc_policy: what the domain asks for in case of a fail */
	uint8_t dmarc_applies;               /* enum dmarc_policy: what of that holds for this mail: pct, ARC by a trusted sealer */
	uint8_t spf_aligned;
	uint8_t arc;                         /* enum arc_result */
	uint8_t arc_trusted;                 /* the chain's last sealer is one whose word on the mail we take */
	uint8_t arc_instances;
	struct auth_dkim dkim[AUTH_DKIM_MOST];
	char from_domain[AUTH_NAME_ROOM];    /* of From */
	char org_domain[AUTH_NAME_ROOM];     /* its organisational domain */
	char dmarc_domain[AUTH_NAME_ROOM];   /* where the record was found */
	char arc_sealer[AUTH_NAME_ROOM];     /* d= of the newest ARC-Seal */
};

/* Can it be what one of ours has made? It comes from a worker, which a mail may have taken over. */
bool auth_valid(const struct auth *auth);
bool auth_sender_valid(const struct auth_sender *sender);

/* Copy a name in lower case, cut to its room. */
void auth_name(char *to, size_t room, struct span name);

#endif
