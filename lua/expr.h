/* expr.h - expressions over symbols, as `meta` of a rule holds them.
 *
 * Shape   A && !B    A || (B && C)    (A + B + 2 * C) >= 2    A == 0    also: and or not & |
 *         A symbol's value is how often it was found (0: not); an expression holds when its value is not 0
 * Order   || binds least, then &&, then == != < <= > >=, then + -, then * /, then ! and unary -; as in C and Perl
 * Bounds  MAX_EXPR_NODES nodes, MAX_EXPR_DEPTH brackets and operators deep
 */
#ifndef LUA_EXPR_H
#define LUA_EXPR_H

#include "policyd/base/buf.h"
#include "policyd/base/span.h"

enum { MAX_EXPR_NODES = 4000, MAX_EXPR_DEPTH = 100 };

struct expr;

/* NULL: why not, and the byte at which. */
struct expr *expr_parse(struct span text, size_t *bad_at, char *why, size_t room);
void expr_free(struct expr *e);

/* The symbols named, each as often as it stands there. */
size_t expr_symbol_count(const struct expr *e);
struct span expr_symbol(const struct expr *e, size_t i);
void expr_bind(struct expr *e, size_t i, int id);

typedef double (*expr_value)(const void *arg, int id);
double expr_eval(const struct expr *e, expr_value value, const void *arg);

/* The expression with what each symbol was: "(A=1 || B=0) && !C=0"; parts that were not looked at (the right of a && that
 * failed) without. */
void expr_explain(const struct expr *e, expr_value value, const void *arg, struct buf *out);

#endif
