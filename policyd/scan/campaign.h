/* campaign.h - what a mail suffers for those that were like it. Pure.
 *
 * Shape   a record of one campaign (texts alike) or of one part that came in several mails
 * Units   points
 *
 * People's word comes first: each voice is one customer, whatever number of his mailboxes said so, and one that says "no spam" (or
 * releases the mail) takes back two that said "spam": a false positive heals faster than it grows. What our own filter caught is
 * evidence for the next one that is made to slip through, but never more than CAMPAIGN_CAUGHT_MOST, and only where most that were
 * alike were caught; what the campaign itself gave a mail is not counted as its having been caught.
 */
#ifndef POLICYD_SCAN_CAMPAIGN_H
#define POLICYD_SCAN_CAMPAIGN_H

#include <stdbool.h>
#include <stdint.h>

#define CAMPAIGN_REPORTED_MOST 6.0
#define CAMPAIGN_CAUGHT_MOST 2.0
#define CAMPAIGN_PART_MOST 4.0
#define CAMPAIGN_ALIKE 0.6                   /* of the shingles are the same */

struct campaign {
	uint32_t mails, caught;              /* seen; of these held, refused or discarded without the campaign's points */
	uint32_t recipients, customers;      /* distinct, about */
	uint32_t spam, ham;                  /* voices */
};

/* Points by reports and by what was caught, of a text. */
void campaign_judge(const struct campaign *c, double *reported, double *caught);
/* Of a part: honest mails may have the same picture, so it takes two voices, and most mails with it to have been caught. */
double campaign_part(const struct campaign *c);

#endif
