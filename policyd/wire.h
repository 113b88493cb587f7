/* wire.h - every packet between our processes: who sends it, what stands in it.
 *
 * Shape   ipc.h packs the fields in the order given here; "fd" travels beside the body
 * Sockets <run>/broker.sock <run>/store.sock <run>/deliver.sock <run>/trainer.sock (listening ends held by the
 *         master, so a connect waits out a restart), <run>/control.sock (policyctl), and one socket pair from
 *         the master to each child
 * Ids     an answer carries the id of its question
 */
#ifndef POLICYD_WIRE_H
#define POLICYD_WIRE_H

#include "policyd/base/ipc.h"
#include "policyd/scan/session.h"
#include "policyd/scan/verdict.h"

enum wire {
	/* master <-> child, on the child's socket pair */
	W_READY = 1,        /* child: u64 generation of the config now in force here */
	W_REFUSED,          /* child: u64 generation, text why: the old one stays in force */
	W_CONFIG,           /* master: fd sealed config; swap at the next mail's boundary, answer READY or REFUSED;
	                       a zygote whose virus database is not that any more answers FRESH */
	W_FRESH,            /* zygote: u64 generation: start another one beside me, my database is out of date */
	W_STOP,             /* master: finish what is in hand, then exit 0 */
	W_LINK,             /* child (zygote, whose cage keeps it from the path): nothing -> fd connected to broker.sock */
	W_CONTROL,          /* master: text JSON request, fds: client connection, then the client's own */
	W_REPORT,           /* master to broker: the same, of a connection that may report mail and nothing else (report.sock) */

	/* policyctl <-> control.sock, and after the handing over with the process that serves it */
	W_REQUEST = 20,     /* text JSON {"cmd": "quarantine.list", ...}, fds as the command says; to store.sock as well:
	                       quarantine/store/requests.h */
	W_REPLY,            /* text JSON; {"more": true} on all but the last; {"error": "...", "exit": 2} */

	/* first packet of whoever connects to broker.sock; or W_REQUEST: review, which asks as policyctl does */
	W_HELLO = 40,       /* text role ("gate", "zygote", "deliver"), text context or "", u64 config generation;
	                       a zygote adds u32 cage measures that hold, u8 engine loaded, u32 signatures,
	                       u64 database time (s), u64 newest change of its files (s) */

	/* gate -> broker; conn and tx are numbers of the gate's own choice */
	W_CONNECT,          /* u64 conn, session: DNS questions start. No answer */
	W_MAIL,             /* u64 conn, u64 tx, session, envelope. No answer */
	W_RCPT,             /* u64 tx, u32 index, span raw argument  -> W_RCPT_ANSWER */
	W_RCPT_ANSWER,      /* u8 0 accept 1 reject 2 defer, text code, text xcode, text reply */
	W_MESSAGE,          /* u64 tx, text queue id, u64 size, u8 truncated, u8 recipients may be replaced, u8 bits of
	                       enum lane_hint; fd sealed mail
	                       -> W_OUTCOME */
	W_OUTCOME,          /* u8 enum smtp_reply, text code, text xcode, text reply, u32 n, n x u32 index to delete,
	                       u32 n, n x (u32 index to delete, text address to add for it, with his own DSN parameters),
	                       u32 n, n x edit (u8 enum edit, text name, u32 nth, span value) */
	W_TX_END,           /* u64 tx: answered, aborted or reset. No answer */
	W_CLOSE,            /* u64 conn. No answer */

	/* broker <-> zygote */
	W_FORK = 60,        /* broker: nothing  -> W_FORKED */
	W_FORKED,           /* u32 pid (0: could not), text why; fd the worker's socket */
	                    /* zygote: W_HELLO again when it has taken a new config: older workers retire */
	W_REAPED,           /* zygote: u32 pid, u32 wait status */
	W_KILL,             /* broker: u32 pid */
	W_ANEW,             /* zygote: a map has changed, its rules are read anew: older workers retire. No answer */

	/* broker <-> worker */
	W_JOB = 70,         /* u8 enum job, session, envelope, u8 truncated, u32 n, n x (span struct policy, u64 mailbox with a
	                       model of its own),
	                       u32 n, n x symbol found so far, u32 n, n x (text rule, u8 enum rule_mode, u32 share of 100);
	                       fd sealed mail  -> W_SCANNED, W_FEATURES, W_RENDERED */
	W_SCANNED,          /* scanned (scanned.h) */
	W_ACCOUNT,          /* worker, before its W_SCANNED to a JOB_EXPLAIN: account (account.h). No answer */
	W_DIGEST,           /* worker, before it parses: span digest (32), so that a crash is known by content. No answer */
	W_ASK,              /* worker, id of its job: u32 batch, u32 n, n x question (scan/question.h) -> W_TOLD, maybe too late */
	W_TOLD,             /* id of the job: u32 batch, u32 n, n x answer */
	W_FEATURES,         /* of the mail, or (JOB_ATTACHED) of each mail attached to it: u32 n, n x (span identity (32), span
	                       alike (32) (model/identity.h), span features, u32 n, n x text symbols of rules found, span struct alike) */
	W_RENDERED,         /* rendered (rendered_pack): for people to look at */
	W_VARIANT_MADE,     /* worker, broker: span traces of earlier passages (rewrite_traces); fd the mail as this variant has it */

	/* broker -> store */
	W_STORE = 80,       /* stored (wire_pack_store); fd sealed mail  -> W_STORED or W_STORE_FAILED */
	W_STORED,           /* u8 1 if a retry found its entry again, u32 n, n x text quarantine id, one a recipient */
	W_STORE_FAILED,     /* text why */

	/* store -> deliver */
	W_RELEASE = 90,     /* text key (asked again, it is the same release), text sender, text recipient, text client ip, text helo; fd sealed mail */
	W_RELEASED,         /* u8 1 accepted 0 refused 2 try later, u32 code, text reply, text MTA queue id */

	/* deliver -> broker, after W_HELLO "deliver" */
	W_ROUTE = 95,       /* u8 1 a probe has come back through the MTA's queue 0 none does, text why. No answer */
	W_VARIANT,          /* span variant (variant_pack), span Received line, span recipient; fd mail  -> W_VARIANT_MADE or W_VARIANT_FAILED */
	W_VARIANT_FAILED,   /* text why */

	/* broker -> trainer */
	W_LESSON = 100,     /* u8 1 spam 0 ham, u8 1 learn 0 unlearn, text source, text who, text customer, u64 mailbox with a model
	                       of its own or 0, span identity (32), span alike (32), span features  -> W_LEARNED */
	W_LEARNED,          /* u8 0 failed 1 learnt 2 known already 3 flipped 4 unlearnt 5 held for a second vote
	                       6 refused: asking again will not help, text why */
	W_WANT,             /* u32 n, n x (text customer, u64 mailbox or 0) whose own table is to be in the cache  -> W_HAVE */
	W_HAVE,             /* u8 1 all are, 0 Redis gave no answer */

	/* worker -> broker, with the id of its job: what is answered by findings. Each kind once a scan -> W_FOUND, maybe too late */
	W_ASK_LISTS = 110,  /* u32 family, span address (16): the client behind a trusted relay */
	W_ASK_NAMES,        /* u32 n, n x (u8 bits of enum name_place, span name, span registrable domain): for lists of names */
	W_ASK_CAMPAIGN,     /* span struct alike: mails like this one */
	W_ASK_REPUTATION,   /* text network, u32 n, n x (u8 enum reputation_kind, text domain that is proved), span proved author
	                       or "", u32 n, n x span Message-ID that it refers to */
	W_FOUND = 120,      /* u32 the question's type, u32 n, n x symbol found */
};

enum edit { EDIT_ADD, EDIT_INSERT, EDIT_CHANGE, EDIT_REMOVE };     /* smfi_addheader, insheader(0), chgheader, chgheader(NULL) */
/* JOB_VARIANT adds span variant, span Received line, text banned types */
enum job { JOB_SCAN, JOB_FEATURES, JOB_ATTACHED, JOB_RENDER, JOB_VARIANT, JOB_EXPLAIN };

static inline bool
wire_asks_findings(uint32_t type)
{
	return type >= W_ASK_LISTS && type < W_FOUND;
}

void wire_pack_session(struct buf *b, const struct session *s);
void wire_unpack_session(struct unpack *u, struct session *s);
void wire_pack_envelope(struct buf *b, const struct envelope *e);
void wire_unpack_envelope(struct unpack *u, struct envelope *e);
void wire_pack_symbol(struct buf *b, const struct symbol *s);
void wire_unpack_symbol(struct unpack *u, struct symbol *s);       /* borrowed from the packet */

/* What the store keeps of one mail beside its bytes. One entry per mail and customer, one state per recipient. */
enum stored_mode { STORED_HOLD, STORED_COPY };              /* kept instead of delivered; copy of what was rejected */

struct store_recipient {
	struct span raw;                     /* the RCPT argument, byte exact */
	struct span address;                 /* canonical, for listings */
	struct span customer;
	double points, tag, quarantine, discard;    /* his own thresholds then */
	uint32_t retention_days;
	uint8_t mode;                        /* enum stored_mode */
};
struct store_request {
	struct session session;
	struct envelope envelope;
	uint8_t digest[32];                  /* SHA-256 of the bytes */
	uint64_t size;
	int64_t time_s;
	struct span class_name;              /* "spam", "virus", "unscannable", ... */
	struct span message_id, from, subject;
	struct span symbols;                 /* JSON: [{"name": "GTUBE", "points": 1000, "evidence": ""}, ...] */
	struct span allow;                   /* what to put on an allow list for mail like this ("from:a@b"); may be empty */
	struct store_recipient *recipients;
	uint32_t recipient_count;
};
void wire_pack_store(struct buf *b, const struct store_request *r);
bool wire_unpack_store(struct unpack *u, struct arena *a, struct store_request *r);

#endif
