/* account.h - W_ACCOUNT as JSON, for policyctl scan --explain: {parts: [..], entries: [..], links: [..], notes: [..], ...};
 * NULL when it is no such packet. */
#ifndef POLICYD_BROKER_ACCOUNT_H
#define POLICYD_BROKER_ACCOUNT_H

#include <jansson.h>

#include "policyd/base/ipc.h"

json_t *account_json(struct unpack *u);

#endif
