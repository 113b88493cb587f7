#include "policyd/scan/campaign.h"

#include <math.h>

/* 0, then nearer and nearer to `most`, half of what is left for every `half` of `n`. */
static double
saturating(double most, double n, double half)
{
	return n > 0 ? most * (1 - exp2(-n / half)) : 0;
}

void
campaign_judge(const struct campaign *c, double *reported, double *caught)
{
	double voices = (double)c->spam - 2.0 * c->ham, alone = (double)c->caught - 4.0 * c->ham;

	*reported = saturating(CAMPAIGN_REPORTED_MOST, voices, 1);
	*caught = c->caught >= 3 && c->caught * 2 >= c->mails ? saturating(CAMPAIGN_CAUGHT_MOST, alone, 4) : 0;
}

double
campaign_part(const struct campaign *c)
{
	double voices = (double)c->spam - 2.0 * c->ham;

	return voices >= 2 && c->caught * 2 >= c->mails ? saturating(CAMPAIGN_PART_MOST, voices - 1, 1) : 0;
}
