/* digest.h - "these mails were held for you": one mail a window and mailbox, as each customer has set it. And to his admins:
 * what was held for whom (admin_digest), what waits for their answer (request_digest).
 *
 * Windows  "d2026-11-25" (from digest_hour on), "h2026-11-25-10", "w2026-11-23" (from Monday on); local time; with an "a" or "r"
 *          before it for the admins' two
 * Ledger   <state>/review/digests.log: a JSON line before each is handed over and one when the MTA has it; so a restart
 *          goes on where the one before stopped. One that was on its way then is asked for again under the same name, and
 *          deliver, which knows for a while what it has done, answers without a second mail
 * Order    likely false positives first: least above the reader's own threshold; alike ones are one line
 * Spread   each mailbox has its own minute of the window's first hour
 */
#ifndef QUARANTINE_REVIEW_DIGEST_H
#define QUARANTINE_REVIEW_DIGEST_H

#include "quarantine/review/review.h"

bool digests_open(struct review *r, char *why, size_t room);
void digests_tick(struct review *r);

/* digest_mail.c: the mail itself. `entries`: of one mailbox. */
struct own_mail;
void digest_compose(struct review *r, const char *customer, const char *mailbox, json_t *entries, int64_t expires_s, struct own_mail *mail);
/* digest_admin.c: the same for a customer's admins; `entries`: of all mailboxes. No link in them does anything without a sign-in. */
void digest_compose_admin(struct review *r, const char *customer, const char *mailbox, json_t *entries, int64_t expires_s, struct own_mail *mail);
void digest_compose_requests(struct review *r, const char *customer, const char *mailbox, json_t *entries, int64_t expires_s, struct own_mail *mail);

/* What a mailbox's owner has chosen for himself: "off" or "". */
const char *mailbox_digest(const struct review *r, const char *mailbox);
bool mailbox_set_digest(struct review *r, const char *mailbox, const char *value);

#endif
