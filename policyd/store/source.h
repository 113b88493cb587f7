/* source.h - policies out of a table that the site has already (SQL, LDAP, files), by Postfix' own protocols; read only.
 *
 * Wire    socketmap: "27:policy bob@shop.example," -> "11:OK tag=3.5 ," "9:NOTFOUND ," or TEMP, TIMEOUT, PERM
 *         tcp_table: "get bob@shop.example\n" -> "200 tag=3.5\n", "500 ...", "400 ..." (%XX for blanks and what is not printable)
 * Keys    bob+ext@shop.example, bob@shop.example, @shop.example: the first that is there
 * Values  FIELD=VALUE by blanks, as `policyctl policy set` takes them; quotes around a value with blanks
 * Errors  an answer holds for policy_source.fresh_s, one of "not there" for absent_s; while the table is away what it said last
 *         holds for stale_s, and after that he is as if it had nothing. No mail waits longer than timeout_ms for it
 * Source  Postfix socketmap_table(5), tcp_table(5)
 */
#ifndef POLICYD_STORE_SOURCE_H
#define POLICYD_STORE_SOURCE_H

#include <jansson.h>

#include "policyd/config.h"

struct source;
struct source_wait;
struct event_base;

enum { SOURCE_CACHED_MOST = 200000, SOURCE_REPLY_MOST = 16 * 1024 };

struct source *source_open(struct event_base *base, const struct config *config);    /* NULL: no memory */
void source_config(struct source *s, const struct config *config);
void source_close(struct source *s);
bool source_wanted(const struct source *s);

/* `values` (borrowed, NULL: nothing is known of him) maybe from inside the call: then the answer is NULL. `base`: his address
 * without the extension, or empty. */
typedef void (*source_found)(void *arg, json_t *values);
struct source_wait *source_find(struct source *s, const char *address, const char *base, source_found found, void *arg);
void source_cancel(struct source_wait *w);

/* "tag=3.5 subject_tag='[SPAM] '" -> object. NULL: not to be read. */
json_t *source_values(struct span text);
json_t *source_status(const struct source *s);

#endif
