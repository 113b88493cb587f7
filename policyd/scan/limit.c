#include "policyd/scan/limit.h"

#include <stdio.h>

const char *const measure_names[MEASURE__COUNT] = {
	[MEASURE_MESSAGES] = "messages", [MEASURE_RECIPIENTS] = "recipients", [MEASURE_DISTINCT] = "distinct", [MEASURE_BYTES] = "bytes",
};
static const struct { char letter; uint32_t seconds; } periods[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 } };
enum { PERIODS = sizeof periods / sizeof *periods };

/* "200", or of bytes "2G": in KiB then, at least one. */
static bool
parse_amount(struct span text, enum measure measure, uint32_t *to)
{
	static const char units[] = "KMGT";
	uint64_t value;
	int shift = 0;

	if (measure == MEASURE_BYTES && text.n > 1) {
		const char *unit = memchr(units, text.p[text.n - 1] & ~0x20, sizeof units - 1);

		if (unit) {
			shift = 10 * (int)(unit - units) + 10;
			text.n--;
		}
	}
	if (text.n > 12 || !span_u64(text, &value))
		return false;
	if (measure == MEASURE_BYTES && shift >= 10 && value > (uint64_t)LIMIT_MOST >> (shift - 10))
		return false;
	value = measure != MEASURE_BYTES ? value : shift ? value << (shift - 10) : (value + 1023) >> 10;
	if (value < 1 || value > LIMIT_MOST)
		return false;
	*to = (uint32_t)value;
	return true;
}

/* "200/h:50" */
static bool
parse_one(struct span text, enum measure measure, struct limit *l)
{
	bool colon = span_find_char(text, ':') != SPAN_NONE;
	struct span rate = span_cut(&text, ':'), amount = span_cut(&rate, '/');

	if (span_eq(amount, SPAN("off")) && rate.n == 0 && !colon) {
		*l = (struct limit){ .amount = LIMIT_LIFTED };
		return true;
	}
	if (!parse_amount(amount, measure, &l->amount) || rate.n != 1)
		return false;
	l->per_s = 0;
	for (int i = 0; i < PERIODS; i++)
		if (periods[i].letter == rate.p[0])
			l->per_s = periods[i].seconds;
	l->burst = l->amount;
	return l->per_s > 0 && (!colon || parse_amount(text, measure, &l->burst));
}

bool
limits_parse(struct span text, struct limit limits[MEASURE__COUNT], char *why, size_t room)
{
	struct limit read[MEASURE__COUNT] = { { 0 } };
	bool any = false;

	text = span_trim(text);
	if (span_eq(text, SPAN("off"))) {
		for (int m = 0; m < MEASURE__COUNT; m++)
			limits[m] = (struct limit){ .amount = LIMIT_LIFTED };
		return true;
	}
	while (text.n > 0) {
		struct span word = span_cut(&text, ' '), value = word, name = span_cut(&value, '=');
		int m = 0;

		if (word.n == 0)
			continue;
		while (m < MEASURE__COUNT && !span_eq(name, span_of(measure_names[m])))
			m++;
		if (m == MEASURE__COUNT || read[m].amount != 0 || !parse_one(value, (enum measure)m, &read[m])) {
			snprintf(why, room, "\"" SPAN_FMT "\" is not good; expected off, or messages=, recipients=, distinct= (numbers) and bytes= (2G) "
			    "as AMOUNT/s, /m, /h or /d, :BURST behind it or not", SPAN_ARG(span_head(word, 60)));
			return false;
		}
		any = true;
	}
	if (any)
		memcpy(limits, read, sizeof read);
	else
		snprintf(why, room, "it is empty; expected off, or messages=200/h recipients=1000/d:100 distinct=500/d bytes=2G/d");
	return any;
}

static size_t
print_amount(char *to, size_t room, enum measure measure, uint32_t value)
{
	static const char units[] = "KMGT";
	int unit = 0;

	while (measure == MEASURE_BYTES && unit < 3 && value % 1024 == 0)
		value /= 1024, unit++;
	return (size_t)snprintf(to, room, measure == MEASURE_BYTES ? "%u%c" : "%u", value, units[unit]);
}

void
limits_print(const struct limit limits[MEASURE__COUNT], char *to, size_t room)
{
	int lifted = 0;
	size_t n = 0;

	to[0] = '\0';
	for (int m = 0; m < MEASURE__COUNT; m++)
		lifted += limits[m].amount == LIMIT_LIFTED;
	if (lifted == MEASURE__COUNT) {
		snprintf(to, room, "off");
		return;
	}
	for (int m = 0; m < MEASURE__COUNT && n < room; m++) {
		const struct limit *l = &limits[m];
		char amount[24], burst[24] = "";
		char letter = 's';

		if (l->amount == 0)
			continue;
		for (int i = 0; i < PERIODS; i++)
			if (periods[i].seconds == l->per_s)
				letter = periods[i].letter;
		print_amount(amount, sizeof amount, (enum measure)m, l->amount);
		if (l->burst != l->amount) {
			burst[0] = ':';
			print_amount(burst + 1, sizeof burst - 1, (enum measure)m, l->burst);
		}
		if (l->amount == LIMIT_LIFTED)
			n += (size_t)snprintf(to + n, room - n, "%s%s=off", n ? " " : "", measure_names[m]);
		else
			n += (size_t)snprintf(to + n, room - n, "%s%s=%s/%c%s", n ? " " : "", measure_names[m], amount, letter, burst);
	}
}

void
limits_merge(struct limit to[MEASURE__COUNT], const struct limit from[MEASURE__COUNT])
{
	for (int m = 0; m < MEASURE__COUNT; m++)
		if (from[m].amount != 0)
			to[m] = from[m];
}

/* Which lets more through: in the long run, then at once. */
static int
order(const struct limit *a, const struct limit *b)
{
	uint64_t x, y;

	if (!limit_on(a) || !limit_on(b))
		return limit_on(b) - limit_on(a);
	x = (uint64_t)a->amount * b->per_s;
	y = (uint64_t)b->amount * a->per_s;
	return x != y ? (x > y) - (x < y) : (a->burst > b->burst) - (a->burst < b->burst);
}

int
limits_compare(const struct limit a[MEASURE__COUNT], const struct limit b[MEASURE__COUNT])
{
	int result = 0;

	for (int m = 0; m < MEASURE__COUNT; m++) {
		int one = a[m].amount == 0 || b[m].amount == 0 ? 0 : order(&a[m], &b[m]);

		if (one > 0)
			return 1;
		if (one < 0)
			result = -1;
	}
	return result;
}

bool
limits_bound(struct limit limits[MEASURE__COUNT], const struct limit bound[MEASURE__COUNT], bool least)
{
	bool changed = false;

	for (int m = 0; m < MEASURE__COUNT; m++) {
		int one = bound[m].amount == 0 ? 0 : order(&limits[m], &bound[m]);

		if (least ? one < 0 : one > 0) {
			limits[m] = bound[m];
			changed = true;
		}
	}
	return changed;
}
