#include "policyd/auth/dkim.h"

#include "policyd/auth/signature.h"

static void
tell(const struct signature *s, struct auth_dkim *out)
{
	*out = (struct auth_dkim){ .result = (uint8_t)s->result, .ed25519 = s->ed25519, .partial = s->partial, .key_bits = (uint16_t)s->key_bits };
	auth_name(out->domain, sizeof out->domain, s->domain);
	auth_name(out->selector, sizeof out->selector, s->selector);
	if (s->result != DKIM_PASS)
		auth_name(out->reason, sizeof out->reason, span_of(s->why));
}

bool
dkim_check(struct arena *a, struct answers *dns, struct signed_mail *mail, int64_t now_s, struct auth *out)
{
	bool pending = false;

	out->dkim_count = 0;
	for (size_t i = 0; i < mail->headers->count && out->dkim_count < AUTH_DKIM_MOST; i++) {
		const struct header *h = &mail->headers->at[i];
		struct signature *s;

		if (!span_eq_nocase(h->name, SPAN("DKIM-Signature")))
			continue;
		s = ARENA_NEW(a, struct signature);
		signature_read(a, SIGNATURE_DKIM, h, now_s, s);
		signature_verify(a, dns, mail, s);
		pending |= s->pending;
		tell(s, &out->dkim[out->dkim_count++]);
	}
	return !pending;
}
