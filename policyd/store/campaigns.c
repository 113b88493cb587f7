#include "policyd/store/campaigns.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>

#include "policyd/base/buf.h"
#include "policyd/base/clock.h"
#include "policyd/store/redis_async.h"

enum { CANDIDATES = 3, RECORDS = CANDIDATES + ALIKE_PARTS, KEYS_MOST = 5, KEY_ROOM = CAMPAIGN_ID_ROOM + 16 };

struct campaigns {
	struct redis_async *redis;
	uint64_t *seen;                      /* bands and parts of single mails, by their low bits */
};

struct record_wait {
	struct campaigns_wait *wait;
	int at;                              /* which record */
};

struct band_wait {
	struct campaigns_wait *wait;
	int at;
};

struct campaigns_wait {
	struct campaigns *campaigns;
	struct alike alike;
	struct campaigns_found found;
	char ids[ALIKE_BANDS][CAMPAIGN_ID_ROOM];     /* by band; "": none */
	char candidates[CANDIDATES][CAMPAIGN_ID_ROOM];
	int candidate_count, open;
	bool failed, starting;
	struct band_wait bands[ALIKE_BANDS];
	struct record_wait records[RECORDS];
	campaigns_callback done;             /* NULL: nobody waits any more */
	void *arg;
};

/* ---- keys ---- */

static void
band_key(uint64_t band, char to[KEY_ROOM])
{
	snprintf(to, KEY_ROOM, "{alike:b%016llx}", (unsigned long long)band);
}

static void
part_id(const uint8_t part[ALIKE_ID], char to[CAMPAIGN_ID_ROOM])
{
	size_t n = (size_t)snprintf(to, CAMPAIGN_ID_ROOM, "p");

	for (int i = 0; i < ALIKE_ID; i++)
		n += (size_t)snprintf(to + n, CAMPAIGN_ID_ROOM - n, "%02x", part[i]);
}

static void
text_id(const struct alike *alike, char to[CAMPAIGN_ID_ROOM])
{
	struct span minima = span_make(alike->minima, ALIKE_HASHES);

	snprintf(to, CAMPAIGN_ID_ROOM, "t%016llx", (unsigned long long)span_hash(minima, 71));
}

/* One script on the keys of one record: id, then the id with each of `suffixes` behind. */
static void
record_eval(struct campaigns *c, const char *script, const char *id, const char *suffixes, redis_callback done, void *arg, int argc,
    const char *const *argv, const size_t *lengths)
{
	size_t key_count = 1 + strlen(suffixes), n = 0;
	char keys[KEYS_MOST][KEY_ROOM], count[8];
	const char **words = calloc(3 + key_count + (size_t)argc, sizeof *words);
	size_t *sizes = calloc(3 + key_count + (size_t)argc, sizeof *sizes);

	if (words == NULL || sizes == NULL || key_count > KEYS_MOST) {
		free(words);
		free(sizes);
		if (done)
			done(arg, NULL);
		return;
	}
	snprintf(count, sizeof count, "%zu", key_count);
	words[n++] = "EVAL";
	words[n++] = script;
	words[n++] = count;
	for (size_t i = 0; i < key_count; i++) {
		snprintf(keys[i], KEY_ROOM, "{alike:%s}%.1s", id, i ? &suffixes[i - 1] : "");
		words[n++] = keys[i];
	}
	for (size_t i = 0; i < n; i++)
		sizes[i] = strlen(words[i]);
	for (int i = 0; i < argc; i++, n++) {
		words[n] = argv[i];
		sizes[n] = lengths ? lengths[i] : strlen(argv[i]);
	}
	redis_async_command(c->redis, 0, done, arg, (int)n, words, sizes);
	free(words);
	free(sizes);
}

/* ---- finding: bands, then the records they lead to ---- */

static void
find_end(struct campaigns_wait *w)
{
	w->found.known = !w->failed;
	if (w->alike.text && w->found.id[0] == '\0')
		text_id(&w->alike, w->found.id);
	if (w->done)
		w->done(w->arg, &w->found);
	free(w);
}

static uint32_t
number(const redisReply *r)
{
	return r->type == REDIS_REPLY_INTEGER ? (uint32_t)r->integer : r->type == REDIS_REPLY_STRING ? (uint32_t)strtoul(r->str, NULL, 10) : 0;
}

static const char read_script[] =
	"local h = redis.call('HMGET', KEYS[1], 'sig', 'mails', 'caught')\n"
	"return {h[1] or '', h[2] or '0', h[3] or '0', redis.call('PFCOUNT', KEYS[2]), redis.call('PFCOUNT', KEYS[3]),\n"
	"  redis.call('SCARD', KEYS[4]), redis.call('SCARD', KEYS[5])}\n";

static void
record_known(void *arg, const redisReply *reply)
{
	struct record_wait *r = arg;
	struct campaigns_wait *w = r->wait;
	bool good = reply && reply->type == REDIS_REPLY_ARRAY && reply->elements == 7 && reply->element[0]->type == REDIS_REPLY_STRING;

	w->failed |= !good;
	if (good) {
		redisReply *const *e = reply->element;
		struct campaign c = { .mails = number(e[1]), .caught = number(e[2]), .recipients = number(e[3]), .customers = number(e[4]),
		    .spam = number(e[5]), .ham = number(e[6]) };

		if (r->at >= CANDIDATES) {
			w->found.parts[r->at - CANDIDATES] = c;
		} else if (e[0]->len == ALIKE_HASHES) {
			double share = alike_share(w->alike.minima, (const uint8_t *)e[0]->str);

			if (share >= CAMPAIGN_ALIKE && share > w->found.share) {
				w->found.text = true;
				w->found.share = share;
				w->found.campaign = c;
				snprintf(w->found.id, sizeof w->found.id, "%s", w->candidates[r->at]);
			}
		}
	}
	if (--w->open == 0 && !w->starting)
		find_end(w);
}

static void
ask_record(struct campaigns_wait *w, int at, const char *id)
{
	w->records[at] = (struct record_wait){ w, at };
	w->open++;
	record_eval(w->campaigns, read_script, id, "rcsh", record_known, &w->records[at], 0, NULL, NULL);
}

/* The ids that most bands lead to. */
static void
choose_candidates(struct campaigns_wait *w)
{
	while (w->candidate_count < CANDIDATES) {
		int best = -1, most = 0;

		for (int i = 0; i < ALIKE_BANDS; i++) {
			int times = 0;

			for (int k = 0; w->ids[i][0] && k < ALIKE_BANDS; k++)
				times += strcmp(w->ids[i], w->ids[k]) == 0;
			if (times > most) {
				most = times;
				best = i;
			}
		}
		if (best < 0)
			return;
		char *chosen = w->candidates[w->candidate_count++];

		memcpy(chosen, w->ids[best], CAMPAIGN_ID_ROOM);
		for (int i = 0; i < ALIKE_BANDS; i++)
			if (strcmp(w->ids[i], chosen) == 0)
				w->ids[i][0] = '\0';
	}
}

/* False: it is all answered, and `w` is gone. */
static bool
ask_records(struct campaigns_wait *w)
{
	char id[CAMPAIGN_ID_ROOM];

	w->starting = true;
	choose_candidates(w);
	for (int i = 0; i < w->candidate_count; i++)
		ask_record(w, i, w->candidates[i]);
	for (uint32_t i = 0; i < w->alike.part_count; i++) {
		part_id(w->alike.parts[i], id);
		ask_record(w, CANDIDATES + (int)i, id);
	}
	w->starting = false;
	if (w->open > 0)
		return true;
	find_end(w);
	return false;
}

static void
band_known(void *arg, const redisReply *reply)
{
	struct band_wait *b = arg;
	struct campaigns_wait *w = b->wait;

	w->failed |= reply == NULL || reply->type == REDIS_REPLY_ERROR;
	if (reply && reply->type == REDIS_REPLY_STRING && reply->len < CAMPAIGN_ID_ROOM)
		snprintf(w->ids[b->at], CAMPAIGN_ID_ROOM, "%s", reply->str);
	if (--w->open > 0 || w->starting)
		return;
	if (w->done)
		ask_records(w);
	else
		free(w);
}

struct campaigns_wait *
campaigns_find(struct campaigns *c, const struct alike *alike, campaigns_callback done, void *arg)
{
	static const struct campaigns_found nothing;
	struct campaigns_wait *w = redis_async_up(c->redis) ? calloc(1, sizeof *w) : NULL;

	if (w == NULL) {
		done(arg, &nothing);
		return NULL;
	}
	*w = (struct campaigns_wait){ .campaigns = c, .alike = *alike, .starting = true, .open = 1, .done = done, .arg = arg };
	for (int i = 0; alike->text && i < ALIKE_BANDS; i++) {
		char key[KEY_ROOM];
		const char *argv[] = { "GET", key };

		band_key(alike->bands[i], key);
		size_t lengths[] = { 3, strlen(key) };

		w->bands[i] = (struct band_wait){ w, i };
		w->open++;
		redis_async_command(c->redis, 0, band_known, &w->bands[i], 2, argv, lengths);
	}
	w->starting = false;
	if (--w->open > 0)
		return w;
	return ask_records(w) ? w : NULL;    /* no text, parts only */
}

void
campaigns_cancel(struct campaigns_wait *w)
{
	w->done = NULL;                      /* it goes with its last answer */
}

/* ---- what came of it ---- */

static const char note_script[] =
	"redis.call('HINCRBY', KEYS[1], 'mails', 1)\n"
	"redis.call('HINCRBY', KEYS[1], 'caught', ARGV[3])\n"
	"if ARGV[4] ~= '' then redis.call('HSETNX', KEYS[1], 'sig', ARGV[4]) end\n"
	"redis.call('HSETNX', KEYS[1], 'first', ARGV[2])\n"
	"redis.call('HSET', KEYS[1], 'last', ARGV[2])\n"
	"for i = 5, #ARGV, 2 do\n"
	"  redis.call('PFADD', KEYS[2], ARGV[i])\n"
	"  redis.call('PFADD', KEYS[3], ARGV[i + 1])\n"
	"end\n"
	"for i = 1, #KEYS do redis.call('EXPIRE', KEYS[i], ARGV[1]) end\n"
	"return 1\n";

static const char report_script[] =
	"redis.call('SREM', KEYS[2], ARGV[4])\n"
	"redis.call('SREM', KEYS[3], ARGV[4])\n"
	"if ARGV[5] == 's' then redis.call('SADD', KEYS[2], ARGV[4]) elseif ARGV[5] == 'h' then redis.call('SADD', KEYS[3], ARGV[4]) end\n"
	"if ARGV[3] ~= '' then redis.call('HSETNX', KEYS[1], 'sig', ARGV[3]) end\n"
	"redis.call('HSET', KEYS[1], 'last', ARGV[2])\n"
	"for i = 1, #KEYS do redis.call('EXPIRE', KEYS[i], ARGV[1]) end\n"
	"return 1\n";

static void
write_bands(struct campaigns *c, const struct alike *alike, const char *id)
{
	char key[KEY_ROOM], ttl[16];

	snprintf(ttl, sizeof ttl, "%d", CAMPAIGN_TTL_S);
	for (int i = 0; i < ALIKE_BANDS; i++) {
		const char *argv[] = { "SET", key, id, "EX", ttl };

		band_key(alike->bands[i], key);
		size_t lengths[] = { 3, strlen(key), strlen(id), 2, strlen(ttl) };

		redis_async_command(c->redis, 0, NULL, NULL, 5, argv, lengths);
	}
}

static void
write_note(struct campaigns *c, const struct campaigns_mail *m, const char *id, struct span signature)
{
	enum { FIXED = 4, MOST = 200 };      /* recipients of one mail that are counted */
	const char *argv[FIXED + 2 * MOST];
	size_t lengths[FIXED + 2 * MOST];
	char ttl[16], now[24];
	int argc = 0;

	snprintf(ttl, sizeof ttl, "%d", CAMPAIGN_TTL_S);
	snprintf(now, sizeof now, "%lld", (long long)wall_s());
	argv[argc++] = ttl;
	argv[argc++] = now;
	argv[argc++] = m->caught ? "1" : "0";
	argv[argc++] = signature.n ? signature.p : "";
	for (uint32_t i = 0; i < m->count && i < MOST; i++) {
		argv[argc++] = m->recipients[i];
		argv[argc++] = m->customers[i];
	}
	for (int i = 0; i < argc; i++)
		lengths[i] = i == FIXED - 1 ? signature.n : strlen(argv[i]);
	record_eval(c, note_script, id, "rc", NULL, NULL, argc, argv, lengths);
}

/* The first of its kind that this node has seen? From now on it has. */
static bool
first_seen(struct campaigns *c, uint64_t what)
{
	uint64_t *at = &c->seen[what & (SEEN_ROOM - 1)];
	bool first = *at != what;

	*at = what;
	return first;
}

void
campaigns_note(struct campaigns *c, const struct campaigns_mail *m)
{
	const struct alike *a = m->alike;
	struct span signature = span_make(a->minima, ALIKE_HASHES);
	bool single = true;
	char id[CAMPAIGN_ID_ROOM];

	if (!m->found->known)
		return;
	for (int i = 0; a->text && i < ALIKE_BANDS; i++)
		single &= first_seen(c, a->bands[i]);
	if (a->text && (m->found->text || m->caught || !single)) {
		write_note(c, m, m->found->id, signature);
		write_bands(c, a, m->found->id);
	}
	for (uint32_t i = 0; i < a->part_count; i++) {
		const struct campaign *part = &m->found->parts[i];
		bool seen = part->mails || part->spam || part->ham || !first_seen(c, span_hash(span_make(a->parts[i], ALIKE_ID), 7));

		part_id(a->parts[i], id);
		if (seen || m->caught)
			write_note(c, m, id, SPAN(""));
	}
}

struct report {
	struct campaigns *campaigns;
	struct alike alike;
	char voice[80];
	const char *what;                    /* "s", "h", "" */
};

static void
write_report(const struct report *r, const char *id, struct span signature)
{
	char ttl[16], now[24];

	snprintf(ttl, sizeof ttl, "%d", CAMPAIGN_TTL_S);
	snprintf(now, sizeof now, "%lld", (long long)wall_s());
	const char *argv[] = { ttl, now, signature.n ? signature.p : "", r->voice, r->what };
	const size_t lengths[] = { strlen(ttl), strlen(now), signature.n, strlen(r->voice), strlen(r->what) };

	record_eval(r->campaigns, report_script, id, "sh", NULL, NULL, 5, argv, lengths);
}

static void
reported(void *arg, const struct campaigns_found *found)
{
	struct report *r = arg;
	char id[CAMPAIGN_ID_ROOM];

	if (found->known && r->alike.text) {
		write_report(r, found->id, span_make(r->alike.minima, ALIKE_HASHES));
		write_bands(r->campaigns, &r->alike, found->id);
	}
	for (uint32_t i = 0; found->known && i < r->alike.part_count; i++) {
		part_id(r->alike.parts[i], id);
		write_report(r, id, SPAN(""));
	}
	free(r);
}

void
campaigns_report(struct campaigns *c, const struct alike *alike, bool spam, bool undo, const char *voice)
{
	struct report *r = calloc(1, sizeof *r);

	if (r == NULL)
		return;
	*r = (struct report){ .campaigns = c, .alike = *alike, .what = undo ? "" : spam ? "s" : "h" };
	snprintf(r->voice, sizeof r->voice, "%s", voice);
	campaigns_find(c, alike, reported, r);
}

struct campaigns *
campaigns_open(struct redis_async *redis)
{
	struct campaigns *c = calloc(1, sizeof *c);

	if (c == NULL || (c->seen = calloc(SEEN_ROOM, sizeof *c->seen)) == NULL) {
		free(c);
		return NULL;
	}
	c->redis = redis;
	return c;
}

void
campaigns_close(struct campaigns *c)
{
	free(c->seen);
	free(c);
}
