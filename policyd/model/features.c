#include "policyd/model/features.h"

#include <stdio.h>
#include <stdlib.h>

enum { WORD_LONG = 40, WORD_CUT = 12, GRAM = 4, TAIL = 800, FIRST_ROOM = 1024, RADIX = 11 };

/* A set under construction: each hash as often as it came; made a set at the end. */
struct pile {
	uint32_t *at;
	uint32_t count, room;
};
struct collector {
	struct pile portable, site;          /* site: what means something only where it was learnt */
};

struct feature_maker {
	struct arena *arena;
	struct collector words, pairs, structure, grams;
	uint32_t before;                     /* the word before, for pairs */
};

static void
collect(struct feature_maker *m, struct collector *c, bool portable, uint32_t hash)
{
	struct pile *p = portable ? &c->portable : &c->site;

	if (p->count == p->room) {
		uint32_t room = p->room ? p->room * 2 : FIRST_ROOM;

		if (room > FEATURES_MOST)
			return;
		p->at = arena_grow(m->arena, p->at, p->room * sizeof *p->at, room * sizeof *p->at);
		p->room = room;
	}
	p->at[p->count++] = hash;
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
	collect(m, &m->words, portable, hash);
	collect(m, &m->pairs, portable, mix((uint64_t)m->before * 0x9e3779b1u + hash));
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
	words_of(m, true, "", span_head(msg->subject, FEATURES_SUBJECT), 2);     /* beside subject:word, and one stream with the text */
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
	collect(m, &m->structure, portable, hash_text(view, text));
}

void
feature_number(struct feature_maker *m, bool portable, const char *view, unsigned long number)
{
	char text[24];

	snprintf(text, sizeof text, "%lu", number);
	feature_add(m, portable, view, span_of(text));
}

/* Byte runs of the beginning as it stands: what words, tags and encodings look like before they are taken apart. */
static void
run_grams(struct feature_maker *m, bool portable, struct span text)
{
	uint32_t window = 0;

	for (size_t i = 0; i < text.n; i++) {
		window = window << 8 | (unsigned char)text.p[i];
		if (i >= GRAM - 1)
			collect(m, &m->grams, portable, mix((uint64_t)window * 0x9e3779b97f4a7c15u));
	}
}

static void
grams_of(struct feature_maker *m, const struct message *msg)
{
	size_t left = FEATURES_GRAMS;
	const char *end = msg->raw.p;

	for (size_t i = 0; i < msg->headers.count && left > 0; i++) {
		const struct header *h = &msg->headers.at[i];

		end = h->raw.p + h->raw.n;
		if (is_mark(h->name))
			continue;
		struct span whole = span_head(span_make(h->name.p, (size_t)(end - h->name.p)), left);

		run_grams(m, is_portable(h->name), whole);
		left -= whole.n;
	}
	if (end >= msg->raw.p && end < msg->raw.p + msg->raw.n)
		run_grams(m, true, span_head(span_make(end, (size_t)(msg->raw.p + msg->raw.n - end)), left > FEATURES_GRAMS_BODY ? left : FEATURES_GRAMS_BODY));
}

/* By value, each once: least significant digits first (three passes). */
static void
sort_pile(struct pile *p, uint32_t *spare)
{
	enum { DIGITS = 1 << RADIX };
	uint32_t starts[3][DIGITS] = { { 0 } }, n = 0;

	for (uint32_t i = 0; i < p->count; i++)
		for (int d = 0; d < 3; d++)
			starts[d][p->at[i] >> (RADIX * d) & (DIGITS - 1)]++;
	for (int d = 0; d < 3; d++) {
		uint32_t sum = 0, *from = p->at;

		for (int k = 0; k < DIGITS; k++) {
			uint32_t here = starts[d][k];

			starts[d][k] = sum;
			sum += here;
		}
		for (uint32_t i = 0; i < p->count; i++)
			spare[starts[d][from[i] >> (RADIX * d) & (DIGITS - 1)]++] = from[i];
		p->at = spare;
		spare = from;
	}
	for (uint32_t i = 0; i < p->count; i++)
		if (n == 0 || p->at[i] != p->at[n - 1])
			p->at[n++] = p->at[i];
	p->count = n;
}

/* Sorted, so that the same mail gives the same bytes whatever the order of work becomes; what is in both is portable. */
static struct feature_set
collected(struct arena *a, struct collector *c)
{
	struct pile *p = &c->portable, *s = &c->site;
	uint32_t most = p->count > s->count ? p->count : s->count, n, k = 0;
	uint32_t *spare = arena_alloc(a, (most + 1) * sizeof *spare), *hash;

	sort_pile(p, spare);                 /* three passes: afterwards `spare` holds the result, and the pile's array is free */
	spare = arena_alloc(a, (s->count + 1) * sizeof *spare);
	sort_pile(s, spare);
	hash = arena_alloc(a, (p->count + s->count + 1) * sizeof *hash);
	n = p->count;
	if (n)
		memcpy(hash, p->at, n * sizeof *hash);
	for (uint32_t i = 0; i < s->count; i++) {
		while (k < p->count && p->at[k] < s->at[i])
			k++;
		if (k == p->count || p->at[k] != s->at[i])
			hash[n++] = s->at[i];
	}
	return (struct feature_set){ hash, n < FEATURES_MOST ? n : FEATURES_MOST, p->count };
}

void
features_extract(struct arena *a, const struct message *msg, const struct session *session, struct features *out)
{
	struct feature_maker *m = ARENA_NEW(a, struct feature_maker);

	m->arena = a;
	(void)session;                       /* the client is in Received of the next hop only: the lists judge it */
	headers_of(m, &msg->headers);
	body_of(m, msg);
	structure_extract(m, a, msg);
	grams_of(m, msg);
	out->words = collected(a, &m->words);
	out->pairs = collected(a, &m->pairs);
	out->structure = collected(a, &m->structure);
	out->grams = collected(a, &m->grams);
}

void
features_portable(struct features *f)
{
	f->words.count = f->words.portable;
	f->pairs.count = f->pairs.portable;
	f->structure.count = f->structure.portable;
	f->grams.count = f->grams.portable;
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
	pack_set(b, &f->grams);
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

	return unpack_set(&u, a, &f->words) && unpack_set(&u, a, &f->pairs) && unpack_set(&u, a, &f->structure) && unpack_set(&u, a, &f->grams) && u.left.n == 0;
}
