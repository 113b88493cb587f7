/* clamd.h - the alternative virus engine: a running clamd, asked over INSTREAM.
 *
 * Shape   one IDSESSION per connection; each stream is  u32 big-endian length | bytes ...  0
 * Units   deadline in milliseconds, monotonic
 * Source  clamd(8), "COMMANDS"
 */
#ifndef POLICYD_NET_CLAMD_H
#define POLICYD_NET_CLAMD_H

#include "policyd/base/span.h"

enum clamd_result { CLAMD_CLEAN, CLAMD_FOUND, CLAMD_LIMIT, CLAMD_FAILED };

struct clamd {
	int fd;                              /* connected stream socket; lent */
	bool in_session;
};

/* A connection to clamd's unix socket, non-blocking; -1 with errno. */
int clamd_connect(const char *path);

/* When its database was built, as its VERSION tells; false: it does not. */
bool clamd_built(struct clamd *clamd, int64_t deadline_ms, int64_t *built_s);

/* Scan one run of bytes. `text` gets the signature's name, or what went wrong. After CLAMD_FAILED the
 * connection is of no more use. */
enum clamd_result clamd_scan(struct clamd *clamd, struct span bytes, int64_t deadline_ms, char *text, size_t room);

#endif
