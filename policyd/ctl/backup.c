/* backup.c - policyctl backup and restore: the keys that the quarantine is sealed with. Without them its segments, wherever
 * they are copied to, cannot be read; with them and the segments everything else can be made anew.
 *
 * The file is JSON, readable by its owner only: {"policyd": "backup", "version": 1, "time", "host", "keys": [{"id",
 * "customer", "key"}..]}; with a passphrase {"policyd": "backup", "version": 1, "salt", "nonce", "sealed"}: the same text
 * under AES-256-GCM with a key by scrypt; octets in hex. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policyd/base/buf.h"
#include "policyd/base/clock.h"
#include "policyd/config.h"
#include "policyd/ctl/client.h"
#include "policyd/ctl/commands.h"
#include "quarantine/store/keys.h"

static const char usage[] =
	"usage: policyctl backup FILE [--passphrase-file F]\n"
	"       policyctl restore FILE [--passphrase-file F]\n"
	"  The keys of the quarantine, into a new FILE that its owner alone may read, and back. With a passphrase (the first\n"
	"  line of F) the file is sealed. Keys that are there already stay; policyctl reload puts restored ones in use.\n"
	"  Copy <state>/quarantine/*.seg beside it: the index is made anew by policyctl quarantine rebuild.\n";

enum { FILE_MOST = 64 << 20, SALT = 16 };

static int
fail(const char *what, const char *why)
{
	fprintf(stderr, "policyctl: %s: %s\n", what, why);
	return 1;
}

static json_t *
hex_json(const void *p, size_t n)
{
	const uint8_t *octets = p;
	struct buf out = { 0 };

	for (size_t i = 0; i < n; i++)
		buf_printf(&out, "%02x", octets[i]);
	json_t *text = json_stringn(out.p ? out.p : "", out.n);

	if (out.p)
		crypt_forget(out.p, out.n);
	buf_free(&out);
	return text;
}

/* False: not hex, or not of that many octets. */
static bool
hex_octets(const char *hex, uint8_t *to, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char octet[3] = { hex[0], hex[0] ? hex[1] : '\0', '\0' }, *end;

		to[i] = (uint8_t)strtoul(octet, &end, 16);
		if (end != octet + 2)
			return false;
		hex += 2;
	}
	return *hex == '\0';
}

static bool
read_file(const char *path, struct buf *out)
{
	FILE *f = fopen(path, "re");
	char chunk[65536];
	size_t n;

	while (f && (n = fread(chunk, 1, sizeof chunk, f)) > 0 && out->n < FILE_MOST)
		buf_add(out, chunk, n);
	bool good = f && !ferror(f) && !out->failed && out->n < FILE_MOST;

	if (!good)
		fail(path, errno ? strerror(errno) : "too large");
	if (f)
		fclose(f);
	return good;
}

static bool
write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	size_t n = strlen(text);
	bool good = fd >= 0 && write(fd, text, n) == (ssize_t)n && fsync(fd) == 0;

	if (!good)
		fail(path, strerror(errno));
	if (fd >= 0 && close(fd) < 0 && good) {
		fail(path, strerror(errno));
		good = false;
	}
	if (fd >= 0 && !good)
		unlink(path);
	return good;
}

/* The first line of the file. False: none was asked for, or it cannot be had (*bad). */
static bool
read_passphrase(const char *path, struct buf *out, bool *bad)
{
	*bad = false;
	if (path == NULL)
		return false;
	*bad = !read_file(path, out);
	size_t end = span_find_char(buf_span(out), '\n');

	if (end != SPAN_NONE)
		out->n = end;
	if (!*bad && out->n < 8) {
		fail(path, "the passphrase has less than 8 characters");
		*bad = true;
	}
	return !*bad;
}

static json_t *
seal(const char *text, struct span passphrase)
{
	uint8_t salt[SALT], nonce[CRYPT_NONCE], key[CRYPT_KEY];
	size_t n = strlen(text);
	uint8_t *sealed = malloc(n + CRYPT_TAG);
	json_t *out = NULL;

	if (sealed && crypt_random(salt, sizeof salt) && crypt_random(nonce, sizeof nonce) && crypt_stretch(passphrase, salt, key) &&
	    crypt_seal(key, nonce, SPAN("policyd backup 1"), span_make(text, n), sealed))
		out = json_pack("{s:s, s:i, s:o, s:o, s:o}", "policyd", "backup", "version", 1, "salt", hex_json(salt, sizeof salt), "nonce",
		    hex_json(nonce, sizeof nonce), "sealed", hex_json(sealed, n + CRYPT_TAG));
	crypt_forget(key, sizeof key);
	free(sealed);
	return out;
}

static json_t *
unseal(const json_t *file, struct span passphrase)
{
	const char *sealed = ctl_text(file, "sealed");
	uint8_t salt[SALT], nonce[CRYPT_NONCE], key[CRYPT_KEY];
	size_t n = strlen(sealed) / 2;
	uint8_t *octets = malloc(n + 1);
	json_t *out = NULL;

	if (octets && hex_octets(sealed, octets, n) && hex_octets(ctl_text(file, "salt"), salt, sizeof salt) &&
	    hex_octets(ctl_text(file, "nonce"), nonce, sizeof nonce) && crypt_stretch(passphrase, salt, key) &&
	    crypt_open(key, nonce, SPAN("policyd backup 1"), span_make(octets, n), octets))
		out = json_loadb((const char *)octets, n - CRYPT_TAG, 0, NULL);
	crypt_forget(key, sizeof key);
	free(octets);
	return out;
}

static struct keys *
open_keys(void)
{
	static struct config config;
	const char *path = ctl_config_path ? ctl_config_path : getenv("POLICYD_CONF");
	char why[1024], dir[PATH_ROOM + 32];

	if (!config_load(path ? path : "/etc/policyd/policyd.conf", &config, why, sizeof why)) {
		fprintf(stderr, "policyctl: %s\n", why);
		return NULL;
	}
	/* By root, maybe before the first start: what is made belongs to whom policyd will be. */
	const struct passwd *user = geteuid() == 0 && config.user[0] ? getpwnam(config.user) : NULL;
	static const char *const parts[] = { "", "/quarantine", "/quarantine/keys" };

	for (size_t i = 0; i < 3; i++) {
		snprintf(dir, sizeof dir, "%s%s", config.state, parts[i]);
		if (mkdir(dir, i == 0 ? 0711 : 0700) == 0 && user && chown(dir, user->pw_uid, user->pw_gid) < 0) {
			fail(dir, strerror(errno));
			return NULL;
		}
	}
	struct keys *keys = keys_open(dir, why, sizeof why);

	if (keys == NULL)
		fprintf(stderr, "policyctl: %s\n", why);
	return keys;
}

static int
backup(struct keys *keys, const char *path, const char *passphrase_file)
{
	json_t *list = json_array(), *file;
	struct buf passphrase = { 0 };
	char host[128] = "";
	bool bad;
	int code = 1;

	for (size_t i = 0; keys_at(keys, i); i++)
		json_array_append_new(list, json_pack("{s:I, s:s, s:o}", "id", (json_int_t)keys_at(keys, i)->id, "customer",
		    keys_at(keys, i)->customer, "key", hex_json(keys_at(keys, i)->bytes, CRYPT_KEY)));
	size_t count = json_array_size(list);

	gethostname(host, sizeof host - 1);
	file = json_pack("{s:s, s:i, s:I, s:s, s:o}", "policyd", "backup", "version", 1, "time", (json_int_t)wall_s(), "host", host, "keys", list);
	char *text = json_dumps(file, JSON_INDENT(1));

	if (read_passphrase(passphrase_file, &passphrase, &bad) && text) {
		json_decref(file);
		file = seal(text, buf_span(&passphrase));
		free(text);
		text = file ? json_dumps(file, JSON_INDENT(1)) : NULL;
	}
	if (text == NULL)
		fail(path, "no memory");
	else if (!bad && write_file(path, text)) {
		printf(ctl_json ? "{\"keys\": %zu}\n" : "%zu keys\n", count);
		code = 0;
	}
	free(text);
	json_decref(file);
	buf_free(&passphrase);
	return code;
}

static int
take_keys(struct keys *keys, const char *path, const json_t *list)
{
	size_t i, before = 0;
	json_t *one;
	char why[512];

	while (keys_at(keys, before))
		before++;
	json_array_foreach(list, i, one) {
		struct key key = { .id = (uint32_t)json_integer_value(json_object_get(one, "id")) };
		bool good = hex_octets(ctl_text(one, "key"), key.bytes, sizeof key.bytes) && strlen(ctl_text(one, "customer")) < sizeof key.customer;

		snprintf(key.customer, sizeof key.customer, "%s", ctl_text(one, "customer"));
		if (!good)
			return fail(path, "a key in it is none");
		if (!keys_add(keys, &key, why, sizeof why))
			return fail(path, why);
		crypt_forget(&key, sizeof key);
	}
	size_t after = before;

	while (keys_at(keys, after))
		after++;
	if (ctl_json)
		printf("{\"keys\": %zu, \"restored\": %zu}\n", i, after - before);
	else
		printf("%zu keys in it, %zu of them were not here%s\n", i, after - before, after > before ? "; policyctl reload puts them in use" : "");
	return 0;
}

static int
restore(struct keys *keys, const char *path, const char *passphrase_file)
{
	struct buf text = { 0 }, passphrase = { 0 };
	json_t *file = NULL, *opened = NULL;
	bool bad = false;
	int code = 1;

	if (read_file(path, &text)) {
		file = json_loadb(text.p, text.n, 0, NULL);
		bool sealed = json_object_get(file, "sealed") != NULL, has = read_passphrase(passphrase_file, &passphrase, &bad);

		if (strcmp(ctl_text(file, "policyd"), "backup") != 0)
			fail(path, "it is no backup of policyd");
		else if (ctl_number(file, "version") != 1)
			fail(path, "it is of a later version");
		else if (sealed && !has)
			bad = bad || fail(path, "it is sealed; give --passphrase-file");
		else if (sealed && (opened = unseal(file, buf_span(&passphrase))) == NULL)
			fail(path, "the passphrase does not open it, or it is damaged");
		else
			code = take_keys(keys, path, json_object_get(opened ? opened : file, "keys"));
	}
	json_decref(opened);
	json_decref(file);
	if (text.p)
		crypt_forget(text.p, text.n);
	buf_free(&text);
	buf_free(&passphrase);
	return code;
}

int
cmd_backup(int argc, char **argv)
{
	static const struct option options[] = { { "passphrase-file", 1, NULL, 'p' }, { "json", 0, NULL, 'j' }, { "help", 0, NULL, 'h' }, { 0 } };
	const char *passphrase_file = NULL;

	optind = 0;
	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		if (c == 'h' || c == '?') {
			fputs(usage, c == 'h' ? stdout : stderr);
			return c == 'h' ? 0 : 2;
		}
		if (c == 'p')
			passphrase_file = optarg;
		else
			ctl_json = 1;
	}
	if (argc - optind != 1) {
		fputs(usage, stderr);
		return 2;
	}
	struct keys *keys = open_keys();

	if (keys == NULL)
		return 1;
	int code = strcmp(argv[0], "backup") == 0 ? backup(keys, argv[optind], passphrase_file) : restore(keys, argv[optind], passphrase_file);

	keys_close(keys);
	return code;
}
