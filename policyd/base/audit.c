#include "policyd/base/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policyd/base/ipc.h"
#include "policyd/base/log.h"
#include "policyd/base/utf8.h"

enum { HASH_HEX = 65, PATH_MOST = 1100 };

static const char no_hash[HASH_HEX] = "0000000000000000000000000000000000000000000000000000000000000000";

struct audit {
	char path[PATH_MOST];
	int fd;
	off_t end;                           /* behind the last entry we know */
	json_int_t seq;                      /* its number */
	char last[HASH_HEX];                 /* and hash */
	bool rewritten;                      /* what followed it did not go on from there */
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

/* Is that the line after the one with this hash? */
static bool
goes_on(struct span line, const char *hash)
{
	json_t *entry = json_loadb(line.p ? line.p : "", line.n, 0, NULL);
	const char *prev = json_string_value(json_object_get(entry, "prev"));
	bool good = prev && strcmp(prev, hash) == 0;

	json_decref(entry);
	return good;
}

/* The last whole line from `a->end` on is the last entry. What another writer had half written when it was killed is no line;
 * with `cut` (we hold the lock, so nobody is writing) it goes. False: it cannot be read, or cut. */
static bool
find_end(struct audit *a, bool cut)
{
	struct span all = map_fd(a->fd);
	size_t whole = span_find_last(all, '\n');
	bool good = all.p != NULL;

	whole = whole == SPAN_NONE ? 0 : whole + 1;
	if (good && (off_t)whole > a->end) {
		struct span lines = span_head(all, whole - 1), next = span_from(all, (size_t)a->end);

		a->rewritten |= a->end > 0 && !goes_on(span_cut(&next, '\n'), a->last);
		size_t start = span_find_last(lines, '\n');
		struct span line = start == SPAN_NONE ? lines : span_from(lines, start + 1);
		json_t *entry = json_loadb(line.p, line.n, 0, NULL);
		const char *hash = json_string_value(json_object_get(entry, "hash"));

		a->seq = json_integer_value(json_object_get(entry, "seq"));
		if (hash)
			snprintf(a->last, sizeof a->last, "%s", hash);
		a->end = (off_t)whole;
		json_decref(entry);
	}
	if (good && cut && whole < all.n)
		good = ftruncate(a->fd, (off_t)whole) == 0;
	unmap(all);
	return good;
}

struct audit *
audit_open(const char *path, char *why, size_t room)
{
	struct audit *a = calloc(1, sizeof *a);

	if (a == NULL) {
		snprintf(why, room, "no memory");
		return NULL;
	}
	snprintf(a->path, sizeof a->path, "%s", path);
	memcpy(a->last, no_hash, sizeof a->last);
	a->fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (a->fd < 0 || !find_end(a, false)) {
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

void
audit_follow(struct audit *a)
{
	struct stat st;

	if (fstat(a->fd, &st) == 0 && st.st_size > a->end)
		find_end(a, false);
}

/* A stranger's words; what is no UTF-8 becomes '?'. */
static json_t *
safe(const char *text)
{
	char clean[1024];
	size_t n = 0;

	for (struct span left = span_of(text ? text : ""); left.n > 0 && n + 4 < sizeof clean;) {
		size_t length = utf8_length(left);

		memcpy(clean + n, length ? left.p : "?", length ? length : 1);
		n += length ? length : 1;
		left = span_from(left, length ? length : 1);
	}
	return json_stringn(clean, n);
}

/* One line more in `out`; `prev` and `seq` go on. */
static void
add_line(struct buf *out, const struct audit_entry *e, json_int_t seq, char prev[HASH_HEX])
{
	json_t *entry = json_pack("{s:I, s:I, s:o, s:o, s:o, s:s, s:o, s:o, s:o, s:s}", "seq", seq, "time", (json_int_t)e->time_s, "actor",
	    safe(e->actor), "role", safe(e->role), "from", safe(e->from), "action", e->action, "target", safe(e->target), "customer",
	    safe(e->customer), "note", safe(e->note), "prev", prev);

	hash_of(entry, prev);
	json_object_set_new(entry, "hash", json_string(prev));
	char *text = json_dumps(entry, JSON_COMPACT | JSON_SORT_KEYS);

	out->failed |= text == NULL;
	buf_add(out, text ? text : "", text ? strlen(text) : 0);
	buf_add_char(out, '\n');
	free(text);
	json_decref(entry);
}

static bool
append(struct audit *a, struct span lines)
{
	off_t before = lseek(a->fd, 0, SEEK_END);

	if (write(a->fd, lines.p, lines.n) == (ssize_t)lines.n && fdatasync(a->fd) == 0)
		return true;
	log_error("%s: %s: an entry of the audit log was lost", a->path, strerror(errno));
	if (before >= 0 && ftruncate(a->fd, before) < 0)
		log_error("%s: %s", a->path, strerror(errno));
	return false;
}

bool
audit_write(struct audit *a, const struct audit_entry *entries, size_t count)
{
	struct buf lines = { 0 };
	char last[HASH_HEX];

	while (flock(a->fd, LOCK_EX) < 0 && errno == EINTR)
		;
	bool good = find_end(a, true);

	memcpy(last, a->last, sizeof last);
	for (size_t i = 0; i < count; i++)
		add_line(&lines, &entries[i], a->seq + 1 + (json_int_t)i, last);
	good = good && !lines.failed && append(a, buf_span(&lines));
	if (good) {
		a->seq += (json_int_t)count;
		a->end = lseek(a->fd, 0, SEEK_END);
		memcpy(a->last, last, sizeof a->last);
	}
	flock(a->fd, LOCK_UN);
	buf_free(&lines);
	for (size_t i = 0; good && i < count; i++)
		log_info("audit %lld%s%.16s: %s %s %s", (long long)(a->seq - (json_int_t)(count - 1 - i)), i + 1 == count ? " " : "",
		    i + 1 == count ? a->last : "", entries[i].actor, entries[i].action, entries[i].target);
	return good;
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
audit_verify(struct audit *a)
{
	while (flock(a->fd, LOCK_SH) < 0 && errno == EINTR)
		;
	audit_follow(a);
	struct span all = map_fd(a->fd), left = span_head(all, span_find_last(all, '\n') + 1);     /* SPAN_NONE + 1: nothing */
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
	flock(a->fd, LOCK_UN);
	if (broken_at == 0 && (a->rewritten || count != a->seq || strcmp(prev, a->last) != 0))
		broken_at = count + 1;       /* what we wrote ourselves is not all there */
	return json_pack("{s:I, s:b, s:I, s:s}", "entries", count, "good", broken_at == 0, "broken_at", broken_at, "last", a->last);
}
