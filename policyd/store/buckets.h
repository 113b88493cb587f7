/* buckets.h - the token buckets of a pool: counted in Redis, exactly once over all nodes; alone while Redis is away.
 *
 * Shape   a bucket is a kind and an id ("account" "ann@shop.example"); its limits come with every question, by measure
 *         keys: buckets_script.h;  {l:nodes} zset: who is there;  {l:over} zset: who was over a limit lately, for listings
 * Ahead   of a hot bucket this node holds tokens for BUCKETS_AHEAD_MS (limit/bucket.h "Lease") and gives back what is left
 * Errors  Redis away: this node counts alone, with its share of what it last knew to be left; what it let through is booked
 *         when Redis is back (metrics limits_alone, doctor). More than MAX_BUCKETS at once while it is away: let through, and
 *         counted as limits_unknown
 */
#ifndef POLICYD_STORE_BUCKETS_H
#define POLICYD_STORE_BUCKETS_H

#include <jansson.h>

#include "policyd/base/limits.h"
#include "policyd/scan/limit.h"

struct event_base;
struct redis_async;
struct buckets;

enum bucket_kind { BUCKET_ACCOUNT, BUCKET_DOMAIN, BUCKET_CUSTOMER, BUCKET_MAILBOX, BUCKET_NETWORK, BUCKET_TRICKLE, BUCKET__KINDS };
extern const char *const bucket_kind_names[BUCKET__KINDS];
enum { BUCKET_ID_ROOM = MAX_ADDRESS + 1, BUCKETS_AHEAD_MS = 1000, BUCKETS_A_QUESTION = 8 };

struct bucket_ask {
	enum bucket_kind kind;
	char id[BUCKET_ID_ROOM];
	struct limit limits[MEASURE__COUNT];
	uint32_t warmup_days, created_day;   /* as in struct policy */
	uint32_t cost[MEASURE__COUNT];       /* of MEASURE_DISTINCT: 1, if `recipient` has not been counted yet */
	uint64_t recipient;                  /* a hash of him; 0: none */
};

struct bucket_verdict {
	bool over;
	size_t which;                        /* if over: of the asks */
	enum measure measure;
	int64_t wait_ms;
	bool alone;                          /* counted without Redis */
};
/* `v` is valid during the call. */
typedef void (*buckets_done)(void *arg, const struct bucket_verdict *v);

struct buckets *buckets_open(struct event_base *base, struct redis_async *redis);        /* NULL: no memory */
void buckets_close(struct buckets *b);       /* what is held ahead goes back */

/* From all of up to BUCKETS_A_QUESTION buckets, or from none. `done` is called once, maybe from inside the call. */
void buckets_take(struct buckets *b, const struct bucket_ask *asks, size_t count, buckets_done done, void *arg);

/* {"cmd": "limits.list" | "limits.show" | "limits.reset", "kind", "id"}: `done` once, the reply is the callee's. */
typedef void (*buckets_reply)(void *arg, json_t *reply);
void buckets_request(struct buckets *b, const json_t *request, buckets_reply done, void *arg);
json_t *buckets_status(const struct buckets *b);

#endif
