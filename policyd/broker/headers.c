#include "policyd/broker/headers.h"

#include <openssl/evp.h>
#include <stdio.h>

enum { STATUS_FOLD = 72, STATUS_MOST = 900 };

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
headers_symbols(struct buf *out, const struct tx *tx, const struct scanned_class *score, const char *sep, size_t fold)
{
	size_t line = out->n;
	bool first = true;

	if (tx->poison)
		buf_printf(out, "POISON=0");
	for (uint32_t i = 0; i <= tx->scanned.symbol_count; i++) {
		bool bayes = i == tx->scanned.symbol_count;
		char item[160];

		if (bayes && (score == NULL || !score->model_known))
			break;
		if (bayes)
			snprintf(item, sizeof item, "BAYES=%.2f", score->bayes_points);
		else
			snprintf(item, sizeof item, SPAN_FMT "=%.2f", SPAN_ARG(span_head(tx->scanned.symbols[i].name, 120)),
			    tx->scanned.symbols[i].points);
		if (!first)
			buf_add_span(out, span_of(sep));
		first = false;
		if (fold > 0 && out->n - line + strlen(item) > fold) {
			buf_add_span(out, SPAN("\n\t"));
			line = out->n;
		}
		buf_add_span(out, span_of(item));
		if (fold > 0 && out->n > STATUS_MOST) {
			buf_add_span(out, SPAN(",..."));
			return;
		}
	}
}

static void
pack_score(struct buf *edits, uint32_t *count, const struct tx *tx)
{
	const struct settlement *s = &tx->settlement;
	const struct recipient *best = &tx->recipients[s->best];
	const struct scanned_class *score = tx->have_scanned ? &tx->scanned.scores[best->score] : NULL;
	struct buf status = { 0 };
	char points[32];

	snprintf(points, sizeof points, "%.2f", score ? score->points : 0);
	if (s->flag)
		pack_edit(edits, count, EDIT_ADD, SPAN("X-Spam-Flag"), 0, SPAN("YES"));
	pack_edit(edits, count, EDIT_ADD, SPAN("X-Spam-Score"), 0, span_of(points));
	buf_printf(&status, "%s, score=%s", s->flag ? "Yes" : "No", points);
	if (isfinite(best->policy->tag))
		buf_printf(&status, " required=%.1f", best->policy->tag);
	buf_printf(&status, " ref=%s\n\ttests=[", tx->reference);
	headers_symbols(&status, tx, score, ",", STATUS_FOLD);
	buf_add_span(&status, SPAN("]"));
	pack_edit(edits, count, EDIT_ADD, SPAN("X-Spam-Status"), 0, buf_span(&status));
	edits->failed |= status.failed;
	buf_free(&status);
}

/* RFC 2047: a tag outside ASCII travels as an encoded word. */
static void
add_tag(struct buf *out, struct span tag)
{
	unsigned char encoded[128];

	for (size_t i = 0; i < tag.n; i++) {
		if ((unsigned char)tag.p[i] < 0x80)
			continue;
		EVP_EncodeBlock(encoded, (const unsigned char *)tag.p, (int)span_head(tag, 63).n);
		buf_printf(out, "=?UTF-8?B?%s?= ", (const char *)encoded);
		return;
	}
	buf_add_span(out, tag);
}

static void
pack_subject(struct buf *edits, uint32_t *count, const struct tx *tx)
{
	struct span tag = span_of(tx->recipients[tx->settlement.best].policy->subject_tag);
	struct span raw = span_trim(tx->scanned.subject_raw);
	struct buf value = { 0 };
	bool is_new = tx->scanned.subject_raw.n == 0;

	if (span_starts(raw, span_trim(tag)))
		return;                      /* it came back to us tagged */
	add_tag(&value, tag);
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

	for (uint32_t i = 0; i < tx->scanned.forged_count; i++)      /* from the last, so that the numbers stay right */
		for (uint32_t nth = tx->scanned.forged[i].count; nth > 0; nth--)
			pack_edit(edits, &count, EDIT_REMOVE, tx->scanned.forged[i].name, nth, SPAN(""));
	if (tx->settlement.score_headers)
		pack_score(edits, &count, tx);
	if (tx->settlement.tag_subject)
		pack_subject(edits, &count, tx);
	return count;
}
