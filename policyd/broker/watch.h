/* watch.h - rules in force, in shadow, or in a canary's share: who says so now, what came of it, and who is taken back.
 *
 * Shape   a rule file says how a rule starts (mode = ...); a command says otherwise for all nodes, in Redis, within a second:
 *         {rules}:modes   hash   SYMBOL -> {"mode": "canary", "share": 5, "who": ..., "why": ..., "time": s}
 *         {rules}:audit   list   the same with "symbol" and "was", newest first, the last AUDIT_KEPT
 *         What is not the file's own goes to the worker with each job
 * Counts  of this node since it started: mails in which a shadowed rule was found, and those whose outcome its points would have
 *         changed for somebody ("would have changed N of M")
 * Demoted to shadow by itself, with an audit entry: a rule that failed DEMOTE_FAILURES times within DEMOTE_WINDOW_S (an error, its
 *         time), and one put in force or in canary by command that DEMOTE_REPORTS ham lessons of people speak against
 */
#ifndef POLICYD_BROKER_WATCH_H
#define POLICYD_BROKER_WATCH_H

#include "policyd/broker/transaction.h"

enum { AUDIT_KEPT = 1000, DEMOTE_FAILURES = 15, DEMOTE_WINDOW_S = 600, DEMOTE_REPORTS = 3, MAX_WATCHED = 4096, MAX_MODES = 1000 };

struct watch;

struct watch *watch_open(struct broker *b);                  /* NULL: no memory */

/* The tail of a job: u32 n, n x (text symbol, u8 enum rule_mode, u32 share). */
void watch_pack(const struct watch *w, struct buf *body);

/* A mail was scanned and decided on. */
void watch_scanned(struct watch *w, const struct tx *tx);
/* A person has said that a mail was none: these symbols were found in it. u32 n, n x text. */
void watch_ham(struct watch *w, struct unpack *symbols);

/* rules.status and rules.mode {"symbol", "mode", "share", "who", "why"}: the answer; the caller frees. */
json_t *watch_request(struct watch *w, const json_t *request);

#endif
