/* deprovision.h - a customer leaves: his quarantine, policies, lists, history of changes, counts and model go, in one request.
 *
 * {"cmd": "policy.remove_customer", "customer": ID, "who": W} -> the receipt: what there was of each, when it went, and a
 * MAC of this node's key over it, so that it can be shown later. Steps that were done stay done: asked again, it goes on.
 */
#ifndef POLICYD_BROKER_DEPROVISION_H
#define POLICYD_BROKER_DEPROVISION_H

#include <jansson.h>

#include "policyd/broker/broker.h"

void deprovision(struct broker *b, json_t *request, void (*done)(void *arg, json_t *reply), void *arg);

#endif
