/* mails.h - the mails below a path: one file, a directory or maildir, an mbox, a tar (also compressed); "-": the one mail on
 * standard input.
 *
 * Shape   the callback gets each mail's bytes, the path of the file they stand in and where (MAILS_UNPACKED: nowhere, they
 *         came out of an archive); `name` is the entry's name in an archive, else the path. Order: that of the names
 * Errors  printed as "PROGRAM: path: why"; the walk goes on with the rest and answers false at the end
 * Bounds  MAILS_DEPTH directories, MAILS_ENTRY bytes of an archive's entry
 */
#ifndef POLICYD_CTL_MAILS_H
#define POLICYD_CTL_MAILS_H

#include "policyd/base/span.h"

enum { MAILS_DEPTH = 8, MAILS_ENTRY = 256 << 20 };
#define MAILS_UNPACKED SIZE_MAX

/* False ends the walk. */
typedef bool (*mails_callback)(void *arg, struct span mail, const char *path, size_t offset, const char *name);

bool mails_walk(const char *program, const char *path, mails_callback each, void *arg);

#endif
