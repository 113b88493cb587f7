/* page_stats.c - what was held, day by day and by kind; what people had released; for the provider, by customer and what this
 * node has stopped before and after the content was looked at. Charts are SVG of our own, each with its table. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "policyd/base/metrics.h"
#include "quarantine/review/pages.h"

enum { DAYS = 30, DAY_S = 86400, CHART_W = 840, CHART_H = 220, LEFT = 44, BOTTOM = 26, RULES_SHOWN = 12, CUSTOMERS_SHOWN = 15 };

static const char *const classes[] = { "spam", "bulk", "phish", "virus", "banned", "unscannable" };
enum { CLASSES = sizeof classes / sizeof *classes };

struct day {
	char name[16];
	double stored[CLASSES], released;
};

static int
class_index(const char *name)
{
	for (int i = 0; i < CLASSES; i++)
		if (strcmp(classes[i], name) == 0)
			return i;
	return 0;
}

static void
take_rows(const json_t *rows, struct day days[DAYS], int64_t now_s)
{
	size_t i;
	json_t *row;

	for (int d = 0; d < DAYS; d++) {
		time_t t = (time_t)(now_s - (int64_t)(DAYS - 1 - d) * DAY_S);
		struct tm tm;

		days[d] = (struct day){ 0 };
		gmtime_r(&t, &tm);
		strftime(days[d].name, sizeof days[d].name, "%Y-%m-%d", &tm);
	}
	json_array_foreach(rows, i, row)
		for (int d = 0; d < DAYS; d++)
			if (strcmp(days[d].name, json_word(row, "day")) == 0) {
				days[d].stored[class_index(json_word(row, "class"))] += json_number_value(json_object_get(row, "stored"));
				days[d].released += json_number_value(json_object_get(row, "released"));
			}
}

static double
day_total(const struct day *d)
{
	double sum = 0;

	for (int k = 0; k < CLASSES; k++)
		sum += d->stored[k];
	return sum;
}

/* 1, 2 or 5 times a power of ten, at or above `most`. */
static double
round_up(double most)
{
	double step = pow(10, floor(log10(most > 1 ? most : 1)));

	return most <= step ? step : most <= 2 * step ? 2 * step : most <= 5 * step ? 5 * step : 10 * step;
}

static void
put_chart(struct call *c, const struct day days[DAYS])
{
	double most = 1, slot = (double)(CHART_W - LEFT) / DAYS;

	for (int d = 0; d < DAYS; d++)
		most = fmax(most, day_total(&days[d]));
	most = round_up(most);
	put(c, "<svg class=\"chart\" viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"%t\">", (long long)CHART_W, (long long)(CHART_H + BOTTOM), T_CHART_HELD);
	for (int i = 0; i <= 2; i++) {
		double y = CHART_H - (CHART_H - 12) * i / 2.0;

		put(c, "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%f\" y2=\"%f\"/><text class=\"tick\" x=\"%d\" y=\"%f\" text-anchor=\"end\">%d</text>",
		    (long long)LEFT, (long long)CHART_W, y, y, (long long)LEFT - 6, y + 4, (long long)(most * i / 2));
	}
	for (int d = 0; d < DAYS; d++) {
		double y = CHART_H, x = LEFT + d * slot;

		put(c, "<g><title>%s: %d</title>", days[d].name, (long long)day_total(&days[d]));
		for (int k = 0; k < CLASSES; k++) {
			double h = days[d].stored[k] / most * (CHART_H - 12);

			if (h > 0)
				put(c, "<rect class=\"c-%s\" x=\"%f\" y=\"%f\" width=\"%f\" height=\"%f\"/>", classes[k], x + 2, y - h, slot - 4, h);
			y -= h;
		}
		put(c, "</g>");
		if (d % 7 == 1)
			put(c, "<text class=\"tick\" x=\"%f\" y=\"%d\" text-anchor=\"end\">%s</text>", x + slot - 2, (long long)CHART_H + 18, days[d].name + 5);
	}
	put(c, "</svg><p class=\"legend\">");
	for (int k = 0; k < CLASSES; k++)
		put(c, "<span><i class=\"dot d-%s\"></i>%s</span>", classes[k], text_class(c->language, classes[k]));
	put(c, "</p>");
}

static void
put_table(struct call *c, const struct day days[DAYS])
{
	put(c, "<details><summary>%t</summary><div class=\"scroll\"><table class=\"grid\"><thead><tr><th scope=\"col\">%t</th>", T_AS_TABLE, T_DAY);
	for (int k = 0; k < CLASSES; k++)
		put(c, "<th scope=\"col\">%s</th>", text_class(c->language, classes[k]));
	put(c, "<th scope=\"col\">%t</th></tr></thead><tbody>", T_STATE_RELEASED);
	for (int d = DAYS - 1; d >= 0; d--) {
		put(c, "<tr><th scope=\"row\">%s</th>", days[d].name);
		for (int k = 0; k < CLASSES; k++)
			put(c, "<td>%d</td>", (long long)days[d].stored[k]);
		put(c, "<td>%d</td></tr>", (long long)days[d].released);
	}
	put(c, "</tbody></table></div></details>");
}

static void
put_tile(struct call *c, long long number, enum text words)
{
	put(c, "<div class=\"tile\"><strong>%d</strong><span>%t</span></div>", number, words);
}

/* Since this node was started: what reputation stopped before any content came, and what content stopped. */
static void
put_node(struct call *c)
{
	put(c, "<section class=\"card\"><h2>%t</h2><div class=\"tiles\">", T_THIS_NODE);
	put_tile(c, metrics_get(M_REFUSED_AT_RCPT), T_BY_REPUTATION);
	put_tile(c, metrics_get(M_REJECTED), T_REJECTED);
	put_tile(c, metrics_get(M_DISCARDED), T_DISCARDED);
	put_tile(c, metrics_get(M_QUARANTINED), T_STATE_HELD);
	put_tile(c, metrics_get(M_TAGGED), T_TAGGED);
	put_tile(c, metrics_get(M_DELIVERED), T_DELIVERED_CLEAN);
	put(c, "</div></section>");
}

static void
put_rules(struct call *c, const json_t *rules)
{
	size_t i;
	json_t *rule;
	double most = 1;

	if (json_array_size(rules) == 0)
		return;
	json_array_foreach(rules, i, rule)
		most = fmax(most, json_number_value(json_object_get(rule, "released")));
	put(c, "<section class=\"card\"><h2>%t</h2><p class=\"small\">%t</p><table class=\"bars\"><tbody>", T_RULES_RELEASED, T_RULES_RELEASED_HOW);
	json_array_foreach(rules, i, rule) {
		double released = json_number_value(json_object_get(rule, "released"));

		if (i >= RULES_SHOWN)
			break;
		put(c, "<tr><th scope=\"row\"><code>%s</code></th><td><svg viewBox=\"0 0 100 10\" preserveAspectRatio=\"none\" aria-hidden=\"true\">"
		    "<rect class=\"c-spam\" width=\"%f\" height=\"10\"/></svg></td><td>%d</td></tr>", json_word(rule, "symbol"), released / most * 100, (long long)released);
	}
	put(c, "</tbody></table></section>");
}

static void
put_customers(struct call *c, const json_t *rows)
{
	json_t *sums = json_object(), *row;
	const char *name;
	json_t *sum;
	size_t i, shown = 0;

	json_array_foreach(rows, i, row)
		json_object_set_new(sums, json_word(row, "customer"), json_real(json_number_value(json_object_get(sums, json_word(row, "customer"))) +
		    json_number_value(json_object_get(row, "stored"))));
	put(c, "<section class=\"card\"><h2>%t</h2><table class=\"grid\"><tbody>", T_BY_CUSTOMER);
	while (shown++ < CUSTOMERS_SHOWN && json_object_size(sums) > 0) {
		const char *top = "";
		double most = -1;

		json_object_foreach(sums, name, sum)
			if (json_number_value(sum) > most) {
				most = json_number_value(sum);
				top = name;
			}
		put(c, "<tr><th scope=\"row\">%s</th><td>%d</td></tr>", top[0] ? top : "\xe2\x80\x93", (long long)most);
		json_object_del(sums, top);
	}
	put(c, "</tbody></table></section>");
	json_decref(sums);
}

static void
rules_came(struct call *c, json_t *reply, int fd)
{
	struct day days[DAYS];
	const json_t *stats = c->kept[0], *states = json_object_get(stats, "states");
	bool provider = c->who.customer[0] == '\0';

	(void)fd;
	c->kept[1] = reply;
	if (c->api) {
		call_json(c, 200, json_pack("{s:O?, s:O?, s:O?}", "states", states, "rows", json_object_get(stats, "rows"), "rules", json_object_get(reply, "rules")));
		return;
	}
	take_rows(json_object_get(stats, "rows"), days, review_time_s(c->review));
	snprintf(c->title, sizeof c->title, "%s", text_in(c->language, T_STATISTICS));
	put(c, "<h1>%t</h1><section class=\"card\"><h2>%t</h2>", T_STATISTICS, T_CHART_HELD);
	put_chart(c, days);
	put_table(c, days);
	put(c, "</section><div class=\"columns\">");
	if (provider)
		put_node(c);
	put_rules(c, json_object_get(reply, "rules"));
	if (provider)
		put_customers(c, json_object_get(stats, "rows"));
	put(c, "</div>");
	call_page(c, 200);
}

static void
stats_came(struct call *c, json_t *reply, int fd)
{
	json_t *request;

	(void)fd;
	if (call_failed(c, reply))
		return;
	c->kept[0] = reply;
	request = json_pack("{s:s, s:I, s:o}", "cmd", "quarantine.rules", "since", (json_int_t)(review_time_s(c->review) - (int64_t)DAYS * DAY_S), "scope",
	    viewer_scope(&c->who));
	if (c->who.customer[0])
		json_object_set_new(request, "customer", json_string(c->who.customer));
	ask_store(c, request, rules_came);
}

void
get_stats(struct call *c)
{
	json_t *request = json_pack("{s:s, s:[s,s,s], s:I, s:o}", "cmd", "quarantine.stats", "by", "day", "customer", "class", "since",
	    (json_int_t)(review_time_s(c->review) - (int64_t)DAYS * DAY_S), "scope", viewer_scope(&c->who));

	if (c->who.customer[0])
		json_object_set_new(request, "customer", json_string(c->who.customer));
	ask_store(c, request, stats_came);
}
