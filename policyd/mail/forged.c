#include "policyd/mail/forged.h"

#include "policyd/mail/parse.h"

/* Comments nest, and hide brackets behind backslashes; blanks go with them. Up to the first ';'. */
struct span
authserv_id_of(struct arena *a, struct span raw)
{
	char *out = arena_alloc(a, raw.n + 1);
	size_t n = 0;
	int depth = 0;
	bool quoted = false, gap = false;

	for (size_t i = 0; i < raw.n; i++) {
		char c = raw.p[i];

		if (c == '\\' && (depth > 0 || quoted) && i + 1 < raw.n) {
			if (depth == 0)
				out[n++] = raw.p[i + 1];
			i++;
		} else if (quoted) {
			if (c == '"')
				quoted = false;
			else
				out[n++] = c;
		} else if (depth > 0 || c == '(') {
			depth += (c == '(') - (c == ')');
		} else if (c == '"') {
			quoted = true;
		} else if (c == ';' || c == '/' || c == '=') {
			break;
		} else if (ascii_space(c)) {
			gap = n > 0 && out[n - 1] != '.';    /* "mx. (x) example" is one name */
		} else {
			if (gap && c != '.')
				break;                       /* the version */
			gap = false;
			out[n++] = c;
		}
	}
	while (n > 0 && out[n - 1] == '.')
		n--;
	return span_make(out, n);
}

static bool
is_forged(const struct header *h, struct span authserv_id, struct arena *a)
{
	static const char *const names[] = { "X-Spam-Flag", "X-Spam-Score", "X-Spam-Status", "X-Spam-Level" };

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (span_eq_nocase(h->name, span_of(names[i])))
			return true;
	if (span_starts_nocase(h->name, SPAN("X-Policyd-")))
		return true;
	return authserv_id.n > 0 && span_eq_nocase(h->name, SPAN("Authentication-Results")) &&
	       span_eq_nocase(authserv_id_of(a, h->raw), authserv_id);
}

size_t
message_forged(const struct message *msg, struct span authserv_id, struct arena *a, struct forged **list)
{
	const struct header_list *all = &msg->headers;
	size_t count = 0, room = 0;

	*list = NULL;
	for (size_t i = 0; i < all->count; i++) {
		uint32_t nth = 1;

		if (!is_forged(&all->at[i], authserv_id, a))
			continue;
		for (size_t k = 0; k < i; k++)
			nth += span_eq_nocase(all->at[k].name, all->at[i].name);
		ARENA_PUSH(a, *list, count, room);
		(*list)[count++] = (struct forged){ all->at[i].name, nth };
	}
	return count;
}
