#include "policyd/broker/lanes.h"

#include <openssl/rand.h>
#include <stdlib.h>

#include "policyd/base/clock.h"

enum { ALIKE_MS = 10 * 60 * 1000 };

struct lanes *
lanes_open(void)
{
	struct lanes *l = calloc(1, sizeof *l);

	if (l)
		RAND_bytes((unsigned char *)&l->seed, sizeof l->seed);
	return l;
}

/* "news@shop.example", "@shop.example" for all of it; "!" before it: never bulk. */
static void
look_up(const struct config *config, struct span sender, struct span key, struct lane_facts *facts)
{
	for (uint32_t i = 0; i < config->bulk_sender_count; i++) {
		struct span entry = span_of(config->bulk_senders[i]);
		bool exempt = entry.n > 0 && entry.p[0] == '!';

		entry = span_from(entry, exempt);
		if (entry.p[0] == '@' ? !span_ends_nocase(key, entry) : !span_eq_nocase(key, entry) && !span_eq_nocase(sender, entry))
			continue;
		facts->exempt |= exempt;
		facts->declared |= !exempt;
	}
}

static struct lane_sender *
place_of(struct lanes *l, struct span key)
{
	uint64_t hash = span_hash(key, l->seed);
	struct lane_sender *s = &l->at[hash % LANES_ROOM];

	if (s->hash != hash)
		*s = (struct lane_sender){ .hash = hash };
	return s;
}

enum lane
lanes_choose(struct lanes *l, const struct config *config, struct span sender, unsigned hints, const char **why)
{
	char key[MAX_ADDRESS + 1];
	struct lane_facts facts = { .hints = hints };

	lane_key(sender, key);
	if (key[0]) {
		struct lane_sender *s = place_of(l, span_of(key));

		look_up(config, sender, span_of(key), &facts);
		facts.alike = s->alike_until_ms > clock_ms();
		facts.rate = lane_count_add(&s->count, 1, clock_ms());
	}
	return lane_decide(&facts, why);
}

enum lane
lanes_expect(const struct lanes *l, const struct config *config, struct span sender)
{
	char key[MAX_ADDRESS + 1];
	const char *why;
	struct lane_facts facts = { 0 };

	lane_key(sender, key);
	uint64_t hash = span_hash(span_of(key), l->seed);
	const struct lane_sender *s = &l->at[hash % LANES_ROOM];
	struct lane_count count = s->count;

	if (key[0] == '\0')
		return LANE_TRICKLE;
	look_up(config, sender, span_of(key), &facts);
	facts.alike = s->hash == hash && s->alike_until_ms > clock_ms();
	facts.rate = s->hash == hash ? lane_count_add(&count, 0, clock_ms()) : 0;
	return lane_decide(&facts, &why);
}

void
lanes_alike(struct lanes *l, struct span sender)
{
	char key[MAX_ADDRESS + 1];

	lane_key(sender, key);
	if (key[0])
		place_of(l, span_of(key))->alike_until_ms = clock_ms() + ALIKE_MS;
}
