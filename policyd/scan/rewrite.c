#include "policyd/scan/rewrite.h"

#include "policyd/scan/status.h"

static const char by_stage[] = REWRITE_BY_STAGE;

bool
rewrite_next_header(struct span *rest, struct span *header, struct span *name)
{
	size_t n = 0, colon;

	if (rest->n == 0 || rest->p[0] == '\r' || rest->p[0] == '\n')
		return false;
	do {
		size_t lf = span_find_char(span_from(*rest, n), '\n');

		n = lf == SPAN_NONE ? rest->n : n + lf + 1;
	} while (n < rest->n && (rest->p[n] == ' ' || rest->p[n] == '\t'));
	*header = span_head(*rest, n);
	*rest = span_from(*rest, n);
	colon = span_find_char(*header, ':');
	*name = colon == SPAN_NONE ? SPAN("") : span_trim(span_head(*header, colon));
	return true;
}

static struct span
value_of(struct span header)
{
	size_t colon = span_find_char(header, ':');

	return colon == SPAN_NONE ? SPAN("") : span_trim(span_from(header, colon + 1));
}

static bool
is_ours(struct span name)
{
	return span_eq_nocase(name, SPAN("X-Spam-Flag")) || span_eq_nocase(name, SPAN("X-Spam-Score")) || span_eq_nocase(name, SPAN("X-Spam-Status"));
}

/* Without what the others' tag put there, and with his own, unless it came to us tagged. */
static void
add_subject(struct buf *out, struct span header, const struct variant *v)
{
	struct span value = value_of(header), tag = span_of(v->subject_tag);

	if (v->undo == UNDO_HEADER && tag.n == 0)
		return;
	if (v->undo == UNDO_NOTHING && tag.n == 0) {
		buf_add_span(out, header);
		return;
	}
	value = v->undo == UNDO_HEADER ? SPAN("") : span_from(value, v->undo);
	buf_add_span(out, SPAN("Subject: "));
	if (!span_starts(value, span_trim(tag)) || tag.n == 0)
		status_tag(out, tag);
	buf_add_span(out, value);
	buf_add_span(out, SPAN("\r\n"));
}

static void
add_status(struct buf *out, const struct variant *v, struct span old)
{
	struct buf tests = { 0 };

	status_tests(&tests, old, SPAN("BAYES"));
	if (v->model_known)
		buf_printf(&tests, "%sBAYES=%.2f", tests.n ? "," : "", v->bayes_points);
	const struct status s = { .flag = v->flag, .points = v->points, .has_required = v->has_required, .required = v->required,
	    .reference = v->reference, .tests = buf_span(&tests) };

	if (v->flag)
		buf_add_span(out, SPAN("X-Spam-Flag: YES\r\n"));
	buf_printf(out, "X-Spam-Score: %.2f\r\nX-Spam-Status: ", v->points);
	status_write(out, &s, "\r\n");
	buf_add_span(out, SPAN("\r\n"));
	out->failed |= tests.failed;
	buf_free(&tests);
}

void
rewrite_mail(struct buf *out, struct span mail, const struct variant *v, struct span received)
{
	struct span rest = mail, header, name, status = SPAN("");
	bool subject = false;

	buf_reserve(out, mail.n + 2048);
	buf_add_span(out, received);
	while (rewrite_next_header(&rest, &header, &name)) {
		if (is_ours(name)) {
			if (span_eq_nocase(name, SPAN("X-Spam-Status")))
				status = value_of(header);
		} else if (span_eq_nocase(name, SPAN("Subject")) && !subject) {
			add_subject(out, header, v);
			subject = true;
		} else {
			buf_add_span(out, header);
		}
	}
	if (v->filtered)
		add_status(out, v, status);
	if (v->filtered && !subject && v->subject_tag[0]) {
		buf_add_span(out, SPAN("Subject: "));
		status_tag(out, span_of(v->subject_tag));
		buf_add_span(out, SPAN("\r\n"));
	}
	buf_add_span(out, rest);
}

void
rewrite_traces(struct buf *out, struct span mail)
{
	struct span header, name;
	size_t found = 0;

	while (found < TRACES_MOST && rewrite_next_header(&mail, &header, &name)) {
		size_t at = span_eq_nocase(name, SPAN("Received")) ? span_find(header, span_of(by_stage)) : SPAN_NONE;
		struct span id = at == SPAN_NONE ? SPAN("") : span_head(span_from(header, at + sizeof by_stage - 1), TRACE_LETTERS);

		if (id.n < TRACE_LETTERS)
			continue;
		buf_add_span(out, id);
		found++;
	}
}
