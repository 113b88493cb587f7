#include "policyd/model/features.h"

#include <stdio.h>
#include <stdlib.h>

enum { WORD_LONG = 40, WORD_CUT = 12, GRAM = 4, TAIL = 800, FIRST_ROOM = 256, RADIX = 8, PASSES = 4, SMALL = 64, FEATURES_GROUPS_MOST = FEATURES_MOST * (FEATURES_WINDOWS + 2) };

/* A set under construction: each hash as often as it came; made a set at the end. */
struct pile {
	uint32_t *at;
	uint32_t count, room;
};
struct collector {
	struct pile portable[FEATURES_WINDOWS + 1];  /* 0: not from a passage of the text */
	struct pile site;                    /*  what means something only where it was learnt */
};

struct feature_maker {
	struct arena *arena;
	struct collector words, pairs, structure, grams;
	uint32_t before;                     /* the word before, for pairs */
	int window;                          /* which passage is being read, from 1 */
};

static void
collect(struct feature_maker *m, struct collector *c, bool portable, uint32_t hash)
{
	struct pile *p = portable ? &c->portable[m->window] : &c->site;
	unsigned bits = c == &m->grams ? GRAM_BITS : FEATURE_BITS;

	if (p->count == p->room) {
		uint32_t room = p->room ? p->room * 2 : FIRST_ROOM;

		if (room > FEATURES_MOST)
			return;
		p->at = arena_grow(m->arena, p->at, p->room * sizeof *p->at, room * sizeof *p->at);
		p->room = room;
	}
	p->at[p->count++] = hash & ((1u << bits) - 1);
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

/* The text in passages. When there is more than FEATURES_TEXT, they are spread evenly from the first byte to the last:
 * prose put above the payload (or round it) must not push it out of sight. */
static void
body_of(struct feature_maker *m, const struct message *msg)
{
	struct span text = span_trim(msg->text);
	size_t step = FEATURES_TEXT / FEATURES_WINDOWS, start = 0;

	m->before = hash_text("header", SPAN("body"));
	words_of(m, true, "", span_head(msg->subject, FEATURES_SUBJECT), 2);     /* beside subject:word, and one stream with the text */
	for (int w = 0; w < FEATURES_WINDOWS && start < text.n; w++) {
		size_t end = start + step;

		if (text.n > FEATURES_TEXT)
			start = (text.n - step) / (FEATURES_WINDOWS - 1) * (size_t)w, end = start + step;
		while (end < text.n && word_char((unsigned char)text.p[end]))    /* not within a word */
			end++;
		m->window = w + 1;
		words_of(m, true, "", span_head(span_from(text, start), end - start), 2);
		start = end;
	}
	m->window = 0;
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
	m->window = 1;
	if (end >= msg->raw.p && end < msg->raw.p + msg->raw.n)
		run_grams(m, true, span_head(span_make(end, (size_t)(msg->raw.p + msg->raw.n - end)), left > FEATURES_GRAMS_BODY ? left : FEATURES_GRAMS_BODY));
	m->window = 0;
}

/* Least significant digits first; four passes, so the result is back in `at`. */
static void
radix_sort(uint32_t *at, uint32_t count, uint32_t *spare)
{
	enum { DIGITS = 1 << RADIX };
	uint32_t starts[PASSES][DIGITS] = { { 0 } };

	for (uint32_t i = 0; i < count; i++)
		for (int d = 0; d < PASSES; d++)
			starts[d][at[i] >> (RADIX * d) & (DIGITS - 1)]++;
	for (int d = 0; d < PASSES; d++) {
		uint32_t sum = 0, *t = at;

		for (int k = 0; k < DIGITS; k++) {
			uint32_t here = starts[d][k];

			starts[d][k] = sum;
			sum += here;
		}
		for (uint32_t i = 0; i < count; i++)
			spare[starts[d][at[i] >> (RADIX * d) & (DIGITS - 1)]++] = at[i];
		at = spare;
		spare = t;
	}
}

static void
insertion_sort(uint32_t *at, uint32_t count)
{
	for (uint32_t i = 1; i < count; i++) {
		uint32_t v = at[i], k = i;

		for (; k > 0 && at[k - 1] > v; k--)
			at[k] = at[k - 1];
		at[k] = v;
	}
}

/* By value, each once. */
static void
sort_pile(struct pile *p, uint32_t *spare)
{
	uint32_t n = 0;

	if (p->count < SMALL)
		insertion_sort(p->at, p->count);
	else
		radix_sort(p->at, p->count, spare);
	for (uint32_t i = 0; i < p->count; i++)
		if (n == 0 || p->at[i] != p->at[n - 1])
			p->at[n++] = p->at[i];
	p->count = n;
}

/* Of `p` what is not in the sorted `all` yet goes to `to` and into `all`; returns how many. */
static uint32_t
take_new(const struct pile *p, struct pile *all, uint32_t *merged, uint32_t *to)
{
	uint32_t n = 0, k = 0, m = 0;

	for (uint32_t i = 0; i < p->count; i++) {
		while (k < all->count && all->at[k] < p->at[i])
			merged[m++] = all->at[k++];
		if (k < all->count && all->at[k] == p->at[i])
			continue;
		to[n++] = merged[m++] = p->at[i];
	}
	while (k < all->count)
		merged[m++] = all->at[k++];
	return n;
}

/* Each pile sorted, so that the same mail gives the same bytes whatever the order of work becomes. What is in several
 * belongs to the first: what is not text, the passages in their order, what is site-bound. */
static struct feature_set
collected(struct arena *a, struct collector *c)
{
	struct pile all = { 0 };
	struct feature_set set = { 0 };
	uint32_t total = c->site.count, *merged, *spare;

	for (int w = 0; w <= FEATURES_WINDOWS; w++)
		total += c->portable[w].count;
	set.hash = arena_alloc(a, (total + 1) * sizeof *set.hash);
	all.at = arena_alloc(a, (total + 1) * sizeof *all.at);
	merged = arena_alloc(a, (total + 1) * sizeof *merged);
	for (int w = 0; w <= FEATURES_WINDOWS + 1; w++) {
		struct pile *p = w <= FEATURES_WINDOWS ? &c->portable[w] : &c->site;

		if (p->count > 0) {
			spare = arena_alloc(a, (p->count + 1) * sizeof *spare);
			sort_pile(p, spare);
			uint32_t n = take_new(p, &all, merged, set.hash + set.count), *t = all.at;

			all.at = merged;
			merged = t;
			all.count += n;
			set.count += n;
		}
		if (w <= FEATURES_WINDOWS)
			set.window[w] = set.portable = set.count;
	}
	return set;
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

static struct feature_set
slice(const struct feature_set *s, uint32_t from, uint32_t to)
{
	return (struct feature_set){ .hash = s->hash + from, .count = to - from, .portable = to - from };
}

struct feature_set
features_outside(const struct feature_set *s)
{
	return slice(s, 0, s->window[0]);
}

struct feature_set
features_passage(const struct feature_set *s, int w)
{
	return slice(s, s->window[w], s->window[w + 1]);
}

struct feature_set
features_site(const struct feature_set *s)
{
	return slice(s, s->portable, s->count);
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
put_number(struct buf *b, uint32_t n)
{
	for (; n >= 0x80; n >>= 7)
		buf_add_char(b, (char)(n | 0x80));
	buf_add_char(b, (char)n);
}

static uint32_t
take_number(struct unpack *u)
{
	uint32_t n = 0;

	for (int shift = 0; shift < 32 && u->left.n > 0; shift += 7) {
		unsigned char c = (unsigned char)*u->left.p;

		u->left = span_from(u->left, 1);
		n |= (uint32_t)(c & 0x7f) << shift;
		if (c < 0x80)
			return n;
	}
	u->bad = true;
	return 0;
}

/* Each group: how many, then the gaps between them. The last group is what is site-bound. */
static void
pack_set(struct buf *b, const struct feature_set *s)
{
	uint32_t from = 0;

	for (int w = 0; w <= FEATURES_WINDOWS + 1; w++) {
		uint32_t to = w <= FEATURES_WINDOWS ? s->window[w] : s->count, last = 0;

		put_number(b, to - from);
		for (; from < to; from++) {
			put_number(b, s->hash[from] - last);
			last = s->hash[from];
		}
	}
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
	size_t room = u->left.n < FEATURES_GROUPS_MOST ? u->left.n : FEATURES_GROUPS_MOST;      /* each hash takes a byte at least */

	s->hash = arena_alloc(a, (room + 1) * sizeof *s->hash);
	s->count = s->portable = 0;
	for (int w = 0; w <= FEATURES_WINDOWS + 1; w++) {
		uint32_t n = take_number(u), last = 0;

		if (u->bad || n > room - s->count)
			return false;
		while (n-- > 0)
			s->hash[s->count++] = last += take_number(u);
		if (w <= FEATURES_WINDOWS)
			s->window[w] = s->portable = s->count;
	}
	return !u->bad;
}

bool
features_unpack(struct span bytes, struct arena *a, struct features *f)
{
	struct unpack u = { bytes, false };

	return unpack_set(&u, a, &f->words) && unpack_set(&u, a, &f->pairs) && unpack_set(&u, a, &f->structure) && unpack_set(&u, a, &f->grams) && u.left.n == 0;
}
