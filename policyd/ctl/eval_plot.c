/* eval_plot.c - ROC on logistic axes and reliability of the probabilities, as one SVG. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policyd/ctl/eval_measure.h"
#include "policyd/model/table.h"

enum { SIDE = 420, LEFT = 70, TOP = 40, GAP = 110, RUNS_MOST = 4 };

static const char *const colours[RUNS_MOST] = { "#1f5fa8", "#c0392b", "#2d7d46", "#8a5a00" };

static int
by_z_down(const void *a, const void *b)
{
	const struct judged *x = a, *y = b;

	return x->z > y->z ? -1 : x->z < y->z;
}

static void
text(FILE *f, double x, double y, const char *anchor, const char *what)
{
	fprintf(f, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", x, y, anchor);
	for (const char *c = what; *c; c++)
		fputs(*c == '<' ? "&lt;" : *c == '&' ? "&amp;" : *c == '>' ? "&gt;" : (char[]){ *c, 0 }, f);
	fputs("</text>\n", f);
}

/* A rate of 0.0001 ... 0.9999 to 0 ... 1, as odds. */
static double
odds(double rate)
{
	double least = 0.0001;

	rate = rate < least ? least : rate > 1 - least ? 1 - least : rate;
	return (log(rate / (1 - rate)) - log(least / (1 - least))) / (2 * log((1 - least) / least));
}

static void
frame(FILE *f, double x, const char *title, const char *across, const char *up)
{
	fprintf(f, "<rect x=\"%.1f\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"none\" stroke=\"#888\"/>\n", x, TOP, SIDE, SIDE);
	text(f, x + SIDE / 2, TOP - 14, "middle", title);
	text(f, x + SIDE / 2, TOP + SIDE + 40, "middle", across);
	fprintf(f, "<g transform=\"translate(%.1f,%d) rotate(-90)\">", x - 52, TOP + SIDE / 2);
	text(f, 0, 0, "middle", up);
	fprintf(f, "</g>\n");
}

static bool
roc(FILE *f, const struct plotted *run, const char *colour)
{
	struct judged *j = malloc((run->count ? run->count : 1) * sizeof *j);
	size_t all[2] = { 0, 0 }, over[2] = { 0, 0 };
	double last_x = -1, last_y = -1;

	if (j == NULL)
		return false;
	memcpy(j, run->at, run->count * sizeof *j);
	qsort(j, run->count, sizeof *j, by_z_down);
	for (size_t i = 0; i < run->count; i++)
		all[j[i].label]++;
	fprintf(f, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"1.6\" points=\"", colour);
	for (size_t i = 0; i < run->count; i++) {
		over[j[i].label]++;
		if (i + 1 < run->count && j[i + 1].z == j[i].z)
			continue;
		double x = LEFT + SIDE * odds(all[HAM] ? (double)over[HAM] / all[HAM] : 0);
		double y = TOP + SIDE * odds(all[SPAM] ? 1 - (double)over[SPAM] / all[SPAM] : 0);

		if (fabs(x - last_x) + fabs(y - last_y) >= 0.5) {
			fprintf(f, "%.1f,%.1f ", x, y);
			last_x = x;
			last_y = y;
		}
	}
	fputs("\"/>\n", f);
	free(j);
	return true;
}

static void
reliability(FILE *f, const struct plotted *run, const char *colour, double x)
{
	struct figures figures;

	figures_of(run->at, run->count, &figures);
	for (int b = 0; b < RELIABILITY_BINS; b++)
		if (figures.reliability[b].count)
			fprintf(f, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\" fill=\"%s\" fill-opacity=\"0.6\"/>\n", x + SIDE * figures.reliability[b].mean,
			    TOP + SIDE * (1 - figures.reliability[b].spam), 2 + log10((double)figures.reliability[b].count), colour);
}

bool
plot_write(const char *path, const struct plotted *runs, size_t count)
{
	static const double ticks[] = { 0.0001, 0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999 };
	FILE *f = fopen(path, "we");
	double right = LEFT + SIDE + GAP;
	char label[32];
	bool good = true;

	if (f == NULL)
		return false;
	fprintf(f, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" font-family=\"sans-serif\" font-size=\"12\">\n"
	    "<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n", LEFT + 2 * SIDE + GAP + 30, TOP + SIDE + 60 + 18 * (int)count);
	frame(f, LEFT, "ROC (logistic axes)", "ham misclassified, %", "spam missed, %");
	frame(f, right, "Reliability", "probability said", "share of spam found");
	for (size_t i = 0; i < sizeof ticks / sizeof *ticks; i++) {
		double at = odds(ticks[i]);

		snprintf(label, sizeof label, "%g", 100 * ticks[i]);
		fprintf(f, "<path d=\"M%.1f %d v%d M%d %.1f h%d\" stroke=\"#ddd\"/>\n", LEFT + SIDE * at, TOP, SIDE, LEFT, TOP + SIDE * at, SIDE);
		text(f, LEFT + SIDE * at, TOP + SIDE + 18, "middle", label);
		text(f, LEFT - 6, TOP + SIDE * at + 4, "end", label);
	}
	for (int i = 0; i <= 5; i++) {
		snprintf(label, sizeof label, "%.1f", i / 5.0);
		text(f, right + SIDE * i / 5.0, TOP + SIDE + 18, "middle", label);
		text(f, right - 6, TOP + SIDE - SIDE * i / 5.0 + 4, "end", label);
	}
	fprintf(f, "<path d=\"M%.1f %d l%d -%d\" stroke=\"#aaa\" stroke-dasharray=\"4 4\"/>\n", right, TOP + SIDE, SIDE, SIDE);
	for (size_t i = 0; i < count && i < RUNS_MOST; i++) {
		good &= roc(f, &runs[i], colours[i]);
		reliability(f, &runs[i], colours[i], right);
		fprintf(f, "<rect x=\"%d\" y=\"%d\" width=\"12\" height=\"12\" fill=\"%s\"/>\n", LEFT, TOP + SIDE + 52 + 18 * (int)i, colours[i]);
		text(f, LEFT + 18, TOP + SIDE + 62 + 18 * (int)i, "start", runs[i].name);
	}
	fputs("</svg>\n", f);
	return fclose(f) == 0 && good;
}
