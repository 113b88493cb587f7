#include "policyd/wire.h"

void
wire_pack_session(struct buf *b, const struct session *s)
{
	pack_u32(b, s->client.family);
	pack_u32(b, s->client.port);
	pack_span(b, span_make(s->client.bytes, sizeof s->client.bytes));
	pack_text(b, s->client_name);
	pack_text(b, s->helo);
	pack_text(b, s->login);
	pack_text(b, s->context);
	pack_text(b, s->mta);
}

void
wire_unpack_session(struct unpack *u, struct session *s)
{
	*s = (struct session){ 0 };
	s->client.family = (uint16_t)unpack_u32(u);
	s->client.port = (uint16_t)unpack_u32(u);
	struct span bytes = unpack_span(u);

	if (bytes.n == sizeof s->client.bytes)
		memcpy(s->client.bytes, bytes.p, bytes.n);
	else
		u->bad = true;
	unpack_text(u, s->client_name, sizeof s->client_name);
	unpack_text(u, s->helo, sizeof s->helo);
	unpack_text(u, s->login, sizeof s->login);
	unpack_text(u, s->context, sizeof s->context);
	unpack_text(u, s->mta, sizeof s->mta);
}

void
wire_pack_envelope(struct buf *b, const struct envelope *e)
{
	pack_text(b, e->queue_id);
	pack_text(b, e->sender);
}

void
wire_unpack_envelope(struct unpack *u, struct envelope *e)
{
	*e = (struct envelope){ 0 };
	unpack_text(u, e->queue_id, sizeof e->queue_id);
	unpack_text(u, e->sender, sizeof e->sender);
}

void
wire_pack_symbol(struct buf *b, const struct symbol *s)
{
	pack_span(b, s->name);
	pack_f64(b, s->points);
	pack_span(b, s->evidence);
	pack_f64(b, s->held);
}

void
wire_unpack_symbol(struct unpack *u, struct symbol *s)
{
	s->name = unpack_span(u);
	s->points = unpack_f64(u);
	s->evidence = unpack_span(u);
	s->held = unpack_f64(u);
}

void
wire_pack_store(struct buf *b, const struct store_request *r)
{
	wire_pack_session(b, &r->session);
	wire_pack_envelope(b, &r->envelope);
	pack_span(b, span_make(r->digest, sizeof r->digest));
	pack_u64(b, r->size);
	pack_u64(b, (uint64_t)r->time_s);
	pack_span(b, r->class_name);
	pack_span(b, r->message_id);
	pack_span(b, r->from);
	pack_span(b, r->subject);
	pack_span(b, r->symbols);
	pack_span(b, r->allow);
	pack_u32(b, r->recipient_count);
	for (uint32_t i = 0; i < r->recipient_count; i++) {
		pack_span(b, r->recipients[i].raw);
		pack_span(b, r->recipients[i].address);
		pack_span(b, r->recipients[i].customer);
		pack_f64(b, r->recipients[i].points);
		pack_f64(b, r->recipients[i].tag);
		pack_f64(b, r->recipients[i].quarantine);
		pack_f64(b, r->recipients[i].discard);
		pack_u32(b, r->recipients[i].retention_days);
		pack_u8(b, r->recipients[i].mode);
	}
}

bool
wire_unpack_store(struct unpack *u, struct arena *a, struct store_request *r)
{
	*r = (struct store_request){ 0 };
	wire_unpack_session(u, &r->session);
	wire_unpack_envelope(u, &r->envelope);
	struct span digest = unpack_span(u);

	if (digest.n != sizeof r->digest)
		return false;
	memcpy(r->digest, digest.p, digest.n);
	r->size = unpack_u64(u);
	r->time_s = (int64_t)unpack_u64(u);
	r->class_name = unpack_span(u);
	r->message_id = unpack_span(u);
	r->from = unpack_span(u);
	r->subject = unpack_span(u);
	r->symbols = unpack_span(u);
	r->allow = unpack_span(u);
	uint32_t count = unpack_u32(u);

	if (u->bad || count == 0 || count > MAX_RECIPIENTS)
		return false;
	r->recipients = ARENA_ARRAY(a, struct store_recipient, count);
	for (uint32_t i = 0; i < count && !u->bad; i++) {
		struct store_recipient *to = &r->recipients[r->recipient_count++];

		to->raw = unpack_span(u);
		to->address = unpack_span(u);
		to->customer = unpack_span(u);
		to->points = unpack_f64(u);
		to->tag = unpack_f64(u);
		to->quarantine = unpack_f64(u);
		to->discard = unpack_f64(u);
		to->retention_days = unpack_u32(u);
		to->mode = unpack_u8(u);
	}
	return !u->bad;
}
