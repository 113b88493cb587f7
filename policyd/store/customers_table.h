/* customers_table.h - the records behind customers.h, shared by its parts: table, fields, snapshot, Redis, requests.
 *
 * Shape   one array of records, found by a hash of their key; names in one text. A record stays where it is for good: one
 *         that is removed, or only spoken of (the domain of a mailbox), is there without fields. What is set at a record is
 *         a fieldset, and an effective policy a class: both are interned, so a million mailboxes of a provider share a few
 *         thousand of them
 * Bytes   36 a record, its key, and 8 to 20 in the index; a class is sizeof(struct policy)
 */
#ifndef POLICYD_STORE_CUSTOMERS_TABLE_H
#define POLICYD_STORE_CUSTOMERS_TABLE_H

#include "policyd/base/buf.h"
#include "policyd/store/canonical.h"
#include "policyd/store/customers.h"
#include "policyd/store/entries.h"
#include "policyd/store/keys.h"

enum { KEY_ROOM = MAX_ADDRESS + 16, CUSTOMER_ROOM = 64, MEMBERS_ROOM = 4096, MAX_MEMBERS = 64, MAX_ALIAS_HOPS = 8 };

enum record_kind { RECORD_MAILBOX, RECORD_DOMAIN, RECORD_CUSTOMER, RECORD_TIER, RECORD__KINDS };
extern const char *const record_kind_names[RECORD__KINDS];

struct record {
	uint32_t key;                        /* where its name begins in `names` */
	uint32_t parent;                     /* mailbox: its domain; domain: its customer; customer: its tier; 0: none */
	uint32_t child, next;                /* the first of those whose parent it is; the next beside it */
	uint32_t target;                     /* an alias of this record; 0: none */
	uint32_t fields;                     /* number of its fieldset; 0: nothing is set here */
	uint32_t class_id, stamp;            /* of its effective policy, if `stamp` is the table's */
	uint8_t kind, present;
	uint8_t seen : 1;                    /* in the load that runs */
	uint8_t canary : 1;                  /* a level it stands in has a canary: the class depends on the mailbox (if `stamp` is good) */
	uint8_t partition;
};

struct fieldset {
	uint64_t set, locked, least_set, most_set;   /* bit i: policy_fields[i] */
	uint8_t *packed;                     /* the values of `set`, of `least_set`, of `most_set`, in the table's order */
	char *json;                          /* what it was made of, canonical */
	char *owner;                         /* a mailbox's own customer; NULL: its domain's */
	char *members, *catch_all;           /* of an alias for several; of a domain; NULL: none */
	char delimiters[8];                  /* of a domain; empty: as above it */
	struct entries *entries;             /* allow and block; NULL: none */
	struct fieldset *canary;             /* values that a share of the mailboxes has instead: set, packed, json; NULL: none */
	uint8_t share, most_held;            /* of a canary: percent of mailboxes; percent of mail that may be held more before it ends */
};

/* Numbers from 1, found again by content: open addressing. A slot is hash << 32 | number, 0 when it is free: what has another
 * hash is passed over without a look at it, which would be a cache miss. */
struct intern {
	uint64_t *slots;
	size_t room, count;
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
	struct record *records;              /* [0] is nobody */
	struct fieldset *fieldsets;          /* [0] sets nothing */
	struct classes *oldest, *classes;    /* the present ones are the last */
	size_t record_room, fieldset_room;
	struct intern by_key, by_fields;
	char *names;
	size_t names_n, names_room;
	uint32_t present_count, stamp;
	uint32_t canaries;                   /* records with one */
	struct partition partitions[POLICY_PARTITIONS];
	char snapshot[PATH_ROOM + 32];
	bool dirty;                          /* the snapshot is older than memory */
	int64_t saved_ms;
	int saver;                           /* the process that writes it; 0: none */
	struct event *tick;
};

/* Effective policies as they are asked for, up to CLASSES_MOST; then they are made anew, and these go when nobody holds them or
 * older ones: what a provider's mailboxes and years of changes come to is more than memory should hold at once. */
enum { CLASS_BLOCK = 1024, CLASSES_MOST = 128 * CLASS_BLOCK };
struct classes {
	struct classes *newer;
	struct policy *blocks[CLASSES_MOST / CLASS_BLOCK];   /* never moved */
	struct intern index;
	uint32_t holders;
};

static inline const char *
record_name(const struct customers *c, uint32_t r)
{
	return c->names + c->records[r].key;
}

/* What somebody wants to be set at a record: read, checked, not yet in force. */
struct draft {
	uint64_t set, locked, least_set, most_set;
	struct policy values, least, most;
	char above[CUSTOMER_ROOM];           /* "customer" of a domain or mailbox, "tier" of a customer */
	char alias[MEMBERS_ROOM];            /* keys without kind, by one blank */
	char catch_all[MAX_ADDRESS + 1], delimiters[8];
	json_t *allow, *block;               /* borrowed from the JSON it was read from */
	uint64_t canary_set;                 /* 0: no canary */
	struct policy canary;
	uint8_t share, most_held;
};

/* ---- customers_fields.c: JSON to drafts, drafts to JSON ---- */

/* "domain:shop.example" for "shop.example", "mailbox:..." for an address, "customer:..." as it is; "*@*.example" and
 * "@shop.example" are domains. Normalised. False and a sentence when it is none of these. */
bool customers_key(struct span text, char key[KEY_ROOM], char *why, size_t room);
enum record_kind customers_kind(const char *key);
const char *customers_name(const char *key);                /* without the kind: what the table is keyed by */
bool draft_read(const char *key, json_t *values, struct draft *d, char *why, size_t room);
/* The whole record as canonical JSON; `shared` (may be NULL): what of it the fieldset is. */
void draft_json(const char *key, const struct draft *d, struct buf *whole, struct buf *shared);
/* Its fieldset; 0: nothing is set, or no memory (`*failed`). */
uint32_t fieldset_intern(struct customers *c, struct span json, const struct draft *d, const char *owner, bool *failed);
void fieldset_values(const struct fieldset *f, struct policy *values, struct policy *least, struct policy *most);
/* The whole key of a record, with its kind. */
void customers_record_key(const struct customers *c, uint32_t r, char key[KEY_ROOM]);
json_t *customers_record_json(const struct customers *c, uint32_t r);

/* ---- customers_records.c: the table ---- */

uint32_t customers_hash(struct span name);
int customers_partition(const char *key);
uint32_t customers_find(const struct customers *c, struct span name);          /* 0: not there */
uint32_t customers_make(struct customers *c, enum record_kind kind, struct span name);      /* 0: no memory */
/* Room for so many more; false: no memory. Then one is added: its number is count. */
bool intern_room(struct intern *t, size_t more);
void intern_add(struct intern *t, uint32_t hash);
/* The next number of this hash, after those given before (*at begins as 0); 0: there is none. */
static inline uint32_t
intern_next(const struct intern *t, uint32_t hash, size_t *at)
{
	uint64_t slot;

	while (t->room && (slot = t->slots[(hash + (*at)++) & (t->room - 1)]) != 0)
		if (slot >> 32 == hash)
			return (uint32_t)slot;
	return 0;
}

/* What a write changes of a record, to put it back. */
struct record_state {
	uint32_t record, fields, parent, target;
	uint8_t present;
};
bool customers_put(struct customers *c, const char *key, const struct draft *d, struct span shared, struct record_state *before);
void customers_restore(struct customers *c, const struct record_state *before);
/* JSON object of fields -> record in the table; empty JSON removes it. False: not to be read (it is skipped). */
bool customers_apply(struct customers *c, const char *key, struct span json);

/* ---- customers_compile.c: from a record to its effective policy ---- */

/* The levels a mailbox or domain stands in; 0 where there is none. */
struct chain {
	uint32_t at[LEVEL__COUNT];           /* records; [LEVEL_DEFAULT] is not used */
	uint32_t source;                     /* fieldset of a table outside, before that of LEVEL_MAILBOX; 0: none */
	const char *customer;                /* "" when nobody's */
	const char *mailbox;                 /* whose lot is drawn where a level has a canary; NULL: nobody's */
	bool all_canaries;                   /* as if each lot were drawn: for checking */
};
void customers_chain(const struct customers *c, uint32_t r, struct chain *chain);
/* The effective policy of a chain. `from` and `bounded` (may be NULL): the level of each field, and whose bound cut it. */
void customers_compile(const struct customers *c, const struct chain *chain, struct policy *out, enum policy_level *from,
    enum policy_level *bounded);
/* The class of a policy, of a record (kept with it until the stamp changes), of an alias for several; 0: no memory. */
uint32_t class_intern(struct customers *c, const struct policy *policy);
uint32_t class_of_record(struct customers *c, uint32_t r, const char *canonical);
uint32_t class_of_members(struct customers *c, uint32_t alias, const char *members);
const struct policy *class_policy(const struct customers *c, uint32_t id);
bool classes_renew(struct customers *c);                    /* false: no memory; the present ones stay */
void classes_free(struct customers *c);
size_t classes_bytes(const struct customers *c);

/* ---- customers_canary.c: another policy for a share of the mailboxes ---- */

bool chain_has_canary(const struct customers *c, const struct chain *chain);
/* Does the mailbox of the chain (or everybody) draw the lot of that level's canary? Stable: by the names of both. */
bool chain_draws(const struct customers *c, const struct chain *chain, enum policy_level level);
/* The mailbox that a look-up of `canonical`, answered by record `r`, is about: without its extension. */
void canary_mailbox(const struct customers *c, uint32_t r, const char *canonical, char to[MAX_ADDRESS + 1]);
void customers_canary_report(struct customers *c, json_t *request, customers_reply done, void *arg);

/* ---- customers.c: from an address to its record ---- */

/* Whose record answers for a canonical address; 0: the default's. `members`: it is an alias for several, see there. */
uint32_t customers_resolve(const struct customers *c, const char *canonical, const char **members);
/* The mailbox it belongs to, which need not have a record: in the real domain, without extension. Empty: it is no address. */
void customers_mailbox(const struct customers *c, const char *canonical, char *to, size_t room, const char **members);
/* The nearest "*.NAME" above a domain; 0: none. The characters that begin an extension there, or "none". */
uint32_t customers_wildcard(const struct customers *c, const char *domain);
const char *customers_delimiters(const struct customers *c, uint32_t domain);
/* user for user+ext; 0: there is no extension. A quoted local part has none. */
size_t base_length(const char *local, size_t n, const char *delimiters);

/* ---- customers_check.c: may this be in force? ---- */
bool customers_check(const struct customers *c, uint32_t r, char *why, size_t room);

/* ---- customers_snapshot.c ---- */
bool snapshot_load(struct customers *c);
void snapshot_save(struct customers *c);                    /* in this process */
void snapshot_tick(struct customers *c);                    /* in one of its own, when it is time */

/* ---- customers_write.c: records changed in Redis, all of a request or none ---- */
void customers_write(struct customers *c, json_t *request, customers_reply done, void *arg);
/* Whose record it is: a customer's id, "" for nobody's. */
const char *customers_owner(const struct customers *c, uint32_t r);
/* The same by key; a mailbox that is not there yet is its domain's. */
const char *customers_owner_of(const struct customers *c, const char *key);
json_t *customers_refuse(const char *why);
json_t *customers_foreign(const char *why);                 /* of another customer: to who asks it is not there */
/* A record as the JSON it has in Redis, "" for none (malloc'd), and a name for exactly that state. */
char *customers_text(const struct customers *c, const char *key);
void customers_etag(struct span json, char to[24]);

/* ---- customers_simulate.c ---- */
void customers_simulate(struct customers *c, json_t *request, customers_reply done, void *arg);

/* ---- customers_history.c: who changed what, and back again ---- */
void customers_history(struct customers *c, json_t *request, customers_reply done, void *arg);
void customers_rollback(struct customers *c, json_t *request, customers_reply done, void *arg);
void customers_explain(struct customers *c, json_t *request, customers_reply done, void *arg);

/* ---- customers_redis.c ---- */
void customers_follow(struct customers *c);                 /* every tick */
void customers_reload(void *arg);                           /* at every connect */

#endif
