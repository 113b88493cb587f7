#include "policyd/scan/question.h"

void
question_pack(struct buf *b, const struct question *q)
{
	pack_u32(b, q->kind);
	pack_span(b, q->name);
	pack_span(b, q->field);
	pack_span(b, q->customer);
}

void
question_unpack(struct unpack *u, struct question *q)
{
	q->kind = unpack_u32(u);
	q->name = unpack_span(u);
	q->field = unpack_span(u);
	q->customer = unpack_span(u);
}

void
answer_pack(struct buf *b, const struct rr_answer *answer)
{
	pack_u8(b, (uint8_t)answer->status);
	pack_u32(b, answer->status == RR_FOUND ? (uint32_t)answer->count : 0);
	for (size_t i = 0; answer->status == RR_FOUND && i < answer->count; i++) {
		pack_u32(b, answer->at[i].ip.family);
		if (answer->at[i].ip.family)
			pack_span(b, span_make((const char *)answer->at[i].ip.bytes, sizeof answer->at[i].ip.bytes));
		else
			pack_span(b, answer->at[i].text);
	}
}

static bool
unpack_rr(struct unpack *u, struct arena *a, struct rr *rr)
{
	uint32_t family = unpack_u32(u);
	struct span bytes = unpack_span(u);

	*rr = (struct rr){ .ip.family = (uint16_t)family };
	if (family == 0)
		rr->text = arena_copy(a, bytes);
	else if (bytes.n == sizeof rr->ip.bytes)
		memcpy(rr->ip.bytes, bytes.p, bytes.n);
	else
		return false;
	return !u->bad;
}

void
answer_unpack(struct unpack *u, struct arena *a, struct rr_answer *answer)
{
	uint32_t status = unpack_u8(u), count = unpack_u32(u);
	struct rr *at;

	*answer = (struct rr_answer){ .status = RR_UNKNOWN };
	if (u->bad || status > RR_UNKNOWN || count > MAX_DNS_RECORDS || (status == RR_FOUND) != (count > 0))
		return;
	at = ARENA_ARRAY(a, struct rr, count + 1);
	for (uint32_t i = 0; i < count; i++)
		if (!unpack_rr(u, a, &at[i]))
			return;
	*answer = (struct rr_answer){ .status = (enum rr_status)status, .at = at, .count = count };
}
