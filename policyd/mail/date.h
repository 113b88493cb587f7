/* date.h - the date of a header as a point in time.
 *
 * Shape   "Mon, 2 Nov 2026 10:11:12 +0100", and what programs make of it: no weekday, no seconds, a zone by name, comments,
 *         a year of two digits
 * Units   seconds since 1970 in UTC
 * Errors  false: it is none
 * Source  RFC 5322, 3.3 and 4.3
 */
#ifndef POLICYD_MAIL_DATE_H
#define POLICYD_MAIL_DATE_H

#include "policyd/base/span.h"

bool date_parse(struct span text, int64_t *unix_s);

#endif
