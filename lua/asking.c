#include "lua/asking.h"

#include <stdio.h>

#include "policyd/base/clock.h"

struct asking *
asking_open(struct scan *scan)
{
	struct asking *asking = ARENA_NEW(scan->arena, struct asking);

	asking->scan = scan;
	asking->wait_ms = MAX_RULES_WAIT_MS;
	return asking;
}

static bool
same_question(const struct question *a, const struct question *b)
{
	return a->kind == b->kind && span_eq(a->name, b->name) && span_eq(a->field, b->field) && span_eq(a->customer, b->customer);
}

/* No such name can be in DNS, no such key is asked for: they come out of mails. */
static bool
is_absurd(const struct question *q)
{
	return q->name.n == 0 || (q->kind < ASK_GET ? q->name.n > MAX_HOST_NAME : q->name.n + q->field.n > MAX_REDIS_VALUE);
}

const struct asked *
asking_find(struct turn *turn, const struct question *q)
{
	static const struct asked absurd = { .answer = { .status = RR_NONE } };
	struct asking *asking = turn->asking;
	uint64_t hash = span_hash(q->name, span_hash(q->field, q->kind));
	struct arena *a = asking->scan->arena;
	size_t of_set = 0;

	if (is_absurd(q))
		return &absurd;
	for (size_t i = 0; i < asking->count; i++) {
		if (asking->at[i].hash == hash && same_question(&asking->at[i].question, q))
			return &asking->at[i];
		of_set += asking->at[i].set == turn->set;
	}
	if (turn->asked >= MAX_RULE_QUESTIONS || of_set >= MAX_SET_QUESTIONS)
		return NULL;
	turn->asked++;
	if (asking->count == asking->room) {
		size_t room = asking->room ? asking->room * 2 : 32;

		asking->at = arena_grow(a, asking->at, asking->room * sizeof *asking->at, room * sizeof *asking->at);
		asking->room = room;
	}
	struct asked *asked = &asking->at[asking->count++];

	*asked = (struct asked){ .question = { q->kind, arena_copy(a, q->name), arena_copy(a, q->field), arena_copy(a, q->customer) },
	    .hash = hash, .set = turn->set, .answer = { .status = RR_PENDING } };
	return asked;
}

/* Up to MAX_QUESTIONS of those that stand at `first`; false: nobody answers. */
static bool
ask_some(struct asking *asking, size_t first, size_t count)
{
	struct scan *scan = asking->scan;
	struct question *questions = ARENA_ARRAY(scan->arena, struct question, count);
	struct rr_answer *answers = ARENA_ARRAY(scan->arena, struct rr_answer, count);
	int64_t start = clock_ms();
	bool told;

	for (size_t i = 0; i < count; i++)
		questions[i] = asking->at[first + i].question;
	told = scan->asker->take(scan->asker, scan->asker->ask(scan->asker, questions, count), scan->arena, answers, count,
	    asking->wait_ms);
	asking->wait_ms -= (int)(clock_ms() - start);
	for (size_t i = 0; i < count; i++)
		asking->at[first + i].answer = answers[i];
	return told;
}

void
asking_wait(struct asking *asking)
{
	bool told = asking->scan->asker != NULL;

	while (asking->sent < asking->count) {
		size_t count = asking->count - asking->sent < MAX_QUESTIONS ? asking->count - asking->sent : MAX_QUESTIONS;

		told = told && asking->wait_ms > 0 && ask_some(asking, asking->sent, count);
		asking->sent += count;
	}
	for (size_t i = 0; i < asking->count; i++)
		if (asking->at[i].answer.status == RR_PENDING)
			asking->at[i].answer.status = RR_UNKNOWN;
}

/* RFC 1035, 3.5; RFC 3596, 2.5. */
void
asking_reverse(const struct ip *ip, char to[REVERSED_ROOM])
{
	size_t n = 0;

	if (ip->family == AF_INET)
		for (int i = 3; i >= 0; i--)
			n += (size_t)snprintf(to + n, REVERSED_ROOM - n, "%u.", ip->bytes[i]);
	else
		for (int i = 15; i >= 0; i--)
			n += (size_t)snprintf(to + n, REVERSED_ROOM - n, "%x.%x.", ip->bytes[i] & 15, ip->bytes[i] >> 4);
}
