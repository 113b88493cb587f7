/* passwords.h - scrypt takes a fifth of a second on purpose: it runs in a thread of its own, one after the other, so that
 * nobody who reads waits for somebody who signs in.
 *
 * Errors  a full queue refuses at once: PASSWORDS_BUSY
 */
#ifndef QUARANTINE_REVIEW_PASSWORDS_H
#define QUARANTINE_REVIEW_PASSWORDS_H

#include <stdbool.h>

struct event_base;
struct passwords;

typedef void (*password_done)(void *arg, bool good);

struct passwords *passwords_open(struct event_base *base);
void passwords_close(struct passwords *p);
/* `hash` NULL: nobody has that name; it takes as long. False: too many wait. */
bool passwords_check(struct passwords *p, const char *password, const char *hash, password_done done, void *arg);

#endif
