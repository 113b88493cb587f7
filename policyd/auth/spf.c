/* spf.c - check_host() of RFC 7208. It calls itself for include and redirect, each of which is one of the ten terms that
 * may ask DNS: so it is never deeper than that. */
#include "policyd/auth/spf.h"

#include "policyd/auth/iprev.h"
#include "policyd/auth/spf_record.h"

const char *const spf_result_names[SPF__COUNT] = {
	[SPF_NONE] = "none", [SPF_NEUTRAL] = "neutral", [SPF_PASS] = "pass", [SPF_FAIL] = "fail", [SPF_SOFTFAIL] = "softfail",
	[SPF_TEMPERROR] = "temperror", [SPF_PERMERROR] = "permerror", [SPF_PENDING] = "pending",
};

enum { MAX_SPF_TERMS = 10, MAX_SPF_NAMES = 10, MAX_SPF_VOIDS = 2 };

struct check {
	struct arena *a;
	struct answers *dns;
	struct spf_macros macros;            /* macros.domain: whose record is at work */
	int terms, voids;
	int ahead;                           /* questions asked before it was certain that they are needed */
	bool too_much, pending, unknown;     /* met on the way: the result is no longer the record's */
	bool have_validated;
};

/* One question; what it means that it was not answered is the caller's, once the flags say so. */
static struct rr_answer
look(struct check *c, enum rr_type type, struct span name)
{
	struct rr_answer answer = c->dns->look(c->dns, type, name);

	c->pending |= answer.status == RR_PENDING;
	c->unknown |= answer.status == RR_UNKNOWN;
	return answer;
}

/* The same for the terms whose empty answers are counted. */
static struct rr_answer
look_counted(struct check *c, enum rr_type type, struct span name)
{
	struct rr_answer answer = look(c, type, name);

	if (answer.status == RR_NONE && ++c->voids > MAX_SPF_VOIDS)
		c->too_much = true;
	return answer;
}

static bool
broken(const struct check *c)
{
	return c->too_much || c->pending || c->unknown;
}

/* Labels of 1 to 63 bytes, at least two of them; what DNS can be asked for. */
static bool
is_name(struct span domain)
{
	size_t label = 0, labels = 0;

	if (domain.n == 0 || domain.n > MAX_HOST_NAME || domain.p[0] == '[')
		return false;
	if (domain.p[domain.n - 1] == '.')
		domain.n--;
	for (size_t i = 0; i <= domain.n; i++) {
		if (i < domain.n && domain.p[i] != '.') {
			label++;
			continue;
		}
		if (label == 0 || label > 63)
			return false;
		label = 0;
		labels++;
	}
	return labels > 1;
}

static struct span
lower(struct arena *a, struct span s)
{
	char *out = arena_alloc(a, s.n + 1);

	for (size_t i = 0; i < s.n; i++)
		out[i] = ascii_lower(s.p[i]);
	return span_make(out, s.n > 0 && s.p[s.n - 1] == '.' ? s.n - 1 : s.n);
}

static bool
same_net(const struct ip *a, const struct ip *b, uint8_t bits)
{
	struct net net = { *a, bits };

	return a->family == b->family && net_has(&net, b);
}

/* Does one of the name's addresses fit the client? */
static bool
name_has_client(struct check *c, struct span name, uint8_t bits4, uint8_t bits6, bool counted)
{
	bool v6 = c->macros.client.family == AF_INET6;
	struct rr_answer answer = counted ? look_counted(c, v6 ? RR_AAAA : RR_A, name) : look(c, v6 ? RR_AAAA : RR_A, name);

	for (size_t i = 0; answer.status == RR_FOUND && i < answer.count; i++)
		if (same_net(&answer.at[i].ip, &c->macros.client, v6 ? bits6 : bits4))
			return true;
	return false;
}

static bool
is_below(struct span name, struct span domain)
{
	return span_eq(name, domain) ||
	       (name.n > domain.n && span_ends(name, domain) && name.p[name.n - domain.n - 1] == '.');
}

/* The client's names that lead back to it (RFC 7208, 5.5). An answer that is missing makes a name not validated. Returns
 * whether one is `domain` or below it; the best one goes to `*best`. */
static bool
validated_name(struct check *c, struct span domain, struct span *best)
{
	struct rr_answer names = look(c, RR_PTR, reverse_name(c->a, &c->macros.client));
	bool below = false;

	c->unknown = false;
	for (size_t i = 0; names.status == RR_FOUND && i < names.count && i < MAX_SPF_NAMES && !c->pending; i++) {
		struct span name = lower(c->a, names.at[i].text);
		bool fits = is_below(name, domain), valid = name_has_client(c, name, 32, 128, false);

		c->unknown = false;
		if (!valid)
			continue;
		if (best && (best->n == 0 || (fits && !below) || span_eq(name, domain)))
			*best = name;
		below |= fits;
	}
	return below;
}

static struct span
expand_name(struct check *c, struct span spec)
{
	if (spec.n == 0)
		return c->macros.domain;
	if (spf_wants_validated(spec) && !c->have_validated) {
		validated_name(c, c->macros.domain, &c->macros.validated);
		c->have_validated = true;
	}
	return lower(c->a, spf_expand(c->a, spec, &c->macros, true));
}

static bool
mx_has_client(struct check *c, const struct spf_term *term, struct span domain)
{
	struct rr_answer mx = look_counted(c, RR_MX, domain);
	bool found = false;

	if (mx.status != RR_FOUND)
		return false;
	if (mx.count > MAX_SPF_NAMES) {
		c->too_much = true;
		return false;
	}
	for (size_t i = 0; i < mx.count && !found && !broken(c); i++)
		if (mx.at[i].text.n > 0)             /* "." says: takes no mail */
			found = name_has_client(c, lower(c->a, mx.at[i].text), term->bits4, term->bits6, false);
	return found;
}

static enum spf_result check_host(struct check *c, struct span domain, struct span *explanation);

/* RFC 7208, 5.2: of the included record only a pass counts. */
static bool
included(struct check *c, struct span domain, enum spf_result *error)
{
	struct span before = c->macros.domain, nothing = { 0 };
	enum spf_result result = check_host(c, domain, &nothing);

	c->macros.domain = before;
	switch (result) {
	case SPF_PASS:
		return true;
	case SPF_NONE:
	case SPF_PERMERROR:
		*error = SPF_PERMERROR;
		return false;
	case SPF_TEMPERROR:
	case SPF_PENDING:
		*error = result;
		return false;
	default:
		return false;
	}
}

/* Does the term match? `*error` is set when the whole check ends here instead. */
static bool
matches(struct check *c, const struct spf_term *term, enum spf_result *error)
{
	if (term->what == SPF_ALL)
		return true;
	if (term->what == SPF_IP4 || term->what == SPF_IP6)
		return same_net(&term->net.ip, &c->macros.client, term->net.bits);
	if (++c->terms > MAX_SPF_TERMS) {
		c->too_much = true;
		return false;
	}
	struct span name = expand_name(c, term->spec);

	if (c->pending)
		return false;
	if (term->what == SPF_INCLUDE)
		return included(c, name, error);
	if (!is_name(name))                  /* no such name can be: as if DNS had said so */
		return false;
	switch (term->what) {
	case SPF_A:
		return name_has_client(c, name, term->bits4, term->bits6, true);
	case SPF_MX:
		return mx_has_client(c, term, name);
	case SPF_PTR:
		return validated_name(c, name, NULL);
	case SPF_EXISTS:
		return look_counted(c, RR_A, name).status == RR_FOUND;
	default:
		return false;
	}
}

/* The one record of a domain (RFC 7208, 4.4, 4.5). */
static enum spf_result
find_record(struct check *c, struct span domain, struct span *record)
{
	struct rr_answer txt = look(c, RR_TXT, domain);
	size_t found = 0;

	if (txt.status == RR_PENDING || txt.status == RR_UNKNOWN)
		return txt.status == RR_PENDING ? SPF_PENDING : SPF_TEMPERROR;
	for (size_t i = 0; txt.status == RR_FOUND && i < txt.count; i++) {
		struct span text = txt.at[i].text;

		if (span_starts_nocase(text, SPAN("v=spf1")) && (text.n == 6 || text.p[6] == ' ')) {
			*record = text;
			found++;
		}
	}
	return found == 0 ? SPF_NONE : found > 1 ? SPF_PERMERROR : SPF_PASS;
}

/* The domain's own words for its refusal (RFC 7208, 6.2). Whatever is wrong with them, there are none. */
static struct span
explain(struct check *c, struct span spec)
{
	struct span name = expand_name(c, spec), none = { 0 };
	struct rr_answer txt;

	if (spec.n == 0 || c->pending || !is_name(name))
		return none;
	txt = look(c, RR_TXT, name);
	if (txt.status != RR_FOUND || txt.count != 1 || !spf_macros_valid(txt.at[0].text, true))
		return none;
	if (spf_wants_validated(txt.at[0].text) && !c->have_validated) {
		validated_name(c, c->macros.domain, &c->macros.validated);
		c->have_validated = true;
	}
	return spf_expand(c->a, txt.at[0].text, &c->macros, false);
}

/* The questions of a record's own terms go out side by side: one after the other, ten includes take ten times as long. What comes of
 * them is looked at only when a term is reached. Not those with macros, and never more than ten a check. */
static void
ask_ahead(struct check *c, const struct spf_record *record)
{
	static const enum rr_type types[] = { [SPF_INCLUDE] = RR_TXT, [SPF_MX] = RR_MX, [SPF_EXISTS] = RR_A };

	for (size_t i = 0; i < record->count && c->ahead < MAX_SPF_TERMS; i++) {
		const struct spf_term *term = &record->terms[i];
		struct span name = term->spec.n > 0 ? term->spec : c->macros.domain;

		if (term->what == SPF_ALL || ((term->what == SPF_IP4 || term->what == SPF_IP6) &&
		    same_net(&term->net.ip, &c->macros.client, term->net.bits)))
			return;                      /* nothing behind it will be reached */
		if ((term->what != SPF_INCLUDE && term->what != SPF_A && term->what != SPF_MX && term->what != SPF_EXISTS) ||
		    span_find_char(name, '%') != SPAN_NONE || !is_name(name))
			continue;
		c->ahead++;
		c->dns->look(c->dns, term->what != SPF_A ? types[term->what] : c->macros.client.family == AF_INET6 ? RR_AAAA : RR_A, lower(c->a, name));
	}
}

static enum spf_result
how_it_broke(const struct check *c)
{
	return c->pending ? SPF_PENDING : c->too_much ? SPF_PERMERROR : SPF_TEMPERROR;
}

static enum spf_result
check_host(struct check *c, struct span domain, struct span *explanation)
{
	enum spf_result error = SPF_NONE, found;
	struct spf_record record;
	struct span text = { 0 };

	if (!is_name(domain))
		return SPF_NONE;
	c->macros.domain = lower(c->a, domain);
	if ((found = find_record(c, c->macros.domain, &text)) != SPF_PASS)
		return found;
	if (!spf_record_parse(c->a, text, &record))
		return SPF_PERMERROR;
	ask_ahead(c, &record);
	for (size_t i = 0; i < record.count; i++) {
		bool hit = matches(c, &record.terms[i], &error);

		if (error != SPF_NONE)
			return error;
		if (broken(c) && !(hit && !c->pending && !c->too_much))
			return how_it_broke(c);
		if (!hit)
			continue;
		if (record.terms[i].match == SPF_FAIL) {
			*explanation = explain(c, record.explanation);
			if (c->pending)
				return SPF_PENDING;
		}
		return record.terms[i].match;
	}
	if (record.redirect.n == 0)
		return SPF_NEUTRAL;
	if (++c->terms > MAX_SPF_TERMS)
		return SPF_PERMERROR;
	struct span to = expand_name(c, record.redirect);

	if (c->pending)
		return SPF_PENDING;
	found = check_host(c, to, explanation);
	return found == SPF_NONE ? SPF_PERMERROR : found;
}

void
spf_check(struct arena *a, struct answers *dns, const struct spf_query *query, struct spf_verdict *out)
{
	size_t at = span_find_last(query->sender, '@');
	struct span domain = at == SPAN_NONE ? query->sender : span_from(query->sender, at + 1);
	struct span local = at == SPAN_NONE ? SPAN("") : span_head(query->sender, at);

	if (query->sender.n == 0)
		domain = query->helo;
	if (local.n == 0)
		local = SPAN("postmaster");
	struct check c = {
		.a = a, .dns = dns,
		.macros = {
			.local = local, .sender_domain = domain, .helo = query->helo, .receiver = query->receiver,
			.client = query->client, .time_s = query->time_s,
			.sender = arena_printf(a, SPAN_FMT "@" SPAN_FMT, SPAN_ARG(local), SPAN_ARG(domain)),
		},
	};

	*out = (struct spf_verdict){ .domain = domain };
	out->result = query->client.family == 0 ? SPF_NONE : check_host(&c, domain, &out->explanation);
	if (out->result != SPF_FAIL)
		out->explanation = (struct span){ 0 };
}
