#include "policyd/broker/who.h"

#include <stdlib.h>

#include "policyd/base/clock.h"
#include "policyd/net/dns.h"
#include "policyd/store/customers.h"

enum { MAX_LOOKS = 160 };                    /* SPF: ten terms, of which each MX has ten names; and FCrDNS's eleven */

struct look {                                /* one question, and its answer as this check has seen it */
	struct who *who;
	enum rr_type type;
	bool known;
	struct dns_answer answer;            /* held */
	struct dns_wait *wait;
	char name[MAX_HOST_NAME + 1];
};

struct who {
	struct answers answers;
	struct broker *broker;
	int64_t deadline_ms;
	bool mail, running, known;
	bool have_iprev, have_helo, have_spf;
	char sender[MAX_ADDRESS + 1];
	struct auth_sender result;
	who_callback done;
	void *arg;
	struct look *looks[MAX_LOOKS];
	size_t count;
};

bool
who_wanted(const struct config *config, const struct ip *client, struct span login, struct span context)
{
	return config->auth && client->family != 0 && login.n == 0 && !span_eq(context, SPAN("submission")) &&
	       !nets_have(config->own_networks, config->own_network_count, client) &&
	       !nets_have(config->trusted_relays, config->trusted_relay_count, client);
}

/* ---- DNS, as the checks see it ---- */

static void run(struct who *who);

static void
on_answer(void *arg, const struct dns_answer *answer)
{
	struct look *look = arg;

	look->wait = NULL;
	look->known = true;
	look->answer = *answer;
	dns_hold(answer);
	if (!look->who->running)
		run(look->who);
}

static struct rr_answer
answer_of(const struct look *look)
{
	if (!look->known)
		return (struct rr_answer){ .status = RR_PENDING };
	return (struct rr_answer){ look->answer.status, look->answer.at, look->answer.count };
}

static struct rr_answer
look_up(struct answers *self, enum rr_type type, struct span name)
{
	static const struct rr_answer unknown = { .status = RR_UNKNOWN };
	struct who *who = (struct who *)self;
	struct look *look;

	for (size_t i = 0; i < who->count; i++)
		if (who->looks[i]->type == type && span_eq_nocase(span_of(who->looks[i]->name), name))
			return answer_of(who->looks[i]);
	if (name.n > MAX_HOST_NAME || who->count == MAX_LOOKS || (look = calloc(1, sizeof *look)) == NULL)
		return unknown;
	*look = (struct look){ .who = who, .type = type };
	memcpy(look->name, name.p, name.n);
	if (strlen(look->name) != name.n) {  /* a NUL in it */
		free(look);
		return (struct rr_answer){ .status = RR_NONE };
	}
	who->looks[who->count++] = look;
	struct dns_wait *wait = dns_ask(who->broker->dns, type, look->name, clock_left_ms(who->deadline_ms), on_answer, look);

	if (!look->known)
		look->wait = wait;
	return answer_of(look);
}

/* ---- the checks: each is run again until no answer that it needs is under way ---- */

static void
check_helo(struct who *who, struct arena *a)
{
	const struct config *config = who->broker->config;
	const struct span us[] = { span_of(config->host_name), SPAN("localhost") };
	const struct spf_query query = { .client = who->result.client, .helo = span_of(who->result.helo),
	    .receiver = span_of(config->host_name), .time_s = wall_s() };
	struct spf_verdict verdict;

	who->result.helo_flags = (uint8_t)helo_check(query.helo, &query.client, us, sizeof us / sizeof *us);
	spf_check(a, &who->answers, &query, &verdict);
	who->have_helo = verdict.result != SPF_PENDING;
	who->result.spf_helo = (uint8_t)verdict.result;
}

static void
check_sender(struct who *who, struct arena *a)
{
	const struct spf_query query = { .client = who->result.client, .helo = span_of(who->result.helo), .sender = span_of(who->sender),
	    .receiver = span_of(who->broker->config->host_name), .time_s = wall_s() };
	struct spf_verdict verdict;

	spf_check(a, &who->answers, &query, &verdict);
	who->have_spf = verdict.result != SPF_PENDING;
	who->result.spf = (uint8_t)verdict.result;
	struct span domain = verdict.domain;

	while (domain.n > 0 && domain.p[domain.n - 1] == '.')
		domain.n--;
	auth_name(who->result.spf_domain, sizeof who->result.spf_domain, domain);
	struct span words = span_head(verdict.explanation, sizeof who->result.spf_explanation - 1);

	memset(who->result.spf_explanation, 0, sizeof who->result.spf_explanation);
	for (size_t i = 0; i < words.n; i++)
		who->result.spf_explanation[i] = words.p[i] < 0x20 || words.p[i] > 0x7e ? '?' : words.p[i];
}

static void
check_iprev(struct who *who, struct arena *a)
{
	struct span name;
	enum iprev_result result = iprev_check(a, &who->answers, &who->result.client, &name);

	who->have_iprev = result != IPREV_PENDING;
	who->result.iprev = (uint8_t)result;
	auth_name(who->result.client_name, sizeof who->result.client_name, name);
}

static void
run(struct who *who)
{
	struct arena *a = who->broker->arena;
	struct arena_mark start = arena_mark(a);

	who->running = true;
	if (!who->have_iprev)
		check_iprev(who, a);
	if (who->mail && !who->have_helo)
		check_helo(who, a);
	if (who->mail && !who->have_spf)
		check_sender(who, a);
	who->running = false;
	arena_rewind(a, start);
	if (who->known || !who->have_iprev || (who->mail && (!who->have_helo || !who->have_spf)))
		return;
	who->known = true;
	who_callback done = who->done;

	who->done = NULL;
	if (done)
		done(who->arg, &who->result);        /* it may close us */
}

struct who *
who_open(struct broker *b, const struct ip *client, bool mail, struct span helo, struct span sender, int timeout_ms)
{
	struct who *who = calloc(1, sizeof *who);

	if (who == NULL)
		return NULL;
	who->answers.look = look_up;
	who->broker = b;
	who->deadline_ms = clock_ms() + timeout_ms;
	who->mail = mail;
	who->result.asked = 1;
	who->result.client = *client;
	auth_name(who->result.helo, sizeof who->result.helo, helo);
	sender = span_head(sender, sizeof who->sender - 1);
	memcpy(who->sender, sender.p ? sender.p : "", sender.n);
	run(who);
	return who;
}

void
who_close(struct who *who)
{
	if (who == NULL)
		return;
	for (size_t i = 0; i < who->count; i++) {
		if (who->looks[i]->wait)
			dns_cancel(who->looks[i]->wait);
		dns_drop(&who->looks[i]->answer);
		free(who->looks[i]);
	}
	free(who);
}

const struct auth_sender *
who_known(const struct who *who)
{
	return who && who->known ? &who->result : NULL;
}

void
who_then(struct who *who, who_callback done, void *arg)
{
	who->done = done;
	who->arg = arg;
}
