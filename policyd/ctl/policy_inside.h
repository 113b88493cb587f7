/* policy_inside.h - the parts of policyctl policy: policy.c its commands, policy_import.c records in and out, policy_foreign.c the
 * formats of others (policy_sql.c reads their dumps, policy_rspamd.c rspamd's settings), policy_simulate.c what would have
 * been, policy_canary.c another policy for some. */
#ifndef POLICYD_CTL_POLICY_INSIDE_H
#define POLICYD_CTL_POLICY_INSIDE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "policyd/base/span.h"

struct import_record {
	char *key, *values;                  /* values: JSON, or NULL: to be removed */
	uint32_t line, group;                /* records of one group (a customer) go together */
};

struct import {
	const char *file;
	FILE *say;                           /* where readers complain; NULL: nowhere */
	struct import_record *at;
	size_t count, room;
	uint32_t line;
	size_t untranslated;                 /* told one by one, on stderr */
	bool failed;
};

/* Takes `values` (JSON null: removal). Of several with one key the last counts. */
void import_add(struct import *in, const char *key, json_t *values);
/* "FILE:LINE: what", to `say`: cannot be translated, and is counted; cannot be read, and nothing is imported. */
void import_untranslated(struct import *in, const char *format, ...) __attribute__((format(printf, 2, 3)));
void import_bad(struct import *in, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Readers of policies as others write them. */
void read_amavis(struct import *in, FILE *file);             /* SQL dump: users, policy, mailaddr, wblist */
void read_spamassassin(struct import *in, FILE *file, const char *key);     /* user_prefs, for one record */
void read_rspamd(struct import *in, FILE *file);             /* settings.conf */
void read_proxmox(struct import *in, FILE *file);            /* user block and welcome lists: pmgsh or userprefs */

/* What readers share: a field of a record, and one that must be a number; the values of a key, made on first use; all records into `in` (`records` is consumed);
 * the file as one text, to be freed. */
void foreign_set(json_t *values, const char *name, const char *text);
void foreign_points(struct import *in, json_t *values, const char *name, const char *text);
json_t *foreign_record(const struct import *in, json_t *records, const char *key);
void foreign_done(struct import *in, json_t *records);
char *foreign_whole(struct import *in, FILE *file);
/* What is no UTF-8 is read as Latin-1, which old dumps are. */
json_t *foreign_text(struct span text);
/* Each row of a dump: {column: text or null}, borrowed; in->line is where it ends. */
typedef void (*sql_row)(void *arg, const char *table, json_t *row);
void read_sql(struct import *in, FILE *file, sql_row row, void *arg);

int policy_import(int argc, char **argv, bool only_diff);
int policy_export(int argc, char **argv);
int policy_simulate(int argc, char **argv);
int policy_canary(int argc, char **argv);

const char *policy_who(void);                                /* for the history */

#endif
