/* facts.h - all that one scan found, as one line of JSON: what the suites compare with their expectations. */
#ifndef TESTS_SUITES_FACTS_H
#define TESTS_SUITES_FACTS_H

#include <stdio.h>

#include "policyd/scan/scan.h"

struct cost {
	int64_t us;                          /* wall clock of the stages */
	long peak_kb;                        /* of the process that ran them */
};

/* `scan` after stage_mime and, where a database is there, stage_clamav. `data`: the decoded bytes of the parts too, in hex. */
void facts_print(FILE *out, const char *path, const struct scan *scan, struct cost cost, bool data);
/* The process that scanned it died: by `signal`, or (0) with exit code `code`. */
void facts_died(FILE *out, const char *path, int signal, int code);

#endif
