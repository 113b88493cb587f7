/* poison.h - which contents have ended a worker, kept over restarts.
 *
 * Shape   <state>/poison: one line a crash, "<sha256 hex> <unix seconds>"; rewritten when it grows
 * Bounds  POISON_ROOM contents, the oldest forgotten; an entry counts for POISON_TTL_S
 */
#ifndef POLICYD_BROKER_POISON_H
#define POLICYD_BROKER_POISON_H

#include <stdint.h>

enum { POISON_CRASHES = 2, POISON_ROOM = 1024, POISON_TTL_S = 7 * 86400 };

struct poison;

struct poison *poison_open(const char *state_dir);          /* NULL: no memory. A file that cannot be read is empty */
void poison_close(struct poison *p);
int poison_count(const struct poison *p, const uint8_t digest[32]);
int poison_note(struct poison *p, const uint8_t digest[32]);        /* one more crash; returns the new count */

#endif
