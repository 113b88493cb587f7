/* render.h - W_RENDERED as JSON: {from, from_name, subject, text, has_text, html, headers: [[name, value, claim]..],
 * parts: [{type, real_type, name, size, depth}..], links: [{url, host, shown, mismatch}..]}; claim is "ours" or "foreign" where
 * a header says what somebody found out about the sender, else "". NULL when it is no such packet. */
#ifndef POLICYD_BROKER_RENDER_H
#define POLICYD_BROKER_RENDER_H

#include <jansson.h>

#include "policyd/base/ipc.h"

json_t *render_json(struct unpack *u);

#endif
