/* nodes.c - one list of what all nodes of a pool hold, as a cache in the Redis they share (keys.h); it is asked for by
 * "pool": true (requests.h). Only where `redis.url` is set: an embedded Redis is nobody else's.
 *
 * Each node writes what it has made durable, and again when the state changes. Nothing hangs on it: what could not be
 * written is caught up by a walk over the index, and so is all of it when Redis has lost its data (its mark is gone). */
#include <hiredis/hiredis.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>

#include "policyd/base/clock.h"
#include "policyd/base/log.h"
#include "policyd/store/redis_async.h"
#include "quarantine/store/asker.h"
#include "quarantine/store/list.h"
#include "quarantine/store/requests.h"

enum { TAG_ROOM = 40, KEY_ROOM = 256, WALK_ROWS = 500, POOL_MS = 500, MARK_EVERY_S = 5, AWAY_S = 20, MAILBOXES_MOST = 16,
    LOOK_MOST_POOL = 2000 };

struct nodes {
	struct store *store;
	struct redis_async *redis;
	char node[128], mark[64];            /* the mark says that Redis still has what this node wrote */
	bool walking, behind;                /* behind: something could not be written */
	int64_t walk_time, marked_s;
	char walk_id[ID_ROOM];
};

static void
make_tag(char tag[TAG_ROOM], const char *mailbox)
{
	uint8_t digest[SHA256_DIGEST_LENGTH];
	int n = snprintf(tag, TAG_ROOM, "{q:");

	SHA256((const unsigned char *)mailbox, strlen(mailbox), digest);
	for (int i = 0; i < 12; i++)
		n += snprintf(tag + n, (size_t)(TAG_ROOM - n), "%02x", digest[i]);
	snprintf(tag + n, (size_t)(TAG_ROOM - n), "}");
}

static void
command(struct nodes *p, redis_callback done, void *arg, int argc, const char *const *argv)
{
	size_t lengths[80];

	for (int i = 0; i < argc; i++)
		lengths[i] = strlen(argv[i]);
	redis_async_command(p->redis, POOL_MS, done, arg, argc, argv, lengths);
}

static void
written(void *arg, const struct redisReply *reply)
{
	struct nodes *p = arg;

	if (reply == NULL || reply->type == REDIS_REPLY_ERROR)
		p->behind = true;
}

/* ---- writing ---- */

static void
put(struct nodes *p, json_t *entry)
{
	static const char *const not_listed[] = { "symbols", "helo", "digest", "body", "queue_id", "message_id" };
	int64_t left = json_integer_value(json_object_get(entry, "expires")) - wall_s();
	char tag[TAG_ROOM], list[KEY_ROOM], key[KEY_ROOM], member[KEY_ROOM / 2 + 64], score[32], ttl[32];

	if (left <= 0)
		return;
	make_tag(tag, json_string_value(json_object_get(entry, "recipient")));
	snprintf(member, sizeof member, "%.100s %s %d", p->node, json_string_value(json_object_get(entry, "id")),
	    (int)json_integer_value(json_object_get(entry, "n")));
	snprintf(list, sizeof list, "%s:l", tag);
	snprintf(key, sizeof key, "%s:%.200s", tag, member);
	snprintf(score, sizeof score, "%lld", (long long)json_integer_value(json_object_get(entry, "time")));
	snprintf(ttl, sizeof ttl, "%lld", (long long)left);
	for (size_t i = 0; i < sizeof not_listed / sizeof *not_listed; i++)
		json_object_del(entry, not_listed[i]);
	json_object_set_new(entry, "node", json_string(p->node));
	char *text = json_dumps(entry, JSON_COMPACT);

	if (text) {
		command(p, written, p, 4, (const char *const[]){ "SETEX", key, ttl, text });
		command(p, written, p, 4, (const char *const[]){ "ZADD", list, score, member });
		command(p, NULL, NULL, 3, (const char *const[]){ "EXPIRE", list, "31536000" });
	}
	free(text);
}

void
nodes_put(struct store *s, const char *id, int64_t n)
{
	size_t i;
	json_t *entry;

	if (s->nodes == NULL || !redis_async_up(s->nodes->redis)) {
		if (s->nodes)
			s->nodes->behind = true;
		return;
	}
	json_t *which = n >= 0 ? json_pack("{s:I}", "n", (json_int_t)n) : json_object(), *entries = index_entries(s->index, id, which);

	json_array_foreach(entries, i, entry)
		put(s->nodes, entry);
	json_decref(entries);
	json_decref(which);
}

/* Some rows further through the index, oldest first. */
static void
walk(struct nodes *p)
{
	char ids[WALK_ROWS][ID_ROOM];
	int64_t last = p->walk_time;
	size_t n = 0;
	struct sql_rows *rows = sql_ask(index_sql(p->store->index), "SELECT DISTINCT id, time_s FROM rcpt INDEXED BY rcpt_time WHERE time_s>=?"
	    " AND (time_s, id)>(?, ?) ORDER BY time_s, id LIMIT ?", "iiti", p->walk_time, p->walk_time, p->walk_id, (int64_t)WALK_ROWS);

	while (n < WALK_ROWS && sql_row(rows)) {
		sql_text(rows, 0, ids[n++], ID_ROOM);
		last = sql_int(rows, 1);
	}
	sql_end(rows);
	for (size_t i = 0; i < n; i++)
		nodes_put(p->store, ids[i], -1);
	p->walk_time = last;
	if (n > 0)
		snprintf(p->walk_id, sizeof p->walk_id, "%s", ids[n - 1]);
	if (n < WALK_ROWS) {
		p->walking = false;
		log_info("quarantine: the pool's list has all that is here");
	}
}

static void
start_walk(struct nodes *p, const char *why)
{
	log_info("quarantine: the pool's list is written anew: %s", why);
	p->walking = true;
	p->behind = false;
	p->walk_time = 0;
	p->walk_id[0] = '\0';
}

static void
mark_seen(void *arg, const struct redisReply *reply)
{
	struct nodes *p = arg;

	if (reply == NULL || reply->type == REDIS_REPLY_ERROR)
		return;
	json_t *node = json_pack("{s:s, s:s, s:s, s:I}", "mark", p->mark, "url", p->store->self->config->review_url, "node_url",
	    p->store->self->config->review_node_url, "seen", (json_int_t)wall_s());
	char *text = json_dumps(node, JSON_COMPACT);

	if (text && (reply->type != REDIS_REPLY_STRING || strstr(reply->str, p->mark) == NULL) && !p->walking)
		start_walk(p, "Redis knows nothing of this node");
	if (text)
		command(p, NULL, NULL, 4, (const char *const[]){ "HSET", "{q:nodes}", p->node, text });
	free(text);
	json_decref(node);
}

void
nodes_tick(struct store *s)
{
	struct nodes *p = s->nodes;

	if (p == NULL || !redis_async_up(p->redis))
		return;
	if (wall_s() - p->marked_s >= MARK_EVERY_S) {
		p->marked_s = wall_s();
		command(p, mark_seen, p, 3, (const char *const[]){ "HGET", "{q:nodes}", p->node });
	}
	if (p->behind && !p->walking)
		start_walk(p, "Redis was away for a while");
	if (p->walking)
		walk(p);
}

void
nodes_open(struct store *s)
{
	const struct config *c = s->self->config;
	struct nodes *p = c->redis_url[0] ? calloc(1, sizeof *p) : NULL;
	uint64_t chance = 0;

	if (p == NULL)
		return;
	p->store = s;
	snprintf(p->node, sizeof p->node, "%s", c->host_name);
	crypt_random(&chance, sizeof chance);
	snprintf(p->mark, sizeof p->mark, "%016llx", (unsigned long long)chance);     /* a start writes all anew: an index that was rebuilt too */
	p->redis = redis_async_open(s->base, c);
	if (p->redis == NULL) {
		log_error("quarantine: no memory for the pool's list");
		free(p);
		return;
	}
	s->nodes = p;
}

/* ---- reading ---- */

struct nodes_list {
	struct asker *asker;
	uint32_t id;
	json_t *request, *entries, *nodes, *away;
	struct filter filter;                /* its words */
	size_t limit;
	int open;
	bool failed;
	int64_t before;                      /* of the cursor: entries of this second and earlier ... */
	char before_id[ID_ROOM + 16];        /* ... but not at or behind this one */
};

struct nodes_box {                            /* one mailbox of it */
	struct nodes_list *list;
	char tag[TAG_ROOM];
};

static int
newest_first(const void *a, const void *b)
{
	const json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;
	json_int_t s = json_integer_value(json_object_get(x, "time")), t = json_integer_value(json_object_get(y, "time"));

	if (s != t)
		return s < t ? 1 : -1;
	int order = strcmp(json_string_value(json_object_get(y, "id")), json_string_value(json_object_get(x, "id")));

	return order ? order : (int)(json_integer_value(json_object_get(y, "n")) - json_integer_value(json_object_get(x, "n")));
}

static void
drop(struct nodes_list *l)
{
	json_decref(l->entries);
	json_decref(l->nodes);
	json_decref(l->away);
	json_decref(l->request);
	free(l);
}

static void
finish(struct nodes_list *l)
{
	size_t count = json_array_size(l->entries);
	json_t **sorted = calloc(count + 1, sizeof *sorted), *page = json_array();
	char cursor[96] = "";
	bool more = count > l->limit;

	for (size_t i = 0; sorted && i < count; i++)
		sorted[i] = json_array_get(l->entries, i);
	if (sorted)
		qsort(sorted, count, sizeof *sorted, newest_first);
	for (size_t i = 0; sorted && i < count && i < l->limit; i++)
		json_array_append(page, sorted[i]);
	if (sorted && more)
		snprintf(cursor, sizeof cursor, "p.%lld.%s.%lld", (long long)json_integer_value(json_object_get(sorted[l->limit - 1], "time")),
		    json_string_value(json_object_get(sorted[l->limit - 1], "id")), (long long)json_integer_value(json_object_get(sorted[l->limit - 1], "n")));
	free(sorted);
	if (l->failed) {
		json_decref(page);
		asker_error(l->asker, l->id, "Redis gave no answer: without \"pool\" this node's own list is there", 1);
	} else {
		asker_reply(l->asker, l->id, json_pack("{s:o, s:b, s:s, s:O, s:O}", "entries", page, "more", more, "cursor", cursor,
		    "nodes", l->nodes, "away", l->away));
	}
	asker_done(l->asker);
	drop(l);
}

static void
step(struct nodes_list *l)
{
	if (--l->open == 0)
		finish(l);
}

/* A text, a list of texts, or nothing: does it allow `value`? */
static bool
allows(const json_t *wanted, const char *value)
{
	if (json_is_string(wanted))
		return strcmp(json_string_value(wanted), value) == 0;
	for (size_t i = 0; i < json_array_size(wanted); i++)
		if (json_is_string(json_array_get(wanted, i)) && strcmp(json_string_value(json_array_get(wanted, i)), value) == 0)
			return true;
	return wanted == NULL;
}

static const char *
word(const json_t *object, const char *name)
{
	const char *value = json_string_value(json_object_get(object, name));

	return value ? value : "";
}

static void
take_entry(struct nodes_list *l, const char *text, size_t n)
{
	json_t *e = json_loadb(text, n, 0, NULL);
	char at[ID_ROOM + 16];

	snprintf(at, sizeof at, "%s.%lld", word(e, "id"), (long long)json_integer_value(json_object_get(e, "n")));
	bool found = e && filter_finds_words(&l->filter, span_of(word(e, "from")), span_of(word(e, "sender")), span_of(word(e, "subject")));
	bool later = l->before_id[0] && json_integer_value(json_object_get(e, "time")) == l->before && strcmp(at, l->before_id) >= 0;

	if (found && !later && entry_in_scope(l->request, span_of(word(e, "recipient")), span_of(word(e, "customer"))) &&
	    allows(json_object_get(l->request, "class"), word(e, "class")) && allows(json_object_get(l->request, "state"), word(e, "state")))
		json_array_append(l->entries, e);
	json_decref(e);
}

static void
got_entries(void *arg, const struct redisReply *reply)
{
	struct nodes_list *l = arg;

	l->failed |= reply == NULL || reply->type != REDIS_REPLY_ARRAY;
	for (size_t i = 0; !l->failed && i < reply->elements; i++)
		if (reply->element[i]->type == REDIS_REPLY_STRING)     /* others have expired */
			take_entry(l, reply->element[i]->str, reply->element[i]->len);
	step(l);
}

static void
got_members(void *arg, const struct redisReply *reply)
{
	struct nodes_box *box = arg;
	struct nodes_list *l = box->list;
	struct nodes *p = l->asker->store->nodes;

	l->failed |= reply == NULL || reply->type != REDIS_REPLY_ARRAY;
	for (size_t from = 0; !l->failed && from < reply->elements; from += 64) {
		char keys[64][KEY_ROOM];
		const char *argv[65] = { "MGET" };
		int argc = 1;

		for (size_t i = from; i < reply->elements && i < from + 64; i++, argc++) {
			snprintf(keys[argc - 1], KEY_ROOM, "%s:%.200s", box->tag, reply->element[i]->str ? reply->element[i]->str : "");
			argv[argc] = keys[argc - 1];
		}
		l->open++;
		command(p, got_entries, l, argc, argv);
	}
	free(box);
	step(l);
}

/* It tells Redis every few seconds that it is there. */
static bool
is_away(const struct nodes *p, const char *name, const json_t *node)
{
	return strcmp(name, p->node) != 0 && wall_s() - json_integer_value(json_object_get(node, "seen")) > AWAY_S;
}

static void
got_nodes(void *arg, const struct redisReply *reply)
{
	struct nodes_list *l = arg;

	for (size_t i = 0; reply && reply->type == REDIS_REPLY_ARRAY && i + 1 < reply->elements; i += 2) {
		json_t *node = reply->element[i + 1]->str ? json_loadb(reply->element[i + 1]->str, reply->element[i + 1]->len, 0, NULL) : NULL;

		if (node && reply->element[i]->str) {
			json_object_set_new(l->nodes, reply->element[i]->str, json_string(word(node, "url")));
			if (is_away(l->asker->store->nodes, reply->element[i]->str, node))
				json_array_append_new(l->away, json_string(reply->element[i]->str));
		}
		json_decref(node);
	}
	step(l);
}

void
nodes_list(struct asker *a, uint32_t id, json_t *request)
{
	const json_t *who = json_object_get(request, "rcpt"), *scope = json_object_get(json_object_get(request, "scope"), "rcpts");
	const char *cursor = word(request, "cursor");
	struct nodes *p = a->store->nodes;
	long long before = 0;
	char max[32] = "+inf", count[16];
	struct nodes_list *l = calloc(1, sizeof *l);

	who = who ? who : scope;
	if (p == NULL || l == NULL || (!json_is_string(who) && json_array_size(who) == 0) || json_array_size(who) > MAILBOXES_MOST) {
		free(l);
		asker_error(a, id, p == NULL ? "there is no pool: redis.url is not set" : "a pool is listed by mailbox: \"rcpt\" with 1 to 16 addresses", 2);
		return;
	}
	if (cursor[0] && sscanf(cursor, "p.%lld.%47[a-z0-9.-]", &before, l->before_id) != 2) {
		free(l);
		asker_error(a, id, "cursor: expected what the page before gave", 2);
		return;
	}
	json_int_t limit = json_integer_value(json_object_get(request, "limit"));
	char why[256];

	*l = (struct nodes_list){ .asker = a, .id = id, .request = json_incref(request), .entries = json_array(), .nodes = json_object(), .away = json_array(),
	    .open = 1,
	    .before = before, .limit = limit <= 0 ? LIST_DEFAULT : limit > LIST_MOST ? LIST_MOST : (size_t)limit };
	if (cursor[0]) {
		snprintf(l->before_id, sizeof l->before_id, "%s", strchr(cursor + 2, '.') + 1);
		snprintf(max, sizeof max, "%lld", before);
	}
	if (!filter_read(l->request, &l->filter, why, sizeof why)) {
		drop(l);
		asker_error(a, id, why, 2);
		return;
	}
	bool picky = l->filter.word_count > 0 || l->filter.class_name.given || l->filter.state.given;

	/* Some may have expired, be of the cursor's second, or not be what is looked for. */
	snprintf(count, sizeof count, "%zu", picky ? (size_t)LOOK_MOST_POOL : l->limit * 2 + 50);
	a->open++;
	l->open++;
	command(p, got_nodes, l, 2, (const char *const[]){ "HGETALL", "{q:nodes}" });
	for (size_t i = 0; i < (json_is_string(who) ? 1 : json_array_size(who)); i++) {
		const char *address = json_string_value(json_is_string(who) ? who : json_array_get(who, i));
		struct nodes_box *box = address ? calloc(1, sizeof *box) : NULL;
		char key[KEY_ROOM];

		if (box == NULL)
			continue;
		box->list = l;
		make_tag(box->tag, address);
		snprintf(key, sizeof key, "%s:l", box->tag);
		l->open++;
		command(p, got_members, box, 7, (const char *const[]){ "ZREVRANGEBYSCORE", key, max, "-inf", "LIMIT", "0", count });
	}
	step(l);
}

/* ---- where each node is ---- */

struct nodes_where {
	struct asker *asker;
	uint32_t id;
};

static void
tell_nodes(void *arg, const struct redisReply *reply)
{
	struct nodes_where *w = arg;
	struct nodes *p = w->asker->store->nodes;
	json_t *all = json_object();

	for (size_t i = 0; reply && reply->type == REDIS_REPLY_ARRAY && i + 1 < reply->elements; i += 2) {
		json_t *node = reply->element[i + 1]->str ? json_loadb(reply->element[i + 1]->str, reply->element[i + 1]->len, 0, NULL) : NULL;

		if (node && reply->element[i]->str)
			json_object_set_new(all, reply->element[i]->str, json_pack("{s:s, s:s, s:I, s:b}", "url", word(node, "url"), "node_url",
			    word(node, "node_url"), "seen", json_integer_value(json_object_get(node, "seen")), "away",
			    is_away(p, reply->element[i]->str, node)));
		json_decref(node);
	}
	if (reply && reply->type == REDIS_REPLY_ARRAY)
		asker_reply(w->asker, w->id, json_pack("{s:o, s:s}", "nodes", all, "here", p->node));
	else
		asker_error(w->asker, w->id, "Redis gave no answer", 1);
	asker_done(w->asker);
	free(w);
}

void
nodes_where(struct asker *a, uint32_t id)
{
	struct nodes_where *w = a->store->nodes ? calloc(1, sizeof *w) : NULL;

	if (w == NULL) {
		asker_error(a, id, a->store->nodes ? "no memory" : "there is no pool: redis.url is not set", 1);
		return;
	}
	*w = (struct nodes_where){ a, id };
	a->open++;
	command(a->store->nodes, tell_nodes, w, 2, (const char *const[]){ "HGETALL", "{q:nodes}" });
}
