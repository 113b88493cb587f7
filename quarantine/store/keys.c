#include "quarantine/store/keys.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policyd/base/map.h"

static const char title[] = "policyd quarantine key";

struct keys {
	char dir[512];
	int dir_fd;
	struct key **all;
	size_t count, room;
	struct map by_id, by_customer;
};

static bool
fail(char *why, size_t room, const char *dir, const char *name, const char *what)
{
	snprintf(why, room, "%s/%s: %s", dir, name, what);
	return false;
}

/* The slot of a customer: his own, or the free one where he belongs. */
static uint64_t
customer_slot(const struct keys *k, struct span customer)
{
	uint64_t at = span_hash(customer, 1);

	for (const struct key *key; (key = map_get(&k->by_customer, at)) != NULL; at++)
		if (span_eq(span_of(key->customer), customer))
			break;
	return at;
}

static bool
remember(struct keys *k, const struct key *key)
{
	struct key *copy = malloc(sizeof *copy);

	if (copy && k->count == k->room) {
		size_t room = k->room ? k->room * 2 : 16;
		struct key **grown = realloc(k->all, room * sizeof *grown);

		if (grown == NULL) {
			free(copy);
			return false;
		}
		k->all = grown;
		k->room = room;
	}
	if (copy == NULL)
		return false;
	*copy = *key;
	k->all[k->count++] = copy;
	uint64_t slot = customer_slot(k, span_of(key->customer));

	/* Two keys of one customer (one restored): new mail takes the first found, old mail names its own. */
	return map_put(&k->by_id, key->id, copy) && (map_get(&k->by_customer, slot) || map_put(&k->by_customer, slot, copy));
}

static bool
parse(struct span text, struct key *key)
{
	struct span line = span_cut(&text, '\n'), customer = span_cut(&text, '\n'), hex = span_cut(&text, '\n');

	if (!span_eq(line, span_of(title)) || !span_starts(customer, SPAN("customer ")) || !span_starts(hex, SPAN("key ")) ||
	    hex.n != 4 + 2 * CRYPT_KEY || customer.n - 9 >= sizeof key->customer)
		return false;
	customer = span_from(customer, 9);
	memcpy(key->customer, customer.p, customer.n);
	key->customer[customer.n] = '\0';
	for (size_t i = 0; i < CRYPT_KEY; i++) {
		char octet[3] = { hex.p[4 + 2 * i], hex.p[5 + 2 * i], '\0' }, *end;

		key->bytes[i] = (uint8_t)strtoul(octet, &end, 16);
		if (end != octet + 2)
			return false;
	}
	return true;
}

static bool
read_key(struct keys *k, const char *name, char *why, size_t room)
{
	int fd = openat(k->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct key key = { .id = (uint32_t)strtoul(name, NULL, 16) };
	struct stat st;
	char text[256];
	bool good = false;
	ssize_t n = fd >= 0 && fstat(fd, &st) == 0 ? read(fd, text, sizeof text) : -1;

	if (n < 0)
		fail(why, room, k->dir, name, strerror(errno));
	else if (!S_ISREG(st.st_mode) || (st.st_mode & 077))
		fail(why, room, k->dir, name, "it must be a file that its owner alone may read");
	else if (key.id == 0 || !parse(span_make(text, (size_t)n), &key))
		fail(why, room, k->dir, name, "it is no key of the quarantine");
	else if (!(good = map_get(&k->by_id, key.id) != NULL || remember(k, &key)))
		fail(why, room, k->dir, name, "no memory");
	if (fd >= 0)
		close(fd);
	crypt_forget(text, sizeof text);
	crypt_forget(&key, sizeof key);
	return good;
}

static bool
is_key(const char *name)
{
	return strlen(name) == 12 && strspn(name, "0123456789abcdef") == 8 && strcmp(name + 8, ".key") == 0;
}

bool
keys_reload(struct keys *k, char *why, size_t room)
{
	DIR *list = fdopendir(openat(k->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	struct dirent *e;
	bool good = list != NULL || fail(why, room, k->dir, "", strerror(errno));

	while (good && (e = readdir(list)) != NULL)
		if (is_key(e->d_name))
			good = read_key(k, e->d_name, why, room);
	if (list)
		closedir(list);
	return good;
}

struct keys *
keys_open(const char *dir, char *why, size_t room)
{
	struct keys *k = calloc(1, sizeof *k);

	if (k == NULL) {
		snprintf(why, room, "no memory");
		return NULL;
	}
	snprintf(k->dir, sizeof k->dir, "%s", dir);
	bool good = mkdir(dir, 0700) == 0 || errno == EEXIST;

	k->dir_fd = good ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW) : -1;
	if (k->dir_fd < 0)
		fail(why, room, dir, "", strerror(errno));
	if (k->dir_fd < 0 || !keys_reload(k, why, room)) {
		keys_close(k);
		return NULL;
	}
	return k;
}

void
keys_close(struct keys *k)
{
	if (k == NULL)
		return;
	for (size_t i = 0; i < k->count; i++) {
		crypt_forget(k->all[i], sizeof *k->all[i]);
		free(k->all[i]);
	}
	free(k->all);
	map_free(&k->by_id);
	map_free(&k->by_customer);
	if (k->dir_fd >= 0)
		close(k->dir_fd);
	free(k);
}

static bool
write_key(struct keys *k, const struct key *key, char *why, size_t room)
{
	char name[16], tmp[16], text[256];
	int n = snprintf(text, sizeof text, "%s\ncustomer %s\nkey ", title, key->customer);

	for (size_t i = 0; i < CRYPT_KEY; i++)
		n += snprintf(text + n, sizeof text - (size_t)n, "%02x", key->bytes[i]);
	text[n++] = '\n';
	snprintf(name, sizeof name, "%08x.key", key->id);
	snprintf(tmp, sizeof tmp, "%08x.tmp", key->id);
	unlinkat(k->dir_fd, tmp, 0);             /* half written by a process that was killed */
	int fd = openat(k->dir_fd, tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct stat st;
	bool mine = fd >= 0 && (geteuid() != 0 || (fstat(k->dir_fd, &st) == 0 && fchown(fd, st.st_uid, st.st_gid) == 0));
	bool good = mine && write(fd, text, (size_t)n) == n && fsync(fd) == 0;

	if (!good)
		fail(why, room, k->dir, name, fd < 0 || errno ? strerror(errno) : "cannot be written");
	if (fd >= 0)
		close(fd);
	if (good && (renameat(k->dir_fd, tmp, k->dir_fd, name) < 0 || fsync(k->dir_fd) < 0))
		good = fail(why, room, k->dir, name, strerror(errno));
	if (!good)
		unlinkat(k->dir_fd, tmp, 0);
	crypt_forget(text, sizeof text);
	return good;
}

bool
keys_add(struct keys *k, const struct key *key, char *why, size_t room)
{
	const struct key *old = keys_find(k, key->id);

	if (old && (memcmp(old->bytes, key->bytes, CRYPT_KEY) != 0 || strcmp(old->customer, key->customer) != 0)) {
		snprintf(why, room, "%s/%08x.key: another key has this number", k->dir, key->id);
		return false;
	}
	if (old)
		return true;
	if (strchr(key->customer, '\n') || key->id == 0) {
		snprintf(why, room, "key %08x of \"%s\" is none", key->id, key->customer);
		return false;
	}
	if (!write_key(k, key, why, room))
		return false;
	if (!remember(k, key)) {
		snprintf(why, room, "no memory");
		return false;
	}
	return true;
}

const struct key *
keys_for(struct keys *k, struct span customer, char *why, size_t room)
{
	const struct key *old = map_get(&k->by_customer, customer_slot(k, customer));
	struct key key = { 0 };

	if (old)
		return old;
	if (customer.n >= sizeof key.customer || !crypt_random(&key.id, sizeof key.id) || !crypt_random(key.bytes, sizeof key.bytes)) {
		snprintf(why, room, "no key can be made for customer \"%.*s\"", (int)customer.n, customer.p ? customer.p : "");
		return NULL;
	}
	while (key.id == 0 || keys_find(k, key.id))
		key.id++;
	memcpy(key.customer, customer.p ? customer.p : "", customer.n);
	bool good = keys_add(k, &key, why, room);

	crypt_forget(key.bytes, sizeof key.bytes);
	return good ? keys_find(k, key.id) : NULL;
}

const struct key *
keys_find(const struct keys *k, uint32_t id)
{
	return map_get(&k->by_id, id);
}

const struct key *
keys_at(const struct keys *k, size_t i)
{
	return i < k->count ? k->all[i] : NULL;
}
