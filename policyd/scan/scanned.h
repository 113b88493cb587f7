/* scanned.h - what a worker tells the broker of one mail (W_SCANNED), and the tool that asks (policyctl scan).
 *
 * Shape   spans point into the packet it was unpacked from; arrays belong to the caller's `struct scanned`
 * Bounds  MAX_FINDINGS symbols, SCANNED_MAX_FORGED header names; class scores as many as were asked for
 */
#ifndef POLICYD_SCAN_SCANNED_H
#define POLICYD_SCAN_SCANNED_H

#include "policyd/auth/auth.h"
#include "policyd/base/ipc.h"
#include "policyd/scan/scan.h"

enum { SCANNED_MAX_FORGED = 256 };

struct scanned_class {
	double points, bayes_points, probability;
	bool model_known;
	bool strippable;
	struct span banned;                  /* the file that this policy bans; empty: none */

	/* the broker's own, of recipients who know the author (broker/reputation.c); the points are in `points` */
	const char *known_symbol;            /* static; NULL: none */
	double known_points;
	uint32_t base;                       /* the worker's score it was made of, plus one; 0: it is one of those */
};

struct scanned_forged {                      /* a header that only we may write, sent from outside */
	struct span name;
	uint32_t nth;
};

struct scanned {
	struct symbol *symbols;              /* malloc'd: scanned_free */
	uint32_t symbol_count;
	unsigned classes;                    /* enum mail_class */
	bool defer;
	struct span defer_reason;
	struct scanned_class *scores;        /* malloc'd, in the order of the job's policies */
	uint32_t score_count;
	uint8_t digest[32];                  /* SHA-256 of the mail */
	struct span message_id, from, subject;      /* UTF-8, decoded */
	uint64_t text_hash;                  /* of the letters its text begins with; 0: too few */
	struct span subject_raw;             /* as written, for the subject tag */
	struct span list_id;                 /* of List-Id, without brackets; empty: none that can be named */
	struct scanned_forged forged[SCANNED_MAX_FORGED];
	uint32_t forged_count;
	struct auth auth;                    /* who sent it */
	struct span results;                 /* our Authentication-Results, folds by LF and tab; empty: none is written */
	uint64_t cpu_us;
	bool retire;                         /* the worker ends itself after this mail */
};

/* From a finished scan; `digest`, `cpu_us`, `retire` by the worker. */
void scanned_pack(struct buf *b, const struct scan *scan, const uint8_t digest[32], uint64_t cpu_us, bool retire);
bool scanned_unpack(struct unpack *u, struct scanned *s);   /* false: not such a packet, or no memory; nothing to free */
void scanned_free(struct scanned *s);

#endif
