/* taglist.h - "a=b; c=d": the lists of tags that DKIM, ARC and DMARC write their records and signatures in.
 *
 * Shape   names are case-sensitive letters, digits and underscores; values trimmed, inner folds as written
 * Errors  false: not by the grammar, or a name stands twice (RFC 6376, 3.2: both spoil the whole list)
 * Bounds  MAX_TAGS
 * Source  RFC 6376, 3.2
 */
#ifndef POLICYD_AUTH_TAGLIST_H
#define POLICYD_AUTH_TAGLIST_H

#include "policyd/base/arena.h"

enum { MAX_TAGS = 40 };

struct tag {
	struct span name, value;
	struct span raw;                     /* the value with the blanks around it: all between '=' and ';' */
};
struct taglist {
	struct tag at[MAX_TAGS];
	size_t count;
};

bool taglist_parse(struct span text, struct taglist *out);
/* As DMARC wants it (RFC 7489, 6.3): what is no tag is passed over, and of two the first counts. */
void taglist_read(struct span text, struct taglist *out);
/* NULL: it is not there. */
const struct tag *taglist_find(const struct taglist *list, const char *name);
/* Its value; empty when it is not there. */
struct span taglist_get(const struct taglist *list, const char *name);
/* Without any blank: what base64 values are. */
struct span taglist_squeeze(struct arena *a, struct span value);
/* Base64, blanks allowed anywhere; false: something else is in it. */
bool base64_read(struct arena *a, struct span text, struct span *out);

#endif
