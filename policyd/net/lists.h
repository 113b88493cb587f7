/* lists.h - all DNS lists asked about one client at once, their health, and one answer for everybody who waits. Lists of
 * names are asked by lists_names.h.
 *
 * Shape   one struct lists a process, on its event loop; equal clients in flight share their questions,
 *         answers come from the DNS cache when they can
 * Units   points; milliseconds
 * Errors  a list that stays silent is DNSBL_UNKNOWN; one that refuses us, lists 127.0.0.1, or does not list
 *         127.0.0.2 is sick: off, with one alarm, until a probe says otherwise
 * Source  RFC 5782, 2.1 and 5
 */
#ifndef POLICYD_NET_LISTS_H
#define POLICYD_NET_LISTS_H

#include <jansson.h>

#include "policyd/config.h"

struct dns;
struct event_base;
struct lists;
struct lists_wait;

/* Called once, maybe from inside lists_ask when all is known; `result` is valid during the call. */
typedef void (*lists_callback)(void *arg, const struct dnsbl_result *result);

struct lists *lists_open(struct event_base *base, struct dns *dns, const struct config *config);
void lists_config(struct lists *lists, const struct config *config);
void lists_close(struct lists *lists);

/* What stands after `timeout_ms` is answered as it is, the rest unknown. NULL when it was answered at once
 * (or memory is short: then everything is unknown, and that has been said too). */
struct lists_wait *lists_ask(struct lists *lists, const struct ip *client, int timeout_ms, lists_callback done, void *arg);
void lists_cancel(struct lists_wait *wait);

json_t *lists_status(const struct lists *lists);     /* [{"name","zone","type","healthy","why","asked","listed","unknown"}] */

#endif
