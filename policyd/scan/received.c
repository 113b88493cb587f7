#include "policyd/scan/received.h"

#include "policyd/mail/date.h"

enum { LITERAL_MOST = 64 };                  /* bytes of "[IPv6:...]" */

/* One piece of the header at depth 0: a word, or a comment with its brackets (nested ones included) taken off. */
struct piece {
	struct span text;
	bool comment;
};

static bool
next_piece(struct span *rest, struct piece *piece)
{
	size_t i = 0, start;
	int depth = 0;

	while (i < rest->n && (ascii_space(rest->p[i]) || rest->p[i] == ')'))
		i++;
	if (i == rest->n)
		return false;
	piece->comment = rest->p[i] == '(';
	start = i + piece->comment;
	for (; i < rest->n; i++) {
		char c = rest->p[i];

		if (piece->comment && c == '\\' && i + 1 < rest->n)
			i++;
		else if (piece->comment)
			depth += (c == '(') - (c == ')');
		else if (ascii_space(c) || c == '(')
			break;
		if (piece->comment && depth == 0)
			break;
	}
	piece->text = span_trim(span_make(rest->p + start, i - start));
	*rest = span_from(*rest, i + piece->comment);
	return true;
}

/* "[192.0.2.1]", with ":port" behind it as Exim writes it. */
static bool
literal(struct span word, struct ip *client)
{
	size_t end = span_find_char(span_head(word, LITERAL_MOST), ']');

	return end != SPAN_NONE && word.p[0] == '[' && ip_parse(span_head(word, end + 1), client);
}

/* Everything behind "helo=" is what the client said. */
static struct span
without_helo(struct span comment)
{
	for (size_t i = 0; i + 5 <= comment.n; i++)
		if ((i == 0 || ascii_space(comment.p[i - 1])) && span_starts_nocase(span_from(comment, i), SPAN("helo=")))
			return span_trim(span_head(comment, i));
	return comment;
}

/* "(name [192.0.2.1])", "([192.0.2.1] helo=name)", "(192.0.2.1)". What stands first in a comment may be an ident answer,
 * so the last address in brackets counts. "(HELO name)" is qmail's, and the client's own word. */
static bool
comment_client(struct span comment, struct ip *client)
{
	if (span_starts_nocase(comment, SPAN("helo ")))
		return false;
	comment = without_helo(comment);
	if (ip_parse(comment, client))
		return true;
	for (struct span head = comment;;) {
		size_t open = span_find_last(head, '[');

		if (open == SPAN_NONE)
			return false;
		if (literal(span_from(comment, open), client))
			return true;
		head = span_head(head, open);
	}
}

/* "from [192.0.2.1] (helo=name)": Exim puts the address first where it has no name for it, and marks it so. */
static bool
exim_comment(struct span comment)
{
	return span_starts_nocase(comment, SPAN("helo=")) || span_starts_nocase(comment, SPAN("port=")) ||
	       span_starts_nocase(comment, SPAN("ident="));
}

/* ESMTPA, ESMTPSA, UTF8SMTPA, LMTPSA, ... */
static bool
logged_in(struct span protocol)
{
	return protocol.n > 1 && ascii_lower(protocol.p[protocol.n - 1]) == 'a' && span_find_nocase(protocol, SPAN("MTP")) != SPAN_NONE;
}

static enum received
without_from(struct span raw)
{
	return span_starts(span_trim(raw), SPAN("(qmail")) && span_find(raw, SPAN("invoked from network")) != SPAN_NONE ?
	    RECEIVED_NOTE : RECEIVED_LOCAL;
}

enum received
received_parse(struct span raw, struct ip *client)
{
	struct span rest = raw, helo;
	struct piece piece;
	bool found = false, exim = false, login = false, by = false, with = false;

	*client = (struct ip){ 0 };
	if (!next_piece(&rest, &piece) || piece.comment || !span_eq_nocase(piece.text, SPAN("from")))
		return without_from(raw);
	if (!next_piece(&rest, &piece) || piece.comment)
		return RECEIVED_UNCLEAR;
	helo = piece.text;                   /* the client's own word in most; "by" is a HELO as good as any */
	while (next_piece(&rest, &piece)) {
		if (!piece.comment) {
			login |= with && logged_in(piece.text);
			with = by && span_eq_nocase(piece.text, SPAN("with"));
			by |= span_eq_nocase(piece.text, SPAN("by"));
			found = found || (!by && literal(piece.text, client));
		} else {
			login |= span_starts_nocase(piece.text, SPAN("authenticated"));
			exim |= !by && exim_comment(piece.text);
			found = found || (!by && comment_client(piece.text, client));
		}
	}
	if (!found && exim)
		found = literal(helo, client);
	if (login)
		return RECEIVED_LOGIN;
	return found ? RECEIVED_FROM : RECEIVED_UNCLEAR;
}

/* "name [192.0.2.1]", "name [192.0.2.1] (may be forged)": Postfix and Sendmail put the DNS name there. */
static struct span
comment_name(struct span comment)
{
	size_t open = span_find_char(comment, '[');
	struct span head = span_trim(span_head(without_helo(comment), open)), word = head;

	if (open == SPAN_NONE)
		return SPAN("");
	for (size_t blank; (blank = span_find_char(word, ' ')) != SPAN_NONE;)
		word = span_trim(span_from(word, blank));    /* an ident answer stands before it */
	if (span_find_char(word, '@') != SPAN_NONE)
		word = span_from(word, span_find_last(word, '@') + 1);
	return span_eq_nocase(word, SPAN("unknown")) ? SPAN("") : word;
}

/* "helo=name" of Exim, which has the DNS name before the comment. */
static struct span
comment_helo(struct span comment)
{
	for (size_t i = 0; i + 5 <= comment.n; i++)
		if ((i == 0 || ascii_space(comment.p[i - 1])) && span_starts_nocase(span_from(comment, i), SPAN("helo="))) {
			struct span rest = span_from(comment, i + 5);

			return span_head(rest, span_find_char(rest, ' '));
		}
	return SPAN("");
}

/* The date is behind the last ';' that is in no comment. */
static struct span
date_part(struct span raw)
{
	int depth = 0;
	size_t last = SPAN_NONE;

	for (size_t i = 0; i < raw.n; i++) {
		if (raw.p[i] == '\\')
			i++;
		else if (raw.p[i] == '(' || raw.p[i] == ')')
			depth += raw.p[i] == '(' ? 1 : depth > 0 ? -1 : 0;
		else if (raw.p[i] == ';' && depth == 0)
			last = i;
	}
	return last == SPAN_NONE ? SPAN("") : span_from(raw, last + 1);
}

void
received_hop(struct span raw, struct hop *hop)
{
	struct span date = date_part(raw), rest = span_head(raw, raw.n - date.n), *fields[] = { &hop->helo, &hop->by, &hop->with, &hop->id,
	    &hop->recipient }, *to = NULL;
	static const char *const words[] = { "from", "by", "with", "id", "for" };
	struct piece piece;

	*hop = (struct hop){ 0 };
	hop->what = received_parse(raw, &hop->client);
	if (!date_parse(date, &hop->date))
		hop->date = 0;
	while (next_piece(&rest, &piece)) {
		size_t word = 0;

		if (piece.comment) {
			struct span helo = comment_helo(piece.text);

			if (hop->by.n == 0 && helo.n > 0) {
				hop->name = hop->helo.n > 0 && hop->helo.p[0] != '[' ? hop->helo : SPAN("");
				hop->helo = helo;
			} else if (hop->by.n == 0 && hop->name.n == 0) {
				hop->name = comment_name(piece.text);
			}
			continue;
		}
		if (to && to->n == 0) {
			*to = piece.text;
			while (to->n > 0 && to->p[to->n - 1] == ';')
				to->n--;
			to = NULL;
			continue;
		}
		while (word < sizeof words / sizeof *words && !span_eq_nocase(piece.text, span_of(words[word])))
			word++;
		to = word < sizeof words / sizeof *words && fields[word]->n == 0 ? fields[word] : NULL;
	}
}
