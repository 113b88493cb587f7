#include "policyd/store/recent.h"

#include <arpa/inet.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policyd/base/utf8.h"
#include "policyd/store/redis_async.h"

enum { KEY_ROOM = 96, READ_MS = 5000 };

static json_t *
text(struct span s)
{
	return json_stringn(s.n && utf8_valid(s) ? s.p : "", s.n && utf8_valid(s) ? s.n : 0);
}

static void
make_key(char key[KEY_ROOM], const char *customer)
{
	snprintf(key, KEY_ROOM, "{m:%.63s}:recent", customer[0] ? customer : "-");
}

static void
command(struct redis_async *redis, int timeout_ms, redis_callback done, void *arg, int argc, const char *const *argv)
{
	size_t lengths[4];

	for (int i = 0; i < argc; i++)
		lengths[i] = strlen(argv[i]);
	redis_async_command(redis, timeout_ms, done, arg, argc, argv, lengths);
}

void
recent_add(struct redis_async *redis, const char *customer, const struct recent *r)
{
	char key[KEY_ROOM], client[INET6_ADDRSTRLEN] = "", last[16], ttl[16], *json;
	json_t *signers = json_array(), *entry;

	make_key(key, customer);
	if (r->facts.client)
		ip_print(r->facts.client, client);
	for (size_t i = 0; i < r->facts.signer_count && i < RECENT_SIGNERS; i++)
		json_array_append_new(signers, text(r->facts.signers[i]));
	entry = json_pack("[I, s, s, f, i, b, s, s, o, o, o, b, o, i]", (json_int_t)r->time_s, r->reference, r->recipient, r->found.points,
	    (int)r->found.classes, r->found.defer, outcome_names[r->outcome], client, text(r->facts.sender), text(r->facts.from),
	    text(r->facts.list_id), r->facts.proved, signers, (int)r->found.dmarc);
	json = entry ? json_dumps(entry, JSON_COMPACT | JSON_REAL_PRECISION(8)) : NULL;
	snprintf(last, sizeof last, "%d", RECENT_KEPT - 1);
	snprintf(ttl, sizeof ttl, "%d", RECENT_TTL_S);
	if (json) {
		command(redis, 0, NULL, NULL, 3, (const char *const[]){ "LPUSH", key, json });
		command(redis, 0, NULL, NULL, 4, (const char *const[]){ "LTRIM", key, "0", last });
		command(redis, 0, NULL, NULL, 3, (const char *const[]){ "EXPIRE", key, ttl });
	}
	free(json);
	json_decref(entry);
}

struct reading {
	recent_each each;
	void *arg;
};

static struct span
string_at(json_t *entry, size_t i)
{
	const char *s = json_string_value(json_array_get(entry, i));

	return span_of(s ? s : "");
}

static void
tell(struct reading *r, json_t *entry)
{
	struct span signers[RECENT_SIGNERS], outcome = string_at(entry, 6);
	json_t *names = json_array_get(entry, 12);
	struct ip client;
	struct recent one = {
		.time_s = json_integer_value(json_array_get(entry, 0)), .reference = string_at(entry, 1).p, .recipient = string_at(entry, 2).p,
		.found = { .points = json_number_value(json_array_get(entry, 3)), .classes = (unsigned)json_integer_value(json_array_get(entry, 4)),
		    .defer = json_is_true(json_array_get(entry, 5)), .dmarc = (uint8_t)json_integer_value(json_array_get(entry, 13)) },
		.outcome = OUT__COUNT,
		.facts = { .sender = string_at(entry, 8), .from = string_at(entry, 9), .list_id = string_at(entry, 10),
		    .proved = json_is_true(json_array_get(entry, 11)), .signers = signers },
	};

	for (int i = 0; i < OUT__COUNT; i++)
		if (span_eq(outcome, span_of(outcome_names[i])))
			one.outcome = (enum outcome)i;
	for (; one.facts.signer_count < json_array_size(names) && one.facts.signer_count < RECENT_SIGNERS; one.facts.signer_count++)
		signers[one.facts.signer_count] = string_at(names, one.facts.signer_count);
	ip_parse(string_at(entry, 7), &client);
	one.facts.client = &client;
	if (one.outcome < OUT__COUNT && one.recipient[0])
		r->each(r->arg, &one, false);
}

static void
got(void *arg, const redisReply *reply)
{
	struct reading *r = arg;
	bool good = reply && reply->type == REDIS_REPLY_ARRAY;

	for (size_t i = 0; good && i < reply->elements; i++) {
		json_t *entry = json_loadb(reply->element[i]->str, reply->element[i]->len, 0, NULL);

		if (json_is_array(entry))
			tell(r, entry);
		json_decref(entry);
	}
	r->each(r->arg, NULL, !good);
	free(r);
}

void
recent_read(struct redis_async *redis, const char *customer, recent_each each, void *arg)
{
	struct reading *r = calloc(1, sizeof *r);
	char key[KEY_ROOM];

	if (r == NULL) {
		each(arg, NULL, true);
		return;
	}
	*r = (struct reading){ each, arg };
	make_key(key, customer);
	command(redis, READ_MS, got, r, 4, (const char *const[]){ "LRANGE", key, "0", "-1" });
}
