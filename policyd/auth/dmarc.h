/* dmarc.h - what the domain in From says of mail in its name, and whether this mail is its own.
 *
 * Shape   the record at _dmarc.<domain of From>, else at _dmarc.<its organisational domain> (by the Public Suffix List)
 * Errors  DMARC_NONE: no record. DMARC_PERMERROR: one that cannot be read. DMARC_TEMPERROR: DNS did not answer what would decide it
 * Source  RFC 7489; RFC 9091 for np= (a domain that does not exist)
 *
 * Several authors of several domains are one mail with several claims: the strictest policy among those that fail holds.
 */
#ifndef POLICYD_AUTH_DMARC_H
#define POLICYD_AUTH_DMARC_H

#include "policyd/auth/auth.h"
#include "policyd/auth/answers.h"
#include "policyd/base/limits.h"
#include "policyd/mail/message.h"

enum { DMARC_AUTHORS_MOST = 4 };

struct dmarc_record {
	enum dmarc_policy p, sp, np;         /* sp, np: as p where the record has none */
	bool strict_dkim, strict_spf;
	unsigned pct;
};
/* False: not a record by RFC 7489, 6.4. */
bool dmarc_record_parse(struct span text, struct dmarc_record *out);

/* Sets dmarc*, *_domain, spf_aligned and dkim[].aligned of `out` by what stands there of SPF and DKIM. dmarc_applies is what the domain
 * asks for in case of a fail; `lot` (0 to 99) says which share of pct= the mail belongs to. False: answers were asked for and are not
 * here yet (RR_PENDING), run it again. */
bool dmarc_check(struct arena *a, struct answers *dns, const struct header_list *headers, unsigned lot, struct auth *out);

#endif
