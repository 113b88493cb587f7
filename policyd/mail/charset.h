/* charset.h - what bytes say of their charset when nobody does, or nobody is believed. Not for others than charset.c.
 *
 * Shape   names as charset.c finds them
 * Errors  none: what looks like nothing is windows-1252
 */
#ifndef POLICYD_MAIL_CHARSET_H
#define POLICYD_MAIL_CHARSET_H

#include "policyd/base/span.h"

/* "utf-16le" and its kin by byte order mark, or by the zeros that text in them has; NULL: it is none of them. */
const char *charset_wide(struct span in);
/* Escapes of ISO 2022 (RFC 1468, 1557). */
bool charset_has_escapes(struct span in);
/* Valid UTF-8, and so much of it that it is no accident. */
bool charset_is_utf8(struct span in);
/* For bytes that are no UTF-8. */
const char *charset_guess(struct span in);

#endif
