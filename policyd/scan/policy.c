#include "policyd/scan/policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "policyd/base/utf8.h"

const char *const outcome_names[OUT__COUNT] = {
	[OUT_DELIVER] = "deliver", [OUT_TAG] = "tag", [OUT_QUARANTINE] = "quarantine",
	[OUT_DISCARD] = "discard", [OUT_REJECT] = "reject", [OUT_DEFER] = "defer",
};
const char *const dnsbl_mode_names[DNSBL_MODE__COUNT] = {
	[DNSBL_MODE_OFF] = "off", [DNSBL_MODE_SCORE] = "score", [DNSBL_MODE_REJECT] = "reject",
};
const char *const policy_level_names[LEVEL__COUNT] = {
	[LEVEL_DEFAULT] = "default", [LEVEL_TIER] = "tier", [LEVEL_CUSTOMER] = "customer", [LEVEL_WILDCARD] = "wildcard",
	[LEVEL_DOMAIN] = "domain", [LEVEL_MAILBOX] = "mailbox", [LEVEL_EXTENSION] = "extension",
};

#define AT(field) offsetof(struct policy, field), sizeof(((struct policy *)0)->field)
#define ANY_CLASS (1u << OUT_DELIVER | 1u << OUT_TAG | 1u << OUT_QUARANTINE | 1u << OUT_DISCARD | 1u << OUT_REJECT)

const struct policy_field policy_fields[] = {
	{ "filter", FIELD_BOOL, AT(filter), 0, "false: no filtering at all for this recipient", MERGE_NEAREST },
	{ "tag", FIELD_POINTS, AT(tag), 0, "points from which mail is tagged, or off", MERGE_NEAREST },
	{ "quarantine", FIELD_POINTS, AT(quarantine), 0, "points from which mail is quarantined, or off", MERGE_NEAREST },
	{ "discard", FIELD_POINTS, AT(discard), 0, "points from which top_action is taken, or off", MERGE_NEAREST },
	{ "top_action", FIELD_OUTCOME, AT(top_action), 1u << OUT_DISCARD | 1u << OUT_REJECT, "at `discard`: discard or reject", MERGE_NEAREST },
	{ "reject_fallback", FIELD_OUTCOME, AT(reject_fallback), 1u << OUT_QUARANTINE | 1u << OUT_DISCARD,
	    "instead of a reject that other recipients of the mail do not share", MERGE_NEAREST },
	{ "keep_rejected", FIELD_BOOL, AT(keep_rejected), 0, "a copy of what is rejected after its data is kept in the quarantine", MERGE_NEAREST },
	{ "release_link", FIELD_BOOL, AT(release_link), 0, "such a rejection tells the sender a link by which to ask for that copy", MERGE_NEAREST },
	{ "virus", FIELD_OUTCOME, AT(virus), ANY_CLASS, "action on a virus", MERGE_NEAREST },
	{ "phish", FIELD_OUTCOME, AT(phish), ANY_CLASS, "action on phishing", MERGE_NEAREST },
	{ "banned", FIELD_OUTCOME, AT(banned), ANY_CLASS, "action on banned attachments", MERGE_NEAREST },
	{ "banned_types", FIELD_TYPES, AT(banned_types), 0,
	    "extensions and real types that are banned, in archives too; -exe takes back what a level above bans", MERGE_ADD },
	{ "strip", FIELD_BOOL, AT(strip), 0, "banned files are replaced by a note, the mail as it came is kept; where that cannot be done: `banned`",
	    MERGE_NEAREST },
	{ "bulk", FIELD_OUTCOME, AT(bulk), ANY_CLASS, "action on bulk mail", MERGE_NEAREST },
	{ "outbound", FIELD_OUTCOME, AT(outbound), 1u << OUT_DELIVER | 1u << OUT_QUARANTINE | 1u << OUT_DISCARD | 1u << OUT_REJECT,
	    "action on mail that his own users send out and that would be quarantined here", MERGE_NEAREST },
	{ "blocked", FIELD_OUTCOME, AT(blocked), ANY_CLASS, "action on mail of senders on a block list", MERGE_NEAREST },
	{ "unscannable", FIELD_OUTCOME, AT(unscannable), ANY_CLASS | 1u << OUT_DEFER, "action on what cannot be scanned", MERGE_NEAREST },
	{ "scan_failed", FIELD_OUTCOME, AT(scan_failed), 1u << OUT_DEFER | 1u << OUT_QUARANTINE | 1u << OUT_TAG | 1u << OUT_DELIVER,
	    "action while the scanner itself is at fault (no clamd, no database)", MERGE_NEAREST },
	{ "spf_fail", FIELD_OUTCOME, AT(spf_fail), 1u << OUT_DELIVER | 1u << OUT_REJECT,
	    "reject: refuse at RCPT a client that the sender's domain rules out (SPF fail); deliver: points only", MERGE_NEAREST },
	{ "dmarc_reject", FIELD_OUTCOME, AT(dmarc_reject), ANY_CLASS, "action on what fails DMARC where the domain asks for reject", MERGE_NEAREST },
	{ "dmarc_quarantine", FIELD_OUTCOME, AT(dmarc_quarantine), ANY_CLASS, "the same where it asks for quarantine", MERGE_NEAREST },
	{ "dnsbl", FIELD_DNSBL, AT(dnsbl), 0, "DNS lists: reject at RCPT, score, or off", MERGE_NEAREST },
	{ "dnsbl_threshold", FIELD_POINTS, AT(dnsbl_threshold), 0, "points of DNS lists from which dnsbl=reject refuses", MERGE_NEAREST },
	{ "subject_tag", FIELD_TEXT, AT(subject_tag), 0, "text before the subject of tagged mail; empty: none", MERGE_NEAREST },
	{ "folder", FIELD_TEXT, AT(folder), 0, "tagged mail goes to user+FOLDER@domain; empty: where it was sent", MERGE_NEAREST },
	{ "own_model", FIELD_BOOL, AT(own_model), 0, "the customer's own lessons beside everybody's", MERGE_NEAREST },
	{ "mailbox_model", FIELD_BOOL, AT(mailbox_model), 0, "the mailbox' own lessons on top: what its owner says stays his", MERGE_NEAREST },
	{ "retention_days", FIELD_DAYS, AT(retention_days), 0, "days that quarantined mail is kept", MERGE_NEAREST },
	{ "limit_account", FIELD_LIMITS, AT(limit_account), 0,
	    "what a login may send: messages=200/h:50 recipients=1000/d distinct=300/d bytes=2G/d, each or off; :50 at once", MERGE_NEAREST },
	{ "limit_domain", FIELD_LIMITS, AT(limit_domain), 0, "the same for all that a domain's users send together", MERGE_NEAREST },
	{ "limit_customer", FIELD_LIMITS, AT(limit_customer), 0, "for all that a customer's users send together", MERGE_NEAREST },
	{ "limit_mailbox", FIELD_LIMITS, AT(limit_mailbox), 0, "for what comes to a mailbox", MERGE_NEAREST },
	{ "limit_network", FIELD_LIMITS, AT(limit_network), 0, "for what one client network (/24, /64) brings", MERGE_NEAREST },
	{ "limit_action", FIELD_OUTCOME, AT(limit_action), 1u << OUT_DEFER | 1u << OUT_REJECT | 1u << OUT_QUARANTINE,
	    "over a limit: defer, reject, or quarantine (held)", MERGE_NEAREST },
	{ "warmup_days", FIELD_NUMBER, AT(warmup_days), 365, "days in which limit_account grows from a tenth to the whole, 0: none", MERGE_NEAREST },
	{ "created", FIELD_DATE, AT(created_day), 0, "day the account was made, for warmup_days; off: when it was first seen", MERGE_NEAREST },
	{ "bulk_sender", FIELD_BOOL, AT(bulk_sender), 0, "declared: sends to many; volume is then no sign of a stolen login", MERGE_NEAREST },
	{ "contain", FIELD_OUTCOME, AT(contain), 1u << OUT_DELIVER | 1u << OUT_DEFER | 1u << OUT_REJECT | 1u << OUT_QUARANTINE,
	    "mail of a login that somebody else seems to use: quarantine (held), defer (a trickle passes), reject, deliver (only tell)", MERGE_NEAREST },
	{ "contain_hours", FIELD_NUMBER, AT(contain_hours), 8760, "hours until that ends by itself, 0: never", MERGE_NEAREST },
};
const size_t policy_field_count = sizeof policy_fields / sizeof *policy_fields;

const struct policy_field *
policy_field_find(struct span name)
{
	for (size_t i = 0; i < policy_field_count; i++)
		if (span_eq(name, span_of(policy_fields[i].name)))
			return &policy_fields[i];
	return NULL;
}

static bool
parse_points(struct span value, double *points)
{
	char text[32], *end;

	if (span_eq_nocase(value, SPAN("off"))) {
		*points = THRESHOLD_OFF;
		return true;
	}
	if (value.n == 0 || value.n >= sizeof text)
		return false;
	memcpy(text, value.p, value.n);
	text[value.n] = '\0';
	*points = strtod(text, &end);
	return *end == '\0' && isfinite(*points) && fabs(*points) <= 10000;
}

static bool
parse_bool(struct span value, uint8_t *to)
{
	static const struct { const char *word; uint8_t value; } words[] = {
		{ "true", 1 }, { "false", 0 }, { "on", 1 }, { "off", 0 }, { "yes", 1 }, { "no", 0 }, { "1", 1 }, { "0", 0 },
	};

	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (span_eq_nocase(value, span_of(words[i].word))) {
			*to = words[i].value;
			return true;
		}
	return false;
}

static bool
parse_name(struct span value, const char *const *names, size_t count, unsigned allowed, uint8_t *to)
{
	for (size_t i = 0; i < count; i++)
		if ((allowed >> i & 1) && span_eq_nocase(value, span_of(names[i]))) {
			*to = (uint8_t)i;
			return true;
		}
	return false;
}

/* "discard or reject", for the error message. */
static void
list_names(const char *const *names, size_t count, unsigned allowed, char *to, size_t room)
{
	size_t n = 0;

	to[0] = '\0';
	for (size_t i = 0; i < count; i++)
		if ((allowed >> i & 1) && n < room)
			n += (size_t)snprintf(to + n, room - n, "%s%s", n ? " | " : "", names[i]);
}

static bool
text_good(struct span value, size_t room)
{
	if (value.n >= room || !utf8_valid(value))
		return false;
	for (size_t i = 0; i < value.n; i++)
		if ((unsigned char)value.p[i] < 0x20 || value.p[i] == 0x7f)
			return false;
	return true;
}

/* It becomes part of an address. */
static bool
folder_good(struct span value)
{
	for (size_t i = 0; i < value.n; i++)
		if (!ascii_alnum(value.p[i]) && strchr("-_.", value.p[i]) == NULL)
			return false;
	return value.n == 0 || value.p[value.n - 1] != '.';
}

static bool
types_good(struct span value, size_t room)
{
	if (value.n >= room)
		return false;
	while (value.n > 0) {
		struct span word = span_cut(&value, ' ');

		if (word.n > 0 && word.p[0] == '-')
			word = span_from(word, 1);
		for (size_t i = 0; i < word.n; i++)
			if (!ascii_alnum(word.p[i]) && (i == 0 || strchr("/+-_.", word.p[i]) == NULL))
				return false;
	}
	return true;
}

static bool
parse_date(struct span value, uint32_t *day)
{
	struct tm tm = { 0 };
	char text[16];

	*day = 0;
	if (span_eq(value, SPAN("off")))
		return true;
	snprintf(text, sizeof text, SPAN_FMT, SPAN_ARG(span_head(value, 15)));
	const char *end = strptime(text, "%Y-%m-%d", &tm);

	if (end == NULL || *end || tm.tm_year < 70 || tm.tm_year > 200)
		return false;
	*day = (uint32_t)(timegm(&tm) / 86400);
	return true;
}

static void
print_date(uint32_t day, char *to, size_t room)
{
	time_t s = (time_t)day * 86400;
	struct tm tm;

	if (day == 0 || strftime(to, room, "%Y-%m-%d", gmtime_r(&s, &tm)) == 0)
		snprintf(to, room, "off");
}

bool
policy_field_parse(struct policy *p, const struct policy_field *field, struct span value, char *why, size_t room)
{
	char *at = (char *)p + field->offset, expected[128] = "";
	char limits_why[256];
	uint64_t days;

	switch (field->kind) {
	case FIELD_POINTS:
		if (parse_points(value, (double *)at))
			return true;
		snprintf(expected, sizeof expected, "a number of points (at most 10000) or off");
		break;
	case FIELD_BOOL:
		if (parse_bool(value, (uint8_t *)at))
			return true;
		snprintf(expected, sizeof expected, "true or false");
		break;
	case FIELD_OUTCOME:
		if (parse_name(value, outcome_names, OUT__COUNT, field->outcomes, (uint8_t *)at))
			return true;
		list_names(outcome_names, OUT__COUNT, field->outcomes, expected, sizeof expected);
		break;
	case FIELD_DNSBL:
		if (parse_name(value, dnsbl_mode_names, DNSBL_MODE__COUNT, ~0u, (uint8_t *)at))
			return true;
		list_names(dnsbl_mode_names, DNSBL_MODE__COUNT, ~0u, expected, sizeof expected);
		break;
	case FIELD_TEXT:
		if (text_good(value, field->size) && (field->offset != offsetof(struct policy, folder) || folder_good(value))) {
			memset(at, 0, field->size);      /* equal policies are equal bytes */
			memcpy(at, value.p ? value.p : "", value.n);
			return true;
		}
		snprintf(expected, sizeof expected, "at most %zu bytes of %s", field->size - 1,
		    field->offset == offsetof(struct policy, folder) ? "letters, digits, - _ and ." : "UTF-8 without control characters");
		break;
	case FIELD_TYPES:
		if (types_good(value, field->size)) {
			memset(at, 0, field->size);
			memcpy(at, value.p ? value.p : "", value.n);
			return true;
		}
		snprintf(expected, sizeof expected, "extensions without a dot (\"exe\") or types (\"application/x-dosexec\"), %zu bytes at most",
		    field->size - 1);
		break;
	case FIELD_DAYS:
		if (span_u64(value, &days) && days >= 1 && days <= 3650) {
			*(uint32_t *)(void *)at = (uint32_t)days;
			return true;
		}
		snprintf(expected, sizeof expected, "1 to 3650 days");
		break;
	case FIELD_NUMBER:
		if (span_u64(value, &days) && days <= field->outcomes) {
			*(uint32_t *)(void *)at = (uint32_t)days;
			return true;
		}
		snprintf(expected, sizeof expected, "0 to %u", field->outcomes);
		break;
	case FIELD_DATE:
		if (parse_date(value, (uint32_t *)(void *)at))
			return true;
		snprintf(expected, sizeof expected, "a day as 2026-12-31, or off");
		break;
	case FIELD_LIMITS:
		if (limits_parse(value, (struct limit *)(void *)at, limits_why, sizeof limits_why))
			return true;
		snprintf(why, room, "%s: %s", field->name, limits_why);
		return false;
	}
	snprintf(why, room, "%s: \"" SPAN_FMT "\" is not good; expected %s", field->name, SPAN_ARG(span_head(value, 60)), expected);
	return false;
}

void
policy_field_print(const struct policy *p, const struct policy_field *field, char *to, size_t room)
{
	const char *at = (const char *)p + field->offset;
	double points;
	uint32_t days;

	switch (field->kind) {
	case FIELD_POINTS:
		memcpy(&points, at, sizeof points);
		if (isfinite(points))
			snprintf(to, room, "%g", points);
		else
			snprintf(to, room, "off");
		break;
	case FIELD_BOOL:
		snprintf(to, room, "%s", *at ? "true" : "false");
		break;
	case FIELD_OUTCOME:
		snprintf(to, room, "%s", outcome_names[(uint8_t)*at]);
		break;
	case FIELD_DNSBL:
		snprintf(to, room, "%s", dnsbl_mode_names[(uint8_t)*at]);
		break;
	case FIELD_TEXT:
	case FIELD_TYPES:
		snprintf(to, room, "%s", at);
		break;
	case FIELD_DAYS:
	case FIELD_NUMBER:
		memcpy(&days, at, sizeof days);
		snprintf(to, room, "%u", days);
		break;
	case FIELD_DATE:
		memcpy(&days, at, sizeof days);
		print_date(days, to, room);
		break;
	case FIELD_LIMITS:
		limits_print((const struct limit *)(const void *)at, to, room);
		break;
	}
}

int
outcome_rank(enum outcome outcome)
{
	static const int rank[OUT__COUNT] = {
		[OUT_DELIVER] = 0, [OUT_TAG] = 1, [OUT_QUARANTINE] = 2, [OUT_DISCARD] = 3, [OUT_REJECT] = 4, [OUT_DEFER] = 5,
	};

	return rank[outcome];
}

/* The words of `more` that `words` has not, behind it; what has no room stays away. */
static void
add_words(char *words, size_t room, const char *more)
{
	struct span rest = span_of(more);

	while (rest.n > 0) {
		struct span word = span_cut(&rest, ' '), had = span_of(words);
		bool known = word.n == 0;

		while (had.n > 0 && !known)
			known = span_eq_nocase(span_cut(&had, ' '), word);
		size_t n = strlen(words);

		if (!known && n + (n > 0) + word.n < room)
			snprintf(words + n, room - n, "%s" SPAN_FMT, n ? " " : "", SPAN_ARG(word));
	}
}

void
policy_field_merge(struct policy *p, const struct policy_field *field, const struct policy *from)
{
	char *to = (char *)p + field->offset;

	if (field->merge == MERGE_ADD)
		add_words(to, field->size, (const char *)from + field->offset);
	else if (field->kind == FIELD_LIMITS)
		limits_merge((struct limit *)(void *)to, (const struct limit *)(const void *)((const char *)from + field->offset));
	else
		memcpy(to, (const char *)from + field->offset, field->size);
}

static double
field_number(const struct policy_field *field, const struct policy *p)
{
	const char *at = (const char *)p + field->offset;
	uint32_t days;
	double points;

	switch (field->kind) {
	case FIELD_POINTS:
		memcpy(&points, at, sizeof points);
		return points;
	case FIELD_DAYS:
	case FIELD_NUMBER:
	case FIELD_DATE:
		memcpy(&days, at, sizeof days);
		return days;
	case FIELD_OUTCOME:
		return outcome_rank((enum outcome)*at);
	case FIELD_BOOL:
	case FIELD_DNSBL:
		return *at;
	case FIELD_TEXT:
	case FIELD_TYPES:
	case FIELD_LIMITS:
		break;
	}
	return 0;
}

static const struct limit *
limits_of(const struct policy *p, const struct policy_field *field)
{
	return (const struct limit *)(const void *)((const char *)p + field->offset);
}

int
policy_field_compare(const struct policy_field *field, const struct policy *a, const struct policy *b)
{
	double x = field_number(field, a), y = field_number(field, b);

	if (field->kind == FIELD_LIMITS)
		return limits_compare(limits_of(a, field), limits_of(b, field));
	return (x > y) - (x < y);
}

bool
policy_field_bound(struct policy *p, const struct policy_field *field, const struct policy *least, const struct policy *most)
{
	char *at = (char *)p + field->offset;

	if (field->kind == FIELD_LIMITS) {
		struct limit *limits = (struct limit *)(void *)at;
		bool raised = least && limits_bound(limits, limits_of(least, field), true);

		return (most && limits_bound(limits, limits_of(most, field), false)) || raised;
	}
	const struct policy *bound = least && policy_field_compare(field, p, least) < 0 ? least :
	    most && policy_field_compare(field, p, most) > 0 ? most : NULL;

	if (bound)
		memcpy(at, (const char *)bound + field->offset, field->size);
	return bound != NULL;
}

/* Low points are careful, and so are high outcomes and a filter that is on. */
void
policy_strictest(struct policy *p, const struct policy *other)
{
	for (size_t i = 0; i < policy_field_count; i++) {
		const struct policy_field *field = &policy_fields[i];
		int order = policy_field_compare(field, other, p);

		if (field->merge == MERGE_ADD)
			policy_field_merge(p, field, other);
		else if (field->kind == FIELD_LIMITS)
			policy_field_bound(p, field, NULL, other);
		else if (field->kind == FIELD_POINTS ? order < 0 : order > 0)
			memcpy((char *)p + field->offset, (const char *)other + field->offset, field->size);
	}
}

void
policy_outbound(struct policy *p)
{
	uint8_t *const classes[] = { &p->virus, &p->phish, &p->banned, &p->bulk, &p->unscannable };
	double limit = isfinite(p->quarantine) ? p->quarantine : p->discard;

	p->tag = p->quarantine = p->discard = THRESHOLD_OFF;
	if (p->outbound == OUT_QUARANTINE)
		p->quarantine = limit;
	else if (p->outbound != OUT_DELIVER)
		p->discard = limit;
	if (p->outbound == OUT_DISCARD || p->outbound == OUT_REJECT)
		p->top_action = p->outbound;
	for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
		if (*classes[i] == OUT_QUARANTINE && p->outbound != OUT_DELIVER)
			*classes[i] = p->outbound;
	p->dnsbl = DNSBL_MODE_OFF;
	p->spf_fail = p->dmarc_reject = p->dmarc_quarantine = OUT_DELIVER;
	memset(p->subject_tag, 0, sizeof p->subject_tag);
	memset(p->folder, 0, sizeof p->folder);
	memset(p->lists, 0, sizeof p->lists);
}

bool
policy_check(const struct policy *p, char *why, size_t room)
{
	const struct { const char *name; double points; } steps[] = {
		{ "tag", p->tag }, { "quarantine", p->quarantine }, { "discard", p->discard },
	};

	for (int i = 0; i < 3; i++)
		for (int k = i + 1; k < 3; k++)
			if (isfinite(steps[i].points) && isfinite(steps[k].points) && steps[i].points >= steps[k].points) {
				snprintf(why, room, "%s=%g must be below %s=%g", steps[i].name, steps[i].points, steps[k].name,
				    steps[k].points);
				return false;
			}
	return true;
}

void
policy_default(struct policy *p)
{
	memset(p, 0, sizeof *p);
	p->filter = 1;
	p->tag = 4;
	p->quarantine = 7;
	p->discard = 15;
	p->dnsbl_threshold = 6;
	p->dnsbl = DNSBL_MODE_REJECT;
	p->top_action = OUT_DISCARD;
	p->reject_fallback = OUT_QUARANTINE;
	p->virus = OUT_QUARANTINE;
	p->phish = OUT_QUARANTINE;
	p->blocked = OUT_REJECT;
	p->outbound = OUT_REJECT;
	p->banned = OUT_QUARANTINE;
	p->bulk = OUT_DELIVER;
	p->unscannable = OUT_QUARANTINE;
	p->scan_failed = OUT_DEFER;
	p->spf_fail = OUT_DELIVER;
	p->dmarc_reject = OUT_QUARANTINE;
	p->dmarc_quarantine = OUT_TAG;
	/* What runs when it is opened and what hardly anybody sends for another purpose. */
	snprintf(p->banned_types, sizeof p->banned_types, "exe com scr pif cpl bat cmd vbs vbe js jse wsf wsh hta lnk chm msi jar scf url "
	    "ps1 reg");
	p->retention_days = 14;
	/* Off but for one: what nobody at a keyboard needs, and a stolen login would use up in seconds. Whoever sends more is a
	   declared sender with a limit of his own. Incoming mail has no limit that nobody asked for. */
	p->limit_account[MEASURE_MESSAGES] = (struct limit){ 1000, 3600, 1000 };
	p->limit_account[MEASURE_RECIPIENTS] = (struct limit){ 2000, 3600, 2000 };
	p->limit_action = OUT_DEFER;
	p->contain = OUT_QUARANTINE;         /* nothing is lost, and a mistake is put right by a release */
	p->contain_hours = 24;
}
