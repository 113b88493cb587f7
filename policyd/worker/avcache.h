/* avcache.h - what ClamAV has found clean, shared by all workers of one virus database: an attachment that comes a
 * thousand times is scanned once.
 *
 * Shape   a table of SHA-256 digests in memory that the zygote maps and its workers inherit. It belongs to one loaded engine:
 *         another database, other limits are another zygote, with an empty table
 * Errors  none: full means that an older entry goes; a torn entry (two writers at once) is no entry
 *
 * Only "clean, and looked at to the end" is kept: an infection ends the scan at its first hit anyway, and must never come
 * out of a table. A worker that a mail has taken over could vouch for bytes it likes; so may, in every scanner that
 * remembers, whoever owns the scanner. `clamav.cache = false` is for those who would rather scan all of it each time.
 */
#ifndef POLICYD_WORKER_AVCACHE_H
#define POLICYD_WORKER_AVCACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct avcache;

struct avcache *avcache_open(void);          /* NULL: no memory; then all is scanned */
void avcache_close(struct avcache *c);
bool avcache_has(const struct avcache *c, const uint8_t digest[32]);
void avcache_add(struct avcache *c, const uint8_t digest[32]);

#endif
