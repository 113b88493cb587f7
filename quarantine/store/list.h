/* list.h - what a list is asked for, between list_filter.c (which rows) and list.c (which page of them, as JSON). */
#ifndef QUARANTINE_STORE_LIST_H
#define QUARANTINE_STORE_LIST_H

#include "quarantine/store/requests.h"

enum { NAMES_MOST = 64, WORDS_MOST = 8 };

/* Columns of the walk, all in rcpt; then those of the mail, looked up for rows that pass. */
extern const char rcpt_columns[];            /* "SELECT ... FROM rcpt" */
enum { R_ID, R_N, R_TIME, R_ADDRESS, R_CUSTOMER, R_CLASS, R_MODE, R_POINTS, R_TAG, R_QUARANTINE, R_DISCARD, R_STATE, R_BEFORE,
    R_VOTE, R_CHANGED, R_ACTOR, R_NOTE, R_EXPIRES, R_DOMAIN };
extern const char mail_columns[];            /* "SELECT ... FROM mail WHERE id=?" */
enum { M_SENDER, M_FROM, M_SUBJECT, M_SIZE, M_COUNT_, M_CLIENT, M_HELO, M_MESSAGE_ID, M_QUEUE_ID, M_DIGEST, M_SYMBOLS, M_BODY, M_ALLOW };

struct names {                               /* a filter that takes one text or several */
	const char *at[NAMES_MOST];
	size_t count;
	bool given;
};

struct filter {
	const json_t *request;
	struct names rcpt, domain, customer, class_name, state;
	const char *sender, *from_domain, *symbol, *message_id, *queue_id, *digest, *body;
	struct span words[WORDS_MOST];
	size_t word_count;
	double points_min, points_max;
	int64_t since, until;
	bool mail;                           /* needs the mail's columns */
};

struct cursor {
	int64_t time;
	char id[ID_ROOM];
	int64_t n;
};

/* Reads the filters of a request; they point into it. False and a sentence: wrong. */
bool filter_read(const json_t *request, struct filter *f, char *why, size_t room);
bool filter_takes_rcpt(const struct filter *f, struct sql_rows *rcpt);
bool filter_takes_mail(const struct filter *f, struct sql_rows *mail);
/* Each word of "search" is somewhere in them. */
bool filter_finds_words(const struct filter *f, struct span from, struct span sender, struct span subject);
/* Rows of rcpt in order of time, from behind `from` (or NULL), along the narrowest index; not all of them match. */
struct sql_rows *filter_walk(struct index *x, const struct filter *f, bool up, const struct cursor *from);

int64_t row_state(struct sql_rows *rcpt);    /* as of now: what has passed its time is expired */
void print_hex(struct span bytes, char to[65]);
const char *request_text(const json_t *request, const char *name);          /* "" when it is not there */

#endif
