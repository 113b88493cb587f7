/* decode_odd.h - transfer encodings as clients decode them that are not strict: one function a family, one enum a way.
 *
 * Shape   every way takes all bytes and gives what such a client would save; output never exceeds the input
 * Errors  none; a family that does not apply (no uuencode there at all) answers an empty span
 * Source  RFC 2045 6.7 and 6.8 leave the handling of illegal input open; RFC 1741 (BinHex 4.0); yEnc draft 1.3
 */
#ifndef POLICYD_MAIL_DECODE_ODD_H
#define POLICYD_MAIL_DECODE_ODD_H

#include "policyd/base/arena.h"

/* What becomes of '=' before the end, and of bytes outside the alphabet. */
enum base64_way {
	BASE64_STOP,                         /* the first complete padding ends the data */
	BASE64_SKIP_PAD,                     /* '=' is skipped as any other junk */
	BASE64_PAD_ZERO,                     /* '=' is a letter of value 0 */
	BASE64_TUPLE_JOIN,                   /* groups of four, the '=' of a group taken out */
	BASE64_TUPLE_CUT,                    /* groups of four, a group ends at its first '=' */
	BASE64_CUT_LINE,                     /* junk hides the rest of its line */
	BASE64_DROP_LINE,                    /* a line with junk is no base64 at all */
	BASE64_URL,                          /* '-' and '_' are letters (RFC 4648, 5) */
	BASE64__WAYS
};
struct span decode_base64_way(struct arena *a, struct span in, enum base64_way way);

/* An '=' that starts neither two hexadecimal digits nor a soft line break is dropped with 0, 1 or 2 bytes after it. */
struct span decode_quoted_dropping(struct arena *a, struct span in, size_t bytes);

/* Are its first lines full lines of uuencode, whether anybody says so or not? */
bool looks_uu(struct span body);
/* Lines of uuencode with or without "begin" and "end". */
struct span decode_uu_lines(struct arena *a, struct span in);
/* The data fork of BinHex 4.0, from the first ':' at a line's start. `*name` is the file's own; `*cut`: its runs would
 * grow it to more than four times its size, and what is over that is missing. */
struct span decode_binhex(struct arena *a, struct span in, struct span *name, bool *cut);
/* The next file in yEnc ("=ybegin" to "=yend") at or after `*at`; false when there is none. */
bool decode_yenc_next(struct arena *a, struct span in, size_t *at, struct span *name, struct span *data);

/* One line of uuencode into `out`, which has room for line.n bytes; how many bytes it made. */
size_t uu_line_decode(struct span line, char *out);

#endif
