/* broker.h - the one event loop that knows and decides: what its parts share. */
#ifndef POLICYD_BROKER_BROKER_H
#define POLICYD_BROKER_BROKER_H

#include <jansson.h>

#include "policyd/base/link.h"
#include "policyd/base/map.h"
#include "policyd/base/secret.h"
#include "policyd/child.h"
#include "policyd/wire.h"

struct arena;
struct alarms;
struct buckets;
struct event;
struct campaigns;
struct lanes;
struct reputations;
struct limits;
struct meter;
struct notify;
struct outbound;
struct source;
struct peer;

enum { REFERENCE_ROOM = 16 };

struct route {                               /* the way of variants through the MTA's queue (variants.c) */
	int64_t up_until_ms;                 /* 0: down */
	char why[160];
	bool has_key;
	uint8_t key[SECRET_BYTES];           /* of token addresses */
};

struct settings {
	const struct config *config;
	int users;
};

struct broker {
	uint32_t transactions;               /* open ones, those that wait for the store included */
	struct child *self;
	struct settings *settings;
	const struct config *config;         /* settings->config: in force for what begins now */
	struct event_base *base;
	struct dns *dns;
	struct arena *arena;                 /* of checks that leave nothing in it: rewound after each (who.c) */
	struct lists *lists;
	struct redis_async *redis;
	struct customers *customers;
	struct meter *meter;
	struct campaigns *campaigns;
	struct lanes *lanes;
	struct reputations *reputations;
	struct buckets *buckets;             /* token buckets of the pool, and which of them a recipient meets */
	struct limits *limits;
	struct outbound *outbound;           /* stolen accounts */
	struct alarms *alarms;               /* attacks as they develop */
	struct notify *notify;               /* who is told of alarms */
	struct source *source;
	struct dispatch *dispatch;
	struct delegate *delegate;
	struct watch *watch;                 /* rules in shadow, canaries */
	struct link *store, *trainer;
	struct gate *gates;
	struct peer *peers;
	struct route route;
	uint64_t reference_count;
	bool owes_ready;                     /* new settings are here, but no workers that have them yet */
	struct inbox inbox;                  /* of the packet at hand: copy what must outlive it */
};


/* Whoever outlives the present packet and looks at settings holds them. */
bool settings_new(struct broker *b, const struct config *config);   /* takes the mapping over */
struct settings *settings_hold(struct broker *b);
void settings_drop(struct settings *s);

/* A reference a person can quote: unique on this node, [A-Z2-7]. */
void broker_reference(struct broker *b, char to[REFERENCE_ROOM]);

/* transaction.c: one connected gate. Takes `sock` over. */
void gate_add(struct broker *b, int sock, const char *context);
void gates_close(struct broker *b);

/* policyport.c: the policy-delegation requests. */
bool policyport_open(struct broker *b, int listen_fd);

/* requests.c: policyctl's connections handed over by the master. Takes the descriptors over. */
void request_connection(struct broker *b, uint32_t id, struct span json, int *fds, int fd_count, bool reports);

#endif
