/* sweep.h - what the two halves of the lenient reading share: sweep.c finds bodies, coding.c decodes them. Not for others. */
#ifndef POLICYD_MAIL_SWEEP_H
#define POLICYD_MAIL_SWEEP_H

#include "policyd/mail/parse.h"

enum {
	LOOK  = 4096,                        /* bytes of a body, or of the head before it, that are looked at to guess */
	LEAST = 4,                           /* bytes that make a body */
};

struct sweep;

/* coding.c: every decoding of `body` that its letters, or the words in `head` before it, suggest. `again`: the same bytes were
 * decoded from an earlier start. */
void sweep_body(struct sweep *s, struct span head, struct span body, bool again);

/* sweep.c */
struct arena *sweep_arena(const struct sweep *s);
void sweep_limit(struct sweep *s, const char *what);
/* Room for the decoders: false when the budget of this mail is spent. */
bool sweep_afford(struct sweep *s, size_t bytes);
/* One decoding of one body; unless it is a part already. `usual`: most clients decode so, its text is worth reading. */
void sweep_keep(struct sweep *s, struct span head, struct span data, const char *encoding, struct span name, bool usual);
/* The line at `at`, ended by LF, CR LF or a bare CR, as any of them is somewhere. */
struct span line_at(struct span s, size_t at, size_t *next);
/* Is it a file of a kind that is no picture, sound or text? */
bool is_file(struct span real_type);

#endif
