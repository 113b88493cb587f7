/* stage_auth.c - who sent it, as symbols: asked before ClamAV, looked at after it.
 *
 * Symbols are SpamAssassin's names where it has one. They weigh nothing here: points stand in rules/auth.lua. */
#include <stdio.h>

#include "policyd/auth/auth.h"
#include "policyd/scan/question.h"
#include "policyd/scan/stage.h"

enum { AUTH_GRACE_MS = 500 };                /* beyond the broker's own deadline: its answer needs a moment */

struct auth_asked {                          /* of one scan, between the two stages */
	uint32_t batch;
	size_t count;
	struct question questions[MAX_QUESTIONS];
};

static void
find(struct scan *scan, const char *symbol, const char *evidence)
{
	verdict_add(scan->arena, &scan->verdict, span_of(symbol), 0, span_of(evidence));
}

enum stage_result
stage_auth_ask(struct scan *scan)
{
	struct auth_asked *asked;
	char client[INET6_ADDRSTRLEN] = "";

	scan->auth = ARENA_NEW(scan->arena, struct auth);
	if (!scan->kit->config->auth || scan->asker == NULL)
		return STAGE_DONE;
	scan->auth_asked = asked = ARENA_NEW(scan->arena, struct auth_asked);
	if (scan->origin.family)
		ip_print(&scan->origin, client);
	asked->questions[asked->count++] = (struct question){ .kind = ASK_SENDER, .name = arena_copy(scan->arena, span_of(client)),
	    .field = scan->origin_helo };
	asked->batch = scan->asker->ask(scan->asker, asked->questions, asked->count);
	return STAGE_DONE;
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

enum stage_result
stage_auth(struct scan *scan)
{
	struct auth_asked *asked = scan->auth_asked;
	const struct config *config = scan->kit->config;

	if (asked == NULL)
		return STAGE_DONE;
	struct rr_answer *answers = ARENA_ARRAY(scan->arena, struct rr_answer, asked->count);
	bool told = scan->asker->take(scan->asker, asked->batch, scan->arena, answers, asked->count,
	    2 * (int)config->dns_timeout_ms + AUTH_GRACE_MS);

	if (answers[0].status == RR_FOUND && answers[0].at[0].text.n == sizeof scan->auth->sender)
		memcpy(&scan->auth->sender, answers[0].at[0].text.p, sizeof scan->auth->sender);
	if (scan->auth->sender.asked) {
		find_spf(scan, &scan->auth->sender);
		find_client(scan, &scan->auth->sender);
	}
	return told ? STAGE_DONE : STAGE_UNKNOWN;
}
