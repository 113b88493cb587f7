/* banned.h - files that a recipient's policy does not let through: by name and by content, inside archives too.
 *
 * Shape   policy.banned_types is a list of words: an extension ("exe"), also met by content of the type that goes by it,
 *         or a real type ("application/x-dosexec"; "image/" is all of them); "-exe" takes a word back that a level above has added
 *
 * One mail is scanned once; each class of policy among its recipients is told here which file, if any, it bans.
 */
#ifndef POLICYD_SCAN_BANNED_H
#define POLICYD_SCAN_BANNED_H

#include "policyd/scan/scan.h"

/* Sets `banned` of every class: the name of the first file that it bans, or its type when it has none; else empty. */
void banned_check(struct scan *scan);

#endif
