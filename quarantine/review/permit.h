/* permit.h - who may do what with which kind of held mail: one table, role x class x action.
 *
 * Source  reference: quarantine policies of large mail services: nobody releases a virus by himself, phishing is asked for
 */
#ifndef QUARANTINE_REVIEW_PERMIT_H
#define QUARANTINE_REVIEW_PERMIT_H

#include <stdbool.h>

enum role { ROLE_NONE, ROLE_OWNER, ROLE_ADMIN, ROLE_SUPPORT, ROLE_ABUSE, ROLE__COUNT };
extern const char *const role_names[ROLE__COUNT];           /* "", "owner", "admin", "support", "abuse" */

enum right {
	MAY_SEE = 1, MAY_HEADERS = 2, MAY_PREVIEW = 4, MAY_DOWNLOAD = 8, MAY_DELETE = 16, MAY_BLOCK = 32, MAY_REQUEST = 64,
	MAY_RELEASE = 128, MAY_ALLOW = 256,
	MAY_UNSEAL = 512,                    /* ask for a preview, which a second person opens (seals.h) */
};

enum role role_of(const char *name);                        /* ROLE_NONE: no such role */
/* The rights over a mail of that class ("spam", "virus", ...); an unknown class has those of "virus". */
unsigned permit_rights(enum role role, const char *class_name, bool admin_reads);
/* A release by this role says why: a ticket or reason is mandatory. */
bool permit_needs_reason(enum role role);

#endif
