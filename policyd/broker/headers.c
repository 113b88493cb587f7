#include "policyd/broker/headers.h"

#include <stdio.h>

#include "policyd/scan/status.h"

static void
pack_edit(struct buf *edits, uint32_t *count, enum edit what, struct span name, uint32_t nth, struct span value)
{
	pack_u8(edits, (uint8_t)what);
	pack_span(edits, name);
	pack_u32(edits, nth);
	pack_span(edits, value);
	++*count;
}

void
headers_symbols(struct buf *out, const struct tx *tx, const struct scanned_class *score, const char *sep)
{
	size_t start = out->n;

	if (tx->poison)
		buf_printf(out, "POISON=0");
	for (uint32_t i = 0; i < tx->scanned.symbol_count; i++)
		buf_printf(out, "%s" SPAN_FMT "=%.2f", out->n > start ? sep : "", SPAN_ARG(span_head(tx->scanned.symbols[i].name, 120)),
		    tx->scanned.symbols[i].points);
	if (score && score->model_known)
		buf_printf(out, "%sBAYES=%.2f", out->n > start ? sep : "", score->bayes_points);
	if (score && score->known_symbol)
		buf_printf(out, "%s%s=%.2f", out->n > start ? sep : "", score->known_symbol, score->known_points);
}

static void
pack_score(struct buf *edits, uint32_t *count, const struct tx *tx)
{
	const struct recipient *best = &tx->recipients[tx->settlement.best];
	const struct scanned_class *score = tx->have_scanned ? &tx->scanned.scores[best->score] : NULL;
	struct status status = { .flag = tx->settlement.flag, .points = score ? score->points : 0, .required = best->policy->tag,
	    .has_required = isfinite(best->policy->tag), .reference = tx->reference };
	struct buf value = { 0 }, tests = { 0 };
	char points[32];

	headers_symbols(&tests, tx, score, ",");
	status.tests = buf_span(&tests);
	status_write(&value, &status, "\n");
	snprintf(points, sizeof points, "%.2f", status.points);
	if (status.flag)
		pack_edit(edits, count, EDIT_ADD, SPAN("X-Spam-Flag"), 0, SPAN("YES"));
	pack_edit(edits, count, EDIT_ADD, SPAN("X-Spam-Score"), 0, span_of(points));
	pack_edit(edits, count, EDIT_ADD, SPAN("X-Spam-Status"), 0, buf_span(&value));
	edits->failed |= value.failed || tests.failed;
	buf_free(&value);
	buf_free(&tests);
}

/* What a variant must take away from the subject that the milter's edits give to all. */
uint8_t
headers_undo(const struct tx *tx)
{
	struct span tag = span_of(tx->recipients[tx->settlement.best].policy->subject_tag);
	struct buf prefix = { 0 };

	if (!tx->settlement.tag_subject || span_starts(span_trim(tx->scanned.subject_raw), span_trim(tag)))
		return UNDO_NOTHING;
	if (tx->scanned.subject_raw.n == 0)
		return UNDO_HEADER;
	status_tag(&prefix, tag);
	uint8_t n = (uint8_t)prefix.n;

	buf_free(&prefix);
	return n;
}

static void
pack_subject(struct buf *edits, uint32_t *count, const struct tx *tx)
{
	struct span tag = span_of(tx->recipients[tx->settlement.best].policy->subject_tag);
	struct span raw = span_trim(tx->scanned.subject_raw);
	struct buf value = { 0 };
	bool is_new = tx->scanned.subject_raw.n == 0;

	if (headers_undo(tx) == UNDO_NOTHING)
		return;                      /* it came back to us tagged */
	status_tag(&value, tag);
	for (size_t i = 0; i < raw.n; i++)
		if (raw.p[i] != '\r' && raw.p[i] != '\0')
			buf_add_char(&value, raw.p[i]);      /* folds stay, by LF alone */
	pack_edit(edits, count, is_new ? EDIT_ADD : EDIT_CHANGE, SPAN("Subject"), 1, buf_span(&value));
	edits->failed |= value.failed;
	buf_free(&value);
}

uint32_t
headers_pack(struct buf *edits, const struct tx *tx)
{
	uint32_t count = 0;

	for (uint32_t i = tx->scanned.forged_count; i > 0; i--)      /* from the last, so that the numbers stay right */
		pack_edit(edits, &count, EDIT_REMOVE, tx->scanned.forged[i - 1].name, tx->scanned.forged[i - 1].nth, SPAN(""));
	if (tx->scanned.results.n > 0)
		pack_edit(edits, &count, EDIT_INSERT, SPAN("Authentication-Results"), 0, tx->scanned.results);
	if (tx->settlement.score_headers)
		pack_score(edits, &count, tx);
	if (tx->settlement.tag_subject)
		pack_subject(edits, &count, tx);
	if (tx->config->bulk_header && tx->lane == LANE_BULK)
		pack_edit(edits, &count, EDIT_ADD, SPAN("X-Policyd-Lane"), 0, SPAN("bulk"));
	return count;
}
