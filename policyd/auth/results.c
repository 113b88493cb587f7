#include "policyd/auth/results.h"

/* Letters that need no quotes anywhere: RFC 2045's token, and a local part's dot-atom but for '/', '=' and '?'. */
static bool
plain_char(char c)
{
	return ascii_alnum(c) || (c && strchr("!#$%&'*+-.^_`{|}~", c) != NULL);
}

static bool
is_plain(struct span text, bool address)
{
	for (size_t i = 0; i < text.n; i++)
		if (!plain_char(text.p[i]) && !(address && (text.p[i] == '@' || text.p[i] == '=' || text.p[i] == '/')))
			return false;
	return text.n > 0;
}

/* A value that may be anything: quoted where it has to be, '?' for what cannot be written at all. */
static void
add_value(struct buf *out, struct span text)
{
	if (is_plain(text, false)) {
		buf_add_span(out, text);
		return;
	}
	buf_add_char(out, '"');
	for (size_t i = 0; i < text.n; i++) {
		char c = text.p[i];

		if (c == '"' || c == '\\')
			buf_add_char(out, '\\');
		buf_add_char(out, c < 0x20 || c == 0x7f ? '?' : c);
	}
	buf_add_char(out, '"');
}

/* In a comment: nothing that would end it, or begin another. */
static void
add_comment(struct buf *out, struct span text)
{
	for (size_t i = 0; i < text.n; i++)
		buf_add_char(out, text.p[i] < 0x20 || text.p[i] > 0x7e || strchr("()\\", text.p[i]) ? '?' : text.p[i]);
}

static void
begin(struct buf *out, const char *method, const char *result)
{
	buf_printf(out, ";\n\t%s=%s", method, result);
}

static void
add_iprev(struct buf *out, const struct auth_sender *s)
{
	char client[INET6_ADDRSTRLEN];

	ip_print(&s->client, client);
	begin(out, "iprev", iprev_result_names[s->iprev < IPREV__COUNT ? s->iprev : IPREV_NONE]);
	buf_printf(out, " policy.iprev=");
	add_value(out, span_of(client));
	if (s->client_name[0]) {
		buf_printf(out, " (");
		add_comment(out, span_of(s->client_name));
		buf_add_char(out, ')');
	}
}

static void
add_spf(struct buf *out, const struct auth_sender *s, struct span sender)
{
	if (sender.n > 0) {
		begin(out, "spf", spf_result_names[s->spf < SPF_PENDING ? s->spf : SPF_NONE]);
		buf_printf(out, " smtp.mailfrom=");
		if (is_plain(sender, true) && span_find_char(sender, '@') != SPAN_NONE)
			buf_add_span(out, sender);
		else
			add_value(out, span_of(s->spf_domain));
	}
	if (s->helo[0] && (sender.n == 0 || s->spf_helo != SPF_NONE)) {
		begin(out, "spf", spf_result_names[s->spf_helo < SPF_PENDING ? s->spf_helo : SPF_NONE]);
		buf_printf(out, " smtp.helo=");
		add_value(out, span_of(s->helo));
	}
}

static void
add_dkim(struct buf *out, const struct auth *auth)
{
	for (size_t i = 0; i < auth->dkim_count; i++) {
		const struct auth_dkim *d = &auth->dkim[i];

		begin(out, "dkim", dkim_result_names[d->result < DKIM__COUNT ? d->result : DKIM_NONE]);
		if (d->reason[0] || d->key_bits) {
			buf_printf(out, " (");
			add_comment(out, span_of(d->reason));
			if (d->key_bits && !d->ed25519)
				buf_printf(out, "%s%u-bit key", d->reason[0] ? ", " : "", d->key_bits);
			else if (d->key_bits)
				buf_printf(out, "%sed25519", d->reason[0] ? ", " : "");
			buf_printf(out, "%s)", d->partial ? ", not all of the body" : "");
		}
		if (d->domain[0]) {
			buf_printf(out, " header.d=");
			add_value(out, span_of(d->domain));
		}
		if (d->selector[0]) {
			buf_printf(out, " header.s=");
			add_value(out, span_of(d->selector));
		}
	}
}

static void
add_dmarc(struct buf *out, const struct auth *auth)
{
	begin(out, "dmarc", dmarc_result_names[auth->dmarc < DMARC__COUNT ? auth->dmarc : DMARC_NONE]);
	if (auth->dmarc == DMARC_PASS || auth->dmarc == DMARC_FAIL)
		buf_printf(out, " (p=%s%s%s)", dmarc_policy_names[auth->dmarc_policy % DMARC_P__COUNT],
		    auth->dmarc == DMARC_FAIL ? " dis=" : "",
		    auth->dmarc == DMARC_FAIL ? dmarc_policy_names[auth->dmarc_applies % DMARC_P__COUNT] : "");
	if (auth->from_domain[0]) {
		buf_printf(out, " header.from=");
		add_value(out, span_of(auth->from_domain));
	}
}

static void
add_arc(struct buf *out, const struct auth *auth)
{
	begin(out, "arc", arc_result_names[auth->arc < ARC__COUNT ? auth->arc : ARC_NONE]);
	if (auth->arc_sealer[0]) {
		buf_printf(out, " (i=%u%s) header.d=", auth->arc_instances, auth->arc_trusted ? ", trusted" : "");
		add_value(out, span_of(auth->arc_sealer));
	}
}

void
results_write(struct buf *out, struct span authserv_id, unsigned methods, const struct session *session,
    const struct envelope *envelope, const struct auth *auth)
{
	size_t head;

	add_value(out, authserv_id);
	head = out->n;
	if ((methods & METHOD_AUTH) && session->login[0]) {
		begin(out, "auth", "pass");      /* by the sender: who he is to us is nobody else's business */
		if (is_plain(span_of(envelope->sender), true) && strchr(envelope->sender, '@'))
			buf_printf(out, " smtp.mailfrom=%s", envelope->sender);
	}
	if ((methods & METHOD_IPREV) && auth->sender.asked)
		add_iprev(out, &auth->sender);
	if ((methods & METHOD_SPF) && auth->sender.asked)
		add_spf(out, &auth->sender, span_of(envelope->sender));
	if (methods & METHOD_DKIM)
		add_dkim(out, auth);
	if ((methods & METHOD_DMARC) && auth->dmarc != DMARC_NONE)
		add_dmarc(out, auth);
	if ((methods & METHOD_ARC) && auth->arc != ARC_NONE)
		add_arc(out, auth);
	if (out->n == head)
		buf_clear(out);
}

/* ---- reading one ---- */

/* Without comments and quoted strings' quotes; what stands in quotes cannot end a part. */
static struct span
without_comments(struct arena *a, struct span value)
{
	char *out = arena_alloc(a, value.n + 1);
	size_t n = 0;
	int depth = 0;
	bool quoted = false;

	for (size_t i = 0; i < value.n; i++) {
		char c = value.p[i];

		if (c == '\\' && (depth > 0 || quoted)) {
			i++;
		} else if (depth == 0 && c == '"') {
			quoted = !quoted;
		} else if (!quoted && (depth > 0 || c == '(')) {
			depth += (c == '(') - (c == ')');
		} else {
			out[n++] = quoted && (c == ';' || c == '=') ? '?' : ascii_lower(c);
		}
	}
	return span_make(out, n);
}

struct span
results_of(struct arena *a, struct span value, struct span method)
{
	struct span rest = without_comments(a, value);

	while (rest.n > 0) {
		struct span part = span_trim(span_cut(&rest, ';')), name, result = part;

		if (span_find_char(part, '=') == SPAN_NONE)
			continue;
		name = span_trim(span_cut(&result, '='));
		if (span_eq(name, method)) {
			result = span_trim(result);
			for (size_t i = 0; i < result.n; i++)
				if (ascii_space(result.p[i]))
					return span_head(result, i);
			return result;
		}
	}
	return (struct span){ 0 };
}
