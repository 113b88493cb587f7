/* secret.h - random keys of this node, in <state>/NAME.key: 32 bytes, mode 0600.
 *
 * Several processes may be first at once: one makes the file, all read the same. They are never logged or shown.
 */
#ifndef POLICYD_BASE_SECRET_H
#define POLICYD_BASE_SECRET_H

#include <stdbool.h>
#include <stdint.h>

enum { SECRET_BYTES = 32 };

bool secret_load(const char *state, const char *name, uint8_t key[SECRET_BYTES]);

#endif
