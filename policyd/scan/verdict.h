/* verdict.h - what was found in one mail: symbols with points, and what could not be told.
 *
 * Shape   one array of symbols; a name stands once (a second hit adds its evidence, not its points)
 * Units   points; positive is towards spam
 * Bounds  MAX_FINDINGS symbols, MAX_EVIDENCE bytes each
 */
#ifndef POLICYD_SCAN_VERDICT_H
#define POLICYD_SCAN_VERDICT_H

#include "policyd/base/arena.h"
#include "policyd/base/limits.h"

/* What a mail is, beside its points: each class has an action of its own in the recipient's policy. */
enum mail_class {
	CLASS_SPAM       = 1 << 0,           /* by points only */
	CLASS_VIRUS      = 1 << 1,
	CLASS_PHISH      = 1 << 2,
	CLASS_BANNED     = 1 << 3,
	CLASS_BULK       = 1 << 4,
	CLASS_UNSCANNABLE = 1 << 5,
};

struct symbol {
	struct span name;                    /* [A-Z0-9_]+ */
	double points;
	struct span evidence;                /* UTF-8, may be empty */
	double held;                         /* points it would add were its rule in force (shadow, canary) */
};

struct verdict {
	struct symbol at[MAX_FINDINGS];
	size_t count;
	unsigned classes;                    /* enum mail_class bits found */
	bool defer;                          /* a mandatory stage could not tell: never deliver as clean */
	struct span defer_reason;
	double spam_probability;             /* calibrated, 0..1; 0.5 when nobody was asked */
};

/* Names and evidence are copied into `a`. */
void verdict_add(struct arena *a, struct verdict *v, struct span name, double points, struct span evidence);
/* A symbol that stands there already: what it would add. */
void verdict_hold(struct verdict *v, struct span name, double points);
/* "cannot tell": shown with 0 points as NAME_UNKNOWN, never a silent zero. */
void verdict_unknown(struct arena *a, struct verdict *v, struct span name, struct span reason);
const struct symbol *verdict_find(const struct verdict *v, struct span name);
double verdict_points(const struct verdict *v);             /* plain sum */

#endif
