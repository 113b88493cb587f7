#include "policyd/auth/dmarc.h"

#include "policyd/auth/taglist.h"
#include "policyd/mail/parse.h"

/* ---- the record ---- */

static bool
read_policy(const struct taglist *tags, const char *name, enum dmarc_policy *to)
{
	const struct tag *tag = taglist_find(tags, name);

	for (int i = 0; tag && i < DMARC_P__COUNT; i++)
		if (span_eq_nocase(tag->value, span_of(dmarc_policy_names[i]))) {
			*to = (enum dmarc_policy)i;
			return true;
		}
	return false;
}

static bool
is_strict(const struct taglist *tags, const char *name)
{
	return span_eq_nocase(taglist_get(tags, name), SPAN("s"));
}

bool
dmarc_record_parse(struct span text, struct dmarc_record *out)
{
	const struct tag *pct;
	struct taglist tags;
	uint64_t percent;

	*out = (struct dmarc_record){ .pct = 100 };
	if (text.n > MAX_KEY_RECORD)
		return false;
	taglist_read(text, &tags);
	if (tags.count == 0 || !span_eq(tags.at[0].name, SPAN("v")) || !span_eq(tags.at[0].value, SPAN("DMARC1")))
		return false;
	/* 6.6.3: where p= is missing or no policy, but reports are wanted, it is "none". */
	if (!read_policy(&tags, "p", &out->p) && !taglist_find(&tags, "rua"))
		return false;
	out->sp = out->p;
	read_policy(&tags, "sp", &out->sp);
	out->np = out->sp;
	read_policy(&tags, "np", &out->np);
	out->strict_dkim = is_strict(&tags, "adkim");
	out->strict_spf = is_strict(&tags, "aspf");
	if ((pct = taglist_find(&tags, "pct")) != NULL && span_u64(pct->value, &percent) && percent <= 100)
		out->pct = (unsigned)percent;
	return true;
}

/* ---- where it stands ---- */

struct lookup {
	enum rr_status status;               /* RR_NONE: no record; RR_UNKNOWN; RR_PENDING */
	bool bad;                            /* there is one, and it cannot be read */
	struct dmarc_record record;
};

/* The one record at a name. Several are none (6.6.3). */
static struct lookup
record_at(struct arena *a, struct answers *dns, struct span domain)
{
	struct rr_answer txt = dns->look(dns, RR_TXT, arena_printf(a, "_dmarc." SPAN_FMT, SPAN_ARG(domain)));
	struct lookup found = { .status = txt.status == RR_FOUND ? RR_NONE : txt.status };
	size_t count = 0;

	for (size_t i = 0; txt.status == RR_FOUND && i < txt.count; i++) {
		struct span text = txt.at[i].text;
		struct span version = span_trim(span_cut(&text, ';'));
		struct span value = version, name = span_trim(span_cut(&value, '='));

		if (!span_eq(name, SPAN("v")) || !span_eq(span_trim(value), SPAN("DMARC1")))
			continue;
		count++;
		found.bad = !dmarc_record_parse(txt.at[i].text, &found.record);
	}
	if (count == 1)
		found.status = RR_FOUND;
	return found;
}

/* RFC 9091, 2.7: neither addresses nor an MX. Asked only where a record might have a policy for that. */
static bool
is_nowhere(struct answers *dns, struct span domain, bool *pending)
{
	static const enum rr_type types[] = { RR_MX, RR_A, RR_AAAA };
	bool none = true;

	for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
		enum rr_status status = dns->look(dns, types[i], domain).status;

		*pending |= status == RR_PENDING;
		none &= status == RR_NONE;
	}
	return none;
}

/* ---- whose the mail is ---- */

static bool
is_aligned(struct span domain, struct span author, bool strict)
{
	if (domain.n == 0 || author.n == 0)
		return false;
	return span_eq(domain, author) || (!strict && span_eq(domain_registrable(domain), domain_registrable(author)));
}

/* Does a passing identity stand behind that author? `*unknown`: one that would may pass, but DNS did not say. */
static bool
is_proved(struct auth *out, struct span author, const struct dmarc_record *record, bool *unknown)
{
	struct span spf = span_of(out->sender.spf_domain);
	bool proved = false;

	if (out->sender.asked && is_aligned(spf, author, record->strict_spf)) {
		out->spf_aligned = out->sender.spf == SPF_PASS;
		proved |= out->sender.spf == SPF_PASS;
		*unknown |= out->sender.spf == SPF_TEMPERROR;
	}
	for (size_t i = 0; i < out->dkim_count; i++) {
		struct auth_dkim *d = &out->dkim[i];

		if (!is_aligned(span_of(d->domain), author, record->strict_dkim))
			continue;
		d->aligned = d->result == DKIM_PASS;
		proved |= d->result == DKIM_PASS;
		*unknown |= d->result == DKIM_TEMPERROR;
	}
	return proved;
}

struct claim {                               /* of one author */
	enum dmarc_result result;
	enum dmarc_policy policy, applies;
	struct span domain, org, found_at;
};

/* One step down for those whom pct= leaves out (6.6.4). */
static enum dmarc_policy
by_share(enum dmarc_policy policy, unsigned pct, unsigned lot)
{
	return policy == DMARC_P_NONE || lot < pct ? policy : (enum dmarc_policy)(policy - 1);
}

static bool
check_author(struct arena *a, struct answers *dns, struct span domain, unsigned lot, struct auth *out, struct claim *claim)
{
	struct span org = domain_registrable(domain);
	bool below = !span_eq(org, domain), pending = false, unknown = false, nowhere = false;
	struct lookup own = record_at(a, dns, domain), upper = { .status = RR_NONE };

	*claim = (struct claim){ .domain = domain, .org = org, .found_at = domain };
	if (below) {                         /* asked side by side */
		upper = record_at(a, dns, org);
		nowhere = is_nowhere(dns, domain, &pending);
	}
	if (own.status == RR_PENDING || upper.status == RR_PENDING || pending)
		return false;
	struct lookup *used = own.status == RR_NONE ? &upper : &own;

	if (used->status == RR_NONE)
		return true;
	if (used->status == RR_UNKNOWN || used->bad) {
		claim->result = used->bad ? DMARC_PERMERROR : DMARC_TEMPERROR;
		return true;
	}
	if (used == &upper)
		claim->found_at = org;
	claim->policy = used != &upper ? used->record.p : nowhere ? used->record.np : used->record.sp;
	if (is_proved(out, domain, &used->record, &unknown)) {
		claim->result = DMARC_PASS;
	} else if (!out->sender.asked) {     /* nobody has looked at the envelope: a signature may prove it, nothing can refute it */
		claim->result = DMARC_NONE;
	} else if (unknown) {
		claim->result = DMARC_TEMPERROR;
	} else {
		claim->result = DMARC_FAIL;
		claim->applies = by_share(claim->policy, used->record.pct, lot);
	}
	return true;
}

/* The distinct domains of all authors. */
static size_t
author_domains(struct arena *a, const struct header_list *headers, struct span to[DMARC_AUTHORS_MOST])
{
	size_t count = 0;

	for (size_t i = 0; i < headers->count; i++) {
		struct address *list;

		if (!span_eq_nocase(headers->at[i].name, SPAN("From")))
			continue;
		size_t n = addresses_parse(a, headers->at[i].raw, &list);

		for (size_t k = 0; k < n && count < DMARC_AUTHORS_MOST; k++) {
			struct span domain = list[k].domain.n > 0 ? host_clean(a, list[k].domain) : SPAN("");
			bool known = domain.n == 0 || domain.n > MAX_HOST_NAME - 10;

			for (size_t j = 0; j < count; j++)
				known |= span_eq(to[j], domain);
			if (!known)
				to[count++] = domain;
		}
	}
	return count;
}

/* The worse for the mail: a fail that asks for more, then any fail, then what cannot be told, then none, then a pass. */
static int
rank(const struct claim *c)
{
	static const int ranks[DMARC__COUNT] = {
		[DMARC_PASS] = 0, [DMARC_NONE] = 1, [DMARC_PERMERROR] = 2, [DMARC_TEMPERROR] = 3, [DMARC_FAIL] = 4,
	};

	return ranks[c->result] * 16 + (int)c->applies * 4 + (int)c->policy;
}

bool
dmarc_check(struct arena *a, struct answers *dns, const struct header_list *headers, unsigned lot, struct auth *out)
{
	struct span domains[DMARC_AUTHORS_MOST];
	struct claim worst = { .result = DMARC_NONE }, claim;
	size_t count = author_domains(a, headers, domains);
	bool pending = false;

	for (size_t i = 0; i < count; i++) {
		pending |= !check_author(a, dns, domains[i], lot, out, &claim);
		if (i == 0 || rank(&claim) > rank(&worst))
			worst = claim;
	}
	out->dmarc = (uint8_t)worst.result;
	out->dmarc_policy = (uint8_t)worst.policy;
	out->dmarc_applies = (uint8_t)worst.applies;
	auth_name(out->from_domain, sizeof out->from_domain, worst.domain);
	auth_name(out->org_domain, sizeof out->org_domain, worst.org);
	auth_name(out->dmarc_domain, sizeof out->dmarc_domain, worst.result == DMARC_NONE ? SPAN("") : worst.found_at);
	return !pending;
}
