/* features.h - a mail as a set of hashed features: words, adjacent pairs, structure, byte runs of the beginning.
 *
 * Shape   arrays of hashes (FEATURE_BITS; GRAM_BITS of byte runs: as many as the tables tell apart), each feature once, in groups: what is not text | passages of the text | site-bound.
 *         The first two (`portable`) are meaningful at any site, the rest (Received, X-* and the like) where it was learnt
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

enum { FEATURES_TEXT = 4000, FEATURES_HEADER = 1000, FEATURES_SUBJECT = 300, FEATURES_MOST = 16384, FEATURES_GRAMS = 2500, FEATURES_GRAMS_BODY = 1000, FEATURES_WINDOWS = 8, FEATURE_BITS = 22, GRAM_BITS = 18 };

struct feature_set {
	uint32_t *hash;
	uint32_t count, portable;
	uint32_t window[FEATURES_WINDOWS + 1];       /* passage w of the text is [window[w], window[w + 1]); before them: not from text */
};

struct features {
	struct feature_set words, pairs, structure, grams;
};

void features_extract(struct arena *a, const struct message *msg, const struct session *session, struct features *out);

/* Only what is meaningful at other sites: for a starter model. */
void features_portable(struct features *f);

/* Parts of a set: what is not text (portable), passage w from 0, what is site-bound. */
struct feature_set features_outside(const struct feature_set *s);
struct feature_set features_passage(const struct feature_set *s, int w);
struct feature_set features_site(const struct feature_set *s);

/* Small enough for a ledger of many: gaps of the sorted hashes as variable-length numbers; some 5 KB for a typical mail. */
void features_pack(struct buf *b, const struct features *f);
bool features_unpack(struct span bytes, struct arena *a, struct features *f);

/* structure.c: the shape of the mail rather than its words. */
struct feature_maker;
void structure_extract(struct feature_maker *m, struct arena *a, const struct message *msg);
/* For structure.c: add one feature "view:text". */
void feature_add(struct feature_maker *m, bool portable, const char *view, struct span text);
void feature_number(struct feature_maker *m, bool portable, const char *view, unsigned long number);

#endif
