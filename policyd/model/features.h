/* features.h - a mail as a set of hashed features: words, adjacent pairs, structure.
 *
 * Shape   three arrays of 32-bit hashes, each feature once; the first `portable` of each are meaningful at any site,
 *         the rest (from Received, X-* and the like) only where they were learnt
 * Bounds  FEATURES_TEXT bytes of body text, FEATURES_HEADER of a header value, FEATURES_MOST of an array
 * Source  Robinson 2003 and Siefkes et al. 2004 for words and pairs; Weinberger et al. 2009 for hashing
 *
 * Deterministic: same bytes, same features. A set, because double counting makes a learner's error several times as large.
 */
#ifndef POLICYD_MODEL_FEATURES_H
#define POLICYD_MODEL_FEATURES_H

#include "policyd/base/buf.h"
#include "policyd/base/ipc.h"
#include "policyd/mail/message.h"
#include "policyd/scan/session.h"

enum { FEATURES_TEXT = 4000, FEATURES_HEADER = 1000, FEATURES_SUBJECT = 300, FEATURES_MOST = 16384, FEATURES_GRAMS = 2500, FEATURES_GRAMS_BODY = 1000 };

struct feature_set {
	uint32_t *hash;
	uint32_t count, portable;
};

struct features {
	struct feature_set words, pairs, structure, grams;
};

void features_extract(struct arena *a, const struct message *msg, const struct session *session, struct features *out);

/* Only what is meaningful at other sites: for a starter model. */
void features_portable(struct features *f);

void features_pack(struct buf *b, const struct features *f);
bool features_unpack(struct span bytes, struct arena *a, struct features *f);

/* structure.c: the shape of the mail rather than its words. */
struct feature_maker;
void structure_extract(struct feature_maker *m, struct arena *a, const struct message *msg);
/* For structure.c: add one feature "view:text". */
void feature_add(struct feature_maker *m, bool portable, const char *view, struct span text);
void feature_number(struct feature_maker *m, bool portable, const char *view, unsigned long number);

#endif
