/* nameset.h - a set of domain names with the A records they stand for: rbldnsd's dnset files, read as rbldnsd reads them.
 *
 * Shape   one name a line:  example.com   that name          *.example.com   all below it      .example.com   both
 *         "!" before it takes out what a wider entry would list. Behind it, or alone on a line as the default for what
 *         follows:  :127.0.0.4:text   :4:text   text (the default's A record). Without any: 127.0.0.2
 *         "#" and ";" begin comments; $SOA, $NS, $TTL and the like are passed over
 * Errors  a line that is no name is skipped and counted, as rbldnsd does
 * Bounds  the caller's, on the bytes; a name has at most MAX_HOST_NAME
 * Source  rbldnsd(8), "dnset Dataset". Left out: $TIMESTAMP's expiry, texts (no TXT is ever asked)
 *
 * The nearest entry wins: the name itself, then wildcards from the longest. Pure; once parsed it is only read.
 */
#ifndef POLICYD_SCAN_NAMESET_H
#define POLICYD_SCAN_NAMESET_H

#include <stdbool.h>
#include <stdint.h>

#include "policyd/base/limits.h"
#include "policyd/base/span.h"

struct nameset;

struct nameset *nameset_parse(struct span text, size_t *bad_lines);  /* NULL: no memory. Copies what it needs */
void nameset_free(struct nameset *set);
size_t nameset_count(const struct nameset *set);

/* The A records of `name` (host byte order; any case, no final dot): how many, at most MAX_DNS_ANSWERS; 0: not in the set. */
size_t nameset_find(const struct nameset *set, struct span name, uint32_t a[MAX_DNS_ANSWERS]);

#endif
