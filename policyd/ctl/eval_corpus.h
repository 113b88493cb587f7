/* eval_corpus.h - labelled mails as features, read and parsed once by several processes.
 *
 * Source   INDEX file of "spam|ham PATH" lines (relative to it) · a folder with `index`, or with folders ham/ and spam/ ·
 *          ham:PATH or spam:PATH with any PATH of mails.h · a tar whose entries lie below ham/ or spam/
 * Shape    struct corpus: samples in the order of the source; packed features stay in files without a name, mapped
 * Errors   printed; a mail that ends its parser loses that parser's share and fails the whole
 */
#ifndef POLICYD_CTL_EVAL_CORPUS_H
#define POLICYD_CTL_EVAL_CORPUS_H

#include "policyd/base/arena.h"
#include "policyd/model/features.h"
#include "policyd/model/table.h"

enum { STRIP_MOST = 128, PARSERS_MOST = 64 };

struct sample {
	const char *path;                    /* of the file; `offset` and `size` in it */
	size_t offset, size;
	int spool;                           /* 1: the bytes lie in the corpus' spool */
	int label, source;                   /* source: number of the argument it came from */
	uint8_t digest[32];                  /* SHA-256 of the bytes as they are */
	struct span features;                /* packed */
};

/* A last change to a mail before it is parsed (an attack); answers it in the arena, or `raw`. */
typedef struct span (*corpus_change)(void *arg, struct arena *a, struct span raw, int label);

struct corpus {
	struct sample *at;
	size_t count, room;
	int spool, sources;                  /* spool: file without a name for what came out of archives, or -1 */
	size_t spool_size;
	char strip[STRIP_MOST][64];          /* header names to leave out; "x-foo*" is a prefix */
	size_t strip_count;
	bool portable;                       /* keep only features that mean the same at any site */
	corpus_change change;
	void *change_arg;
	struct span mapped[PARSERS_MOST];
	int parsers;
	int64_t parse_us, feature_us;        /* CPU, all told */
};

bool corpus_strip(struct corpus *c, const char *path);      /* header names of a file, one a line; # begins a comment */
bool corpus_add(struct corpus *c, const char *what);
/* Digests and features of all; `jobs` processes. */
bool corpus_read(struct corpus *c, int jobs);
/* The bytes of one sample, mapped or NULL; give them back. */
struct span sample_bytes(const struct corpus *c, const struct sample *s, struct span *mapping);
/* Without the header fields of `strip`. */
struct span corpus_stripped(const struct corpus *c, struct arena *a, struct span raw);
void corpus_free(struct corpus *c);

#endif
