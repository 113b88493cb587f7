#include "quarantine/review/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policyd/base/ipc.h"
#include "policyd/base/log.h"

enum { HASH_HEX = 65 };

static const char no_hash[HASH_HEX] = "0000000000000000000000000000000000000000000000000000000000000000";

struct audit {
	char path[REVIEW_PATH_ROOM];
	int fd;
	json_int_t seq;                      /* of the last entry */
	char last[HASH_HEX];
};

static void
hash_of(json_t *entry, char to[HASH_HEX])
{
	char *text = json_dumps(entry, JSON_COMPACT | JSON_SORT_KEYS);
	uint8_t digest[SHA256_DIGEST_LENGTH];

	SHA256((const unsigned char *)(text ? text : ""), text ? strlen(text) : 0, digest);
	for (size_t i = 0; i < sizeof digest; i++)
		snprintf(to + 2 * i, 3, "%02x", digest[i]);
	free(text);
}

/* One line checked against the hash before it; false: it is not what was written. */
static bool
line_good(struct span line, const char *prev, json_t **out)
{
	json_t *entry = json_loadb(line.p ? line.p : "", line.n, 0, NULL), *claimed = json_object_get(entry, "hash");
	char hash[HASH_HEX], want[HASH_HEX];
	bool good = false;

	if (json_is_string(claimed) && strlen(json_string_value(claimed)) == HASH_HEX - 1) {
		snprintf(want, sizeof want, "%s", json_string_value(claimed));
		json_object_del(entry, "hash");
		hash_of(entry, hash);
		json_object_set_new(entry, "hash", json_string(want));
		const char *before = json_string_value(json_object_get(entry, "prev"));

		good = strcmp(hash, want) == 0 && before && strcmp(before, prev) == 0;
	}
	*out = entry;
	return good;
}

/* Where the last whole line is; a torn one (we were killed while writing, nobody was told it is there) is cut off. */
static bool
find_end(struct audit *a)
{
	struct span all = map_fd(a->fd), left = all;
	size_t whole = span_find_last(all, '\n');

	whole = whole == SPAN_NONE ? 0 : whole + 1;
	if (whole < all.n && ftruncate(a->fd, (off_t)whole) < 0)
		return false;
	left = span_head(all, whole ? whole - 1 : 0);
	size_t start = span_find_last(left, '\n');

	if (whole > 0) {
		struct span line = start == SPAN_NONE ? left : span_from(left, start + 1);
		json_t *entry = json_loadb(line.p, line.n, 0, NULL);
		const char *hash = json_string_value(json_object_get(entry, "hash"));

		a->seq = json_integer_value(json_object_get(entry, "seq"));
		if (hash)
			snprintf(a->last, sizeof a->last, "%s", hash);
		json_decref(entry);
	}
	unmap(all);
	return true;
}

struct audit *
audit_open(const char *path, char *why, size_t room)
{
	struct audit *a = calloc(1, sizeof *a);

	if (a == NULL)
		return NULL;
	snprintf(a->path, sizeof a->path, "%s", path);
	memcpy(a->last, no_hash, sizeof a->last);
	a->fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (a->fd < 0 || !find_end(a)) {
		snprintf(why, room, "%s: %s", path, strerror(errno));
		audit_close(a);
		return NULL;
	}
	return a;
}

void
audit_close(struct audit *a)
{
	if (a && a->fd >= 0)
		close(a->fd);
	free(a);
}

bool
audit_add(struct review *r, const char *actor, const char *role, const char *from, const char *action, const char *target,
    const char *customer, const char *note)
{
	struct audit *a = r->audit;
	json_t *entry = json_pack("{s:I, s:I, s:o, s:s, s:s, s:s, s:o, s:o, s:o, s:s}", "seq", (json_int_t)(a->seq + 1), "time",
	    (json_int_t)review_time_s(r), "actor", json_safe(actor), "role", role, "from", from, "action", action, "target",
	    json_safe(target), "customer", json_safe(customer), "note", json_safe(note), "prev", a->last);
	char hash[HASH_HEX];
	off_t before = lseek(a->fd, 0, SEEK_END);

	hash_of(entry, hash);
	json_object_set_new(entry, "hash", json_string(hash));
	char *text = json_dumps(entry, JSON_COMPACT | JSON_SORT_KEYS);
	size_t n = text ? strlen(text) : 0;

	json_decref(entry);
	if (text)
		text[n++] = '\n';            /* over the NUL: it is written by length */
	bool good = text && write(a->fd, text, n) == (ssize_t)n && fdatasync(a->fd) == 0;

	free(text);
	if (!good) {
		log_error("review: %s: %s: an entry of the audit log was lost", a->path, strerror(errno));
		if (before >= 0 && ftruncate(a->fd, before) < 0)
			log_error("review: %s: %s", a->path, strerror(errno));
		return false;
	}
	a->seq++;
	memcpy(a->last, hash, sizeof a->last);
	log_info("audit %lld %.16s: %s %s %s", (long long)a->seq, a->last, actor, action, target);
	return true;
}

bool
audit_call(struct call *c, const char *action, const char *target, const char *customer, const char *note)
{
	char from[INET6_ADDRSTRLEN];

	ip_print(&c->http->client, from);
	return audit_add(c->review, c->who.role == ROLE_NONE ? target : c->who.name, role_names[c->who.role], from, action, target,
	    customer[0] ? customer : c->who.customer, note);
}

json_t *
audit_list(const struct audit *a, const char *customer, json_int_t before, size_t limit)
{
	struct span all = map_fd(a->fd), left = all;
	json_t *entries = json_array();

	if (left.n > 0)
		left.n--;                    /* the last line end */
	while (left.n > 0 && json_array_size(entries) < limit) {
		size_t at = span_find_last(left, '\n');
		struct span line = at == SPAN_NONE ? left : span_from(left, at + 1);
		json_t *entry = json_loadb(line.p, line.n, 0, NULL);
		const char *whose = json_string_value(json_object_get(entry, "customer"));

		if (entry && (before == 0 || json_integer_value(json_object_get(entry, "seq")) < before) &&
		    (customer == NULL || (whose && customer[0] && strcmp(whose, customer) == 0)))
			json_array_append(entries, entry);
		json_decref(entry);
		left = span_head(left, at == SPAN_NONE ? 0 : at);
	}
	unmap(all);
	return entries;
}

json_t *
audit_verify(const struct audit *a)
{
	struct span all = map_fd(a->fd), left = all;
	char prev[HASH_HEX];
	json_int_t count = 0, broken_at = 0;

	memcpy(prev, no_hash, sizeof prev);
	while (left.n > 0 && broken_at == 0) {
		struct span line = span_cut(&left, '\n');
		json_t *entry;

		count++;
		if (line_good(line, prev, &entry) && json_integer_value(json_object_get(entry, "seq")) == count)
			snprintf(prev, sizeof prev, "%s", json_string_value(json_object_get(entry, "hash")));
		else
			broken_at = count;
		json_decref(entry);
	}
	unmap(all);
	if (broken_at == 0 && (count != a->seq || strcmp(prev, a->last) != 0))
		broken_at = count + 1;       /* what we wrote ourselves is not all there */
	return json_pack("{s:I, s:b, s:I, s:s}", "entries", count, "good", broken_at == 0, "broken_at", broken_at, "last", a->last);
}
