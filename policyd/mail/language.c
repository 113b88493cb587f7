/* language.c - a guess at the language of a text: by its letters where few languages use them, else by the small words
 * that no sentence does without. Good enough for "a mail in a language its reader never gets", not for more. */
#include "policyd/base/utf8.h"
#include "policyd/mail/parse.h"

enum { LOOK = 4096, WORD_MOST = 12, SLOTS = 2048, LEAST_HITS = 3, LEAST_LETTERS = 12, LANGUAGES = 24 };

static const struct { char code[3]; const char *words; } latin[LANGUAGES] = {
	{ "en", "the and you your for with this that have from are our will please not has been can was which would they" },
	{ "de", "der die das und sie ihr ihre ist nicht ein eine mit f\xc3\xbcr auf den dem von wir bitte zu sich auch wird haben" },
	{ "fr", "le les des et vous votre pour dans est une nous sur avec que pas du au aux notre cette \xc3\xaates qui ce" },
	{ "es", "el los las y usted su para con una por que del est\xc3\xa1 sus nuestro como m\xc3\xa1s esta este al ha sin" },
	{ "it", "il gli di che per con una sono della non suo questo nel pi\xc3\xb9 dei alla le del \xc3\xa8 ha si" },
	{ "pt", "os das e voc\xc3\xaa seu sua para com uma n\xc3\xa3o por que dos est\xc3\xa1 nosso mais em ao como foi pelo" },
	{ "nl", "de het een en van je uw voor met niet dat zijn op wij wordt bij naar ook deze heeft kunt" },
	{ "sv", "och att det som en f\xc3\xb6r p\xc3\xa5 \xc3\xa4r med av inte du din till har vi kan ditt eller om ett" },
	{ "da", "og det til en af du din ikke er som med for kan vi har at dit eller vil ved blev" },
	{ "no", "og det til en av du din ikke er som med for kan vi har \xc3\xa5 ditt eller vil ved ble" },
	{ "fi", "ja on ei se ett\xc3\xa4 joka voit sinun olet kun mutta my\xc3\xb6s meid\xc3\xa4n t\xc3\xa4m\xc3\xa4 ole jos tai sek\xc3\xa4 ovat oli" },
	{ "pl", "i w na nie si\xc4\x99 jest do z \xc5\xbc" "e dla przez oraz od prosimy lub jak twoje tego po co" },
	{ "cs", "a je na se v \xc5\xbe" "e pro jako nebo jsou byl v\xc3\xa1m va\xc5\xa1" "e podle p\xc5\x99i od ve jsme ale za" },
	{ "sk", "a je na sa v \xc5\xbe" "e pre ako alebo s\xc3\xba bol v\xc3\xa1m va\xc5\xa1" "e pod\xc4\xbe" "a pri od vo sme ale za" },
	{ "hu", "a az \xc3\xa9s hogy nem egy van az\xc3\xb6n meg \xc3\xb6n vagy csak ha k\xc3\xa9rj\xc3\xbck sz\xc3\xa1m\xc3\xa1ra ez is kell mint volt" },
	{ "ro", "\xc8\x99i \xc8\x99i de la \xc3\xaen pentru cu este din pe nu sau care dumneavoastr\xc4\x83 mai un o s\xc4\x83 fi au" },
	{ "tr", "ve bir bu i\xc3\xa7in ile olarak daha l\xc3\xbctfen de\xc4\x9fil olan sizin gibi kadar ne \xc3\xa7ok size da de ya" },
	{ "hr", "i je na se u da za su od kako ili s molimo vas va\xc5\xa1" "e nije koji ne bi" },
	{ "id", "dan yang di untuk dengan anda ini dari tidak akan kami pada dalam atau adalah ke telah itu" },
	{ "vi", "v\xc3\xa0 c\xe1\xbb\xa7" "a cho c\xc3\xb3 b\xe1\xba\xa1n kh\xc3\xb4ng m\xe1\xbb\x99t \xc4\x91\xe1\xba\xbfn v\xe1\xbb\x9bi trong c\xc3\xa1" "c \xc4\x91\xc6\xb0\xe1\xbb\xa3" "c n\xc3\xa0y t\xe1\xba\xa1i" },
	{ "lt", "ir kad yra su bei j\xc5\xab" "s\xc5\xb3 i\xc5\xa1 apie kaip arba bus d\xc4\x97l prie buvo taip nuo tai" },
	{ "lv", "un ir ar par no uz j\xc5\xab" "su vai lai tas k\xc4\x81 m\xc4\x93s pie lai bija to kas" },
	{ "et", "ja on ei et see teie v\xc3\xb5i kui mis meie ning oma k\xc3\xb5ik siis aga oli kes" },
	{ "sl", "in je na se za da so ki pri ali ne va\xc5\xa1" "e smo od bo kot lahko po bi" },
};

static struct { char word[WORD_MOST + 1]; uint32_t languages; } slots[SLOTS];

static size_t
slot_of(struct span word)
{
	return span_hash(word, 1) % SLOTS;
}

static void
prepare(void)
{
	for (size_t l = 0; l < LANGUAGES; l++)
		for (struct span rest = span_of(latin[l].words); rest.n > 0;) {
			struct span word = span_cut(&rest, ' ');
			size_t at = slot_of(word);

			if (word.n > WORD_MOST)
				continue;
			while (slots[at].word[0] && !span_eq(span_of(slots[at].word), word))
				at = (at + 1) % SLOTS;
			memcpy(slots[at].word, word.p, word.n);
			slots[at].languages |= 1u << l;
		}
}

static uint32_t
languages_of(struct span word)
{
	for (size_t at = slot_of(word); slots[at].word[0]; at = (at + 1) % SLOTS)
		if (memcmp(slots[at].word, word.p, word.n) == 0 && slots[at].word[word.n] == '\0')
			return slots[at].languages;
	return 0;
}

/* Words in lower case, one by one. A word all languages of a group share says little: 12 parts, split among them. */
static void
count_words(struct span text, unsigned hits[LANGUAGES])
{
	char word[WORD_MOST];
	size_t n = 0;

	for (size_t i = 0; i <= text.n; i++) {
		unsigned char c = i < text.n ? (unsigned char)ascii_lower(text.p[i]) : ' ';

		/* "a.com", "b@c": the dot is inside */
		bool joint = c != '\0' && strchr(".@/:_-", c) && i + 1 < text.n && ascii_alnum(text.p[i + 1]);

		if ((c >= 'a' && c <= 'z') || c >= 0x80 || joint) {
			if (n < WORD_MOST)
				word[n] = (char)c;
			n++;
			continue;
		}
		uint32_t in = n > 0 && n <= WORD_MOST ? languages_of(span_make(word, n)) : 0;

		for (size_t l = 0; in >> l; l++)
			if (in >> l & 1)
				hits[l] += 12 / (unsigned)__builtin_popcount(in);
		n = 0;
	}
}

/* Scripts with few languages, and a letter that only one of these has. */
enum { L_CYRILLIC, L_KANA, L_HAN, L_HANGUL, L_GREEK, L_HEBREW, L_ARABIC, L_THAI, L_DEVANAGARI, L_GEORGIAN, L_ARMENIAN, L_LATIN,
	L__COUNT };
static const char letter_languages[L__COUNT][3] = { "ru", "ja", "zh", "ko", "el", "he", "ar", "th", "hi", "ka", "hy", "" };

static int
letters_of(uint32_t c)
{
	static const struct { uint32_t first, last; int is; } ranges[] = {
		{ 'A', 'Z', L_LATIN }, { 'a', 'z', L_LATIN }, { 0xc0, 0x24f, L_LATIN }, { 0x370, 0x3ff, L_GREEK },
		{ 0x400, 0x52f, L_CYRILLIC }, { 0x531, 0x58f, L_ARMENIAN }, { 0x590, 0x5ff, L_HEBREW }, { 0x600, 0x6ff, L_ARABIC },
		{ 0x900, 0x97f, L_DEVANAGARI }, { 0xe00, 0xe7f, L_THAI }, { 0x10a0, 0x10ff, L_GEORGIAN }, { 0x1e00, 0x1eff, L_LATIN },
		{ 0x3040, 0x30ff, L_KANA }, { 0x3400, 0x9fff, L_HAN }, { 0xac00, 0xd7af, L_HANGUL },
	};

	for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
		if (c >= ranges[i].first && c <= ranges[i].last)
			return ranges[i].is;
	return L__COUNT;
}

/* Ukrainian, Bulgarian, Serbian, Persian by what their neighbours do not write. */
static const char *
narrow(const char *language, struct span text)
{
	static const struct { const char *of, *is, *letters[3]; } marks[] = {
		{ "ru", "uk", { "\xd1\x94", "\xd1\x97", "\xd2\x91" } },           /* ye, yi, ghe with upturn */
		{ "ru", "be", { "\xd1\x9e" } },
		{ "ru", "sr", { "\xd1\x92", "\xd1\x9b", "\xd1\x99" } },           /* dje, tshe, lje */
		{ "ru", "ru", { "\xd1\x8b", "\xd1\x8d", "\xd1\x91" } },           /* yery, e, yo: after these, no Bulgarian */
		{ "ru", "bg", { "\xd1\x8a" } },
		{ "ar", "fa", { "\xda\xaf", "\xd9\xbe", "\xda\x98" } },           /* gaf, pe, zhe */
	};

	for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
		for (size_t k = 0; k < 3 && marks[i].letters[k]; k++)
			if (strcmp(marks[i].of, language) == 0 && span_find(text, span_of(marks[i].letters[k])) != SPAN_NONE)
				return marks[i].is;
	return language;
}

static const char *
by_letters(struct span text)
{
	size_t counts[L__COUNT + 1] = { 0 }, total = 0;
	int most = L_LATIN;

	for (size_t i = 0, len; i < text.n; i += len) {
		uint32_t code = utf8_decode(span_from(text, i), &len);

		len = len ? len : 1;
		counts[letters_of(code)]++;
	}
	for (int i = 0; i < L_LATIN; i++) {
		total += counts[i];
		if (counts[i] > counts[most] || most == L_LATIN)
			most = counts[i] > 0 ? i : most;
	}
	if (total < LEAST_LETTERS / 2 || total * 2 < counts[L_LATIN])
		return "";
	if (most == L_HAN && counts[L_KANA] * 10 > counts[L_HAN])
		most = L_KANA;
	return narrow(letter_languages[most], text);
}

void
language_guess(struct span text, char out[4])
{
	unsigned hits[LANGUAGES] = { 0 };
	size_t best = 0, ascii;
	const char *found = "";

	out[0] = '\0';
	text = utf8_head(text, LOOK);
	if (slots[slot_of(SPAN("the"))].word[0] == '\0')
		prepare();
	ascii = ascii_length(text);
	if (ascii < text.n)
		found = by_letters(text);
	if (found[0] == '\0') {
		count_words(text, hits);
		for (size_t i = 1; i < LANGUAGES; i++)
			best = hits[i] > hits[best] ? i : best;
		if (hits[best] >= LEAST_HITS * 12 / 2)
			found = latin[best].code;
	}
	memcpy(out, found, strlen(found) + 1);
}
