/* reputations.h - reputations in Redis, shared by all nodes.
 *
 * Shape   {rep:<kind>:<name>}    hash     good, bad (decayed counts, reputation.h), last (s); expires REPUTATION_TTL_S after it
 *         {rep:pair:<mac>}       hash     written, heard: a mailbox and a proved sender
 *         {rep:reply:<mac>}      string   a mail that this mailbox sent to that address, by its Message-ID
 *         {rep:key}              string   the key of those macs, made by the first node: HMAC-SHA-256 over the parts, so that nobody
 *                                         who reads the database sees who writes to whom, and a Message-ID seen elsewhere (a list's
 *                                         archive) is worth nothing to whom the mail was not sent
 * Errors  no answer is no reputation: `known` is false
 */
#ifndef POLICYD_STORE_REPUTATIONS_H
#define POLICYD_STORE_REPUTATIONS_H

#include <jansson.h>

#include "policyd/scan/reputation.h"

enum { REPUTATION_TTL_S = 60 * 86400, REPLY_TTL_S = 30 * 86400, REPUTATION_NAMES = 12, REPUTATION_MAILBOXES = 32, REPUTATION_REFERENCES = 10 };

struct event_base;
struct redis_async;
struct reputations;
struct reputations_wait;

struct reputation_name {
	enum reputation_kind kind;
	char name[256];
	struct reputation value;             /* as of now */
};

/* Who is asked about, and what is known of them. */
struct reputations_question {
	struct reputation_name names[REPUTATION_NAMES];
	uint32_t name_count;
	char author[MAX_ADDRESS + 1];        /* proved, canonical; empty: nobody is */
	struct {
		char mailbox[MAX_ADDRESS + 1];       /* canonical */
		struct known known;
	} *mailboxes;                        /* the asker's: mailbox_count of them, which must outlive the wait */
	uint32_t mailbox_count;
	char references[REPUTATION_REFERENCES][256];
	uint32_t reference_count;
};

typedef void (*reputations_callback)(void *arg, bool known);

struct reputations *reputations_open(struct event_base *base, struct redis_async *redis);     /* NULL: no memory */
void reputations_close(struct reputations *r);

/* Fills in `q`, the caller's until then. The callback comes once, maybe from inside the call (then NULL is returned). */
struct reputations_wait *reputations_find(struct reputations *r, struct reputations_question *q, reputations_callback done, void *arg);
void reputations_cancel(struct reputations_wait *wait);

/* A mail of that origin was good, or bad. */
void reputations_count(struct reputations *r, enum reputation_kind kind, const char *name, bool bad);
/* A good mail of a proved author reached that mailbox. */
void reputations_heard(struct reputations *r, const char *author, const char *mailbox);
/* One of ours has written to somebody. */
void reputations_written(struct reputations *r, const char *mailbox, const char *to, struct span message_id);

/* policyctl: reputation.show, reputation.reset {"kind": net|dkim|sender, "name"} or {"kind": "pair", "name": author, "rcpt": mailbox} */
void reputations_request(struct reputations *r, const json_t *request, void (*done)(void *arg, json_t *reply), void *arg);

#endif
