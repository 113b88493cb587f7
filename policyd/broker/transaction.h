/* transaction.h - one client connection of a gate, and its present mail, as the broker keeps them. */
#ifndef POLICYD_BROKER_TRANSACTION_H
#define POLICYD_BROKER_TRANSACTION_H

#include "policyd/broker/broker.h"
#include "policyd/broker/limits.h"
#include "policyd/broker/who.h"
#include "policyd/net/lists.h"
#include "policyd/scan/decide.h"
#include "policyd/scan/lane.h"
#include "policyd/scan/scanned.h"
#include "policyd/store/entries.h"
#include "policyd/store/campaigns.h"

struct gate {
	struct broker *broker;
	struct gate *next;
	int sock;
	char context[32];
	struct event *readable;
	struct map conns, txs;
};

enum { QUARANTINE_ID_ROOM = 32 };

enum lists_state { LISTS_NOT_ASKED, LISTS_PENDING, LISTS_KNOWN };

struct conn {                                /* one SMTP client */
	struct gate *gate;
	uint64_t id;
	struct session session;
	enum lists_state lists_state;
	struct lists_wait *lists_wait;
	struct dnsbl_result lists;
	struct who *who;                     /* warms the DNS cache from CONNECT on; NULL: nobody is asked */
	struct tx *tx;                       /* at most one: libmilter's callbacks of a connection come one by one */
};

struct recipient {
	char *raw;                           /* the RCPT argument, byte exact, for delrcpt */
	uint32_t index;                      /* the gate's number */
	const struct policy *policy;         /* interned: held by the mail (`held`) */
	uint32_t class_id;
	uint32_t score;                      /* which of the scanned scores is his */
	uint64_t mailbox;                    /* its number where it has a model of its own (wanted.h); else 0 */
	enum outcome limit;                  /* what a limit that is used up makes of it; OUT_DELIVER: nothing */
	bool outbound;                       /* nobody of ours, written to by one of ours: the sender's policy for that */
	uint32_t copy;                       /* which of the stored copies is his, if his fate is to be stored */
};

struct tx {                                  /* one mail */
	struct broker *broker;
	struct gate *gate;                   /* NULL: gone, nobody hears the answer */
	struct conn *conn;                   /* NULL once the client has gone */
	uint64_t id;
	struct settings *settings;           /* held */
	struct classes *held;                /* policies from its beginning on */
	const struct config *config;
	struct session session;
	struct envelope envelope;
	char reference[REFERENCE_ROOM];
	struct dnsbl_result lists;
	struct who *who;                     /* client and sender (who.h); NULL: nobody was asked */

	/* behind a trusted relay: who its Received headers say the client is (answers.c) */
	bool relayed;                        /* the client is a trusted relay */
	struct ip origin;                    /* family 0: nobody was asked about */
	struct dnsbl_result origin_lists;
	struct lists_wait *origin_wait;
	struct names_wait *names_wait;       /* for lists of names (net/lists_names.h) */
	struct alike alike;                  /* its fingerprints, and what is known of mails like it (campaign.h) */
	struct campaigns_found campaign;
	struct campaigns_wait *campaign_wait;
	double campaign_points;
	struct reputation_asked *reputation; /* what is known of its origin (reputation.c) */
	struct batch *batches;               /* of questions that its worker waits for (questions.c) */
	uint32_t asked;                      /* questions so far: MAX_ASKED at most */

	struct recipient *recipients;
	uint32_t recipient_count, recipient_room;

	/* what waits for the DNS lists: a RCPT, or the message */
	bool waiting;
	uint32_t waiting_id;                 /* packet id to answer */
	uint32_t waiting_index;
	char *waiting_raw;                   /* of a RCPT; NULL: the message waits */
	struct source_wait *source_wait;     /* first for what a table outside says of him (store/source.h) */
	json_t *sourced;                     /* what it said; NULL: nothing */
	struct limits_wait *limits_wait;     /* then for his limits, or the message's */
	struct { const struct policy *policy; uint32_t class_id; bool outbound; } present;   /* of whom the limits are asked */
	bool counted;                        /* the message is: its next recipient is not its first */
	char limit_text[MAX_REPLY_TEXT];     /* which limit its bytes were too many for; empty: none */

	/* the message */
	int mail_fd;                         /* -1: none */
	uint64_t size;
	bool explain;                        /* the worker tells what it read as well */
	bool truncated;
	enum lane lane;
	const char *lane_why;                /* static */
	bool may_replace;                    /* recipients, by the MTA's leave */
	uint32_t message_id;                 /* packet id of W_MESSAGE */
	int64_t start_ms, deadline_ms;
	void *asker;                         /* policyctl scan: its request */
	struct own_wait *own_wait;           /* for customers' tables (wanted.h) */
	struct work *work;
	char *answer_body;                   /* a copy of the worker's packet: what `scanned` points into */
	struct scanned scanned;
	bool have_scanned, poison, storing;
	struct fate *fates;                  /* per recipient */
	struct settlement settlement;
	uint32_t told;                       /* recipients whose line and event are written */
	char told_reply[MAX_REPLY_TEXT + 32];
	struct event *telling;               /* the rest of them come some at a time; NULL: all are */
	char (*quarantine_ids)[QUARANTINE_ID_ROOM];  /* of each copy, or NULL */
	uint32_t copy_count;
};

void tx_free(struct tx *tx);
/* Where recipient `i` finds his copy: "" when none was stored. */
const char *tx_quarantine_id(const struct tx *tx, uint32_t i);
/* What the mail is to that recipient: enum mail_class bits; what is banned depends on his policy. */
unsigned tx_classes(const struct tx *tx, const struct recipient *r);

/* What decide() needs of a scanned mail for that recipient, by his policy or another. */
struct judgement tx_judgement(const struct tx *tx, const struct recipient *r, const struct policy *policy);
/* Who sent it, as his lists ask, now that the header is known. */
struct entry_facts tx_facts(const struct tx *tx, struct span signers[AUTH_DKIM_MOST]);      /* they lie in `signers` */

enum { GATE_SEND_MS = 1000 };                /* a gate that does not read for so long loses the answer, and tempfails */

/* outcome.c: the scan is done (or will not be): decide, settle, store, answer, tell. */
void tx_scanned(struct tx *tx);
/* Answer the message with a 4xx and tell why. */
void tx_defer(struct tx *tx, const char *code, const char *xcode, const char *why);

/* What each recipient wants alone, and what of it SMTP can say. `scanned` is there, or the mail is poison. False: no memory. */
bool tx_decide(struct tx *tx);
/* What recipient i would get with so many points more. */
enum outcome tx_outcome(const struct tx *tx, uint32_t i, double more);

/* Who the client and the sender are is asked, if it has not been and if anybody asks about such a client. */
void tx_ask_sender(struct tx *tx);

/* answers.c: what the worker asks while it scans; NULL: it will not hear the answer. */
void answers_asked(struct tx *tx, struct packet *question);
void answers_forget(struct tx *tx);
/* questions.c: a batch of them (W_ASK); and nobody waits for any. */
void questions_asked(struct tx *tx, struct unpack *u);
void questions_forget(struct tx *tx);
/* The findings of DNS lists as symbols: u32 n, n x symbol. */
void answers_pack_lists(const struct config *config, const struct dnsbl_result *lists, struct buf *body);

/* tell.c: its symbols as JSON text, malloc'd, BAYES as `score` (or NULL) has it. */
char *tell_symbols(const struct tx *tx, const struct scanned_class *score);
/* tell.c: one log line and one event per recipient. `reply` is what SMTP was told. */
void tell_outcome(struct tx *tx, const char *reply);
void tell_refused(const struct tx *tx, const char *recipient, const char *reply);

/* The job packet of a mail: what is known and the distinct scores that its recipients need; sets recipient.score. */
void tx_pack_job(struct tx *tx, struct buf *body);
/* A job packet for bytes without a transaction. What a kind adds of its own goes behind it. */
void job_pack_plain(struct broker *b, enum job kind, struct buf *body);

#endif
