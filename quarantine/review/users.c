#include "quarantine/review/users.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policyd/base/log.h"
#include "quarantine/review/review.h"

enum { SCRYPT_N = 32768, SCRYPT_R = 8, SCRYPT_P = 3, SCRYPT_MEMORY = 128 << 20, SALT_BYTES = 16, HASH_BYTES = 32, TOTP_STEP_S = 30,
    TOTP_BYTES = 20, PASSWORD_LEAST = 10 };

struct users {
	char path[REVIEW_PATH_ROOM];
	json_t *all;                         /* name -> record */
};

/* ---- passwords ---- */

static void
to_hex(const uint8_t *bytes, size_t n, char *to)
{
	for (size_t i = 0; i < n; i++)
		snprintf(to + 2 * i, 3, "%02x", bytes[i]);
}

static bool
from_hex(const char *text, uint8_t *to, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		unsigned byte;

		if (sscanf(text + 2 * i, "%2x", &byte) != 1)
			return false;
		to[i] = (uint8_t)byte;
	}
	return text[2 * n] == '\0' || text[2 * n] == '$';
}

static bool
scrypt(const char *password, const uint8_t *salt, uint64_t n, uint64_t r, uint64_t p, uint8_t hash[HASH_BYTES])
{
	return EVP_PBE_scrypt(password, strlen(password), salt, SALT_BYTES, n, r, p, SCRYPT_MEMORY, hash, HASH_BYTES) == 1;
}

bool
password_hash(const char *password, char to[HASH_ROOM])
{
	uint8_t salt[SALT_BYTES], hash[HASH_BYTES];
	char salt_hex[2 * SALT_BYTES + 1], hash_hex[2 * HASH_BYTES + 1];

	if (RAND_bytes(salt, sizeof salt) != 1 || !scrypt(password, salt, SCRYPT_N, SCRYPT_R, SCRYPT_P, hash))
		return false;
	to_hex(salt, sizeof salt, salt_hex);
	to_hex(hash, sizeof hash, hash_hex);
	snprintf(to, HASH_ROOM, "scrypt$%d$%d$%d$%s$%s", SCRYPT_N, SCRYPT_R, SCRYPT_P, salt_hex, hash_hex);
	return true;
}

bool
password_check(const char *password, const char *hash)
{
	static const char nobody[] = "scrypt$32768$8$3$00000000000000000000000000000000$"
	    "0000000000000000000000000000000000000000000000000000000000000000";
	unsigned n, r, p;
	char salt_hex[2 * SALT_BYTES + 1], want_hex[2 * HASH_BYTES + 1];
	uint8_t salt[SALT_BYTES], want[HASH_BYTES], got[HASH_BYTES];
	const char *against = hash ? hash : nobody;

	if (sscanf(against, "scrypt$%u$%u$%u$%32[0-9a-f]$%64[0-9a-f]", &n, &r, &p, salt_hex, want_hex) != 5 ||
	    !from_hex(salt_hex, salt, sizeof salt) || !from_hex(want_hex, want, sizeof want) || !scrypt(password, salt, n, r, p, got))
		return false;
	bool same = CRYPTO_memcmp(got, want, sizeof got) == 0;

	return same && hash != NULL;
}

/* ---- TOTP ---- */

static const char base32[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

static void
to_base32(const uint8_t *bytes, size_t n, char *to)
{
	unsigned bits = 0, have = 0;

	for (size_t i = 0; i < n; i++) {
		bits = bits << 8 | bytes[i];
		for (have += 8; have >= 5; have -= 5)
			*to++ = base32[bits >> (have - 5) & 31];
	}
	*to = '\0';
}

static size_t
from_base32(const char *text, uint8_t *to, size_t room)
{
	unsigned bits = 0, have = 0;
	size_t n = 0;

	for (; *text; text++) {
		const char *at = strchr(base32, *text);

		if (at == NULL || n == room)
			return 0;
		bits = bits << 5 | (unsigned)(at - base32);
		have += 5;
		if (have >= 8) {
			have -= 8;
			to[n++] = (uint8_t)(bits >> have);
		}
	}
	return n;
}

bool
totp_code(const char *secret, uint64_t step, char to[8])
{
	uint8_t key[64], counter[8], mac[EVP_MAX_MD_SIZE];
	size_t n = from_base32(secret, key, sizeof key);
	unsigned length = 0;

	if (n == 0)
		return false;
	for (int i = 7; i >= 0; i--, step >>= 8)
		counter[i] = (uint8_t)step;
	if (HMAC(EVP_sha1(), key, (int)n, counter, sizeof counter, mac, &length) == NULL || length < 20)
		return false;
	const uint8_t *at = mac + (mac[19] & 15);
	uint32_t number = (uint32_t)(at[0] & 127) << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];

	snprintf(to, 8, "%06u", number % 1000000);
	return true;
}

static bool
save(struct users *u)
{
	char *text = json_dumps(u->all, JSON_INDENT(1) | JSON_SORT_KEYS);
	bool good = text && file_replace(u->path, text, strlen(text));

	free(text);
	return good;
}

bool
users_totp(struct users *u, json_t *user, const char *code, int64_t now_s)
{
	const char *secret = json_string_value(json_object_get(user, "totp"));
	json_int_t used = json_integer_value(json_object_get(user, "totp_used")), now = now_s / TOTP_STEP_S;
	bool good = false;

	for (json_int_t step = now - 1; step <= now + 1; step++) {
		char want[8];

		if (step > used && secret && totp_code(secret, (uint64_t)step, want) && same_secret(want, code)) {
			json_object_set_new(user, "totp_used", json_integer(step));
			good = true;
			break;
		}
	}
	return good && save(u);
}

/* ---- the file ---- */

struct users *
users_open(const char *path, char *why, size_t room)
{
	struct users *u = calloc(1, sizeof *u);
	json_error_t bad;

	if (u == NULL)
		return NULL;
	snprintf(u->path, sizeof u->path, "%s", path);
	u->all = json_load_file(path, 0, &bad);
	if (u->all == NULL && json_error_code(&bad) == json_error_cannot_open_file)
		u->all = json_object();
	if (!json_is_object(u->all)) {
		snprintf(why, room, "%s:%d: %s", path, bad.line, bad.text);
		users_close(u);
		return NULL;
	}
	return u;
}

void
users_close(struct users *u)
{
	if (u)
		json_decref(u->all);
	free(u);
}

size_t
users_count(const struct users *u)
{
	return json_object_size(u->all);
}

json_t *
users_find(const struct users *u, const char *name)
{
	return json_object_get(u->all, name);
}

static void
key_digest(const char *key, char to[2 * SHA256_DIGEST_LENGTH + 1])
{
	uint8_t digest[SHA256_DIGEST_LENGTH];

	SHA256((const unsigned char *)key, strlen(key), digest);
	to_hex(digest, sizeof digest, to);
}

json_t *
users_by_key(const struct users *u, const char *key)
{
	char digest[2 * SHA256_DIGEST_LENGTH + 1];
	const char *name;
	json_t *user, *found = NULL;

	key_digest(key, digest);             /* keys are 256 random bits: a plain digest is enough */
	json_object_foreach(u->all, name, user) {
		const char *want = json_string_value(json_object_get(user, "key"));

		if (want && same_secret(want, digest))
			found = user;
	}
	return found;
}

static const char *
text(const json_t *object, const char *name)
{
	const char *value = json_string_value(json_object_get(object, name));

	return value ? value : "";
}

void
user_viewer(const json_t *user, struct viewer *who)
{
	size_t i;
	json_t *address;

	*who = (struct viewer){ .role = role_of(text(user, "role")) };
	snprintf(who->name, sizeof who->name, "%s", text(user, "name"));
	snprintf(who->customer, sizeof who->customer, "%s", text(user, "customer"));
	json_array_foreach(json_object_get(user, "addresses"), i, address)
		if (who->address_count < MAX_OWN_ADDRESSES)
			snprintf(who->addresses[who->address_count++], MAX_ADDRESS + 1, "%s", json_string_value(address));
}

/* ---- policyctl user ---- */

static json_t *
refuse(const char *why)
{
	return json_pack("{s:s, s:i}", "error", why, "exit", 2);
}

static bool
name_good(const char *name)
{
	size_t n = strlen(name);

	for (size_t i = 0; i < n; i++)
		if ((unsigned char)name[i] <= ' ' || name[i] == 0x7f || strchr("<>\"'&/\\", name[i]))
			return false;
	return n > 0 && n < USER_ROOM;
}

static const char *
set_password(json_t *user, const char *password)
{
	char hash[HASH_ROOM];

	if (strlen(password) < PASSWORD_LEAST || strlen(password) >= MAX_PASSWORD)
		return "a password has 10 to 255 bytes";
	if (!password_hash(password, hash))
		return "no memory for scrypt";
	json_object_set_new(user, "password", json_string(hash));
	return NULL;
}

/* Whatever signs him in changes: sessions that began before are over. */
static void
next_epoch(json_t *user)
{
	json_object_set_new(user, "epoch", json_integer(json_integer_value(json_object_get(user, "epoch")) + 1));
}

static json_t *
add(struct users *u, json_t *request)
{
	const char *name = text(request, "name"), *customer = text(request, "customer"), *why;
	enum role role = role_of(text(request, "role"));
	json_t *addresses = json_object_get(request, "addresses"), *user;

	if (!name_good(name))
		return refuse("a name has 1 to 127 bytes and no blanks, quotes, brackets or slashes");
	if (users_find(u, name))
		return refuse("there is such a user; passwd, totp and remove change him");
	if (role == ROLE_NONE)
		return refuse("role: expected owner, admin, support or abuse");
	if (role == ROLE_ADMIN && customer[0] == '\0')
		return refuse("an admin needs --customer: whose mail he looks after");
	if (strlen(customer) >= CUSTOMER_NAME_ROOM || json_array_size(addresses) > MAX_OWN_ADDRESSES)
		return refuse("at most 16 addresses, and 63 bytes of a customer's id");
	if (role == ROLE_OWNER && json_array_size(addresses) == 0 && strchr(name, '@') == NULL)
		return refuse("an owner needs --address, or a mailbox as his name");
	user = json_pack("{s:s, s:s, s:s, s:O?, s:i, s:s}", "name", name, "role", role_names[role], "customer", customer, "addresses",
	    addresses, "epoch", 1, "totp", "");
	if (role == ROLE_OWNER && json_array_size(addresses) == 0)
		json_object_set_new(user, "addresses", json_pack("[s]", name));
	if ((why = set_password(user, text(request, "password"))) != NULL) {
		json_decref(user);
		return refuse(why);
	}
	json_object_set_new(u->all, name, user);
	if (!save(u)) {
		json_object_del(u->all, name);
		return json_pack("{s:s, s:i}", "error", "the users' file cannot be written; see the log", "exit", 1);
	}
	return json_pack("{s:s, s:s}", "added", name, "role", role_names[role]);
}

static json_t *
list(const struct users *u)
{
	json_t *users = json_array(), *user;
	const char *name;

	json_object_foreach(u->all, name, user)
		json_array_append_new(users, json_pack("{s:s, s:s, s:s, s:O?, s:b, s:b}", "name", name, "role", text(user, "role"), "customer",
		    text(user, "customer"), "addresses", json_object_get(user, "addresses"), "totp", text(user, "totp")[0] != '\0', "key",
		    text(user, "key")[0] != '\0'));
	return json_pack("{s:o}", "users", users);
}

static json_t *
change(struct users *u, json_t *request, const char *cmd)
{
	json_t *user = users_find(u, text(request, "name")), *reply = NULL;
	const char *why = NULL;

	if (user == NULL)
		return json_pack("{s:s, s:i}", "error", "there is no such user", "exit", 1);
	json_t *before = json_deep_copy(user);

	if (strcmp(cmd, "user.remove") == 0) {
		reply = json_pack("{s:s}", "removed", text(request, "name"));
		json_object_del(u->all, text(before, "name"));
	} else if (strcmp(cmd, "user.passwd") == 0) {
		why = set_password(user, text(request, "password"));
		reply = json_pack("{s:s}", "changed", text(user, "name"));
		next_epoch(user);
	} else if (strcmp(cmd, "user.totp") == 0 && json_is_true(json_object_get(request, "off"))) {
		json_object_set_new(user, "totp", json_string(""));
		reply = json_pack("{s:s}", "changed", text(user, "name"));
		next_epoch(user);
	} else if (strcmp(cmd, "user.totp") == 0) {
		uint8_t secret[TOTP_BYTES];
		char coded[64];

		if (RAND_bytes(secret, sizeof secret) != 1)
			why = "no random bytes";
		to_base32(secret, sizeof secret, coded);
		json_object_set_new(user, "totp", json_string(coded));
		json_object_set_new(user, "totp_used", json_integer(0));
		reply = json_pack("{s:s, s:s, s:o}", "name", text(user, "name"), "secret", coded, "uri",
		    json_sprintf("otpauth://totp/policyd:%s?secret=%s&issuer=policyd", text(user, "name"), coded));
		next_epoch(user);
	} else {                             /* user.key */
		char key[72] = "pk_", digest[2 * SHA256_DIGEST_LENGTH + 1];

		random_hex(key + 3, 32);
		key_digest(key, digest);
		json_object_set_new(user, "key", json_string(digest));
		reply = json_pack("{s:s, s:s}", "name", text(user, "name"), "key", key);
	}
	if (why || !save(u)) {
		json_object_set(u->all, text(before, "name"), before);
		json_decref(reply);
		reply = why ? refuse(why) : json_pack("{s:s, s:i}", "error", "the users' file cannot be written; see the log", "exit", 1);
	}
	json_decref(before);
	return reply;
}

json_t *
users_request(struct users *u, json_t *request)
{
	const char *cmd = text(request, "cmd");
	static const char *const changes[] = { "user.passwd", "user.totp", "user.key", "user.remove" };

	if (strcmp(cmd, "user.add") == 0)
		return add(u, request);
	if (strcmp(cmd, "user.list") == 0)
		return list(u);
	for (size_t i = 0; i < sizeof changes / sizeof *changes; i++)
		if (strcmp(cmd, changes[i]) == 0)
			return change(u, request, cmd);
	return refuse("unknown command");
}
