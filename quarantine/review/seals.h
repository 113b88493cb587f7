/* seals.h - the provider's people reading a customer's mail: asked for with a reason, opened by a second person, for an hour.
 *
 * Shape   <state>/review/seals.json: [{"key", "id" (the mail), "customer", "reason",
 *         "asker", "asked_s", "state": "asked" "open" "refused" "closed", "by", "by_s", "until_s"}..], the newest last
 * Rules   one seal is for one mail and one reader. The second person is anybody but the asker who looks after that customer:
 *         another of the provider's people, or the customer's own admin, for it is his mail. Nobody's answer within
 *         SEAL_ASKED_S is a no; what is open closes by itself after SEAL_OPEN_S, or when either of them says so
 * Log     every step, and every look at the mail, is in the audit log of the customer
 */
#ifndef QUARANTINE_REVIEW_SEALS_H
#define QUARANTINE_REVIEW_SEALS_H

#include "quarantine/review/review.h"

enum { SEAL_ASKED_S = 86400, SEAL_OPEN_S = 3600, SEAL_KEPT_S = 90 * 86400, SEALS_MOST = 2000, SEAL_REASON_ROOM = 201 };

bool seals_load(struct review *r);

/* Ask. False: it cannot be written. One that is asked for already stays as it is. */
bool seal_ask(struct review *r, const struct viewer *who, const char *id, const char *customer, const char *reason);

/* "open", "refuse", "close". NULL: done; else why not (T_NOT_THERE, T_NOT_ALLOWED, T_SEAL_SECOND, T_SEAL_OVER, T_TRY_LATER).
 * `what` (may be NULL) gets the seal, borrowed. */
enum text seal_answer(struct review *r, const struct viewer *who, const char *key, const char *op, const json_t **what);

/* How this reader and this mail stand: "" "asked" "open" "refused" "closed"; `seal` gets the newest, borrowed. */
const char *seal_state(struct review *r, const char *reader, const char *id, const json_t **seal);

/* Those that this viewer may see, the newest first, with the state they are in now. */
json_t *seals_list(struct review *r, const struct viewer *who);
/* How many wait for an answer that he may give. */
size_t seals_waiting(struct review *r, const struct viewer *who);

#endif
