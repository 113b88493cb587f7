/* status.h - the X-Spam-* headers of a copy, written in one place: for the milter's edits and for a variant's own.
 *
 * Shape   X-Spam-Flag: YES (only of spam) | X-Spam-Score: 5.10
 *         X-Spam-Status: Yes, score=5.10 required=4.0 ref=K7...<fold>tests=[BAYES=2.10,GTUBE=3.00]
 */
#ifndef POLICYD_SCAN_STATUS_H
#define POLICYD_SCAN_STATUS_H

#include "policyd/base/buf.h"

struct status {
	bool flag, has_required;
	double points, required;
	const char *reference;
	struct span tests;                   /* "A=1.00,B=2.00", without blanks */
};

/* The value of X-Spam-Status; lines end by `eol` and go on with a tab. */
void status_write(struct buf *out, const struct status *s, const char *eol);
/* The tests of such a value, without its folds and without the test `name`, or "" (buf stays empty). */
void status_tests(struct buf *out, struct span value, struct span without);
/* RFC 2047: a tag outside ASCII travels as an encoded word. */
void status_tag(struct buf *out, struct span tag);

#endif
