/* campaign.h - what nodes know of mails like this one (store/campaigns.h): told to the worker, and what became of it told to them.
 *
 * Symbols CAMPAIGN            no points: how alike, how many, whose voices
 *         CAMPAIGN_REPORTED   people said it is spam          CAMPAIGN_CAUGHT   we held most that were like it
 *         CAMPAIGN_PART       a file that was reported
 *         CAMPAIGN_UNKNOWN    Redis gave no answer
 */
#ifndef POLICYD_BROKER_CAMPAIGN_H
#define POLICYD_BROKER_CAMPAIGN_H

#include "policyd/broker/transaction.h"

void campaign_asked(struct tx *tx, struct unpack *u);
void campaign_forget(struct tx *tx);
/* It has been decided on. */
void campaign_note(struct tx *tx);
/* A lesson: `alike` is the rest of W_FEATURES. */
void campaign_report(struct broker *b, struct unpack *alike, bool spam, bool undo, const char *voice);

#endif
