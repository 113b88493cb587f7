/* customers_table.h - the records behind customers.h, shared by its three parts: look-up, Redis, requests. */
#ifndef POLICYD_STORE_CUSTOMERS_TABLE_H
#define POLICYD_STORE_CUSTOMERS_TABLE_H

#include "policyd/base/map.h"
#include "policyd/store/customers.h"
#include "policyd/store/keys.h"

enum { KEY_ROOM = MAX_ADDRESS + 16, CUSTOMER_ROOM = 64 };

struct record {                              /* what is set at one customer, domain or mailbox */
	struct record *chain;                /* same hash */
	struct policy values;                /* of the fields in `set` */
	uint32_t set;                        /* bit i: policy_fields[i] */
	char customer[CUSTOMER_ROOM];        /* domain and mailbox: whose it is; empty: not said here */
	bool seen;                           /* in the load that runs */
	char key[];                          /* "domain:shop.example" */
};

struct interned {
	struct interned *chain;
	uint32_t class_id;
	struct policy policy;
};

struct partition {
	struct customers *customers;
	int number;
	char last_id[48];                    /* of its stream */
	int64_t version;
	bool loading, asking;
};

struct customers {
	struct redis_async *redis;
	struct policy policy_default;
	struct map records, interned;        /* hash -> chain */
	uint32_t record_count, class_count;
	struct partition partitions[POLICY_PARTITIONS];
	char snapshot[PATH_ROOM + 32];
	bool dirty;                          /* the snapshot is older than memory */
	int64_t saved_ms;
	struct event *tick;
};

/* "domain:shop.example" for "shop.example", "mailbox:..." for an address, "customer:..." as it is; normalised.
 * False and a sentence when it is none of these. */
bool customers_key(struct span text, char key[KEY_ROOM], char *why, size_t room);
int customers_partition(const char *key);

struct record *customers_find(const struct customers *c, const char *key);
/* JSON object of fields -> record in the table; empty JSON removes it. False: not to be read (it is skipped). */
bool customers_apply(struct customers *c, const char *key, struct span json);
/* Parse fields into `r` on top of what it has. On error the field and why. */
bool customers_fields(struct record *r, json_t *fields, char *why, size_t room);
json_t *customers_record_json(const struct record *r);

/* The effective policy: default, then customer, domain, mailbox. `from` (may be NULL): the level of each field. */
void customers_effective(const struct customers *c, const char *local, const char *domain, struct policy *out,
    enum policy_level *from);
/* Split a canonical address at its last '@'; domain empty if there is none. */
void customers_split(const char *canonical, char local[MAX_ADDRESS + 1], char domain[MAX_ADDRESS + 1]);

/* customers_redis.c */
void customers_follow(struct customers *c);                 /* every tick */
void customers_reload(void *arg);                           /* at every connect */

#endif
