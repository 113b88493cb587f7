#include "quarantine/review/reasons.h"

#include <dirent.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "policyd/base/log.h"

enum { RULE_FILE_MOST = 1 << 20 };

/* Those that our own stages find. A name ending in '_' stands for all that begin so. */
static const struct known {
	const char *symbol, *words[LANGUAGE__COUNT];
} known[] = {
	{ "BAYES", { "The words resemble mail that people here have called spam", "Die Wörter gleichen Mails, die hier als Spam gemeldet wurden" } },
	{ "DNSBL_", { "The sending server is on a public blocklist", "Der sendende Server steht auf einer öffentlichen Sperrliste" } },
	{ "DNSWL_", { "The sending server is on a list of well-behaved servers", "Der sendende Server steht auf einer Liste guter Server" } },
	{ "URIBL_", { "It links to a site on a blocklist", "Ein Link führt zu einer Seite auf einer Sperrliste" } },
	{ "VIRUS", { "The virus scanner has found something", "Der Virenscanner hat etwas gefunden" } },
	{ "CLAMAV_", { "The virus scanner has found something", "Der Virenscanner hat etwas gefunden" } },
	{ "GTUBE", { "It is the standard test for spam filters", "Es ist die übliche Testmail für Spamfilter" } },
	{ "FROM_MISSING", { "It does not say who wrote it", "Es steht nicht darin, wer sie geschrieben hat" } },
	{ "FROM_AMBIGUOUS", { "It names more than one author, each mail program shows another", "Sie nennt mehrere Absender, jedes Programm zeigt einen anderen" } },
	{ "FROM_DISPLAY_SPOOF", { "The name shown is an address of somebody else", "Der angezeigte Name ist die Adresse von jemand anderem" } },
	{ "FROM_CONFUSABLE_NAME", { "The name shown imitates another with look-alike letters", "Der angezeigte Name ahmt einen anderen mit ähnlichen Buchstaben nach" } },
	{ "URL_HOMOGRAPH", { "A link imitates another site with look-alike letters", "Ein Link ahmt mit ähnlichen Buchstaben eine andere Seite nach" } },
	{ "URL_TEXT_MISMATCH", { "A link shows one site and leads to another", "Ein Link zeigt eine Seite an und führt zu einer anderen" } },
	{ "HTML_HIDDEN_TEXT", { "It hides text from the reader", "Sie versteckt Text vor dem Leser" } },
	{ "HTML_IMAGE_ONLY", { "It is one picture with hardly any text", "Sie besteht aus einem Bild fast ohne Text" } },
	{ "HTML_SMUGGLING", { "It builds a file in the reader's browser", "Sie baut im Browser des Lesers eine Datei zusammen" } },
	{ "TEXT_OBFUSCATED", { "Invisible letters stand between the visible ones", "Zwischen den sichtbaren Buchstaben stehen unsichtbare" } },
	{ "TEXT_MIXED_SCRIPT", { "Words mix letters of several alphabets", "Wörter mischen Buchstaben mehrerer Alphabete" } },
	{ "TEXT_BIDI", { "Text is turned around to look like something else", "Text ist umgedreht, um anders auszusehen" } },
	{ "ATTACHMENT_DOUBLE_EXT", { "An attachment hides what it is behind a second ending", "Ein Anhang verbirgt seine Art hinter einer zweiten Endung" } },
	{ "ATTACHMENT_BIDI_NAME", { "An attachment's name is turned around", "Der Name eines Anhangs ist umgedreht" } },
	{ "ATTACHMENT_TYPE_MISMATCH", { "An attachment is not what it says it is", "Ein Anhang ist nicht, was er zu sein behauptet" } },
	{ "ATTACHMENT_POLYGLOT", { "An attachment is two kinds of file at once", "Ein Anhang ist zwei Arten von Datei zugleich" } },
	{ "ATTACHMENT_", { "An attachment is of a risky kind", "Ein Anhang ist von riskanter Art" } },
	{ "ARCHIVE_ENCRYPTED", { "An archive is locked, nobody can look inside", "Ein Archiv ist verschlossen, niemand kann hineinsehen" } },
	{ "ARCHIVE_", { "An archive cannot be opened safely", "Ein Archiv lässt sich nicht gefahrlos öffnen" } },
	{ "OFFICE_MACRO", { "A document carries a program", "Ein Dokument enthält ein Programm" } },
	{ "OFFICE_EXTERNAL_TEMPLATE", { "A document loads parts from elsewhere", "Ein Dokument lädt Teile von woanders nach" } },
	{ "PDF_SCRIPT", { "A PDF carries a program", "Ein PDF enthält ein Programm" } },
	{ "MIME_AMBIGUOUS_", { "It is built so that mail programs read it differently", "Sie ist so gebaut, dass Programme sie verschieden lesen" } },
	{ "MIME_", { "Its form is broken or unusual", "Ihr Aufbau ist fehlerhaft oder ungewöhnlich" } },
	{ "DUPLICATE_HEADER", { "A header that may stand once stands there twice", "Eine Kopfzeile, die einmal stehen darf, steht doppelt darin" } },
	{ "SPF_PASS", { "Its server may send for this domain (SPF)", "Der Server darf für diese Domain senden (SPF)" } },
	{ "SPF_FAIL", { "Its server may not send for this domain (SPF)", "Der Server darf für diese Domain nicht senden (SPF)" } },
	{ "SPF_FAIL_", { "Its server may not send for this domain (SPF)", "Der Server darf für diese Domain nicht senden (SPF)" } },
	{ "SPF_SOFTFAIL", { "Its server should not send for this domain (SPF)", "Der Server sollte für diese Domain nicht senden (SPF)" } },
	{ "SPF_NEUTRAL", { "The domain does not say who may send for it (SPF)", "Die Domain sagt nicht, wer für sie senden darf (SPF)" } },
	{ "SPF_NONE", { "The domain does not say who may send for it (SPF)", "Die Domain sagt nicht, wer für sie senden darf (SPF)" } },
	{ "SPF_PERMERROR", { "What the domain says of who may send for it cannot be read (SPF)", "Was die Domain darüber sagt, wer für sie senden darf, ist nicht lesbar (SPF)" } },
	{ "SPF_UNKNOWN", { "The domain could not be asked who may send for it (SPF)", "Die Domain ließ sich nicht fragen, wer für sie senden darf (SPF)" } },
	{ "SPF_HELO_", { "What the server's own name says of it (SPF)", "Was der Name des Servers über ihn sagt (SPF)" } },
	{ "SPF_", { "What SPF says of the sending server", "Was SPF über den sendenden Server sagt" } },
	{ "RDNS_NONE", { "The sending server has no name", "Der sendende Server hat keinen Namen" } },
	{ "RDNS_MISMATCH", { "The sending server's name leads to another one", "Der Name des sendenden Servers führt zu einem anderen" } },
	{ "RDNS_UNKNOWN", { "The sending server's name could not be asked for", "Der Name des sendenden Servers ließ sich nicht erfragen" } },
	{ "HELO_", { "The sending server gives an odd name", "Der sendende Server nennt einen seltsamen Namen" } },
	{ "DKIM_", { "What its signature (DKIM) says", "Was die Signatur (DKIM) aussagt" } },
	{ "DMARC_", { "What the sender's domain says of mail in its name (DMARC)", "Was die Domain des Absenders zu Mail in ihrem Namen sagt (DMARC)" } },
	{ "POISON", { "It made the scanner end twice", "Sie hat den Scanner zweimal zum Absturz gebracht" } },
};

static json_t *rules;                        /* symbol -> description */

const char *
reason_words(enum language language, const char *symbol)
{
	static char plain[80];
	const char *described = json_string_value(json_object_get(rules, symbol));

	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		size_t n = strlen(known[i].symbol);
		bool begins = known[i].symbol[n - 1] == '_';

		if (begins && described)
			continue;
		if (begins ? strncmp(symbol, known[i].symbol, n) == 0 : strcmp(symbol, known[i].symbol) == 0)
			return known[i].words[language];
	}
	if (described)
		return described;
	size_t n = 0;

	for (; symbol[n] && n < sizeof plain - 1; n++)
		plain[n] = symbol[n] == '_' ? ' ' : n ? ascii_lower(symbol[n]) : symbol[n];
	plain[n] = '\0';
	return plain;
}

/* The text in quotes behind `key =`, searched from `at`; empty when there is none. */
static struct span
quoted_after(struct span text, struct span key)
{
	size_t at = span_find(text, key), end;

	if (at == SPAN_NONE)
		return SPAN("");
	text = span_from(text, at + key.n);
	size_t open = span_find_char(text, '"');

	if (open == SPAN_NONE || open > 8)
		return SPAN("");
	text = span_from(text, open + 1);
	end = span_find_char(text, '"');
	return end == SPAN_NONE ? SPAN("") : span_head(text, end);
}

static void
read_rules(struct span text)
{
	for (size_t at; (at = span_find(text, SPAN("symbol ="))) != SPAN_NONE;) {
		text = span_from(text, at);
		struct span symbol = quoted_after(text, SPAN("symbol"));
		size_t next = span_find(span_from(text, 8), SPAN("symbol ="));
		struct span description = quoted_after(next == SPAN_NONE ? text : span_head(text, next + 8), SPAN("description"));
		char name[80];

		snprintf(name, sizeof name, SPAN_FMT, SPAN_ARG(span_head(symbol, sizeof name - 1)));
		if (symbol.n > 0 && description.n > 0)
			json_object_set_new(rules, name, json_stringn(description.p, description.n));
		text = span_from(text, 8);
	}
}

void
reasons_load(const struct config *config)
{
	json_decref(rules);
	rules = json_object();
	for (uint32_t i = 0; i < config->rule_dir_count; i++) {
		DIR *dir = opendir(config->rules[i]);

		for (struct dirent *e; dir && (e = readdir(dir)) != NULL;) {
			char path[PATH_ROOM + 260];
			FILE *f = span_ends(span_of(e->d_name), SPAN(".lua")) ? (snprintf(path, sizeof path, "%s/%s", config->rules[i], e->d_name),
			    fopen(path, "re")) : NULL;
			char *text = f ? malloc(RULE_FILE_MOST) : NULL;

			if (text)
				read_rules(span_make(text, fread(text, 1, RULE_FILE_MOST, f)));
			free(text);
			if (f)
				fclose(f);
		}
		if (dir)
			closedir(dir);
		else
			log_warning("review: %s cannot be read: reasons are shown by their names", config->rules[i]);
	}
}
