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

/* Sets of every class `banned`, the name of the first file that it bans, or its type when it has none, else empty; and `strippable`:
 * the mail can be had without such files (strip.h), and that policy wants it so. */
void banned_check(struct scan *scan);
/* For one list: is there such a file in the mail; is this one? */
bool banned_any(struct arena *a, const struct message *msg, const char *list);
bool banned_file(struct arena *a, struct span name, struct span type, const char *list);

#endif
