/* stage_auth.c - who sent it, as symbols: asked before ClamAV, looked at after it.
 *
 * Symbols are SpamAssassin's names where it has one. They weigh nothing here: points stand in rules/auth.lua. */
#include "policyd/auth/arc.h"
#include "policyd/auth/dkim.h"
#include "policyd/auth/dmarc.h"
#include "policyd/auth/results.h"
#include "policyd/base/clock.h"
#include "policyd/scan/question.h"
#include "policyd/scan/stage.h"

enum { AUTH_GRACE_MS = 500 };                /* beyond the broker's own deadline: its answer needs a moment */

/* Of one scan, between the two stages. The checks are run twice: first every answer is "pending", and what was looked for is
 * asked in one batch; then with what has come of it. */
struct auth_asked {
	struct answers answers;
	uint32_t batch;                      /* 0: not asked yet */
	size_t count;                        /* questions[0] is about client and envelope */
	struct question questions[MAX_QUESTIONS];
	struct rr_answer *told;              /* NULL: not here yet */
	struct signed_mail mail;
	int64_t now_s;
	unsigned lot;
};

static struct rr_answer
look(struct answers *self, enum rr_type type, struct span name)
{
	struct auth_asked *asked = (struct auth_asked *)self;
	size_t i = 1;

	while (i < asked->count && (asked->questions[i].kind != (uint32_t)type || !span_eq_nocase(asked->questions[i].name, name)))
		i++;
	if (asked->told)
		return i < asked->count ? asked->told[i] : (struct rr_answer){ .status = RR_UNKNOWN };
	if (i == asked->count && asked->count < MAX_QUESTIONS)
		asked->questions[asked->count++] = (struct question){ .kind = (uint32_t)type, .name = name };
	return (struct rr_answer){ .status = RR_PENDING };
}

static void
run_checks(struct scan *scan, struct auth_asked *asked, struct arc_verdict *arc)
{
	dkim_check(scan->arena, &asked->answers, &asked->mail, asked->now_s, scan->auth);
	dmarc_check(scan->arena, &asked->answers, &scan->message.headers, asked->lot, scan->auth);
	arc_check(scan->arena, &asked->answers, &asked->mail, asked->now_s, arc);
}

enum stage_result
stage_auth_ask(struct scan *scan)
{
	const struct message *msg = &scan->message;
	struct auth_asked *asked;
	struct arc_verdict arc;
	char client[INET6_ADDRSTRLEN] = "";

	scan->auth = ARENA_NEW(scan->arena, struct auth);
	if (!scan->kit->config->auth || scan->asker == NULL || scan->session.login[0] || strcmp(scan->session.context, "submission") == 0)
		return STAGE_DONE;           /* our own users: their mail is signed after us */
	asked = ARENA_NEW(scan->arena, struct auth_asked);
	asked->answers.look = look;
	asked->mail = (struct signed_mail){ .headers = &msg->headers, .body = msg->parts[0].raw };
	asked->now_s = wall_s();
	asked->lot = (unsigned)(span_hash(span_head(msg->raw, 65536), 29) % 100);
	if (scan->origin.family)
		ip_print(&scan->origin, client);
	asked->questions[asked->count++] = (struct question){ .kind = ASK_SENDER, .name = arena_copy(scan->arena, span_of(client)),
	    .field = scan->origin_helo };
	run_checks(scan, asked, &arc);
	*scan->auth = (struct auth){ 0 };
	asked->batch = scan->asker->ask(scan->asker, asked->questions, asked->count);
	scan->auth_asked = asked;
	return STAGE_DONE;
}

static void
find(struct scan *scan, const char *symbol, const char *evidence)
{
	verdict_add(scan->arena, &scan->verdict, span_of(symbol), 0, span_of(evidence));
}

/* ---- client and envelope ---- */

static void
find_spf(struct scan *scan, const struct auth_sender *s)
{
	static const char *const symbols[SPF__COUNT] = {
		[SPF_NONE] = "SPF_NONE", [SPF_NEUTRAL] = "SPF_NEUTRAL", [SPF_PASS] = "SPF_PASS", [SPF_FAIL] = "SPF_FAIL",
		[SPF_SOFTFAIL] = "SPF_SOFTFAIL", [SPF_TEMPERROR] = "SPF_UNKNOWN", [SPF_PERMERROR] = "SPF_PERMERROR",
	};
	static const char *const helo_symbols[SPF__COUNT] = {
		[SPF_PASS] = "SPF_HELO_PASS", [SPF_FAIL] = "SPF_HELO_FAIL", [SPF_SOFTFAIL] = "SPF_HELO_SOFTFAIL",
	};

	if (s->spf < SPF__COUNT && symbols[s->spf])
		find(scan, symbols[s->spf], s->spf_domain);
	if (s->spf_helo < SPF__COUNT && helo_symbols[s->spf_helo])
		find(scan, helo_symbols[s->spf_helo], s->helo);
}

static void
find_client(struct scan *scan, const struct auth_sender *s)
{
	static const struct { enum helo_flag flag; const char *symbol; } helo[] = {
		{ HELO_NOT_FQDN, "HELO_NOT_FQDN" }, { HELO_LITERAL, "HELO_LITERAL" }, { HELO_LITERAL_WRONG, "HELO_LITERAL_WRONG" },
		{ HELO_IS_US, "HELO_IS_US" },
	};

	if (s->iprev == IPREV_FAIL)
		find(scan, "RDNS_MISMATCH", s->client_name);
	else if (s->iprev == IPREV_PERMERROR)
		find(scan, "RDNS_NONE", "");
	else if (s->iprev == IPREV_TEMPERROR)
		find(scan, "RDNS_UNKNOWN", s->client_name);
	for (size_t i = 0; i < sizeof helo / sizeof *helo; i++)
		if (s->helo_flags & helo[i].flag)
			find(scan, helo[i].symbol, s->helo);
}

/* ---- the mail ---- */

static void
find_dkim(struct scan *scan, const struct auth *auth)
{
	for (size_t i = 0; i < auth->dkim_count; i++) {
		const struct auth_dkim *d = &auth->dkim[i];

		find(scan, "DKIM_SIGNED", d->domain);
		switch (d->result) {
		case DKIM_PASS:
			find(scan, "DKIM_VALID", d->domain);
			if (span_eq(domain_registrable(span_of(d->domain)), span_of(auth->org_domain)))
				find(scan, "DKIM_VALID_AU", d->domain);
			if (d->partial)
				find(scan, "DKIM_PARTIAL", d->domain);
			break;
		case DKIM_TEMPERROR:
			find(scan, "DKIM_UNKNOWN", d->domain);
			break;
		case DKIM_POLICY:
			find(scan, strcmp(d->reason, "weak key") == 0 ? "DKIM_WEAK_KEY" : "DKIM_NOT_BELIEVED", d->domain);
			break;
		default:
			find(scan, "DKIM_INVALID", d->domain);
			find(scan, "DKIM_INVALID", d->reason);
			break;
		}
	}
}

static void
find_dmarc(struct scan *scan, const struct auth *auth, bool excused)
{
	static const char *const failed[DMARC_P__COUNT] = {
		[DMARC_P_NONE] = "DMARC_NONE", [DMARC_P_QUARANTINE] = "DMARC_QUARANTINE", [DMARC_P_REJECT] = "DMARC_REJECT",
	};
	static const char *const others[DMARC__COUNT] = {
		[DMARC_PASS] = "DMARC_PASS", [DMARC_TEMPERROR] = "DMARC_UNKNOWN", [DMARC_PERMERROR] = "DMARC_PERMERROR",
	};

	if (auth->dmarc == DMARC_FAIL)
		find(scan, excused ? "DMARC_FORWARDED" : failed[auth->dmarc_applies], auth->from_domain);
	else if (others[auth->dmarc])
		find(scan, others[auth->dmarc], auth->from_domain);
	else if (auth->sender.asked && auth->dmarc_domain[0] == '\0')
		find(scan, "DMARC_MISSING", auth->from_domain);
}

static bool
is_trusted(const struct config *config, struct span sealer)
{
	for (uint32_t i = 0; i < config->arc_sealer_count; i++) {
		struct span trusted = span_of(config->arc_sealers[i]);

		if (span_eq_nocase(sealer, trusted) ||
		    (sealer.n > trusted.n && span_ends_nocase(sealer, trusted) && sealer.p[sealer.n - trusted.n - 1] == '.'))
			return true;
	}
	return false;
}

/* A forwarder whose word we take, who says that the mail was its author's when it came to him: what failed since is his doing. */
static bool
take_arc(struct scan *scan, const struct arc_verdict *arc)
{
	static const char *const symbols[ARC__COUNT] = { [ARC_PASS] = "ARC_VALID", [ARC_FAIL] = "ARC_INVALID", [ARC_TEMPERROR] = "ARC_UNKNOWN" };
	struct auth *auth = scan->auth;

	auth->arc = (uint8_t)arc->result;
	auth->arc_instances = (uint8_t)arc->instances;
	auth_name(auth->arc_sealer, sizeof auth->arc_sealer, arc->sealer);
	auth->arc_trusted = arc->result == ARC_PASS && is_trusted(scan->kit->config, arc->sealer);
	if (arc->result == ARC_NONE)
		return false;
	find(scan, "ARC_SIGNED", auth->arc_sealer);
	find(scan, symbols[arc->result], arc->result == ARC_PASS ? auth->arc_sealer : arc->why);
	if (auth->arc_trusted)
		find(scan, "ARC_TRUSTED", auth->arc_sealer);
	if (!auth->arc_trusted || auth->dmarc != DMARC_FAIL || !span_eq(results_of(scan->arena, arc->results, SPAN("dmarc")), SPAN("pass")))
		return false;
	auth->dmarc_applies = DMARC_P_NONE;
	return true;
}

enum stage_result
stage_auth(struct scan *scan)
{
	struct auth_asked *asked = scan->auth_asked;
	const struct config *config = scan->kit->config;
	struct arc_verdict arc;

	if (asked == NULL)
		return STAGE_DONE;
	asked->told = ARENA_ARRAY(scan->arena, struct rr_answer, asked->count);
	bool told = scan->asker->take(scan->asker, asked->batch, scan->arena, asked->told, asked->count,
	    2 * (int)config->dns_timeout_ms + AUTH_GRACE_MS);

	if (asked->told[0].status == RR_FOUND && asked->told[0].at[0].text.n == sizeof scan->auth->sender)
		memcpy(&scan->auth->sender, asked->told[0].at[0].text.p, sizeof scan->auth->sender);
	if (scan->auth->sender.asked) {
		find_spf(scan, &scan->auth->sender);
		find_client(scan, &scan->auth->sender);
	}
	if (scan->truncated) {               /* what is signed is not all here */
		verdict_unknown(scan->arena, &scan->verdict, SPAN("AUTH"), SPAN("the mail is larger than what is looked at"));
		return STAGE_DONE;
	}
	run_checks(scan, asked, &arc);
	find_dkim(scan, scan->auth);
	find_dmarc(scan, scan->auth, take_arc(scan, &arc));
	return told ? STAGE_DONE : STAGE_UNKNOWN;
}
