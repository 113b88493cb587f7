#include "quarantine/store/backup.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "policyd/base/buf.h"
#include "policyd/base/clock.h"

enum { SALT = 16, VERSION = 1 };

static const char purpose[] = "policyd backup 1";

static const char *
word(const json_t *object, const char *name)
{
	const char *value = json_string_value(json_object_get(object, name));

	return value ? value : "";
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

static int
hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* False: not hex, or not of that many octets. */
static bool
hex_octets(const char *hex, uint8_t *to, size_t n)
{
	if (strlen(hex) != 2 * n)
		return false;
	for (size_t i = 0; i < n; i++) {
		int high = hex_digit(hex[2 * i]), low = hex_digit(hex[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		to[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

/* ---- out ---- */

static json_t *
seal(const char *text, struct span passphrase)
{
	uint8_t salt[SALT], nonce[CRYPT_NONCE], key[CRYPT_KEY];
	size_t n = strlen(text);
	uint8_t *sealed = malloc(n + CRYPT_TAG);
	json_t *out = NULL;

	if (sealed && crypt_random(salt, sizeof salt) && crypt_random(nonce, sizeof nonce) && crypt_stretch(passphrase, salt, key) &&
	    crypt_seal(key, nonce, span_of(purpose), span_make(text, n), sealed))
		out = json_pack("{s:s, s:i, s:o, s:o, s:o}", "policyd", "backup", "version", VERSION, "salt", hex_json(salt, sizeof salt), "nonce",
		    hex_json(nonce, sizeof nonce), "sealed", hex_json(sealed, n + CRYPT_TAG));
	crypt_forget(key, sizeof key);
	free(sealed);
	return out;
}

char *
backup_write(const struct keys *keys, const char *host, struct span passphrase, size_t *count)
{
	json_t *list = json_array();

	for (size_t i = 0; keys_at(keys, i); i++)
		json_array_append_new(list, json_pack("{s:I, s:s, s:o}", "id", (json_int_t)keys_at(keys, i)->id, "customer",
		    keys_at(keys, i)->customer, "key", hex_json(keys_at(keys, i)->bytes, CRYPT_KEY)));
	*count = json_array_size(list);
	json_t *file = json_pack("{s:s, s:i, s:I, s:s, s:o}", "policyd", "backup", "version", VERSION, "time", (json_int_t)wall_s(), "host", host,
	    "keys", list);
	char *text = *count == 0 || keys_at(keys, *count - 1) ? json_dumps(file, JSON_INDENT(1)) : NULL;

	json_decref(file);
	if (text == NULL || passphrase.p == NULL)
		return text;
	json_t *sealed = seal(text, passphrase);

	crypt_forget(text, strlen(text));
	free(text);
	text = json_dumps(sealed, JSON_INDENT(1));
	json_decref(sealed);
	return text;
}

/* ---- and back ---- */

static json_t *
unseal(const json_t *file, struct span passphrase)
{
	const char *sealed = word(file, "sealed");
	uint8_t salt[SALT], nonce[CRYPT_NONCE], key[CRYPT_KEY];
	size_t n = strlen(sealed) / 2;
	uint8_t *octets = n > CRYPT_TAG ? malloc(n) : NULL;
	json_t *out = NULL;

	if (octets && hex_octets(sealed, octets, n) && hex_octets(word(file, "salt"), salt, sizeof salt) &&
	    hex_octets(word(file, "nonce"), nonce, sizeof nonce) && crypt_stretch(passphrase, salt, key) &&
	    crypt_open(key, nonce, span_of(purpose), span_make(octets, n), octets))
		out = json_loadb((const char *)octets, n - CRYPT_TAG, 0, NULL);
	crypt_forget(key, sizeof key);
	if (octets)
		crypt_forget(octets, n);
	free(octets);
	return out;
}

static bool
read_key(const json_t *one, struct key *key)
{
	const json_t *id = json_object_get(one, "id"), *customer = json_object_get(one, "customer");
	json_int_t number = json_integer_value(id);

	if (!json_is_integer(id) || number <= 0 || number > UINT32_MAX || !json_is_string(customer) ||
	    json_string_length(customer) >= sizeof key->customer || json_string_length(customer) != strlen(json_string_value(customer)) ||
	    strchr(json_string_value(customer), '\n'))
		return false;
	key->id = (uint32_t)number;
	snprintf(key->customer, sizeof key->customer, "%s", json_string_value(customer));
	return hex_octets(word(one, "key"), key->bytes, sizeof key->bytes);
}

static bool
read_keys(const json_t *list, struct key **keys, size_t *count, char *why, size_t room)
{
	size_t n = json_array_size(list);
	struct key *all = calloc(n + 1, sizeof *all);

	if (!json_is_array(list) || all == NULL) {
		snprintf(why, room, all ? "there are no keys in it" : "no memory");
		free(all);
		return false;
	}
	for (size_t i = 0; i < n; i++)
		if (!read_key(json_array_get(list, i), &all[i])) {
			snprintf(why, room, "key %zu of it is none", i + 1);
			backup_forget(all, n);
			return false;
		}
	*keys = all;
	*count = n;
	return true;
}

bool
backup_read(struct span text, struct span passphrase, struct key **keys, size_t *count, char *why, size_t room)
{
	json_t *file = json_loadb(text.p ? text.p : "", text.n, JSON_REJECT_DUPLICATES, NULL), *opened = NULL;
	const json_t *version = json_object_get(file, "version");
	bool sealed = json_object_get(file, "sealed") != NULL, good = false;

	if (strcmp(word(file, "policyd"), "backup") != 0)
		snprintf(why, room, "it is no backup of policyd");
	else if (json_integer_value(version) != VERSION)
		snprintf(why, room, "it is of a later version");
	else if (sealed && passphrase.p == NULL)
		snprintf(why, room, "it is sealed; give --passphrase-file");
	else if (sealed && (opened = unseal(file, passphrase)) == NULL)
		snprintf(why, room, "the passphrase does not open it, or it is damaged");
	else
		good = read_keys(json_object_get(opened ? opened : file, "keys"), keys, count, why, room);
	json_decref(opened);
	json_decref(file);
	return good;
}

void
backup_forget(struct key *keys, size_t count)
{
	if (keys)
		crypt_forget(keys, count * sizeof *keys);
	free(keys);
}
