/* trainer.h - inside the trainer: its state, and the commands of policyctl model (manage.c). */
#ifndef POLICYD_TRAINER_TRAINER_H
#define POLICYD_TRAINER_TRAINER_H

#include "policyd/child.h"
#include "policyd/trainer/follow.h"
#include "policyd/trainer/own.h"
#include "policyd/wire.h"

enum { TRAINER_PEERS = 16, DISAGREEMENT_OF = 200, DISAGREEMENT_ALARM = 20 /* % */, DISAGREEMENT_Z = 4 };

struct trainer {
	struct child *self;
	struct table *table;
	struct redis *redis, *own_redis;
	struct follower follower;
	struct own own;
	int64_t follow_at_ms;
	int peers[TRAINER_PEERS];
	size_t peer_count;
	struct inbox inbox, master_inbox;
	struct arena *arena;
	uint8_t disagreed[DISAGREEMENT_OF];  /* the latest lessons: 1 contradicted what was all but certain */
	size_t taught;
	bool alarmed;
};

/* One request {"cmd": "model.status" | "model.history" | "model.rollback" | "model.rebuild" | "model.verify" | "model.export" |
 * "model.import", ...}; answers on the packet's first descriptor. */
void trainer_manage(struct trainer *t, const struct packet *packet);

/* Share of the latest lessons that contradicted the model, in %. */
int trainer_disagreement(const struct trainer *t);

#endif
