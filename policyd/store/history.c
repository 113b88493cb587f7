#include "policyd/store/history.h"

#include <hiredis/hiredis.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>

#include "policyd/store/redis_async.h"

enum { KEY_ROOM = 48, HISTORY_MS = 1000 };

static void
make_key(char key[KEY_ROOM], char kind, struct span id)
{
	uint8_t digest[SHA256_DIGEST_LENGTH];
	int n = snprintf(key, KEY_ROOM, "{h:");

	SHA256((const unsigned char *)id.p, id.n, digest);
	for (int i = 0; i < 16; i++)
		n += snprintf(key + n, (size_t)(KEY_ROOM - n), "%02x", digest[i]);
	snprintf(key + n, (size_t)(KEY_ROOM - n), "}%c", kind);
}

static void
command(struct redis_async *redis, redis_callback done, void *arg, int argc, const char *const *argv)
{
	size_t lengths[4];

	for (int i = 0; i < argc; i++)
		lengths[i] = strlen(argv[i]);
	redis_async_command(redis, HISTORY_MS, done, arg, argc, argv, lengths);
}

static void
expire(struct redis_async *redis, const char *key)
{
	char ttl[16];

	snprintf(ttl, sizeof ttl, "%d", HISTORY_TTL_S);
	command(redis, NULL, NULL, 3, (const char *const[]){ "EXPIRE", key, ttl });
}

/* Addresses as people type them: any case. */
static void
address_key(char key[KEY_ROOM], struct span address)
{
	char low[512];
	size_t n = 0;

	for (; n < address.n && n < sizeof low; n++)
		low[n] = ascii_lower(address.p[n]);
	make_key(key, 'a', span_make(low, n));
}

static void
add_address(struct redis_async *redis, struct span address, const char *reference)
{
	char key[KEY_ROOM], last[16];

	if (address.n == 0)
		return;
	address_key(key, address);
	snprintf(last, sizeof last, "%d", HISTORY_OF_ADDRESS - 1);
	command(redis, NULL, NULL, 3, (const char *const[]){ "LPUSH", key, reference });
	command(redis, NULL, NULL, 4, (const char *const[]){ "LTRIM", key, "0", last });
	expire(redis, key);
}

void
history_add(struct redis_async *redis, struct span reference, const struct span *ids, size_t count, struct span sender,
    struct span recipient, const char *event)
{
	char key[KEY_ROOM], ref[64];

	snprintf(ref, sizeof ref, SPAN_FMT, SPAN_ARG(span_head(reference, 63)));
	make_key(key, 'e', reference);
	command(redis, NULL, NULL, 3, (const char *const[]){ "RPUSH", key, event });
	expire(redis, key);
	for (size_t i = 0; i < count; i++) {
		if (ids[i].n == 0)
			continue;
		make_key(key, 'i', ids[i]);
		command(redis, NULL, NULL, 3, (const char *const[]){ "SADD", key, ref });
		expire(redis, key);
	}
	add_address(redis, sender, ref);
	add_address(redis, recipient, ref);
}

struct search {
	struct redis_async *redis;
	history_found done;
	void *arg;
	json_t *events;
	int open;                            /* answers still to come */
	bool failed;
};

static void
search_step(struct search *s)
{
	if (--s->open > 0)
		return;
	if (s->failed) {
		json_decref(s->events);
		s->events = NULL;
	}
	s->done(s->arg, s->events);
	free(s);
}

static void
got_events(void *arg, const struct redisReply *reply)
{
	struct search *s = arg;

	s->failed |= reply == NULL;
	for (size_t i = 0; reply && reply->type == REDIS_REPLY_ARRAY && i < reply->elements; i++) {
		json_t *event = json_loadb(reply->element[i]->str, reply->element[i]->len, 0, NULL);

		if (event)
			json_array_append_new(s->events, event);
	}
	search_step(s);
}

static void
ask_events(struct search *s, struct span reference)
{
	char key[KEY_ROOM];

	s->open++;
	make_key(key, 'e', reference);
	command(s->redis, got_events, s, 4, (const char *const[]){ "LRANGE", key, "0", "-1" });
}

static void
got_references(void *arg, const struct redisReply *reply)
{
	struct search *s = arg;

	s->failed |= reply == NULL;
	for (size_t i = 0, asked = 0; reply && reply->type == REDIS_REPLY_ARRAY && i < reply->elements && asked < HISTORY_MAX_REFS; i++) {
		const struct redisReply *one = reply->element[i], *before = i ? reply->element[i - 1] : NULL;

		if (before && before->len == one->len && memcmp(before->str, one->str, one->len) == 0)
			continue;            /* one mail to several: its sender has it once a recipient */
		ask_events(s, span_make(one->str, one->len));
		asked++;
	}
	search_step(s);
}

void
history_find(struct redis_async *redis, struct span id, history_found done, void *arg)
{
	struct search *s = calloc(1, sizeof *s);
	char key[KEY_ROOM];

	if (s == NULL) {
		done(arg, NULL);
		return;
	}
	*s = (struct search){ .redis = redis, .done = done, .arg = arg, .events = json_array(), .open = 1 };
	make_key(key, 'i', id);
	ask_events(s, id);                   /* it may be a reference itself */
	if (span_find_char(id, '@') != SPAN_NONE) {
		char address[KEY_ROOM];

		s->open++;
		address_key(address, id);
		command(redis, got_references, s, 4, (const char *const[]){ "LRANGE", address, "0", "-1" });
	}
	command(redis, got_references, s, 2, (const char *const[]){ "SMEMBERS", key });
}
