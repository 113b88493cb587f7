#include "quarantine/review/sessions.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policyd/base/clock.h"
#include "policyd/base/log.h"
#include "quarantine/review/review.h"

enum { SAVE_EVERY_MS = 1000, ATTEMPT_SLOTS = 4096, ATTEMPT_WAIT_MOST_S = 900 };

struct sessions {
	char path[REVIEW_PATH_ROOM];
	json_t *all;                         /* SHA-256 of the cookie -> {name, role, ..., epoch, started, seen} */
	bool dirty;
	int64_t saved_ms;
};

static void
digest_of(const char *cookie, char to[65])
{
	uint8_t digest[SHA256_DIGEST_LENGTH];

	SHA256((const unsigned char *)cookie, strlen(cookie), digest);
	for (size_t i = 0; i < sizeof digest; i++)
		snprintf(to + 2 * i, 3, "%02x", digest[i]);
}

static void
save(struct sessions *s)
{
	char *text = json_dumps(s->all, JSON_COMPACT);

	if (text)
		file_replace(s->path, text, strlen(text));
	free(text);
	s->dirty = false;
	s->saved_ms = clock_ms();
}

struct sessions *
sessions_open(const char *path)
{
	struct sessions *s = calloc(1, sizeof *s);

	if (s == NULL)
		return NULL;
	snprintf(s->path, sizeof s->path, "%s", path);
	s->all = file_json(path);
	if (!json_is_object(s->all)) {
		json_decref(s->all);
		s->all = json_object();
	}
	return s;
}

void
sessions_close(struct sessions *s)
{
	if (s == NULL)
		return;
	if (s->dirty)
		save(s);
	json_decref(s->all);
	free(s);
}

bool
session_start(struct sessions *s, const struct viewer *who, json_int_t epoch, int64_t now_s, char cookie[65])
{
	char digest[65];
	json_t *addresses = json_array();

	if (json_object_size(s->all) >= MAX_SESSIONS) {
		json_decref(addresses);
		return false;
	}
	random_hex(cookie, 32);
	digest_of(cookie, digest);
	for (int i = 0; i < who->address_count; i++)
		json_array_append_new(addresses, json_string(who->addresses[i]));
	json_object_set_new(s->all, digest, json_pack("{s:s, s:s, s:s, s:o, s:b, s:I, s:I, s:I}", "name", who->name, "role", role_names[who->role],
	    "customer", who->customer, "addresses", addresses, "linked", who->linked, "epoch", epoch, "started", (json_int_t)now_s, "seen",
	    (json_int_t)now_s));
	s->dirty = true;
	return true;
}

static bool
is_over(const json_t *session, int64_t now_s)
{
	return now_s - json_integer_value(json_object_get(session, "started")) > SESSION_MOST_S ||
	    now_s - json_integer_value(json_object_get(session, "seen")) > SESSION_IDLE_S;
}

bool
session_find(struct sessions *s, const struct users *users, const char *cookie, int64_t now_s, struct viewer *who)
{
	char digest[65];

	if (strlen(cookie) != 64)
		return false;
	digest_of(cookie, digest);
	json_t *session = json_object_get(s->all, digest);

	if (session == NULL || is_over(session, now_s))
		return false;
	if (!json_is_true(json_object_get(session, "linked"))) {
		const json_t *user = users_find(users, json_string_value(json_object_get(session, "name")));

		if (user == NULL || json_integer_value(json_object_get(user, "epoch")) != json_integer_value(json_object_get(session, "epoch")))
			return false;
		user_viewer(user, who);      /* as he is now: a change of his role is in force at once */
		if (who->role == ROLE_OWNER && who->customer[0] == '\0')
			snprintf(who->customer, sizeof who->customer, "%s", json_string_value(json_object_get(session, "customer")));
	} else {
		user_viewer(session, who);
		who->linked = true;
	}
	json_object_set_new(session, "seen", json_integer(now_s));
	s->dirty = true;
	return true;
}

void
session_end(struct sessions *s, const char *cookie)
{
	char digest[65];

	digest_of(cookie, digest);
	if (json_object_del(s->all, digest) == 0)
		save(s);
}

void
sessions_tick(struct sessions *s, int64_t now_s)
{
	const char *digest;
	json_t *session;
	void *next;

	json_object_foreach_safe(s->all, next, digest, session)
		if (is_over(session, now_s)) {
			json_object_del(s->all, digest);
			s->dirty = true;
		}
	if (s->dirty && clock_ms() - s->saved_ms > SAVE_EVERY_MS)
		save(s);
}

size_t
sessions_count(const struct sessions *s)
{
	return json_object_size(s->all);
}

/* ---- attempts: a few are free, then each costs twice the wait of the one before ---- */

static struct attempt {
	uint64_t key;
	int64_t last_s;
	int failed;
} attempts[ATTEMPT_SLOTS];

/* The slot of that key, or the one of its two that was quiet longest. */
static struct attempt *
slot_of(const char *key, bool make)
{
	uint64_t hash = span_hash(span_of(key), 77) | 1;
	struct attempt *a = &attempts[hash % ATTEMPT_SLOTS], *b = &attempts[(hash >> 32) % ATTEMPT_SLOTS], *older;

	if (a->key == hash)
		return a;
	if (b->key == hash)
		return b;
	if (!make)
		return NULL;
	older = a->last_s <= b->last_s ? a : b;
	*older = (struct attempt){ .key = hash };
	return older;
}

int
attempts_wait_s(const char *key, int free_ones, int64_t now_s)
{
	const struct attempt *a = slot_of(key, false);
	int over = a ? a->failed - free_ones : -1, wait;

	if (over < 0)
		return 0;
	wait = over > 9 ? ATTEMPT_WAIT_MOST_S : 2 << over;
	return a->last_s + wait > now_s ? (int)(a->last_s + wait - now_s) : 0;
}

void
attempts_failed(const char *key, int64_t now_s)
{
	struct attempt *a = slot_of(key, true);

	if (now_s - a->last_s > ATTEMPT_WAIT_MOST_S)
		a->failed = 0;
	a->failed++;
	a->last_s = now_s;
}

void
attempts_forget(const char *key)
{
	struct attempt *a = slot_of(key, false);

	if (a)
		a->failed = 0;
}
