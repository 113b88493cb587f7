/* buckets_table.h - what buckets.c (the table of this node) and buckets_redis.c (the pool's truth) share. Not for others. */
#ifndef POLICYD_STORE_BUCKETS_TABLE_H
#define POLICYD_STORE_BUCKETS_TABLE_H

#include "policyd/base/map.h"
#include "policyd/limit/bucket.h"
#include "policyd/store/buckets.h"

enum { RECENT = 1 << 16, NODE_ID_ROOM = 20 };

struct entry {                               /* a bucket, as this node knows it */
	struct entry *next;                  /* of all */
	uint64_t hash;
	enum bucket_kind kind;
	char *id;
	struct limit limits[MEASURE__COUNT];
	uint32_t warmup_days, created_day;
	double warmth;                       /* as Redis last said */
	struct bucket known[MEASURE__COUNT]; /* what was left in Redis then; at_ms 0: never heard of it */
	double ahead[MEASURE__COUNT];        /* taken there, not used yet */
	int64_t ahead_ms;                    /* when it was last added to */
	bool refilling;                      /* more is being fetched ahead */
	bool is_alone, paying;               /* paying: what is owed is on its way to Redis */
	struct bucket alone[MEASURE__COUNT]; /* while Redis is away: our share */
	double owed[MEASURE__COUNT];         /* used then: to be booked */
	int64_t used_ms, second_ms, told_ms[MEASURE__COUNT];
	uint32_t uses, uses_before;          /* in this second and the last: how hot it is */
	uint32_t asking;                     /* in flight: whoever comes back finds it here */
};

struct buckets {
	struct event_base *base;
	struct redis_async *redis;
	struct event *tick;
	struct map entries;
	struct entry *first;
	size_t count;
	struct recent {                      /* recipients that Redis has counted as distinct: no need to ask again */
		uint64_t key;
		int64_t until_ms;
	} *recent;
	char node[NODE_ID_ROOM];
	int nodes;
	int64_t fewer_ms;                    /* since when fewer nodes than believed are there */
	int64_t nodes_ms, since_ms;          /* next heartbeat; when limits were first counted in this Redis */
	bool was_up;
	char sha[41];
};

/* One question to Redis. `done` gets what it said: NULL, no answer. */
struct take {
	bool taken, fresh;
	enum measure measure;
	int64_t wait_ms;
	double warmth, left[MEASURE__COUNT], ahead[MEASURE__COUNT];
};
typedef void (*take_done)(void *arg, const struct take *t);
bool buckets_ask_redis(struct buckets *b, const struct entry *e, const double cost[MEASURE__COUNT], uint64_t recipient, uint32_t ahead,
    bool forced, take_done done, void *arg);
void buckets_script_hash(char sha[41]);
void buckets_heartbeat(struct buckets *b);
void buckets_told_over(struct buckets *b, struct entry *e, enum measure measure);
void buckets_key(char key[64], enum bucket_kind kind, const char *id, const char *tail);

#endif
