#include "policyd/mail/date.h"

enum { TOKEN_MOST = 16 };

/* The next word outside of comments; blanks and commas are between them. */
static struct span
next_token(struct span *rest)
{
	size_t i = 0, start;
	int depth = 0;

	while (i < rest->n && (depth > 0 || ascii_space(rest->p[i]) || rest->p[i] == ',' || rest->p[i] == '(' || rest->p[i] == ')')) {
		depth += rest->p[i] == '(' ? 1 : rest->p[i] == ')' && depth > 0 ? -1 : 0;
		i++;
	}
	for (start = i; i < rest->n && !ascii_space(rest->p[i]) && rest->p[i] != ',' && rest->p[i] != '(';)
		i++;
	struct span token = span_make(rest->p + start, i - start);

	*rest = span_from(*rest, i);
	return token;
}

static bool
number(struct span text, uint64_t most, int *value)
{
	uint64_t v;

	if (!span_u64(text, &v) || v > most)
		return false;
	*value = (int)v;
	return true;
}

/* "Nov", "November": 1 to 12; 0: none */
static int
month_of(struct span text)
{
	static const char names[] = "janfebmaraprmayjunjulaugsepoctnovdec";

	for (int i = 0; i < 12 && text.n >= 3; i++)
		if (span_eq_nocase(span_head(text, 3), span_make(names + 3 * i, 3)))
			return i + 1;
	return 0;
}

/* "10:11", "10:11:12" */
static bool
time_of_day(struct span text, int *seconds)
{
	struct span hour = span_cut(&text, ':'), minute = span_cut(&text, ':');
	int h, m, s = 0;

	if (!number(hour, 23, &h) || !number(minute, 59, &m) || (text.n > 0 && !number(text, 60, &s)))
		return false;
	*seconds = h * 3600 + m * 60 + s;
	return true;
}

/* "+0130" in seconds east of Greenwich; names of the RFC; what is not known is UTC, as the RFC has it. */
static int
zone_of(struct span text)
{
	static const struct { const char *name; int hours; } zones[] = { { "EST", -5 }, { "EDT", -4 }, { "CST", -6 }, { "CDT", -5 },
		{ "MST", -7 }, { "MDT", -6 }, { "PST", -8 }, { "PDT", -7 } };
	int hhmm;

	if (text.n == 5 && (text.p[0] == '+' || text.p[0] == '-') && number(span_from(text, 1), 9959, &hhmm))
		return (hhmm / 100 * 3600 + hhmm % 100 * 60) * (text.p[0] == '-' ? -1 : 1);
	for (size_t i = 0; i < sizeof zones / sizeof *zones; i++)
		if (span_eq_nocase(text, span_of(zones[i].name)))
			return zones[i].hours * 3600;
	return 0;
}

/* Days since 1970-01-01 of a date in the Gregorian calendar: years are counted from March, so that the leap day is last. */
static int64_t
days_of(int year, int month, int day)
{
	int64_t y = year - (month < 3), era = y / 400, of_era = y - era * 400;
	int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

bool
date_parse(struct span text, int64_t *unix_s)
{
	static const int lengths[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	struct span token = next_token(&text), month;
	int day, year, seconds, m;

	if (token.n > 0 && token.n < TOKEN_MOST && (token.p[0] < '0' || token.p[0] > '9'))
		token = next_token(&text);           /* the weekday */
	month = next_token(&text);
	m = month_of(month);
	struct span years = next_token(&text);

	if (!number(token, 31, &day) || day == 0 || m == 0 || day > lengths[m - 1] || !number(years, 9999, &year))
		return false;
	if (years.n == 2)
		year += year < 50 ? 2000 : 1900;
	else if (years.n == 3)
		year += 1900;
	if (year < 1900 || !time_of_day(next_token(&text), &seconds))
		return false;
	*unix_s = days_of(year, m, day) * 86400 + seconds - zone_of(next_token(&text));
	return true;
}
