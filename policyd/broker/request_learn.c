/* request_learn.c - lessons: a worker makes features of the mail (or of those attached to it), the trainer learns them; and what
 * a release says of mails like it. */
#include <stdio.h>
#include <string.h>

#include "policyd/base/metrics.h"
#include "policyd/broker/campaign.h"
#include "policyd/broker/request.h"
#include "policyd/broker/wanted.h"
#include "policyd/broker/watch.h"
#include "policyd/store/customers.h"

enum { TRAINER_MS = 30 * 1000 };

static const char *const lesson_results[] = { "failed", "learnt", "known", "flipped", "unlearnt", "held", "refused" };
enum { LESSON_FAILED_CODE = 0, LESSON_REFUSED_CODE = 6, LESSON_CODES = sizeof lesson_results / sizeof *lesson_results };

/* All lessons of the request are answered: one result, or of several mails how many of each. What failed comes first, so that
 * it is tried again (what was learnt is then known); then what was refused. */
static void
lessons_end(struct request *r)
{
	unsigned kinds = 0, last = 0;

	for (unsigned i = 0; i < LESSON_CODES; i++) {
		kinds += r->results[i] > 0;
		last = r->results[i] > 0 ? i : last;
	}
	metrics_add(M_LESSONS_FAILED, r->results[LESSON_FAILED_CODE]);
	if (r->results[LESSON_FAILED_CODE] > 0 || (kinds == 1 && last == LESSON_REFUSED_CODE)) {
		request_reply(r, request_error(r->why[0] ? r->why : "the trainer gave no answer; see policyctl doctor", r->results[LESSON_FAILED_CODE] ? 1 : 2));
		return;
	}
	json_t *reply = json_pack("{s:s, s:i}", "result", kinds == 1 ? lesson_results[last] : "several", "mails", (int)r->mails);

	for (unsigned i = 1; i < LESSON_CODES; i++)
		if (kinds > 1 && r->results[i] > 0)
			json_object_set_new(reply, lesson_results[i], json_integer(r->results[i]));
	request_reply(r, reply);
}

static void
lesson_done(void *arg, struct packet *answer)
{
	struct request *r = arg;
	struct unpack u = { answer ? answer->body : SPAN(""), false };
	uint8_t result = unpack_u8(&u);
	char why[sizeof r->why];

	unpack_text(&u, why, sizeof why);
	if (answer == NULL || u.bad || result >= LESSON_CODES)
		result = LESSON_FAILED_CODE;
	else if (why[0])
		memcpy(r->why, why, sizeof why);
	r->results[result]++;
	if (--r->lessons == 0)
		lessons_end(r);
}

/* It speaks of mails like it as well: with the voice of the customer, else of whoever teaches. */
static void
report_alike(struct request *r, struct unpack *alike, bool spam, bool learn)
{
	char voice[80];

	snprintf(voice, sizeof voice, "%s:%.70s", r->customer[0] ? "customer" : "who", r->customer[0] ? r->customer : request_field(r, "who"));
	campaign_report(r->caller->broker, alike, spam, !learn, voice);
}

static void
skip_symbols(struct unpack *u)
{
	for (uint32_t n = unpack_u32(u); n > 0 && !u->bad; n--)
		unpack_span(u);
}

/* One mail's part of W_FEATURES to the trainer. */
static bool
ask_lesson(struct request *r, struct unpack *u)
{
	struct span identity = unpack_span(u), alike = unpack_span(u), features = unpack_span(u);
	bool learn = strcmp(request_field(r, "cmd"), "learn") == 0, spam = strcmp(request_field(r, "class"), "spam") == 0;
	struct unpack symbols = *u;
	struct buf body = { 0 };

	skip_symbols(u);
	struct unpack like = *u;

	unpack_span(u);
	if (u->bad)
		return false;
	report_alike(r, &like, spam, learn);
	if (learn && !spam)
		watch_ham(r->caller->broker->watch, &symbols);
	pack_u8(&body, spam);
	pack_u8(&body, learn);
	pack_text(&body, r->caller->reports ? "user" : request_field(r, "source")[0] ? request_field(r, "source") : "cli");
	pack_text(&body, r->caller->reports ? request_field(r, "for") : request_field(r, "who"));
	pack_text(&body, r->customer);
	pack_u64(&body, r->mailbox);
	pack_span(&body, identity);
	pack_span(&body, alike);
	pack_span(&body, features);
	return link_ask(r->caller->broker->trainer, W_LESSON, &body, NULL, 0, TRAINER_MS, lesson_done, r);
}

static void
features_done(void *arg, enum job_result result, struct packet *answer)
{
	struct request *r = arg;
	struct unpack u = { answer ? answer->body : SPAN(""), false };
	uint32_t count = unpack_u32(&u);

	if (result != JOB_DONE || u.bad || answer->type != W_FEATURES || count > MAX_REPORTED) {
		metrics_add(M_LESSONS_FAILED, 1);
		request_reply(r, request_error(result == JOB_POISON ? "the mail ended two workers; it cannot be learnt" :
		    "no worker could read the mail in time", result == JOB_POISON ? 2 : 1));
		return;
	}
	if (count == 0) {
		request_reply(r, request_error("no mail is attached: forward what you report as an attachment", 2));
		return;
	}
	r->mails = count;
	r->lessons = 1;                      /* not ended by an answer that comes at once */
	for (uint32_t i = 0; i < count; i++) {
		if (ask_lesson(r, &u))
			r->lessons++;
		else
			r->results[LESSON_FAILED_CODE]++;
	}
	if (--r->lessons == 0)
		lessons_end(r);
}

/* Whose model learns: the customer that the address belongs to, and the mailbox where it has one of its own; without an
 * address, all customers'. */
static bool
lesson_customer(struct request *r)
{
	const char *address = request_field(r, "for");
	uint32_t class_id;

	if (address[0] == '\0')
		return true;
	const struct policy *policy = customers_lookup(r->caller->broker->customers, span_of(address), &class_id);

	snprintf(r->customer, sizeof r->customer, "%s", policy->customer);
	r->mailbox = wanted_mailbox(r->caller->broker, policy, span_of(address));
	return policy->customer[0] != '\0';
}

void
request_learn(struct request *r)
{
	const char *class = request_field(r, "class");

	metrics_add(M_LESSONS, 1);
	if (r->fd < 0 || (strcmp(class, "spam") != 0 && strcmp(class, "ham") != 0)) {
		request_reply(r, request_error("learn: a class (spam or ham) and a mail are needed", 2));
		return;
	}
	if (!lesson_customer(r)) {
		request_reply(r, request_error("--for: that address belongs to no customer (policyctl policy explain ADDRESS)", 2));
		return;
	}
	request_submit(r, json_is_true(json_object_get(r->json, "attached")) ? JOB_ATTACHED : JOB_FEATURES, features_done);
}

/* ---- released: no lesson, but a word for mails like it ---- */

static void
released_read(void *arg, enum job_result result, struct packet *answer)
{
	struct request *r = arg;
	struct unpack u = { answer ? answer->body : SPAN(""), false };

	if (result == JOB_DONE && answer->type == W_FEATURES && unpack_u32(&u) == 1) {
		for (int i = 0; i < 3; i++)
			unpack_span(&u);             /* identity, alike, features */
		skip_symbols(&u);
		report_alike(r, &u, false, true);
	}
	request_reply(r, json_pack("{s:s}", "result", "heard"));
}

void
request_released(struct request *r)
{
	if (r->fd < 0 || !lesson_customer(r))
		request_reply(r, request_error("released: a mail is needed, and a customer's address or none", 2));
	else
		request_submit(r, JOB_FEATURES, released_read);
}
