/* customers_simulate.c - what a customer's recent mail would meet if a record were changed: nothing is written.
 *
 *   {"cmd": "policy.simulate", "key": K, "values": {...}, "customer": ID}     fields as in policy.set; `customer` where K is a tier
 *
 * The findings of that mail are known (recent.h), so each recipient's outcome is decided twice, as it stands and with the change,
 * each alone. What a change makes of the findings themselves is not known without the mail: fields that do so are named. */
#include <stdio.h>
#include <stdlib.h>

#include "policyd/base/clock.h"
#include "policyd/store/customers_table.h"
#include "policyd/store/recent.h"

enum { EXAMPLES_MOST = 100 };

/* These have a say in the points or in what is looked for, not in what is done about it. */
static const char *const of_the_scan[] = { "dnsbl", "dnsbl_threshold", "own_model", "banned_types", "strip" };

struct verdicts {                            /* of one recipient of one mail */
	struct recent mail;
	char *reference, *recipient, *texts;
	struct ip client;
	struct span signers[RECENT_SIGNERS];
	enum outcome before, after;
};

struct simulation {
	struct customers *customers;
	customers_reply done;
	void *arg;
	json_t *request;
	char owner[CUSTOMER_ROOM];
	struct verdicts *at;
	size_t count, room;
	bool no_memory;
};

static const char *
field(const json_t *request, const char *name)
{
	const char *value = json_string_value(json_object_get(request, name));

	return value ? value : "";
}

static void
simulation_end(struct simulation *s, json_t *reply)
{
	s->done(s->arg, reply);
	for (size_t i = 0; i < s->count; i++)
		free(s->at[i].texts);
	free(s->at);
	json_decref(s->request);
	free(s);
}

/* All texts of an entry in one piece of memory. */
static struct span
keep(char **to, struct span from)
{
	struct span kept = { *to, from.n };

	if (from.n > 0)
		memcpy(*to, from.p, from.n);
	(*to)[from.n] = '\0';
	*to += from.n + 1;
	return kept;
}

static void
remember(struct simulation *s, const struct recent *mail)
{
	size_t n = strlen(mail->reference) + strlen(mail->recipient) + mail->facts.sender.n + mail->facts.from.n + mail->facts.list_id.n + 5;

	for (size_t i = 0; i < mail->facts.signer_count; i++)
		n += mail->facts.signers[i].n + 1;
	char *to = s->count < s->room ? malloc(n) : NULL;

	if (to == NULL) {
		s->no_memory = true;
		return;
	}
	struct verdicts *v = &s->at[s->count++];

	v->mail = *mail;
	v->texts = to;
	v->mail.reference = keep(&to, span_of(mail->reference)).p;
	v->mail.recipient = keep(&to, span_of(mail->recipient)).p;
	v->mail.facts.sender = keep(&to, mail->facts.sender);
	v->mail.facts.from = keep(&to, mail->facts.from);
	v->mail.facts.list_id = keep(&to, mail->facts.list_id);
	for (size_t i = 0; i < mail->facts.signer_count; i++)
		v->signers[i] = keep(&to, mail->facts.signers[i]);
	v->client = *mail->facts.client;
}

static enum outcome
outcome_now(struct customers *c, struct verdicts *v)
{
	uint32_t class_id;
	const struct policy *policy = customers_lookup(c, span_of(v->mail.recipient), &class_id);
	struct judgement found = v->mail.found;

	v->mail.facts.client = &v->client;
	v->mail.facts.signers = v->signers;
	found.listed = customers_listed(c, policy, &v->mail.facts, wall_s(), NULL);
	return decide(policy, &found);
}

/* While the change stands in the table. */
static void
decide_again(void *arg)
{
	struct simulation *s = arg;

	for (size_t i = 0; i < s->count; i++)
		s->at[i].after = outcome_now(s->customers, &s->at[i]);
}

static json_t *
not_simulated(const json_t *values)
{
	json_t *names = json_array();

	for (size_t i = 0; i < sizeof of_the_scan / sizeof *of_the_scan; i++)
		if (json_object_get(values, of_the_scan[i]))
			json_array_append_new(names, json_string(of_the_scan[i]));
	return names;
}

static json_t *
report(const struct simulation *s)
{
	json_t *outcomes = json_array(), *examples = json_array();
	int counts[OUT__COUNT][OUT__COUNT] = { 0 }, changed = 0;
	int64_t since = 0;

	for (size_t i = 0; i < s->count; i++) {
		const struct verdicts *v = &s->at[i];

		counts[v->before][v->after]++;
		since = since == 0 || v->mail.time_s < since ? v->mail.time_s : since;
		changed += v->before != v->after;
		if (v->before != v->after && json_array_size(examples) < EXAMPLES_MOST)
			json_array_append_new(examples, json_pack("{s:I, s:s, s:s, s:f, s:s, s:s}", "time", (json_int_t)v->mail.time_s, "reference",
			    v->mail.reference, "recipient", v->mail.recipient, "points", v->mail.found.points, "from", outcome_names[v->before], "to",
			    outcome_names[v->after]));
	}
	for (int from = 0; from < OUT__COUNT; from++)
		for (int to = 0; to < OUT__COUNT; to++)
			if (counts[from][to])
				json_array_append_new(outcomes, json_pack("{s:s, s:s, s:i}", "from", outcome_names[from], "to", outcome_names[to],
				    "count", counts[from][to]));
	return json_pack("{s:s, s:i, s:i, s:I, s:o, s:o, s:o}", "customer", s->owner, "recipients", (int)s->count, "changed", changed,
	    "since", (json_int_t)since, "outcomes", outcomes, "examples", examples, "not_simulated",
	    not_simulated(json_object_get(s->request, "values")));
}

static void
got_one(void *arg, const struct recent *mail, bool failed)
{
	struct simulation *s = arg;

	if (mail) {
		remember(s, mail);
		return;
	}
	if (failed || s->no_memory) {
		simulation_end(s, json_pack("{s:s, s:i}", "error", failed ? "Redis gave no answer: recent mail is in it" : "no memory", "exit", 1));
		return;
	}
	for (size_t i = 0; i < s->count; i++)
		s->at[i].before = outcome_now(s->customers, &s->at[i]);
	json_t *refusal = customers_with(s->customers, s->request, decide_again, s);

	simulation_end(s, refusal ? refusal : report(s));
}

void
customers_simulate(struct customers *c, json_t *request, customers_reply done, void *arg)
{
	struct simulation *s = calloc(1, sizeof *s);
	char key[KEY_ROOM], why[256] = "no memory";

	if (s == NULL || (s->at = calloc(RECENT_KEPT, sizeof *s->at)) == NULL) {
		free(s);
		done(arg, customers_refuse(why));
		return;
	}
	*s = (struct simulation){ .customers = c, .done = done, .arg = arg, .request = json_incref(request), .at = s->at, .room = RECENT_KEPT };
	if (!customers_key(span_of(field(request, "key")), key, why, sizeof why)) {
		simulation_end(s, customers_refuse(why));
		return;
	}
	const char *customer = field(request, "customer"), *owner = customer[0] ? customer : customers_owner_of(c, key), *scope = field(request, "scope");

	snprintf(s->owner, sizeof s->owner, "%.63s", owner);
	if (scope[0] && strcmp(scope, s->owner) != 0)
		simulation_end(s, customers_foreign("that is not of this customer"));
	else if (customers_kind(key) == RECORD_TIER && customer[0] == '\0')
		simulation_end(s, customers_refuse("simulate: a tier has many customers; name one with --customer"));
	else
		recent_read(c->redis, s->owner, got_one, s);
}
