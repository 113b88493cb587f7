/* http_parse.h - one HTTP/1.1 request head from its bytes: strict, bounded, pure.
 *
 * Shape   spans into the bytes given; header names any case
 * Errors  HTTP_BAD with the status to answer: what is odd is refused, never guessed at, so that no proxy before us can
 *         read another request out of the same bytes
 * Bounds  MAX_HTTP_HEAD, MAX_HTTP_HEADERS, MAX_HTTP_TARGET, MAX_HTTP_BODY (limits.h)
 * Source  RFC 9112; no chunked requests, no folded headers, no absolute targets
 */
#ifndef QUARANTINE_REVIEW_HTTP_PARSE_H
#define QUARANTINE_REVIEW_HTTP_PARSE_H

#include "policyd/base/limits.h"
#include "policyd/base/span.h"

enum http_method { HTTP_GET = 1, HTTP_HEAD = 2, HTTP_POST = 4, HTTP_PUT = 8, HTTP_DELETE = 16, HTTP_OTHER = 32 };

struct http_field {
	struct span name, value;
};

struct http_head {
	enum http_method method;
	struct span path, query;             /* as sent: not decoded; query without '?' */
	struct http_field fields[MAX_HTTP_HEADERS];
	size_t field_count;
	size_t body_bytes;                   /* by Content-Length */
	bool keep;                           /* the connection may serve another request */
	bool wants_continue;                 /* Expect: 100-continue */
};

enum http_parsed { HTTP_MORE, HTTP_WHOLE, HTTP_BAD };

/* `bytes` from the start of the request. HTTP_WHOLE: `*head_bytes` were used, the body follows. */
enum http_parsed http_parse(struct span bytes, struct http_head *head, size_t *head_bytes, int *status);

/* The first field of that name; empty when there is none. */
struct span http_field(const struct http_head *head, const char *name);

/* One value of "a=1&b=2", percent-decoded and NUL-terminated. False: not there, too long, or not decodable (NUL included). */
bool form_value(struct span form, const char *name, char *to, size_t room);
/* The nth value of a name that is given several times. */
bool form_nth(struct span form, const char *name, size_t nth, char *to, size_t room);
/* One cookie of a Cookie field. */
bool cookie_value(struct span cookies, const char *name, char *to, size_t room);

#endif
