/* voucher.h - the links in our mails: what one of them lets its holder do, and no more.
 *
 * Shape   base64url( u8 version | u8 key id | u8 purpose | u64 made (s) | u64 expires (s) | text mailbox | text customer |
 *         text id | u32 n | 12 bytes of chance ) and behind a dot the first 16 bytes of HMAC-SHA-256 over it: bytes as
 *         ipc.h packs them. Nothing in it is secret, everything in it is signed
 * Code    beside each link stands a number that is in the mail's text and not in the link: who only follows links and posts
 *         forms, as the scanners of mail gateways do, does not have it
 * Errors  altered, expired, used up, or out of tries: TOKEN_VOID, all alike
 */
#ifndef QUARANTINE_REVIEW_VOUCHER_H
#define QUARANTINE_REVIEW_VOUCHER_H

#include "quarantine/review/review.h"

enum voucher_purpose { TOKEN_MESSAGE = 1, TOKEN_SIGN_IN, TOKEN_DIGESTS_OFF };
enum { CODE_ROOM = 8, TOKEN_TRIES = 10 };

struct voucher {
	enum voucher_purpose purpose;
	int64_t made_s, expires_s;
	char mailbox[MAX_ADDRESS + 1], customer[CUSTOMER_NAME_ROOM], id[40];
	uint32_t n;
	char chance[25];                     /* hex; filled in by voucher_make */
};

/* `code` (may be NULL) gets the number that belongs to it: four digits, six for a sign-in. */
void voucher_make(struct review *r, struct voucher *t, char to[TOKEN_ROOM], char code[CODE_ROOM]);
/* Is it ours, of that purpose, still good and not used? */
bool voucher_read(struct review *r, const char *text, enum voucher_purpose purpose, struct voucher *t);
/* The number. A wrong one costs a try; after TOKEN_TRIES of them the token is void for good. */
bool voucher_code_good(struct review *r, const struct voucher *t, const char *code);
/* It has done what it was for. On disk when this returns; false: it could not be written, so do not do it. */
bool voucher_use(struct review *r, const struct voucher *t);

/* <state>/review/used.log: one line a used token, until it would have expired anyway */
bool vouchers_open(struct review *r, char *why, size_t room);

#endif
