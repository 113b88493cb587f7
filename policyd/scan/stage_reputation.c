/* stage_reputation.c - whose mail it is, proved: asked of the broker once SPF, DKIM and DMARC are known, which knows what mail of
 * the same network and names was like, and who of the recipients knows the sender. */
#include "policyd/auth/auth.h"
#include "policyd/scan/reputation.h"
#include "policyd/scan/stage.h"
#include "policyd/wire.h"

enum { REPUTATION_GRACE_MS = 200, REFERENCES = 10, ID_MOST = 250 };

static bool
same_organisation(struct span a, struct span b)
{
	return a.n > 0 && b.n > 0 && span_eq(domain_registrable(a), domain_registrable(b));
}

/* Does who proved himself stand behind the address that a reader sees? */
static bool
author_proved(const struct auth *auth, struct span domain)
{
	bool proved = auth->dmarc == DMARC_PASS || (auth->sender.spf == SPF_PASS && same_organisation(span_of(auth->sender.spf_domain), domain));

	for (uint32_t i = 0; i < auth->dkim_count && i < AUTH_DKIM_MOST; i++)
		proved |= auth->dkim[i].result == DKIM_PASS && !auth->dkim[i].partial && same_organisation(span_of(auth->dkim[i].domain), domain);
	return proved;
}

static void
pack_names(struct buf *body, const struct auth *auth)
{
	uint32_t count = auth->sender.spf == SPF_PASS;

	for (uint32_t i = 0; i < auth->dkim_count && i < AUTH_DKIM_MOST; i++)
		count += auth->dkim[i].result == DKIM_PASS;
	pack_u32(body, count);
	if (auth->sender.spf == SPF_PASS) {
		pack_u8(body, REPUTATION_SENDER);
		pack_text(body, auth->sender.spf_domain);
	}
	for (uint32_t i = 0; i < auth->dkim_count && i < AUTH_DKIM_MOST; i++)
		if (auth->dkim[i].result == DKIM_PASS) {
			pack_u8(body, REPUTATION_DKIM);
			pack_text(body, auth->dkim[i].domain);
		}
}

/* The next "<id>" of a header; empty: there is none. */
static struct span
next_id(struct span *rest)
{
	size_t open = span_find_char(*rest, '<');

	if (open == SPAN_NONE)
		return SPAN("");
	*rest = span_from(*rest, open);
	size_t close = span_find_char(*rest, '>');
	struct span id = close == SPAN_NONE || close + 1 > ID_MOST ? SPAN("") : span_head(*rest, close + 1);

	*rest = span_from(*rest, close == SPAN_NONE ? rest->n : close + 1);
	return id;
}

/* The newest: what it answers, then the end of the thread. */
static void
pack_references(struct buf *body, const struct message *m)
{
	static const char *const headers[] = { "In-Reply-To", "References" };
	struct span ids[REFERENCES];
	uint32_t count = 0;

	for (int i = 0; i < 2; i++) {
		struct span rest = header_value(&m->headers, headers[i]);

		rest = rest.n > 8 * ID_MOST ? span_from(rest, rest.n - 8 * ID_MOST) : rest;
		while (rest.n > 0 && count < REFERENCES) {
			struct span id = next_id(&rest);

			if (id.n > 0)
				ids[count++] = id;
		}
	}
	pack_u32(body, count);
	for (uint32_t i = 0; i < count; i++)
		pack_span(body, ids[i]);
}

enum stage_result
stage_reputation(struct scan *scan)
{
	const struct auth *auth = scan->auth;
	const struct message *m = &scan->message;
	struct buf body = { 0 };
	char net[INET6_ADDRSTRLEN + 4] = "";

	/* One of ours has no reputation among strangers: limits are for him. */
	if (scan->asker == NULL || !scan->kit->config->reputation || auth == NULL || !auth->sender.asked)
		return STAGE_DONE;
	if (auth->sender.client.family)
		reputation_net(&auth->sender.client, net);
	pack_text(&body, net);
	pack_names(&body, auth);
	pack_span(&body, author_proved(auth, m->from.domain) ? m->from.addr : SPAN(""));
	pack_references(&body, m);
	scan->asker->ask_findings(scan->asker, W_ASK_REPUTATION, &body);
	return scan->asker->take_findings(scan->asker, scan, W_ASK_REPUTATION, (int)scan->kit->config->redis_mail_ms + REPUTATION_GRACE_MS) ?
	    STAGE_DONE : STAGE_UNKNOWN;
}
