/* audit.h - the audit log (policyd/base/audit.h) as the review pages write it. */
#ifndef QUARANTINE_REVIEW_AUDIT_H
#define QUARANTINE_REVIEW_AUDIT_H

#include "policyd/base/audit.h"
#include "quarantine/review/review.h"

/* What this caller does; `customer` is whose mail or setting it was. */
bool audit_call(struct call *c, const char *action, const char *target, const char *customer, const char *note);
bool audit_add(struct review *r, const char *actor, const char *role, const char *from, const char *action, const char *target,
    const char *customer, const char *note);

#endif
