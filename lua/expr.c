#include "lua/expr.h"

#include <stdio.h>
#include <stdlib.h>

enum op { OP_NUMBER, OP_SYMBOL, OP_NOT, OP_MINUS, OP_OR, OP_AND, OP_EQ, OP_NE, OP_LT, OP_LE, OP_GT, OP_GE, OP_ADD, OP_SUB, OP_MUL,
	OP_DIV };

struct node {
	enum op op;
	int left, right;                     /* nodes */
	int symbol;                          /* OP_SYMBOL: which of the symbols */
	double number;                       /* OP_NUMBER */
};

struct named {
	struct span name;
	int id;
};

struct expr {
	char *text;                          /* what the names point into */
	struct node *nodes;
	struct named *symbols;
	size_t node_count, node_room, symbol_count, symbol_room;
	int root;
};

static const struct { const char *text; enum op op; int level; } operators[] = {    /* longer ones first */
	{ "||", OP_OR, 0 }, { "&&", OP_AND, 1 }, { "==", OP_EQ, 2 }, { "!=", OP_NE, 2 }, { "<=", OP_LE, 2 }, { ">=", OP_GE, 2 },
	{ "<", OP_LT, 2 }, { ">", OP_GT, 2 }, { "|", OP_OR, 0 }, { "&", OP_AND, 1 }, { "+", OP_ADD, 3 }, { "-", OP_SUB, 3 },
	{ "*", OP_MUL, 4 }, { "/", OP_DIV, 4 },
};
enum { OPERATORS = sizeof operators / sizeof *operators, LEVELS = 5 };

/* --- parsing: one function a level of binding --- */

struct parser {
	struct expr *e;
	struct span text;
	size_t at;
	int depth;
	size_t bad_at;
	char *why;
	size_t room;
	bool bad;
};

static int parse_level(struct parser *p, int level);

static int
fail(struct parser *p, const char *what)
{
	if (!p->bad) {
		p->bad = true;
		p->bad_at = p->at;
		snprintf(p->why, p->room, "%s", what);
	}
	return -1;
}

static int
new_node(struct parser *p, struct node node)
{
	struct expr *e = p->e;

	if (e->node_count == MAX_EXPR_NODES)
		return fail(p, "too long an expression");
	if (e->node_count == e->node_room) {
		size_t room = e->node_room ? e->node_room * 2 : 8;
		struct node *more = realloc(e->nodes, room * sizeof *more);

		if (more == NULL)
			return fail(p, "no memory");
		e->nodes = more;
		e->node_room = room;
	}
	e->nodes[e->node_count] = node;
	return (int)e->node_count++;
}

static bool
is_word(char c)
{
	return ascii_alnum(c) || c == '_';
}

static void
skip_blanks(struct parser *p)
{
	while (p->at < p->text.n && ascii_space(p->text.p[p->at]))
		p->at++;
}

/* The word here, not taken. */
static struct span
word_here(const struct parser *p)
{
	size_t end = p->at;

	while (end < p->text.n && is_word(p->text.p[end]))
		end++;
	return span_make(p->text.p + p->at, end - p->at);
}

/* An operator of that level here? It is taken. */
static bool
take_operator(struct parser *p, int level, enum op *op)
{
	skip_blanks(p);
	struct span rest = span_from(p->text, p->at), word = word_here(p);

	if ((level == 0 && span_eq_nocase(word, SPAN("or"))) || (level == 1 && span_eq_nocase(word, SPAN("and")))) {
		*op = level == 0 ? OP_OR : OP_AND;
		p->at += word.n;
		return true;
	}
	for (size_t i = 0; i < OPERATORS; i++)
		if (span_starts(rest, span_of(operators[i].text))) {
			if (operators[i].level != level)
				return false;
			*op = operators[i].op;
			p->at += strlen(operators[i].text);
			return true;
		}
	return false;
}

static int
parse_number(struct parser *p)
{
	char text[32];
	size_t n = 0;

	while (p->at < p->text.n && n + 1 < sizeof text && (ascii_alnum(p->text.p[p->at]) || p->text.p[p->at] == '.'))
		text[n++] = p->text.p[p->at++];
	text[n] = '\0';
	char *end;
	double value = strtod(text, &end);

	return *end ? fail(p, "not a number") : new_node(p, (struct node){ OP_NUMBER, .number = value });
}

static int
parse_symbol(struct parser *p)
{
	struct expr *e = p->e;
	struct span word = word_here(p);

	if (word.n == 0)
		return fail(p, p->at == p->text.n ? "something is missing at the end" : "a symbol, a number or ( is expected");
	if (e->symbol_count == e->symbol_room) {
		size_t room = e->symbol_room ? e->symbol_room * 2 : 8;
		struct named *more = realloc(e->symbols, room * sizeof *more);

		if (more == NULL)
			return fail(p, "no memory");
		e->symbols = more;
		e->symbol_room = room;
	}
	p->at += word.n;
	e->symbols[e->symbol_count] = (struct named){ span_make(e->text + (word.p - p->text.p), word.n), -1 };
	return new_node(p, (struct node){ OP_SYMBOL, .symbol = (int)e->symbol_count++ });
}

static int
parse_unary(struct parser *p)
{
	int inner;

	skip_blanks(p);
	char c = p->at < p->text.n ? p->text.p[p->at] : '\0';
	struct span word = word_here(p);
	bool not = (c == '!' && !span_starts(span_from(p->text, p->at), SPAN("!="))) || span_eq_nocase(word, SPAN("not"));

	if (++p->depth > MAX_EXPR_DEPTH)
		return fail(p, "too deep an expression");
	if (not || c == '-') {
		p->at += c == '!' || c == '-' ? 1 : word.n;
		inner = parse_unary(p);
		inner = inner < 0 ? -1 : new_node(p, (struct node){ not ? OP_NOT : OP_MINUS, .left = inner });
	} else if (c == '(') {
		p->at++;
		inner = parse_level(p, 0);
		skip_blanks(p);
		if (inner >= 0 && (p->at == p->text.n || p->text.p[p->at] != ')'))
			return fail(p, "a ) is missing");
		p->at++;
	} else {
		inner = c >= '0' && c <= '9' && strspn(word.p, "0123456789") >= word.n ? parse_number(p) : parse_symbol(p);
	}
	p->depth--;
	return inner;
}

static int
parse_level(struct parser *p, int level)
{
	if (level == LEVELS)
		return parse_unary(p);
	int left = parse_level(p, level + 1);
	enum op op;

	while (left >= 0 && take_operator(p, level, &op)) {
		int right = parse_level(p, level + 1);

		left = right < 0 ? -1 : new_node(p, (struct node){ op, .left = left, .right = right });
	}
	return left;
}

struct expr *
expr_parse(struct span text, size_t *bad_at, char *why, size_t room)
{
	struct expr *e = calloc(1, sizeof *e);
	struct parser p = { .e = e, .text = text, .why = why, .room = room };

	*bad_at = 0;
	snprintf(why, room, "no memory");
	if (e == NULL || (e->text = strndup(text.p ? text.p : "", text.n)) == NULL) {
		free(e);
		return NULL;
	}
	p.text.p = e->text;                  /* ends in a NUL: strspn may look */
	e->root = parse_level(&p, 0);
	skip_blanks(&p);
	if (!p.bad && p.at < text.n)
		fail(&p, "an operator is expected (&& || + ...)");
	if (p.bad) {
		*bad_at = p.bad_at;
		expr_free(e);
		return NULL;
	}
	return e;
}

void
expr_free(struct expr *e)
{
	if (e == NULL)
		return;
	free(e->text);
	free(e->nodes);
	free(e->symbols);
	free(e);
}

size_t
expr_symbol_count(const struct expr *e)
{
	return e->symbol_count;
}

struct span
expr_symbol(const struct expr *e, size_t i)
{
	return e->symbols[i].name;
}

void
expr_bind(struct expr *e, size_t i, int id)
{
	e->symbols[i].id = id;
}

/* --- evaluation; the depth is bounded by the parser's --- */

static double
eval(const struct expr *e, int at, expr_value value, const void *arg)
{
	const struct node *n = &e->nodes[at];
	double left, right;

	switch (n->op) {
	case OP_NUMBER: return n->number;
	case OP_SYMBOL: return value(arg, e->symbols[n->symbol].id);
	case OP_NOT:    return eval(e, n->left, value, arg) == 0;
	case OP_MINUS:  return -eval(e, n->left, value, arg);
	case OP_OR:     return eval(e, n->left, value, arg) != 0 || eval(e, n->right, value, arg) != 0;
	case OP_AND:    return eval(e, n->left, value, arg) != 0 && eval(e, n->right, value, arg) != 0;
	default:        break;
	}
	left = eval(e, n->left, value, arg);
	right = eval(e, n->right, value, arg);
	switch (n->op) {
	case OP_EQ:  return left == right;
	case OP_NE:  return left != right;
	case OP_LT:  return left < right;
	case OP_LE:  return left <= right;
	case OP_GT:  return left > right;
	case OP_GE:  return left >= right;
	case OP_ADD: return left + right;
	case OP_SUB: return left - right;
	case OP_MUL: return left * right;
	case OP_DIV: return right != 0 ? left / right : 0;
	default:     return 0;
	}
}

double
expr_eval(const struct expr *e, expr_value value, const void *arg)
{
	return eval(e, e->root, value, arg);
}

/* Binding of an operator, for the brackets that a reader needs. */
static int
level_of(const struct node *n)
{
	for (size_t i = 0; i < OPERATORS; i++)
		if (operators[i].op == n->op)
			return operators[i].level;
	return LEVELS;
}

static void
explain(const struct expr *e, int at, int outer, bool looked, expr_value value, const void *arg, struct buf *out)
{
	const struct node *n = &e->nodes[at];
	int level = level_of(n);

	if (n->op == OP_NUMBER) {
		buf_printf(out, "%g", n->number);
		return;
	}
	if (n->op == OP_SYMBOL) {
		buf_add_span(out, e->symbols[n->symbol].name);
		if (looked)
			buf_printf(out, "=%g", value(arg, e->symbols[n->symbol].id));
		return;
	}
	if (n->op == OP_NOT || n->op == OP_MINUS) {
		buf_add_char(out, n->op == OP_NOT ? '!' : '-');
		explain(e, n->left, LEVELS, looked, value, arg, out);
		return;
	}
	bool left = looked && eval(e, n->left, value, arg) != 0;
	const char *sign = "";

	for (size_t i = OPERATORS; i-- > 0;)             /* from the end: the first spelling of an operator wins */
		if (operators[i].op == n->op)
			sign = operators[i].text;
	if (level < outer)
		buf_add_char(out, '(');
	explain(e, n->left, level, looked, value, arg, out);
	buf_printf(out, " %s ", sign);
	explain(e, n->right, level + 1, looked && !(n->op == OP_AND && !left) && !(n->op == OP_OR && left), value, arg, out);
	if (level < outer)
		buf_add_char(out, ')');
}

void
expr_explain(const struct expr *e, expr_value value, const void *arg, struct buf *out)
{
	explain(e, e->root, 0, true, value, arg, out);
}
