#include "policyd/scan/lane.h"

#include <math.h>

const char *const lane_names[LANE__COUNT] = { [LANE_TRICKLE] = "trickle", [LANE_BULK] = "bulk" };

unsigned
lane_hint(struct span name, struct span value)
{
	static const struct { const char *name; enum lane_hint hint; } fields[] = {
		{ "List-Id", LANE_HINT_LIST }, { "List-Unsubscribe", LANE_HINT_LIST }, { "List-Post", LANE_HINT_LIST },
		{ "Feedback-ID", LANE_HINT_FEEDBACK }, { "X-Campaign-Id", LANE_HINT_FEEDBACK },
	};

	value = span_trim(value);
	if (span_eq_nocase(name, SPAN("Precedence")))
		return span_eq_nocase(value, SPAN("bulk")) || span_eq_nocase(value, SPAN("list")) || span_eq_nocase(value, SPAN("junk")) ?
		    LANE_HINT_PRECEDENCE : 0;
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
		if (span_eq_nocase(name, span_of(fields[i].name)))
			return fields[i].hint;
	return 0;
}

enum lane
lane_decide(const struct lane_facts *f, const char **why)
{
	*why = f->exempt ? "" : f->declared ? "a declared sender" : f->hints & LANE_HINT_PRECEDENCE ? "Precedence" : f->hints & LANE_HINT_LIST ? "List-*" :
	    f->hints & LANE_HINT_FEEDBACK ? "a campaign's mark" : f->rate >= LANE_RATE ? "volume" :
	    f->alike && f->rate >= LANE_RATE_ALIKE ? "many alike" : "";
	return **why ? LANE_BULK : LANE_TRICKLE;
}

static bool
word_char(char c)
{
	return ascii_alnum(c) || c == '_';
}

void
lane_key(struct span sender, char to[MAX_ADDRESS + 1])
{
	size_t at = span_find_last(sender, '@'), n = 0, i = 0;
	struct span local = at == SPAN_NONE ? sender : span_head(sender, at), domain = at == SPAN_NONE ? SPAN("") : span_from(sender, at);

	while (i < local.n && local.p[i] != '+' && local.p[i] != '=' && n < MAX_ADDRESS) {
		size_t end = i;
		bool digit = false;

		for (; end < local.n && word_char(local.p[end]); end++)
			digit |= local.p[end] >= '0' && local.p[end] <= '9';
		if (digit)
			to[n++] = '#';
		for (; !digit && i < end && n < MAX_ADDRESS; i++)
			to[n++] = ascii_lower(local.p[i]);
		if (end < local.n && local.p[end] != '+' && local.p[end] != '=' && n < MAX_ADDRESS)
			to[n++] = local.p[end];
		i = end < local.n && (local.p[end] == '+' || local.p[end] == '=') ? end : end + 1;
	}
	for (i = 0; i < domain.n && n < MAX_ADDRESS; i++)
		to[n++] = ascii_lower(domain.p[i]);
	to[n] = '\0';
}

double
lane_count_add(struct lane_count *c, double mails, int64_t now_ms)
{
	if (c->last_ms != 0 && now_ms > c->last_ms)
		c->mails *= exp2((double)(c->last_ms - now_ms) / LANE_HALF_MS);
	c->last_ms = now_ms;
	c->mails += mails;
	return c->mails;
}

uint32_t
lane_share(uint32_t workers, uint32_t percent)
{
	uint32_t most = workers * percent / 100;

	most = most < workers ? most : workers - 1;
	return most > 0 ? most : 1;
}
