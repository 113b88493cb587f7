/* identity.h - when two files are the same mail, and when two mails are alike, for lessons.
 *
 * mail   SHA-256 over From, Subject, Date, Message-ID and the decoded bodies. The copy in the quarantine, the one in a mailbox
 *        (Return-Path, Delivered-To, X-Spam-*, other line ends, another transfer encoding) and the one that was forwarded as an
 *        attachment are one mail: one lesson, taken back by any of them
 * alike  SHA-256 over the letters of Subject and text, without case, digits, marks and blanks: what several recipients of one
 *        mailing would call the same. For their votes only; a mail with hardly any letters is like its own copies alone
 *
 * Deterministic; no I/O.
 */
#ifndef POLICYD_MODEL_IDENTITY_H
#define POLICYD_MODEL_IDENTITY_H

#include "policyd/mail/message.h"

enum { IDENTITY_BYTES = 32, ALIKE_LETTERS_LEAST = 80 };

struct identity {
	uint8_t mail[IDENTITY_BYTES], alike[IDENTITY_BYTES];
};

void identity_of(const struct message *msg, struct identity *out);

#endif
