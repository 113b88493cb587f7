#include "policyd/ctl/eval_measure.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "policyd/model/table.h"

struct ranked {
	double z;
	uint32_t at;
	int label;
};

static int
by_z(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;

	return x->z < y->z ? -1 : x->z > y->z;
}

static struct ranked *
rank(const struct judged *j, size_t count)
{
	struct ranked *r = malloc((count ? count : 1) * sizeof *r);

	for (size_t i = 0; r && i < count; i++)
		r[i] = (struct ranked){ j[i].z, (uint32_t)i, j[i].label };
	if (r)
		qsort(r, count, sizeof *r, by_z);
	return r;
}

/* `times`: how often each mail is in the sample, by its place in `judged`; NULL: once. */
static double
roca_of(const struct ranked *r, size_t count, const uint8_t *times)
{
	double wrong = 0, below = 0, all[2] = { 0, 0 };

	for (size_t i = 0, k; i < count; i = k) {      /* equal scores count half */
		double n[2] = { 0, 0 };

		for (k = i; k < count && r[k].z == r[i].z; k++)
			n[r[k].label] += times ? times[r[k].at] : 1;
		wrong += n[HAM] * (below + n[SPAM] / 2);
		below += n[SPAM];
		all[HAM] += n[HAM];
		all[SPAM] += n[SPAM];
	}
	return all[HAM] > 0 && all[SPAM] > 0 ? 100 * wrong / (all[HAM] * all[SPAM]) : 0;
}

static double
logit(double p)
{
	return log(p / (1 - p));
}

static double
lam_of(const double wrong[2], const double count[2])
{
	double hm = (wrong[HAM] + 0.5) / (count[HAM] + 1), sm = (wrong[SPAM] + 0.5) / (count[SPAM] + 1);

	return 100 / (1 + exp(-(logit(hm) + logit(sm)) / 2));
}

static double
miss_at(const struct ranked *r, size_t count, size_t spam, double share_of_ham, size_t ham)
{
	size_t allowed = (size_t)((double)ham * share_of_ham), hams = 0, missed = 0, i = count;

	/* the threshold lies just above the ham that is one too many, so spam with that ham's score is missed too */
	while (i > 0 && hams + (r[i - 1].label == HAM) <= allowed)
		hams += r[--i].label == HAM;
	while (i > 0 && i < count && r[i].z == r[i - 1].z)
		i++;
	for (size_t k = 0; k < i; k++)
		missed += r[k].label == SPAM;
	return spam ? 100.0 * (double)missed / (double)spam : 0;
}

void
figures_of(const struct judged *j, size_t count, struct figures *out)
{
	struct ranked *r = rank(j, count);

	memset(out, 0, sizeof *out);
	if (r == NULL)
		return;
	for (size_t i = 0; i < count; i++) {
		int bin = (int)(j[i].probability * RELIABILITY_BINS);

		bin = bin < 0 ? 0 : bin >= RELIABILITY_BINS ? RELIABILITY_BINS - 1 : bin;
		out->reliability[bin].mean += j[i].probability;
		out->reliability[bin].spam += j[i].label;
		out->reliability[bin].count++;
		out->brier += (j[i].probability - j[i].label) * (j[i].probability - j[i].label) / (double)count;
		out->count[j[i].label]++;
		out->wrong[j[i].label] += (j[i].z > 0) != (j[i].label == SPAM);
	}
	for (int b = 0; b < RELIABILITY_BINS; b++)
		if (out->reliability[b].count) {
			double n = (double)out->reliability[b].count;

			out->ece += fabs(out->reliability[b].mean - out->reliability[b].spam) / (double)count;
			out->reliability[b].mean /= n;
			out->reliability[b].spam /= n;
		}
	out->roca = roca_of(r, count, NULL);
	out->lam = lam_of((const double[]){ (double)out->wrong[0], (double)out->wrong[1] }, (const double[]){ (double)out->count[0], (double)out->count[1] });
	out->miss_01 = miss_at(r, count, out->count[SPAM], 0.001, out->count[HAM]);
	out->miss_001 = miss_at(r, count, out->count[SPAM], 0.0001, out->count[HAM]);
	free(r);
}

static int
by_number(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void
summarise(double *d, int n, struct difference *out)
{
	int below = 0, above = 0;

	*out = (struct difference){ 0 };
	for (int i = 0; i < n; i++) {
		out->mean += d[i] / n;
		below += d[i] <= 0;
		above += d[i] >= 0;
	}
	qsort(d, (size_t)n, sizeof *d, by_number);
	out->low = d[n / 40];
	out->high = d[n - 1 - n / 40];
	out->p = fmin(1, 2.0 * (fmin(below, above) + 1) / (n + 1));
}

static double
sampled_lam(const struct judged *j, const uint8_t *times, size_t count)
{
	double wrong[2] = { 0, 0 }, all[2] = { 0, 0 };

	for (size_t i = 0; i < count; i++) {
		all[j[i].label] += times[i];
		wrong[j[i].label] += times[i] * ((j[i].z > 0) != (j[i].label == SPAM));
	}
	return lam_of(wrong, all);
}

bool
bootstrap(const struct judged *a, const struct judged *b, size_t count, int resamples, uint64_t seed, struct difference *roca,
    struct difference *lam)
{
	struct ranked *ra = rank(a, count), *rb = rank(b, count);
	uint8_t *times = malloc(count ? count : 1);
	double *d = calloc((size_t)resamples * 2, sizeof *d);
	bool good = ra && rb && times && d && count > 0;

	for (int k = 0; good && k < resamples; k++) {
		memset(times, 0, count);
		for (size_t i = 0; i < count; i++) {
			seed = seed * 6364136223846793005u + 1442695040888963407u;
			uint8_t *t = &times[(size_t)((seed >> 32) * count >> 32)];

			*t += *t < 255;
		}
		d[k] = roca_of(ra, count, times) - roca_of(rb, count, times);
		d[resamples + k] = sampled_lam(a, times, count) - sampled_lam(b, times, count);
	}
	if (good) {
		summarise(d, resamples, roca);
		summarise(d + resamples, resamples, lam);
	}
	free(ra);
	free(rb);
	free(times);
	free(d);
	return good;
}
