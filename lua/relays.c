#include "lua/relays.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "policyd/base/limits.h"
#include "policyd/scan/received.h"

const char *const relays_names[RELAYS__COUNT] = { [RELAYS_OUTSIDE] = "X-Spam-Relays-External",
	[RELAYS_UNTRUSTED] = "X-Spam-Relays-Untrusted", [RELAYS_INSIDE] = "X-Spam-Relays-Internal",
	[RELAYS_TRUSTED] = "X-Spam-Relays-Trusted" };

/* The word after `key` (a word of its own), up to a blank or one of `ends`. */
static struct span
after(struct span s, const char *key, const char *ends)
{
	size_t n = strlen(key);

	for (size_t i = 0; i + n < s.n; i++) {
		if (!span_starts_nocase(span_from(s, i), span_of(key)) || (i > 0 && !ascii_space(s.p[i - 1]) && s.p[i - 1] != '('))
			continue;
		struct span rest = span_from(s, i + n);
		size_t from = 0, to;

		while (from < rest.n && ascii_space(rest.p[from]))
			from++;
		for (to = from; to < rest.n && !ascii_space(rest.p[to]) && strchr(ends, rest.p[to]) == NULL;)
			to++;
		return span_make(rest.p + from, to - from);
	}
	return SPAN("");
}

static bool
is_private(const struct ip *ip)
{
	const uint8_t *b = ip->bytes;

	if (ip->family != AF_INET)
		return false;
	return b[0] == 10 || b[0] == 127 || (b[0] == 192 && b[1] == 168) || (b[0] == 172 && b[1] >= 16 && b[1] < 32) ||
	       (b[0] == 169 && b[1] == 254);
}

/* The first words of a comment: "(mail.example [192.0.2.1])", "(ident@mail.example [192.0.2.1])". */
static struct span
commented_name(struct span value)
{
	size_t open = span_find_char(value, '('), end = 0, at;
	struct span inside = open == SPAN_NONE ? SPAN("") : span_from(value, open + 1);
	size_t close = span_find_char(inside, ')');

	inside = span_head(inside, close == SPAN_NONE ? inside.n : close);
	if (span_find_char(inside, '[') == SPAN_NONE)            /* a name of a program, not of a host */
		return SPAN("");
	while (end < inside.n && !ascii_space(inside.p[end]) && inside.p[end] != '[')
		end++;
	inside = span_head(inside, end);
	if ((at = span_find_char(inside, '@')) != SPAN_NONE)
		inside = span_from(inside, at + 1);
	return inside;
}

/* What the writer looked up. Exim and qmail put it first, and what the client said of itself into a comment. */
static struct span
reverse_name(struct span value)
{
	struct span first = after(value, "from ", "("), name = commented_name(value);
	struct ip ip;
	bool leads = span_find(value, SPAN("helo=")) != SPAN_NONE || span_find(value, SPAN("(HELO ")) != SPAN_NONE ||
	    span_find(value, SPAN("(Exim")) != SPAN_NONE;
	size_t open = span_find_char(value, '(');

	if (open != SPAN_NONE && !leads) {                       /* "from name (192.0.2.1) by" */
		struct span inside = span_from(value, open + 1);
		size_t close = span_find_char(inside, ')');

		leads = close != SPAN_NONE && inside.p[0] != '[' && ip_parse(span_head(inside, close), &ip);
	}
	if (leads)
		name = first;
	if (span_eq_nocase(name, SPAN("unknown")) || span_find_char(name, '=') != SPAN_NONE || span_find_char(name, '[') != SPAN_NONE ||
	    ip_parse(name, &ip))
		return SPAN("");
	return name;
}

static struct span
helo_name(struct span value)
{
	struct span helo = after(value, "helo=", ")");

	if (helo.n == 0)
		helo = after(value, "HELO ", ")");
	if (helo.n == 0)
		helo = after(value, "from ", "(");
	return helo;
}

static struct span
relay(struct arena *a, struct span value, const struct ip *client, bool trusted)
{
	char address[INET6_ADDRSTRLEN];
	struct span id = after(value, "id ", ";)");
	struct span helo = helo_name(value), envelope = after(value, "envelope-from <", ">");
	enum received kind;
	struct ip again;

	if (id.n > 1 && id.p[0] == '<' && id.p[id.n - 1] == '>')
		id = span_make(id.p + 1, id.n - 2);
	ip_print(client, address);
	kind = received_parse(value, &again);
	return arena_printf(a, "[ ip=%s rdns=" SPAN_FMT " helo=" SPAN_FMT " by=" SPAN_FMT " ident= envfrom=" SPAN_FMT " intl=%d id="
	    SPAN_FMT " auth=%s msa=0 ]", address, SPAN_ARG(reverse_name(value)), SPAN_ARG(helo), SPAN_ARG(after(value, "by ", "(;")),
	    SPAN_ARG(envelope), trusted, SPAN_ARG(id), kind == RECEIVED_LOGIN ? "ESMTPA" : "");
}

struct span
relays_text(struct arena *a, const struct header_list *headers, enum relays which)
{
	bool trusted = true, want_trusted = which == RELAYS_INSIDE || which == RELAYS_TRUSTED;
	struct span text = SPAN("");
	size_t seen = 0;

	for (size_t i = 0; i < headers->count && seen < MAX_RECEIVED; i++) {
		struct ip client;

		if (!span_eq_nocase(headers->at[i].name, SPAN("Received")))
			continue;
		seen++;
		received_parse(headers->at[i].raw, &client);
		if (client.family == 0 && !ip_parse(after(headers->at[i].value, "from ", "("), &client))
			continue;
		if (span_find(headers->at[i].value, SPAN("(fetchmail-")) != SPAN_NONE)       /* fetched, not handed on */
			continue;
		trusted = trusted && is_private(&client);
		if (trusted != want_trusted)
			continue;
		text = arena_printf(a, SPAN_FMT "%s" SPAN_FMT, SPAN_ARG(text), text.n ? " " : "",
		    SPAN_ARG(relay(a, headers->at[i].value, &client, trusted)));
	}
	return text;
}
