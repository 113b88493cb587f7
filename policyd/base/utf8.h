/* utf8.h - the shape of UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef POLICYD_BASE_UTF8_H
#define POLICYD_BASE_UTF8_H

#include "policyd/base/span.h"

/* Bytes of the character at the start of `s`: 1 to 4; 0 when it is none. */
size_t utf8_length(struct span s);

/* The code point there, its length in `*length` (0 and U+FFFD when it is none). */
uint32_t utf8_decode(struct span s, size_t *length);

/* Writes 1 to 4 bytes, returns how many. */
size_t utf8_encode(uint32_t code, char out[4]);

bool utf8_valid(struct span s);

/* At most `n` bytes from the start, and no half character at the end. */
struct span utf8_head(struct span s, size_t n);

/* How many bytes at the start are ASCII. */
size_t ascii_length(struct span s);

#endif
