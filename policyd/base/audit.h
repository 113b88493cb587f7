/* audit.h - who did what: a log that cannot be changed without its being seen.
 *
 * Shape   one JSON object a line: {seq, time, actor, role, customer, from, action, target, note, prev, hash}; hash is the
 *         SHA-256 of the line without it, prev the hash of the line before. The last hash goes to the system's log with
 *         every entry, so that a cut-off end shows, too
 * Writers review (what people do on its pages), store (what policyctl does to held mail) and policyctl itself (keys), each
 *         by a struct audit of its own on <state>/review/audit.log: who writes holds a lock on the file and goes on from what
 *         the others have written
 * Errors  an entry that cannot be written is an error in the log and false: what it was about is then refused where that is
 *         asked before it is done
 */
#ifndef POLICYD_BASE_AUDIT_H
#define POLICYD_BASE_AUDIT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct audit;

struct audit_entry {
	int64_t time_s;
	const char *actor, *role;
	const char *from;                    /* an address, or "uid 0" on this machine */
	const char *action, *target;
	const char *customer;                /* whose mail or setting it was: he can read the entry */
	const char *note;
};

struct audit *audit_open(const char *path, char *why, size_t room);
void audit_close(struct audit *a);

/* All of them or none, durable when true. */
bool audit_write(struct audit *a, const struct audit_entry *entries, size_t count);
/* Takes note of what others have written, so that it is missed when it goes. Cheap. */
void audit_follow(struct audit *a);

/* The newest entries of a customer (NULL: all), newest first; at most `limit`, before sequence number `before` (0: the end). */
json_t *audit_list(const struct audit *a, const char *customer, json_int_t before, size_t limit);
/* {"entries": n, "good": bool, "broken_at": seq, "last": hash}: the whole chain, from the file. */
json_t *audit_verify(struct audit *a);

#endif
