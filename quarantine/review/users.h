/* users.h - who may sign in. Managed by policyctl user ...; mailbox owners may also come by a signed link.
 *
 * Shape   <state>/review/users.json, mode 0600, written by this process alone; passwords as
 *         "scrypt$N$r$p$salt$hash" (RFC 7914; salt and hash in hex), TOTP secrets in base32 (RFC 6238: SHA-1, 30 s, 6 digits)
 */
#ifndef QUARANTINE_REVIEW_USERS_H
#define QUARANTINE_REVIEW_USERS_H

#include <jansson.h>
#include <stdint.h>

#include "policyd/base/limits.h"
#include "quarantine/review/permit.h"

enum { MAX_OWN_ADDRESSES = 16, USER_ROOM = 128, CUSTOMER_NAME_ROOM = 64, HASH_ROOM = 256, MAX_PASSWORD = 256 };

struct viewer {
	enum role role;
	char name[USER_ROOM];                /* as he signed in: a user's name, or the mailbox */
	char customer[CUSTOMER_NAME_ROOM];   /* of an owner or admin; empty with support and abuse: all */
	char addresses[MAX_OWN_ADDRESSES][MAX_ADDRESS + 1];      /* of an owner */
	int address_count;
	bool linked;                         /* came by a link in a mail, without a password */
};

struct users;

struct users *users_open(const char *path, char *why, size_t room);
void users_close(struct users *u);

/* A user's record (borrowed), or NULL: {name, role, customer, addresses: [..], password, totp, key, epoch, totp_used}. */
json_t *users_find(const struct users *u, const char *name);
/* The user that this API key belongs to. */
json_t *users_by_key(const struct users *u, const char *key);
void user_viewer(const json_t *user, struct viewer *who);
/* {"cmd": "user.add|list|passwd|totp|key|remove", ...}: the answer to policyctl. */
json_t *users_request(struct users *u, json_t *request);
/* Is this the code of now (or the step before or after), not used yet? Remembers that it was. */
bool users_totp(struct users *u, json_t *user, const char *code, int64_t now_s);
size_t users_count(const struct users *u);

/* secrets of passwords: slow on purpose (about 0.2 s) */
bool password_hash(const char *password, char to[HASH_ROOM]);
bool password_check(const char *password, const char *hash);        /* hash NULL: as slow, and false */

/* RFC 6238 at that time step; for tests, too. False: the secret is no base32. */
bool totp_code(const char *secret, uint64_t step, char to[8]);

#endif
