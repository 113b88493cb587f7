/* audit.h - who did what: a log that cannot be changed without its being seen.
 *
 * Shape   <state>/review/audit.log, one JSON object a line: {seq, time, actor, role, customer, from, action, target, note,
 *         prev, hash}; hash is the SHA-256 of the line without it, prev the hash of the line before. The last hash goes to
 *         the system's log with every entry, so that a cut-off end shows, too
 * Errors  an entry that cannot be written is an error in the log, and what it was about is refused where that is asked
 *         before it is done (audit_call answers false)
 */
#ifndef QUARANTINE_REVIEW_AUDIT_H
#define QUARANTINE_REVIEW_AUDIT_H

#include "quarantine/review/review.h"

struct audit *audit_open(const char *path, char *why, size_t room);
void audit_close(struct audit *a);

/* `customer` is whose mail or setting it was: he can read the entry. */
bool audit_call(struct call *c, const char *action, const char *target, const char *customer, const char *note);
bool audit_add(struct review *r, const char *actor, const char *role, const char *from, const char *action, const char *target,
    const char *customer, const char *note);

/* The newest entries of a customer (NULL: all), newest first; at most `limit`, before sequence number `before` (0: the end). */
json_t *audit_list(const struct audit *a, const char *customer, json_int_t before, size_t limit);
/* {"entries": n, "good": bool, "broken_at": seq, "last": hash}: the whole chain, from the file. */
json_t *audit_verify(const struct audit *a);

#endif
