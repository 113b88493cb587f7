/* reputation.h - what is known of whoever sent a mail (store/reputations.h): told to the worker, credited to the recipients who
 * know him, and what became of the mail counted.
 *
 * Symbols REPUTATION_NET, REPUTATION_DKIM, REPUTATION_SENDER   by what mail of that network, signing domain, SPF domain was like
 *         KNOWN_REPLY, KNOWN_WRITTEN_TO, KNOWN_SENDER          in the score of the recipient who knows the author, nobody else's
 *         REPUTATION_UNKNOWN                                   Redis gave no answer
 */
#ifndef POLICYD_BROKER_REPUTATION_H
#define POLICYD_BROKER_REPUTATION_H

#include "policyd/broker/transaction.h"

void reputation_asked(struct tx *tx, struct unpack *u);
void reputation_forget(struct tx *tx);        /* nobody waits for an answer; what is known stays */
void reputation_free(struct tx *tx);
/* After the scan: who knows the author gets a score of his own. False: no memory. */
bool reputation_credit(struct tx *tx);
/* It has been decided on. */
void reputation_note(struct tx *tx);

#endif
