/* exact.h - exponential and logarithm that give the same bits on every machine.
 *
 * The C library's may differ in the last bit from one processor to the next (it picks code with or without fused
 * multiply-add at run time). Nodes apply the same lessons to the same table and must stay equal bit by bit, so what ends
 * in a table is computed with +, -, *, / and sqrt alone, which IEEE 754 fixes (and -std=c11 does not contract).
 *
 * Errors  relative error below 1e-14 in the ranges used here; exp saturates at +-700; log of what is not positive is -700
 */
#ifndef POLICYD_MODEL_EXACT_H
#define POLICYD_MODEL_EXACT_H

#include <stdint.h>
#include <string.h>

static inline double
exact_power_of_two(int k)
{
	uint64_t bits = (uint64_t)(k + 1023) << 52;
	double d;

	memcpy(&d, &bits, sizeof d);
	return d;
}

/* x = k ln 2 + r, |r| <= ln 2 / 2; Taylor in r. */
static inline double
exact_exp(double x)
{
	x = x > 700 ? 700 : x < -700 ? -700 : x;
	int k = (int)(x * 1.4426950408889634 + (x < 0 ? -0.5 : 0.5));
	double r = x - k * 0.69314718036912382 - k * 1.9082149292705877e-10, sum = 1, term = 1;

	for (int i = 1; i < 14; i++) {
		term = term * r / i;
		sum += term;
	}
	return sum * exact_power_of_two(k);
}

/* x = 2^k m, m in [1/sqrt 2, sqrt 2]; ln m = 2 artanh((m - 1) / (m + 1)). */
static inline double
exact_log(double x)
{
	uint64_t bits;

	if (!(x > 1e-300))
		return -700;
	memcpy(&bits, &x, sizeof bits);
	int k = (int)(bits >> 52) - 1023;
	double m = x * exact_power_of_two(-k);

	if (m > 1.4142135623730951) {
		m *= 0.5;
		k++;
	}
	double s = (m - 1) / (m + 1), square = s * s, sum = 0;

	for (int i = 17; i > 0; i -= 2)
		sum = sum * square + 1.0 / i;
	return 2 * s * sum + k * 0.6931471805599453;
}

#endif
