#include "policyd/store/redis_url.h"

#include <stdio.h>

static bool
take(struct span s, char *to, size_t room)
{
	if (s.n >= room)
		return false;
	memcpy(to, s.p ? s.p : "", s.n);
	to[s.n] = '\0';
	return true;
}

/* "user:password@" at the front of `rest`. */
static bool
take_login(struct span *rest, struct redis_place *place)
{
	size_t at = span_find_last(*rest, '@');

	if (at == SPAN_NONE)
		return true;
	struct span login = span_head(*rest, at), user = span_cut(&login, ':');

	*rest = span_from(*rest, at + 1);
	return take(user, place->user, sizeof place->user) && take(login, place->password, sizeof place->password);
}

static bool
take_db(struct span text, struct redis_place *place)
{
	uint64_t db = 0;

	if (text.n > 0 && (!span_u64(text, &db) || db > 1023))
		return false;
	place->db = (int)db;
	return true;
}

static bool
parse_unix(struct span rest, struct redis_place *place)
{
	if (!take_login(&rest, place))
		return false;
	struct span query = rest, path = span_cut(&query, '?');

	place->is_unix = true;
	if (span_starts(query, SPAN("db=")))
		query = span_from(query, 3);
	return path.n > 0 && path.p[0] == '/' && take(path, place->host, sizeof place->host) && take_db(query, place);
}

static bool
parse_inet(struct span rest, struct redis_place *place)
{
	uint64_t port = 6379;

	if (!take_login(&rest, place))
		return false;
	struct span db = rest, where = span_cut(&db, '/'), port_text = where, host = span_cut(&port_text, ':');

	if (where.n > 0 && where.p[0] == '[') {      /* [::1]:6379 */
		size_t end = span_find_char(where, ']');

		if (end == SPAN_NONE)
			return false;
		host = span_make(where.p + 1, end - 1);
		port_text = span_from(where, end + 1);
		if (port_text.n > 0)
			port_text = span_from(port_text, 1);
	}
	if (port_text.n > 0 && (!span_u64(port_text, &port) || port == 0 || port > 65535))
		return false;
	place->port = (uint16_t)port;
	return host.n > 0 && take(host, place->host, sizeof place->host) && take_db(db, place);
}

bool
redis_url_parse(const char *url, struct redis_place *place, char *why, size_t room)
{
	struct span all = span_of(url);
	bool good = false;

	*place = (struct redis_place){ 0 };
	if (span_starts(all, SPAN("redis://")))
		good = parse_inet(span_from(all, 8), place);
	else if (span_starts(all, SPAN("unix://")))
		good = parse_unix(span_from(all, 7), place);
	if (!good)
		snprintf(why, room, "no place of a Redis; expected \"redis://[:password@]host[:port][/db]\" or \"unix:///path[?db=N]\"");
	return good;
}

bool
redis_place_of(const struct config *config, struct redis_place *place, char *why, size_t room)
{
	if (config->redis_url[0])
		return redis_url_parse(config->redis_url, place, why, room);
	*place = (struct redis_place){ .is_unix = true };
	snprintf(place->host, sizeof place->host, "%.*s/redis.sock", PATH_ROOM - 16, config->run);
	return true;
}
