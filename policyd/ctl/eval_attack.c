#include "policyd/ctl/eval_attack.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#include "policyd/base/ipc.h"
#include "policyd/base/limits.h"
#include "policyd/base/map.h"
#include "policyd/mail/prepare.h"

enum { READ_MOST = 1000, WORD_MOST = 24, LINE = 70, PROSES = 50 };
enum kind { ABOVE, BELOW, RANDOM, PROSE };
static const char *const kind_names[] = { "above", "below", "random", "prose" };

struct word {
	char text[WORD_MOST];
	unsigned mails[2], last;             /* in how many ham and spam; the last mail that counted it */
};

struct attack {
	enum kind kind;
	size_t amount;
	struct word **words;                 /* those of ham first */
	size_t word_count, word_room;
	struct map by_hash;
	char *prose[PROSES];
	size_t prose_count;
};

static void
take_word(struct attack *t, struct span s, int label, unsigned mail)
{
	uint64_t hash = span_hash(s, 7);
	struct word *w = map_get(&t->by_hash, hash);

	if (w == NULL) {
		if (t->word_count == t->word_room) {
			size_t room = t->word_room ? t->word_room * 2 : 4096;
			struct word **more = realloc(t->words, room * sizeof *more);

			if (more == NULL)
				return;
			t->words = more;
			t->word_room = room;
		}
		w = calloc(1, sizeof *w);
		if (w == NULL || !map_put(&t->by_hash, hash, w)) {
			free(w);
			return;
		}
		snprintf(w->text, sizeof w->text, SPAN_FMT, SPAN_ARG(s));
		t->words[t->word_count++] = w;
	}
	w->mails[label] += w->last != mail;
	w->last = mail;
}

static void
read_text(struct attack *t, struct span text, int label, unsigned mail)
{
	for (size_t i = 0; i < text.n;) {
		size_t start = i;

		while (i < text.n && ((text.p[i] | 32) >= 'a' && (text.p[i] | 32) <= 'z'))
			i++;
		if (i - start >= 3 && i - start < WORD_MOST)
			take_word(t, span_make(text.p + start, i - start), label, mail);
		i += i == start;
	}
	if (label == HAM && text.n > t->amount && t->prose_count < PROSES && t->kind == PROSE)
		t->prose[t->prose_count++] = strndup(text.p, t->amount);
}

/* Commonest in ham first, by how many more ham than spam have it. */
static int
by_ham(const void *a, const void *b)
{
	const struct word *x = *(struct word *const *)a, *y = *(struct word *const *)b;
	int dx = (int)x->mails[HAM] - 2 * (int)x->mails[SPAM], dy = (int)y->mails[HAM] - 2 * (int)y->mails[SPAM];

	return dx > dy ? -1 : dx < dy ? 1 : strcmp(x->text, y->text);
}

struct attack *
attack_open(const char *what, const struct corpus *c, struct sample *const *order, size_t count)
{
	struct attack *t = calloc(1, sizeof *t);
	struct arena *a = arena_open(MAX_SCAN_MEMORY);
	struct arena_mark mark = arena_mark(a);
	struct span rest = span_of(what), name = span_cut(&rest, ':');
	uint64_t amount = 0;
	int kind = -1;

	for (size_t i = 0; i < sizeof kind_names / sizeof *kind_names; i++)
		kind = span_eq(name, span_of(kind_names[i])) ? (int)i : kind;
	if (t == NULL || kind < 0 || !span_u64(rest, &amount) || amount == 0 || amount > 100000) {
		fprintf(stderr, "policyctl eval: --attack %s: expected above:N, below:N, random:N or prose:N\n", what);
		arena_close(a);
		free(t);
		return NULL;
	}
	t->kind = (enum kind)kind;
	t->amount = amount;
	mail_prepare();
	for (size_t i = 0; i < count && i < READ_MOST; i++, arena_rewind(a, mark)) {
		struct span mapping, raw = sample_bytes(c, order[i], &mapping);
		struct message msg;

		if (raw.p == NULL)
			continue;
		message_parse(a, raw, &msg);
		read_text(t, msg.text, order[i]->label, (unsigned)i + 1);
		unmap(mapping);
	}
	qsort(t->words, t->word_count, sizeof *t->words, by_ham);
	arena_close(a);
	return t;
}

/* What this mail gets, as lines: chosen by its bytes, so that a run can be repeated. */
static struct span
injection(const struct attack *t, struct arena *a, struct span raw)
{
	uint64_t random = span_hash(span_head(raw, 4000), 3);
	char *out = arena_alloc(a, t->kind == PROSE ? t->amount + 8 : t->amount * (WORD_MOST + 2) + 8);
	size_t n = 0, line = 0;

	if (t->kind == PROSE) {
		const char *prose = t->prose_count ? t->prose[random % t->prose_count] : "";

		for (; *prose; prose++)
			out[n++] = *prose == '=' || *prose == '<' || *prose == '>' || (unsigned char)*prose >= 0x80 ? ' ' : *prose;
	}
	for (size_t i = 0; t->kind != PROSE && i < t->amount && t->word_count > 0; i++) {
		random = random * 6364136223846793005u + 1442695040888963407u;
		const struct word *w = t->words[t->kind == RANDOM ? (random >> 33) % t->word_count : i % t->word_count];
		size_t length = strlen(w->text);

		memcpy(out + n, w->text, length);
		n += length;
		line += length + 1;
		out[n++] = line > LINE ? '\n' : ' ';
		line = line > LINE ? 0 : line;
	}
	out[n++] = '\n';
	return span_make(out, n);
}

static void
add(struct arena *a, struct span *out, struct span s)
{
	char *p = arena_grow(a, (char *)out->p, out->n, out->n + s.n + 1);

	if (s.n)
		memcpy(p + out->n, s.p, s.n);
	*out = span_make(p, out->n + s.n);
}

static struct span
base64(struct arena *a, struct span s)
{
	unsigned char *out = arena_alloc(a, s.n / 3 * 4 + s.n / 40 + 100);
	size_t n = 0;

	for (size_t i = 0; i < s.n; i += 54) {
		size_t take = s.n - i < 54 ? s.n - i : 54;

		n += (size_t)EVP_EncodeBlock(out + n, (const unsigned char *)s.p + i, (int)take);
		out[n++] = '\n';
	}
	return span_make(out, n);
}

/* The part's body with the text in it, as the part is encoded. */
static struct span
changed_part(const struct attack *t, struct arena *a, const struct part *p, struct span text)
{
	bool coded = span_eq(p->encoding, SPAN("base64"));
	struct span body = coded ? p->data : p->raw, out = { NULL, 0 };
	size_t at = t->kind == BELOW ? body.n : 0;

	if (p->kind == PART_HTML) {
		size_t tag = span_find_nocase(body, t->kind == BELOW ? SPAN("</body") : SPAN("<body"));
		size_t end = tag == SPAN_NONE || t->kind == BELOW ? tag : span_find_char(span_from(body, tag), '>');

		if (tag != SPAN_NONE && end != SPAN_NONE)
			at = t->kind == BELOW ? tag : tag + end + 1;
	}
	add(a, &out, span_head(body, at));
	add(a, &out, p->kind == PART_HTML ? SPAN("\n<p>") : SPAN("\n"));
	add(a, &out, text);
	add(a, &out, p->kind == PART_HTML ? SPAN("</p>\n") : SPAN("\n"));
	add(a, &out, span_from(body, at));
	return coded ? base64(a, out) : out;
}

struct span
attack_change(void *attack, struct arena *a, struct span raw, int label)
{
	const struct attack *t = attack;
	struct span text = injection(t, a, raw), out = { NULL, 0 };
	struct message msg;
	const char *from = raw.p;

	if (label == HAM)
		return raw;
	message_parse(a, raw, &msg);
	for (size_t i = 0; i < msg.strict_count; i++) {
		const struct part *p = &msg.parts[i];

		if ((p->kind != PART_TEXT && p->kind != PART_HTML) || p->raw.p < from || p->raw.p + p->raw.n > raw.p + raw.n)
			continue;
		struct span body = changed_part(t, a, p, text);

		add(a, &out, span_make(from, (size_t)(p->raw.p - from)));
		add(a, &out, body);
		from = p->raw.p + p->raw.n;
	}
	add(a, &out, span_make(from, (size_t)(raw.p + raw.n - from)));
	return out;
}

void
attack_close(struct attack *t)
{
	if (t == NULL)
		return;
	for (size_t i = 0; i < t->word_count; i++)
		free(t->words[i]);
	for (size_t i = 0; i < t->prose_count; i++)
		free(t->prose[i]);
	free(t->words);
	map_free(&t->by_hash);
	free(t);
}
