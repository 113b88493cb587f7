/* spool.h - the octets of one mail on their way in: memory first, an unlinked file above SPOOL_MEMORY_BYTES.
 *
 * Shape   what the SMTP client sent: headers "Name:value" with CRLF, empty line, body
 * Errors  spool_* answer false when a byte could not be kept: the mail is then tempfailed
 * Bounds  config message_limit_bytes (what is beyond is not kept, and `truncated` is set);
 *         config memory_budget_bytes for all mails of the process that are held in memory
 */
#ifndef MILTER_SPOOL_H
#define MILTER_SPOOL_H

#include "policyd/config.h"

enum { SPOOL_MEMORY_BYTES = 1024 * 1024, SPOOL_BUFFER = 16 * 1024 };

struct spool {
	int fd;                              /* -1: nothing yet */
	bool in_file, truncated, failed;
	uint64_t size, counted;              /* counted: bytes of the memory budget it holds */
	uint64_t limit, budget;
	char dir[PATH_ROOM + 8];
	size_t buffered;
	char buffer[SPOOL_BUFFER];
};

void spool_begin(struct spool *s, const struct config *config);     /* also forgets a mail before */
void spool_end(struct spool *s);

bool spool_header(struct spool *s, const char *name, const char *value, bool leading_space_kept);
bool spool_body(struct spool *s, struct span bytes);

/* All is in: a descriptor that nobody can write to any more (the caller's to close), -1 when it cannot be had. */
int spool_seal(struct spool *s);

#endif
