/* model.h - what the learnt model says of one mail: for workers, without a network.
 *
 * Shape   <state>/model/global.tbl and customers.tbl mapped shared and read only; what the trainer learns shows here at once
 */
#ifndef POLICYD_MODEL_MODEL_H
#define POLICYD_MODEL_MODEL_H

#include "policyd/model/learners.h"

enum { MODEL_LEAST = 20 };                   /* lessons of each class before it may speak */

struct model;

struct model_score {
	double log_odds;                     /* nats */
	double probability;                  /* of spam */
	bool known;                          /* enough was learnt to tell; else 0 and 0.5 */
	bool own;                            /* with an own table on top */
};

struct model *model_open(const char *state_dir, char *why, size_t room);
void model_close(struct model *m);
/* `own`: names of the tables to put on top (own_name), the nearest last, each NULL for none. NULL: everybody's alone. */
void model_score(const struct model *m, const struct features *f, const char *const own[OWN_LAYERS], struct model_score *out);

#endif
