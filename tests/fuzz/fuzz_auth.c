/* fuzz_auth.c - signatures, seals, records and results as strangers write them. Up to the first line "." stand the records, one a
 * line, that DNS answers with in turn; then the mail. */
#include "policyd/auth/arc.h"
#include "policyd/auth/dkim.h"
#include "policyd/auth/dmarc.h"
#include "policyd/auth/results.h"
#include "policyd/auth/spf.h"
#include "policyd/mail/prepare.h"
#include "tests/fuzz/fuzz.h"

struct zone {
	struct answers answers;
	struct arena *a;
	struct span records, rest;
	unsigned looks;
};

static struct rr_answer
look(struct answers *self, enum rr_type type, struct span name)
{
	struct zone *z = (struct zone *)self;
	struct rr *rr = ARENA_NEW(z->a, struct rr);

	(void)name;
	FUZZ_PROMISE(++z->looks < 2000);
	if (z->records.n == 0)
		return (struct rr_answer){ .status = RR_NONE };
	if (z->rest.n == 0)
		z->rest = z->records;
	rr->text = span_cut(&z->rest, '\n');
	if (rr->text.n == 0)
		return (struct rr_answer){ .status = RR_UNKNOWN };
	if (type == RR_A || type == RR_AAAA)
		rr->ip = (struct ip){ .family = type == RR_A ? AF_INET : AF_INET6, .bytes = { 192, 0, 2, (uint8_t)rr->text.p[0] } };
	return (struct rr_answer){ RR_FOUND, rr, 1 };
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct arena *a;

	if (a == NULL) {
		mail_prepare();
		a = arena_open(512 << 20);
	}
	struct arena_mark start = arena_mark(a);
	struct span all = span_make(data, size);
	size_t end = span_find(all, SPAN("\n.\n"));
	struct zone z = { .answers = { look }, .a = a, .records = end == SPAN_NONE ? SPAN("") : span_head(all, end) };
	struct message *msg = ARENA_NEW(a, struct message);
	struct auth *auth = ARENA_NEW(a, struct auth);
	struct session session = { 0 };
	struct envelope envelope = { 0 };
	struct arc_verdict arc;
	struct spf_verdict spf;
	struct buf out = { 0 };

	message_parse(a, end == SPAN_NONE ? all : span_from(all, end + 3), msg);
	struct signed_mail mail = { .headers = &msg->headers, .body = msg->parts[0].raw };
	const struct spf_query query = { .client = { .family = AF_INET, .bytes = { 192, 0, 2, 1 } }, .sender = msg->from.addr, .helo = SPAN("h.example") };

	spf_check(a, &z.answers, &query, &spf);
	FUZZ_PROMISE(spf.result < SPF_PENDING);
	auth->sender.asked = 1;
	auth->sender.spf = (uint8_t)spf.result;
	auth_name(auth->sender.spf_domain, sizeof auth->sender.spf_domain, spf.domain);
	FUZZ_PROMISE(dkim_check(a, &z.answers, &mail, 1700000000, auth));
	FUZZ_PROMISE(dmarc_check(a, &z.answers, &msg->headers, 50, auth));
	FUZZ_PROMISE(arc_check(a, &z.answers, &mail, 1700000000, &arc));
	auth->arc = (uint8_t)arc.result;
	auth_name(auth->arc_sealer, sizeof auth->arc_sealer, arc.sealer);
	FUZZ_PROMISE(auth_valid(auth));
	results_of(a, arc.results, SPAN("dmarc"));
	memcpy(envelope.sender, msg->from.addr.p ? msg->from.addr.p : "", span_head(msg->from.addr, MAX_ADDRESS).n);
	results_write(&out, SPAN("mx.example"), METHOD__ALL, &session, &envelope, auth);
	for (size_t i = 0; i < out.n; i++)
		FUZZ_PROMISE(out.p[i] != '\0' && out.p[i] != '\r' && (out.p[i] != '\n' || (i + 1 < out.n && out.p[i + 1] == '\t')));
	buf_free(&out);
	arena_rewind(a, start);
	return 0;
}
