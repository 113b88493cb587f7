/* table.h - the model as it lies in memory: one file, written by the trainer, mapped by everybody who scores.
 *
 * Shape   head | calibration | A, C: int16[2^18] each | B: (ham, spam) uint8[2^22]; about 9.5 MB, at <state>/model/global.tbl
 *         A in steps of 1/1024, C of 1/8192
 * Errors  a file of another version or size is left alone and refused
 *
 * Readers see single weights change under them while a lesson is applied: each is one aligned store, and a score that
 * mixes the weights before and after a lesson is as good as either.
 */
#ifndef POLICYD_MODEL_TABLE_H
#define POLICYD_MODEL_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	TABLE_VERSION = 2, A_BITS = 18, B_BITS = 22, C_BITS = 18, CALIBRATION_BINS = 512,
	LEARNER_A = 0, LEARNER_B = 1, LEARNER_C = 2, LEARNERS = 3, HAM = 0, SPAM = 1,
};

struct evidence {
	uint8_t count[2];                    /* messages with the feature: ham, spam; halved when their sum is full */
};

struct calibration {                         /* histogram of a learner's scores, by true class */
	uint32_t bins[2][CALIBRATION_BINS];
	uint32_t total[2];
};

struct table {
	char magic[8];                       /* "PDMODEL" */
	uint32_t version, size;
	uint64_t applying;                   /* 1 in the middle of a lesson: who finds it so starts from a snapshot */
	uint64_t lessons;                    /* applied, ever */
	uint32_t seen[2];                    /* labelled messages seen */
	uint32_t trained[2];                 /* messages that B's counters hold */
	double platt_a, platt_b;
	char place[48];                      /* in the ledger: all up to this entry is in the table */
	uint32_t unordered;                  /* lessons since the last rebuild */
	struct calibration calibration[LEARNERS];
	int16_t a[1 << A_BITS];
	int16_t c[1 << C_BITS];
	struct evidence b[1 << B_BITS];
};

/* The trainer's: read and write, made empty when it is not there. NULL and why. */
struct table *table_open(const char *path, char *why, size_t room);
/* A reader's: shared, read only; made empty first when it is not there, so that what is learnt later shows. */
const struct table *table_map(const char *path, char *why, size_t room);
void table_close(const struct table *t);
void table_clear(struct table *t);
bool table_is_sound(const struct table *t);                 /* its head is ours */
/* A private one on the heap, for evaluation. */
struct table *table_private(void);
void table_private_free(struct table *t);

#endif
