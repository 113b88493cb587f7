/* view.h - the stretches of a mail that patterns are run over.
 *
 * Shape   a view has one value or several: "header Received" has one a header, "body" has one
 * Names   as rule files write them:
 *           header       NAME, NAME:raw (as written), NAME:addr, NAME:name, NAME:domain (of the first address);
 *                        X-Spam-Relays-External and its kin (relays.h); ALL (all headers, a line each; ALL-EXTERNAL the same), ALL:raw, ToCc, EnvelopeFrom, MESSAGEID (that and its Resent- kin)
 *           mime         NAME or NAME:raw, of every part
 *           subject, body (visible text), hidden (what a reader would not see), rawbody (decoded text parts, markup included),
 *           full (the mail as it came), uri (a link a line), file_name (a name a line),
 *           attachment ("declared/type real/type name", a line each part that is a file),
 *           paragraph (the subject, then the text, one value a paragraph, blanks made one: what SpamAssassin calls body)
 *           client (the SMTP client's address), host (the host of each link)
 * Bounds  MAX_RULE_SUBJECT bytes a value (text: head and tail of a longer one), MAX_VIEW_VALUES values
 */
#ifndef LUA_VIEW_H
#define LUA_VIEW_H

#include "policyd/scan/scan.h"

enum { MAX_VIEW_VALUES = 1000 };

#define VIEW_LIST(X)                                                                                      \
	X(VIEW_HEADER, "header") X(VIEW_MIME, "mime") X(VIEW_SUBJECT, "subject") X(VIEW_BODY, "body")     \
	X(VIEW_HIDDEN, "hidden") X(VIEW_RAWBODY, "rawbody") X(VIEW_FULL, "full") X(VIEW_URI, "uri")       \
	X(VIEW_FILE_NAME, "file_name") X(VIEW_ATTACHMENT, "attachment") X(VIEW_PARAGRAPH, "paragraph") \
	X(VIEW_CLIENT, "client") X(VIEW_HOST, "host")

#define VIEW_ENUM(id, name) id,
enum view_kind { VIEW_LIST(VIEW_ENUM) VIEW__COUNT };
#undef VIEW_ENUM
extern const char *const view_names[VIEW__COUNT];

enum view_as { AS_VALUE, AS_RAW, AS_ADDR, AS_NAME, AS_DOMAIN, AS__COUNT };

struct view {
	enum view_kind kind;
	enum view_as as;
	char header[80];                     /* VIEW_HEADER, VIEW_MIME */
};

/* From "header" and "From:addr". False: no such kind, or part. */
bool view_parse(struct view *v, struct span kind, struct span header);
bool view_same(const struct view *a, const struct view *b);

/* Is there such a header at all (or anything in the other kinds of view)? */
bool view_present(const struct view *v, const struct scan *scan);

/* Its values in this mail, made in the scan's arena; returns how many. */
size_t view_values(const struct view *v, const struct scan *scan, struct span **values);

#endif
