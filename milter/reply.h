/* reply.h - an SMTP reply text that the MTA will take: one line, printable ASCII, no '%', bounded. */
#ifndef MILTER_REPLY_H
#define MILTER_REPLY_H

#include "policyd/base/limits.h"
#include "policyd/base/span.h"

/* For smfi_setreply, which reads its text as a format: '%' is doubled. */
void reply_clean(struct span text, char to[2 * MAX_REPLY_TEXT]);

#endif
