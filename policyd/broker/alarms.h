/* alarms.h - attacks as they develop: what comes in a minute, counted against what usually comes (limit/departure.h).
 *
 * Shape   each node counts what it sees; <state>/departures keeps what is usual over restarts, written every ten minutes
 * Told    notify.h, with the evidence: how many, how many usually, and the mail at hand as an example; in a pool once, by a key in
 *         Redis ({a:...}), for all nodes see the same attack
 */
#ifndef POLICYD_BROKER_ALARMS_H
#define POLICYD_BROKER_ALARMS_H

#include "policyd/broker/broker.h"

struct alarms;
struct tx;

struct alarms *alarms_open(struct broker *b);
void alarms_close(struct alarms *a);
/* A mail has been answered. */
void alarms_answered(struct alarms *a, const struct tx *tx);
json_t *alarms_status(const struct alarms *a);

#endif
