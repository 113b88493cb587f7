#include "policyd/auth/spf_record.h"

static const struct { const char *name; enum spf_mechanism what; } mechanisms[] = {
	{ "all", SPF_ALL }, { "include", SPF_INCLUDE }, { "a", SPF_A }, { "mx", SPF_MX }, { "ptr", SPF_PTR },
	{ "ip4", SPF_IP4 }, { "ip6", SPF_IP6 }, { "exists", SPF_EXISTS },
};

static bool
is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* "." toplabel [ "." ] at the end: letters, digits and inner hyphens, not digits alone. */
static bool
ends_in_label(struct span s)
{
	if (s.n > 0 && s.p[s.n - 1] == '.')
		s.n--;
	size_t dot = span_find_last(s, '.');

	if (dot == SPAN_NONE)
		return false;
	struct span label = span_from(s, dot + 1);
	bool letter = false;

	for (size_t i = 0; i < label.n; i++) {
		if (!ascii_alnum(label.p[i]) && label.p[i] != '-')
			return false;
		letter |= !is_digit(label.p[i]);
	}
	return letter && label.p[0] != '-' && label.p[label.n - 1] != '-';
}

/* A domain-spec ends in a label or in a macro. */
static bool
is_domain_spec(struct span s)
{
	if (s.n == 0 || !spf_macros_valid(s, false))
		return false;
	return ends_in_label(s) || (s.p[s.n - 1] == '}' && span_find(s, SPAN("%{")) != SPAN_NONE);
}

/* "0" or digits without a leading zero, at most `most`. */
static bool
take_bits(struct span text, unsigned most, uint8_t *bits)
{
	uint64_t value;

	if (text.n == 0 || text.n > 3 || (text.n > 1 && text.p[0] == '0') || !span_u64(text, &value) || value > most)
		return false;
	*bits = (uint8_t)value;
	return true;
}

/* [ "/" n ] [ "//" n ] behind a domain-spec; what stands before it is left in `*spec`. */
static bool
take_dual_bits(struct span *spec, struct spf_term *term)
{
	size_t slash = SPAN_NONE;

	term->bits4 = 32;
	term->bits6 = 128;
	for (size_t i = 0; i < spec->n && slash == SPAN_NONE; i++) {  /* a slash inside %{...} is a delimiter */
		if (spec->p[i] == '%' && i + 1 < spec->n && spec->p[i + 1] == '{')
			while (i < spec->n && spec->p[i] != '}')
				i++;
		else if (spec->p[i] == '/' && i + 1 < spec->n && (spec->p[i + 1] == '/' || is_digit(spec->p[i + 1])))
			slash = i;
		else if (spec->p[i] == '/' && i + 1 == spec->n)
			return false;
	}
	if (slash == SPAN_NONE)
		return true;
	struct span tail = span_from(*spec, slash);
	size_t six = span_find(tail, SPAN("//"));
	struct span four = six == SPAN_NONE ? tail : span_head(tail, six);

	*spec = span_head(*spec, slash);
	if (four.n > 0 && !take_bits(span_from(four, 1), 32, &term->bits4))
		return false;
	return six == SPAN_NONE || take_bits(span_from(tail, six + 2), 128, &term->bits6);
}

static bool
take_net(struct span text, int family, struct net *net)
{
	struct span rest = text, address = span_cut(&rest, '/');
	bool slash = address.n < text.n;

	net->bits = family == AF_INET ? 32 : 128;
	if (slash && !take_bits(rest, net->bits, &net->bits))
		return false;
	if (span_find_char(address, '[') != SPAN_NONE || span_starts_nocase(address, SPAN("ipv6:")))
		return false;
	if (!ip_parse(address, &net->ip))
		return false;
	if (family == AF_INET6 && net->ip.family == AF_INET && span_find_char(address, ':') != SPAN_NONE) {
		net->bits = net->bits < 96 ? 0 : (uint8_t)(net->bits - 96);      /* ::ffff:192.0.2.1 */
		return true;
	}
	return net->ip.family == family;
}

static bool
parse_mechanism(struct span text, struct spf_term *term)
{
	static const struct { char sign; enum spf_result result; } qualifiers[] = {
		{ '+', SPF_PASS }, { '-', SPF_FAIL }, { '?', SPF_NEUTRAL }, { '~', SPF_SOFTFAIL },
	};

	term->match = SPF_PASS;
	for (size_t i = 0; i < sizeof qualifiers / sizeof *qualifiers; i++)
		if (text.n > 0 && text.p[0] == qualifiers[i].sign) {
			term->match = qualifiers[i].result;
			text = span_from(text, 1);
			break;
		}
	size_t end = 0, known = 0;

	while (end < text.n && text.p[end] != ':' && text.p[end] != '/')
		end++;
	struct span name = span_head(text, end), spec = span_from(text, end);
	bool colon = spec.n > 0 && spec.p[0] == ':';

	while (known < sizeof mechanisms / sizeof *mechanisms && !span_eq_nocase(name, span_of(mechanisms[known].name)))
		known++;
	if (known == sizeof mechanisms / sizeof *mechanisms)
		return false;
	term->what = mechanisms[known].what;
	if (colon)
		spec = span_from(spec, 1);
	switch (term->what) {
	case SPF_ALL:
		return !colon && spec.n == 0;
	case SPF_IP4:
		return colon && take_net(spec, AF_INET, &term->net);
	case SPF_IP6:
		return colon && take_net(spec, AF_INET6, &term->net);
	case SPF_A:
	case SPF_MX:
		if (!take_dual_bits(&spec, term))
			return false;
		break;
	case SPF_INCLUDE:
	case SPF_EXISTS:
		if (!colon)
			return false;
		break;
	case SPF_PTR:
		if (!colon && spec.n > 0)
			return false;
		break;
	}
	term->spec = spec;
	return colon ? is_domain_spec(spec) : spec.n == 0;
}

/* name=value; the name begins with a letter. */
static bool
parse_modifier(struct span name, struct span value, struct spf_record *out)
{
	if (span_eq_nocase(name, SPAN("redirect")) || span_eq_nocase(name, SPAN("exp"))) {
		struct span *to = span_eq_nocase(name, SPAN("exp")) ? &out->explanation : &out->redirect;

		if (to->n > 0 || !is_domain_spec(value))
			return false;
		*to = value;
		return true;
	}
	return spf_macros_valid(value, false);       /* unknown ones are ignored, if well formed */
}

/* Is it a modifier? Its name is letters, digits, "-", "_" and "." up to a "=". */
static bool
is_modifier(struct span term, size_t *equals)
{
	size_t i = 0;

	if (term.n == 0 || !is_alpha(term.p[0]))
		return false;
	while (i < term.n && (ascii_alnum(term.p[i]) || term.p[i] == '-' || term.p[i] == '_' || term.p[i] == '.'))
		i++;
	*equals = i;
	return i < term.n && term.p[i] == '=';
}

bool
spf_record_parse(struct arena *a, struct span text, struct spf_record *out)
{
	struct span rest = span_from(text, 6);       /* "v=spf1" */
	size_t room = 1, equals;

	*out = (struct spf_record){ 0 };
	if (text.n > MAX_SPF_RECORD)
		return false;
	for (size_t i = 0; i < text.n; i++) {
		if ((unsigned char)text.p[i] < 0x20 || (unsigned char)text.p[i] > 0x7e)
			return false;
		room += text.p[i] == ' ';
	}
	out->terms = ARENA_ARRAY(a, struct spf_term, room);
	while (rest.n > 0) {
		struct span term = span_cut(&rest, ' ');

		if (term.n == 0)
			continue;
		if (is_modifier(term, &equals)) {
			if (!parse_modifier(span_head(term, equals), span_from(term, equals + 1), out))
				return false;
		} else if (!parse_mechanism(term, &out->terms[out->count++])) {
			return false;
		}
	}
	return true;
}
