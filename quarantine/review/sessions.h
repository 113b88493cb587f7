/* sessions.h - who is signed in.
 *
 * Shape   a cookie with 256 random bits; here and in <state>/review/sessions.json only its SHA-256, so that the file opens
 *         nothing. A restart of this process signs nobody out; sign-outs are on disk before they are answered
 * Units   SESSION_IDLE_S without a request, SESSION_MOST_S in all
 */
#ifndef QUARANTINE_REVIEW_SESSIONS_H
#define QUARANTINE_REVIEW_SESSIONS_H

#include "quarantine/review/users.h"

enum { SESSION_IDLE_S = 3600, SESSION_MOST_S = 12 * 3600, MAX_SESSIONS = 20000 };

struct sessions;

struct sessions *sessions_open(const char *path);
void sessions_close(struct sessions *s);            /* saves */
/* A new one; `cookie` gets its value. `epoch` is the user's. False: too many. */
bool session_start(struct sessions *s, const struct viewer *who, json_int_t epoch, int64_t now_s, char cookie[65]);
/* Whose is this cookie? Counts as a sign of life. False: nobody's, or over. */
bool session_find(struct sessions *s, const struct users *users, const char *cookie, int64_t now_s, struct viewer *who);
void session_end(struct sessions *s, const char *cookie);
void sessions_tick(struct sessions *s, int64_t now_s);
size_t sessions_count(const struct sessions *s);

/* Failed attempts, counted by what was attacked (a name) and by who attacks (an address, behind which a whole office may be:
 * so it has more of them free): how many seconds he must wait before his next one is looked at; 0: now. */
enum { FREE_BY_NAME = 5, FREE_BY_ADDRESS = 50 };
int attempts_wait_s(const char *key, int free_ones, int64_t now_s);
void attempts_failed(const char *key, int64_t now_s);
void attempts_forget(const char *key);

#endif
