#include "policyd/scan/verdict.h"

#include "policyd/base/utf8.h"

/* Symbols end up in log lines and headers: capitals, digits and underscores, nothing else. */
static struct span
clean_name(struct arena *a, struct span name)
{
	struct span copy = arena_copy(a, span_head(name, 64));
	char *p = (char *)copy.p;

	for (size_t i = 0; i < copy.n; i++) {
		if (p[i] >= 'a' && p[i] <= 'z')
			p[i] = (char)(p[i] - 32);
		else if (!ascii_alnum(p[i]))
			p[i] = '_';
	}
	return copy;
}

/* At most MAX_EVIDENCE bytes of UTF-8; a byte that is none of it becomes '?'. */
static struct span
clean_evidence(struct arena *a, struct span evidence)
{
	char text[MAX_EVIDENCE];
	size_t n = 0;

	for (size_t i = 0; i < evidence.n;) {
		size_t length = utf8_length(span_from(evidence, i));

		if (n + (length ? length : 1) > sizeof text)
			break;
		if (length == 0)
			text[n++] = '?';
		else
			memcpy(text + n, evidence.p + i, length);
		n += length;
		i += length ? length : 1;
	}
	return n ? arena_copy(a, span_make(text, n)) : (struct span){ 0 };
}

static struct symbol *
find(const struct verdict *v, struct span name)
{
	for (size_t i = 0; i < v->count; i++)
		if (span_eq(v->at[i].name, name))
			return (struct symbol *)&v->at[i];
	return NULL;
}

void
verdict_add(struct arena *a, struct verdict *v, struct span name, double points, struct span evidence)
{
	struct span key = clean_name(a, name);
	struct symbol *known = find(v, key);

	if (known) {
		if (evidence.n > 0 && span_find(known->evidence, evidence) == SPAN_NONE)
			known->evidence = clean_evidence(a, known->evidence.n == 0 ? evidence :
			    arena_printf(a, SPAN_FMT "; " SPAN_FMT, SPAN_ARG(known->evidence),
			        SPAN_ARG(span_head(evidence, MAX_EVIDENCE))));
		return;
	}
	if (v->count == MAX_FINDINGS)
		return;
	if (v->count == MAX_FINDINGS - 1) {  /* the last place says that there were more */
		key = SPAN("FINDINGS_LIMIT");
		points = 0;
	}
	v->at[v->count++] = (struct symbol){ .name = key, .points = points, .evidence = clean_evidence(a, evidence) };
}

void
verdict_hold(struct verdict *v, struct span name, double points)
{
	struct symbol *known = find(v, name);

	if (known)
		known->held = points;
}

void
verdict_unknown(struct arena *a, struct verdict *v, struct span name, struct span reason)
{
	verdict_add(a, v, arena_printf(a, SPAN_FMT "_UNKNOWN", SPAN_ARG(name)), 0, reason);
}

const struct symbol *
verdict_find(const struct verdict *v, struct span name)
{
	return find(v, name);
}

double
verdict_points(const struct verdict *v)
{
	double sum = 0;

	for (size_t i = 0; i < v->count; i++)
		sum += v->at[i].points;
	return sum;
}
