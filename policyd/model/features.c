#include "policyd/model/features.h"

#include <stdio.h>
#include <stdlib.h>

enum { WORD_LONG = 40, WORD_CUT = 12, GRAM = 4, TAIL = 800, SEEN_BITS = 15 };

/* One set under construction: portable and site-bound apart, a table of what is in it. */
struct collector {
	uint32_t *portable, *site;
	uint32_t portable_n, site_n;
	uint32_t *seen;                      /* 1 << SEEN_BITS slots, 0: free */
};

struct feature_maker {
	struct collector words, pairs, structure;
	uint32_t before;                     /* the word before, for pairs */
};

static void
collector_open(struct arena *a, struct collector *c)
{
	c->portable = arena_alloc(a, FEATURES_MOST * sizeof(uint32_t));
	c->site = arena_alloc(a, FEATURES_MOST * sizeof(uint32_t));
	c->seen = arena_zalloc(a, sizeof(uint32_t) << SEEN_BITS);
	c->portable_n = c->site_n = 0;
}

static void
collect(struct collector *c, bool portable, uint32_t hash)
{
	if (hash == 0)
		hash = 1;
	if (c->portable_n + c->site_n >= FEATURES_MOST)
		return;
	uint32_t at = hash & ((1u << SEEN_BITS) - 1);

	while (c->seen[at] != 0 && c->seen[at] != hash)
		at = (at + 1) & ((1u << SEEN_BITS) - 1);
	if (c->seen[at] == hash)
		return;
	c->seen[at] = hash;
	if (portable)
		c->portable[c->portable_n++] = hash;
	else
		c->site[c->site_n++] = hash;
}

/* Mixes well in all 32 bits: tables take the low ones. */
static uint32_t
mix(uint64_t h)
{
	h ^= h >> 33;
	h *= 0xff51afd7ed558ccdu;
	h ^= h >> 33;
	return (uint32_t)h;
}

static uint32_t
hash_text(const char *view, struct span text)
{
	return mix(span_hash(text, span_hash(span_of(view), 1)));
}

static void
add_word(struct feature_maker *m, bool portable, uint32_t hash)
{
	collect(&m->words, portable, hash);
	collect(&m->pairs, portable, mix((uint64_t)m->before * 0x9e3779b1u + hash));
	m->before = hash;
}

static bool
word_start(unsigned char c)
{
	return ascii_alnum((char)c) || c == '$' || c >= 0x80;
}

static bool
word_char(unsigned char c)
{
	return word_start(c) || (c && strchr("-'._@!", c) != NULL);
}

/* Text without blanks between words (Chinese, Japanese): overlapping runs of four bytes. */
static bool
without_blanks(struct span word)
{
	size_t high = 0;

	for (size_t i = 0; i < word.n; i++)
		high += (unsigned char)word.p[i] >= 0x80;
	return word.n > 8 && high >= 6;
}

static void
words_of(struct feature_maker *m, bool portable, const char *view, struct span text, size_t least)
{
	uint64_t seed = span_hash(span_of(view), 1);

	for (size_t i = 0; i < text.n;) {
		if (!word_start((unsigned char)text.p[i])) {
			i++;
			continue;
		}
		size_t end = i + 1;

		while (end < text.n && word_char((unsigned char)text.p[end]))
			end++;
		struct span word = span_make(text.p + i, end - i);

		i = end;
		while (word.n > 1 && strchr("-'._@", word.p[word.n - 1]))
			word.n--;
		if (word.n < least)
			continue;
		if (without_blanks(word)) {
			for (size_t k = 0; k + GRAM <= word.n; k++)
				add_word(m, portable, mix(span_hash(span_make(word.p + k, GRAM), seed)));
			continue;
		}
		if (word.n > WORD_LONG)
			word.n = WORD_CUT;
		add_word(m, portable, mix(span_hash(word, seed)));
	}
}

/* Marks of other filters, of mailboxes and of mail programs' folders say how a mail was kept, not what it is. */
static bool
is_mark(struct span name)
{
	static const char *const exact[] = { "X-Bogosity", "Status", "X-Status", "X-Keywords", "X-UID", "Content-Length", "Lines" };
	static const char *const prefixes[] = { "X-Spam", "X-Mozilla", "X-Gmail", "X-Policyd" };

	for (size_t i = 0; i < sizeof exact / sizeof *exact; i++)
		if (span_eq_nocase(name, span_of(exact[i])))
			return true;
	for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
		if (span_starts_nocase(name, span_of(prefixes[i])))
			return true;
	return false;
}

/* Headers that mean the same at every site. */
static bool
is_portable(struct span name)
{
	static const char *const names[] = { "Subject", "From", "Reply-To", "Content-Type", "MIME-Version", "To" };

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (span_eq_nocase(name, span_of(names[i])))
			return true;
	return false;
}

static void
headers_of(struct feature_maker *m, const struct header_list *headers)
{
	char view[64];

	for (size_t i = 0; i < headers->count; i++) {
		const struct header *h = &headers->at[i];
		size_t n = 0;

		if (is_mark(h->name))
			continue;
		for (; n < h->name.n && n < sizeof view - 2; n++)
			view[n] = ascii_lower(h->name.p[n]);
		view[n++] = ':';
		view[n] = '\0';
		m->before = hash_text("header", span_of(view));
		words_of(m, is_portable(h->name), view, span_head(h->value, FEATURES_HEADER), 1);
	}
}

/* The beginning and the end: prose put above the payload must not push it out of sight. */
static void
body_of(struct feature_maker *m, const struct message *msg)
{
	size_t left = FEATURES_TEXT;

	m->before = hash_text("header", SPAN("body"));
	for (size_t i = 0; i < msg->part_count && left > 0; i++) {
		const struct part *p = &msg->parts[i];
		struct span text = p->kind == PART_TEXT || p->kind == PART_HTML ? span_trim(p->text) : SPAN("");

		if (text.n <= left) {
			words_of(m, true, "", text, 2);
			left -= text.n;
			continue;
		}
		size_t tail = left > 2 * TAIL ? TAIL : 0;

		words_of(m, true, "", span_head(text, left - tail), 2);
		if (tail)
			words_of(m, true, "", span_from(text, text.n - tail), 2);
		left = 0;
	}
}

void
feature_add(struct feature_maker *m, bool portable, const char *view, struct span text)
{
	collect(&m->structure, portable, hash_text(view, text));
}

void
feature_number(struct feature_maker *m, bool portable, const char *view, unsigned long number)
{
	char text[24];

	snprintf(text, sizeof text, "%lu", number);
	feature_add(m, portable, view, span_of(text));
}

static int
by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* Sorted, so that the same mail gives the same bytes whatever the order of work becomes. */
static struct feature_set
collected(struct arena *a, struct collector *c)
{
	uint32_t count = c->portable_n + c->site_n;
	uint32_t *hash = arena_alloc(a, (count ? count : 1) * sizeof *hash);

	qsort(c->portable, c->portable_n, sizeof *hash, by_value);
	qsort(c->site, c->site_n, sizeof *hash, by_value);
	memcpy(hash, c->portable, c->portable_n * sizeof *hash);
	memcpy(hash + c->portable_n, c->site, c->site_n * sizeof *hash);
	return (struct feature_set){ hash, count, c->portable_n };
}

void
features_extract(struct arena *a, const struct message *msg, const struct session *session, struct features *out)
{
	struct feature_maker *m = ARENA_NEW(a, struct feature_maker);

	(void)session;                       /* the client is in Received of the next hop only: the lists judge it */
	collector_open(a, &m->words);
	collector_open(a, &m->pairs);
	collector_open(a, &m->structure);
	headers_of(m, &msg->headers);
	body_of(m, msg);
	structure_extract(m, a, msg);
	out->words = collected(a, &m->words);
	out->pairs = collected(a, &m->pairs);
	out->structure = collected(a, &m->structure);
}

void
features_portable(struct features *f)
{
	f->words.count = f->words.portable;
	f->pairs.count = f->pairs.portable;
	f->structure.count = f->structure.portable;
}

static void
pack_set(struct buf *b, const struct feature_set *s)
{
	pack_u32(b, s->count);
	pack_u32(b, s->portable);
	buf_add(b, s->hash, s->count * sizeof *s->hash);
}

void
features_pack(struct buf *b, const struct features *f)
{
	pack_set(b, &f->words);
	pack_set(b, &f->pairs);
	pack_set(b, &f->structure);
}

static bool
unpack_set(struct unpack *u, struct arena *a, struct feature_set *s)
{
	s->count = unpack_u32(u);
	s->portable = unpack_u32(u);
	size_t bytes = s->count * sizeof *s->hash;

	if (u->bad || s->count > FEATURES_MOST || s->portable > s->count || u->left.n < bytes)
		return false;
	s->hash = arena_alloc(a, bytes + 1);
	memcpy(s->hash, u->left.p, bytes);
	u->left = span_from(u->left, bytes);
	return true;
}

bool
features_unpack(struct span bytes, struct arena *a, struct features *f)
{
	struct unpack u = { bytes, false };

	return unpack_set(&u, a, &f->words) && unpack_set(&u, a, &f->pairs) && unpack_set(&u, a, &f->structure) && u.left.n == 0;
}
