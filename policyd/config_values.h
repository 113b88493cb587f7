/* config_values.h - what one value of the settings may look like, so that a wrong one is found where it stands.
 *
 * Shape   a text as the operator wrote it
 * Errors  false, and in `why` what is wrong and what was expected: "\"foo\" is no listener; expected ..."
 */
#ifndef POLICYD_CONFIG_VALUES_H
#define POLICYD_CONFIG_VALUES_H

#include "policyd/config.h"

enum value_kind {
	VALUE_PATH,                          /* readable now */
	VALUE_SOCKET,                        /* "unix:/path", "inet:8890@127.0.0.1" */
	VALUE_REDIS,                         /* "redis://host:6379/0" */
	VALUE_SERVER,                        /* "127.0.0.1:10026" */
	VALUE_USER, VALUE_GROUP,             /* there is such an account */
	VALUE_HTTP,                          /* "http://127.0.0.1:8892", "https://..." */
	VALUE_DOMAIN,                        /* "mx.example", a DNS zone */
};
bool value_check(enum value_kind kind, const char *text, char *why, size_t room);

/* "127.0.0.1:53", "[::1]:53", or without a port (53). */
bool value_resolver(const char *text, struct sockaddr_storage *to);

/* "127.0.0.2", "127.0.0.2-11", "127.0.0.0/16", each with "&8" behind it (only with these bits set), and then with "=points",
 * "=:SUFFIX" or "=points:SUFFIX" where it weighs differently, or is a symbol of its own. Only in 127/8: other answers are never
 * listings. */
bool value_code(struct span text, double points, struct dnsbl_code *code);

#endif
