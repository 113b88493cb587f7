/* layers.h - what ClamAV has looked at inside a mail, so that the parts we found ourselves are scanned only where we
 * read the mail otherwise than it did.
 *
 * libclamav names every layer (the mail, its parts, an archive's members) before it scans it. A part with the very same
 * bytes needs no second scan. Line ends of unencoded text belong to the transport and not to the part (RFC 2045, 2.7):
 * there CR LF and LF are the same, and empty lines, which libclamav drops from text, do not count.
 */
#ifndef POLICYD_WORKER_LAYERS_H
#define POLICYD_WORKER_LAYERS_H

#include <openssl/sha.h>

#include "policyd/base/arena.h"

struct layer {
	uint8_t exact[SHA256_DIGEST_LENGTH], lines[SHA256_DIGEST_LENGTH];
};

struct avcache;

struct layers {
	struct layer *list;
	struct avcache *cache;               /* lent; what is in it is passed over. NULL: none */
	size_t count;                        /* at most MAX_LAYERS; what is over is scanned again */
};

void layers_start(struct layers *layers, struct arena *arena, struct avcache *cache);
/* True: known to be clean, it need not be scanned. */
bool layers_add(struct layers *layers, struct span bytes);
/* The scan that has named the layers from `first` on ended clean: so are they. */
void layers_clean(const struct layers *layers, size_t first);
bool layers_have(const struct layers *layers, struct span bytes, bool unencoded_text);

#endif
