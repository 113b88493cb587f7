/* outbound.h - what our users send: whose account somebody else uses, and what is done about that one alone.
 *
 * Shape   {o:<hash of the account>}    string   struct account_state, read and written by every node; expires after 100 days unused
 *         {o:contained}, {o:contained}v  hash, string   account -> JSON of its containment; counts its changes, which every node
 *                                               follows within half a second
 * Action  by the account's policy field `contain`: its mail is held in the quarantine, or a trickle passes and the rest is
 *         deferred, or it is refused; `deliver` only tells. It ends by itself after contain_hours, or by policyctl outbound release
 * Told    alarm (notify.h), the log, the audit log
 * Errors  Redis away: judged by what this node knows, contained here, and everywhere when Redis is back
 */
#ifndef POLICYD_BROKER_OUTBOUND_H
#define POLICYD_BROKER_OUTBOUND_H

#include "policyd/broker/broker.h"
#include "policyd/scan/policy.h"

struct outbound;
struct tx;
enum { TRICKLE_AN_HOUR = 10, OUTBOUND_MOST_RECIPIENTS = 256 };

struct outbound *outbound_open(struct broker *b);
void outbound_close(struct outbound *o);

/* OUT_DELIVER: it is not contained. */
enum outcome outbound_contained(const struct outbound *o, const char *account);

/* A mail has been answered: what its sender sent, or a bounce that came back to one of ours. */
void outbound_answered(struct outbound *o, const struct tx *tx);

/* {"cmd": "outbound.list" | "outbound.release" | "outbound.contain", "account", ...} */
json_t *outbound_request(struct outbound *o, const json_t *request);

#endif
