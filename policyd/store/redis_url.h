/* redis_url.h - where Redis is.
 *
 * Shape   redis://[user][:password@]host[:port][/db]   unix:///path/to/socket[?db=N] (a password as [:pw@] before the path)
 * Errors  false and one sentence
 */
#ifndef POLICYD_STORE_REDIS_URL_H
#define POLICYD_STORE_REDIS_URL_H

#include "policyd/config.h"

struct redis_place {
	bool is_unix;
	char host[PATH_ROOM];                /* or the socket's path */
	uint16_t port;
	char user[64], password[128];        /* never logged */
	int db;
};

bool redis_url_parse(const char *url, struct redis_place *place, char *why, size_t room);

/* By the settings: their URL, or the embedded one's socket. */
bool redis_place_of(const struct config *config, struct redis_place *place, char *why, size_t room);

#endif
