/* plain.c - text as one reads it, and how much was done to it so that a filter would not.
 *
 * Character by character with a look at its word: what is honest in a text of its own kind (full-width Latin in Japanese,
 * joiners in Persian, Cyrillic in Russian) is normalised too where nothing is lost, but is no reason for a finding. */
#include <unictype.h>
#include <uninorm.h>

#include "policyd/base/limits.h"
#include "policyd/base/utf8.h"
#include "policyd/mail/parse.h"

enum { WORD = 64, CONFUSABLE_SLOTS = 512 };

static struct { uint32_t code; char latin; } confusables[CONFUSABLE_SLOTS];

static void
confusable_put(uint32_t code, char latin)
{
	size_t at = code * 2654435761u >> 23;

	while (confusables[at % CONFUSABLE_SLOTS].code)
		at++;
	confusables[at % CONFUSABLE_SLOTS].code = code;
	confusables[at % CONFUSABLE_SLOTS].latin = latin;
}

char
letter_looks_like(uint32_t code)
{
	if (confusables[(0x430 * 2654435761u >> 23) % CONFUSABLE_SLOTS].code == 0) {
#define X(code, latin) confusable_put(code, latin);
#include "policyd/mail/confusable.h"
#undef X
	}
	for (size_t at = code * 2654435761u >> 23; confusables[at % CONFUSABLE_SLOTS].code; at++)
		if (confusables[at % CONFUSABLE_SLOTS].code == code)
			return confusables[at % CONFUSABLE_SLOTS].latin;
	return 0;
}

enum script
script_of(uint32_t code)
{
	if (code < 0x250)
		return (code >= 'a' && code <= 'z') || (code >= 'A' && code <= 'Z') || (code >= 0xc0 && code != 0xd7 && code != 0xf7) ? SCRIPT_LATIN : SCRIPT_NONE;
	if (code < 0x370)
		return code < 0x2b0 ? SCRIPT_LATIN : SCRIPT_NONE;
	if (code < 0x400)
		return SCRIPT_GREEK;
	if (code < 0x530)
		return SCRIPT_CYRILLIC;
	if (code >= 0x530 && code < 0x590)
		return SCRIPT_ARMENIAN;
	if (code >= 0x13a0 && code < 0x1400)
		return SCRIPT_CHEROKEE;
	if ((code >= 0x1d00 && code < 0x1d80) || (code >= 0x1e00 && code < 0x1f00))
		return SCRIPT_LATIN;
	if ((code >= 0x3040 && code < 0x3100) || (code >= 0x3400 && code < 0xa000) || (code >= 0xac00 && code < 0xd7b0) || (code >= 0x20000 && code < 0x30000))
		return SCRIPT_EAST_ASIAN;
	return code >= 0x590 && code < 0x1d00 ? SCRIPT_OTHER : SCRIPT_NONE;
}

/* Characters that take no room and show nothing (Default_Ignorable_Code_Point, and more of the kind). */
bool
letter_is_invisible(uint32_t code)
{
	static const struct { uint32_t first, last; } ranges[] = {
		{ 0xad, 0xad }, { 0x34f, 0x34f }, { 0x61c, 0x61c }, { 0x115f, 0x1160 }, { 0x17b4, 0x17b5 }, { 0x180b, 0x180f },
		{ 0x200b, 0x200f }, { 0x202a, 0x202e }, { 0x2060, 0x206f }, { 0x2800, 0x2800 }, { 0x3164, 0x3164 },
		{ 0xfe00, 0xfe0f }, { 0xfeff, 0xfeff }, { 0xffa0, 0xffa0 }, { 0xfff0, 0xfffb }, { 0x1bca0, 0x1bca3 },
		{ 0x1d173, 0x1d17a }, { 0xe0000, 0xe0fff },
	};

	if (code != 0xad && (code < 0x34f || (code >= 0x3165 && code < 0xfe00)))
		return false;
	for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
		if (code >= ranges[i].first && code <= ranges[i].last)
			return true;
	return false;
}

/* A letter in fancy dress: the plain one; 0: none. `*wide`: as East Asian texts write Latin. */
static uint32_t
undressed(uint32_t code, bool *wide)
{
	ucs4_t out[UC_DECOMPOSITION_MAX_LENGTH];
	int tag;

	*wide = false;
	if (code >= 0x1f150 && code <= 0x1f169)
		return 'A' + code - 0x1f150;         /* white on black circles, squares; flags */
	if (code >= 0x1f170 && code <= 0x1f189)
		return 'A' + code - 0x1f170;
	if (code >= 0x1f1e6 && code <= 0x1f1ff)
		return 0;
	if (code < 0x2070 || (code > 0x24ff && code < 0xff00) || (code > 0xffef && code < 0x1d400) || code > 0x1f149)
		return 0;
	if (uc_decomposition(code, &tag, out) != 1)
		return 0;
	*wide = tag == UC_DECOMP_WIDE || tag == UC_DECOMP_NARROW;
	if (tag == UC_DECOMP_CANONICAL || tag == UC_DECOMP_NOBREAK)
		return 0;
	return out[0];
}

struct plain {
	struct arena *a;
	char *out;
	size_t n;
	struct plain_counts *counts;
	/* the word in work */
	size_t word_at, letters, latin, other, look_alike, switches, piece, dressed;
	size_t gaps;                         /* invisible characters between its letters, runs of them */
	bool gap;                            /* one has come; it counts when a letter follows */
	bool upper_only, seen_latin_first;
	enum script last;
	uint32_t codes[WORD];
	size_t code_count;
};

static void
word_begin(struct plain *p)
{
	p->word_at = p->n;
	p->letters = p->latin = p->other = p->look_alike = p->switches = p->gaps = p->piece = p->dressed = 0;
	p->code_count = 0;
	p->gap = false;
	p->upper_only = true;
	p->seen_latin_first = false;
	p->last = SCRIPT_NONE;
}

/* Is a word of Latin and other letters meant to be read as Latin? "SMSкой" is Russian, "TNFα" science, "vіаgrа" is not. */
static bool
word_deceives(const struct plain *p)
{
	if (p->latin == 0 || p->other == 0 || p->look_alike < p->other)
		return false;
	return p->switches > 1 || !(p->seen_latin_first && p->upper_only);
}

static void
word_end(struct plain *p)
{
	/* Some senders break a date or an address once or twice, so that no program makes a link of it. */
	if ((p->gaps >= 2 && p->gaps * 3 >= p->letters) || p->dressed >= 3)
		p->counts->obfuscated++;
	if (word_deceives(p)) {
		p->counts->mixed++;
		if (p->counts->mixed == 1)
			p->counts->mixed_word = arena_copy(p->a, span_make(p->out + p->word_at, p->n - p->word_at));
		if (p->code_count < WORD) {
			p->n = p->word_at;
			for (size_t i = 0; i < p->code_count; i++) {
				char latin = p->codes[i] < 0x80 ? 0 : letter_looks_like(p->codes[i]);

				if (latin)
					p->out[p->n++] = latin;
				else
					p->n += utf8_encode(p->codes[i], p->out + p->n);
			}
		}
	}
	word_begin(p);
}

static void
word_letter(struct plain *p, uint32_t code, enum script script)
{
	p->letters++;
	p->gaps += p->gap;
	p->piece = p->gap ? 1 : p->piece + 1;
	p->gap = false;
	if (p->code_count < WORD)
		p->codes[p->code_count++] = code;
	if (script == SCRIPT_LATIN && (code < 0x250 || !letter_looks_like(code))) {
		if (p->letters == 1)
			p->seen_latin_first = true;
		p->latin++;
		if (code >= 'a' && code <= 'z')
			p->upper_only = false;
	} else {
		p->other++;
		p->look_alike += letter_looks_like(code) != 0;
		script = script == SCRIPT_LATIN ? SCRIPT_OTHER : script;
	}
	if (p->last != SCRIPT_NONE && script != p->last)
		p->switches++;
	p->last = script;
}

static bool
is_space(uint32_t code)
{
	return code == 0xa0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200a) || code == 0x202f || code == 0x205f || code == 0x3000;
}

static void
add_code(struct plain *p, uint32_t code)
{
	bool wide, dressed = false;
	uint32_t bare = code < 0x2070 ? 0 : undressed(code, &wide);

	if (bare) {
		dressed = !wide || p->counts->east_asian == 0;
		code = bare;
	}
	if (is_space(code))
		code = ' ';
	else if (code == 0x2028 || code == 0x2029)
		code = '\n';
	enum script script = script_of(code);

	if (script == SCRIPT_NONE && !(code >= 0x300 && code < 0x370)) {
		word_end(p);
		p->n += utf8_encode(code, p->out + p->n);
		p->word_at = p->n;
		return;
	}
	p->n += utf8_encode(code, p->out + p->n);
	if (script == SCRIPT_NONE) {                 /* an accent of its own: part of the letter before */
		if (p->code_count < WORD)
			p->codes[p->code_count++] = code;
		return;
	}
	if (script == SCRIPT_EAST_ASIAN) {
		p->counts->east_asian++;
		return;
	}
	p->dressed += dressed && code < 0x80;
	word_letter(p, code, script);
}

static void
add_invisible(struct plain *p, uint32_t code)
{
	if (code == 0x202e || code == 0x202d || (code >= 0x2066 && code <= 0x2068))
		p->counts->turns++;
	if (code >= 0xe0001 && code <= 0xe007f)
		p->counts->tags += !p->counts->flag;
	/* Between letters of scripts that need no joiners; a soft hyphen where nobody would break a word. */
	if (p->last == SCRIPT_NONE || p->last == SCRIPT_OTHER)
		return;
	p->gap |= code != 0xad || p->piece <= 2;
	if (code == 0xad && !p->gap)
		p->piece = 0;
}

static bool
is_letter(char c)
{
	return ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z';
}

/* A run of ASCII: only its first and its last word may be part of a longer one, the rest is copied. Bytes used. */
static size_t
add_ascii(struct plain *p, struct span run)
{
	size_t i = 0, last = run.n;

	while (i < run.n && is_letter(run.p[i])) {
		p->out[p->n++] = run.p[i];
		word_letter(p, (unsigned char)run.p[i++], SCRIPT_LATIN);
	}
	if (i == run.n)
		return run.n;
	word_end(p);
	while (last > i && is_letter(run.p[last - 1]))
		last--;
	memcpy(p->out + p->n, run.p + i, last - i);
	p->n += last - i;
	p->word_at = p->n;
	return last;
}

struct span
text_plain_counted(struct arena *a, struct span text, struct plain_counts *counts)
{
	struct plain p = { .a = a, .counts = counts };
	size_t first = ascii_length(text);

	*counts = (struct plain_counts){ 0 };
	if (first == text.n)
		return text;
	while (first > 0 && !ascii_space(text.p[first - 1]))
		first--;                             /* to the start of its word */
	p.out = arena_alloc(a, text.n * 3 + 16);     /* a broken byte becomes U+FFFD */
	if (first > 0)
		memcpy(p.out, text.p, first);
	p.n = first;
	word_begin(&p);
	for (size_t i = first, len; i < text.n; i += len) {
		unsigned char c = (unsigned char)text.p[i];

		if (c < 0x80) {
			len = add_ascii(&p, span_head(span_from(text, i), ascii_length(span_from(text, i))));
			continue;
		}
		uint32_t code = utf8_decode(span_from(text, i), &len);

		len = len ? len : 1;
		if (letter_is_invisible(code)) {
			add_invisible(&p, code);
			continue;
		}
		counts->flag = code == 0x1f3f4;              /* flags of England, Scotland, Wales are spelt in tags */
		add_code(&p, code);
	}
	word_end(&p);
	return span_make(p.out, p.n);
}

struct span
text_plain(struct arena *a, struct span text)
{
	struct plain_counts counts;

	return text_plain_counted(a, text, &counts);
}
