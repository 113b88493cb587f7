/* lesson.c - votes become lessons. A vote is a state of its entry, so it is as durable as any; what the model has been taught
 * of it stands beside it in the index, and whatever differs is taught, one mail after the other, as soon as the broker can.
 * After a rebuild all votes are taught once more: the trainer knows each mail by its digest and shrugs.
 *
 * How much a vote weighs, for the voter's own customer and for everybody, how many must agree and how many of one voter count
 * is the trainer's to say; it is told whether an owner, an admin or an operator voted. Viruses are never learnt. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "policyd/base/clock.h"
#include "policyd/base/log.h"
#include "policyd/base/metrics.h"
#include "quarantine/store/store.h"

enum { LESSON_MS = 60 * 1000, BACK_OFF_MS = 30 * 1000, TRIES = 5 };

struct lesson_asked {
	struct store *store;
	char id[ID_ROOM];
	uint32_t n;
	enum entry_vote vote;
	int fd;
};

static void
settled(struct store *s, const char *id, uint32_t n, enum entry_vote vote)
{
	index_taught(s->index, id, n, vote);
}

static void
taught(void *arg, struct packet *answer)
{
	struct lesson_asked *l = arg;
	struct store *s = l->store;
	struct unpack u = { answer ? answer->body : SPAN(""), false };
	struct span text = unpack_span(&u);
	json_t *reply = json_loadb(text.p ? text.p : "", text.n, 0, NULL);
	const char *result = json_string_value(json_object_get(reply, "result")), *error = json_string_value(json_object_get(reply, "error"));

	s->teaching = false;
	if (result) {
		settled(s, l->id, l->n, l->vote);
		metrics_add(M_VOTES_TAUGHT, 1);
		log_info("vote on %s: %s as %s", l->id, result, entry_vote_names[l->vote][0] ? entry_vote_names[l->vote] : "nothing");
	} else if (error && (l->vote == VOTE_NONE || ++s->teach_tries >= TRIES)) {
		settled(s, l->id, l->n, l->vote);     /* nothing of it was learnt, or nothing can be */
		if (l->vote != VOTE_NONE)
			log_warning("vote on %s cannot be learnt: %s", l->id, error);
	} else {
		s->teach_at_ms = clock_ms() + BACK_OFF_MS;
		log_warning("vote on %s is no lesson yet: %s; tried again", l->id, error ? error : "no answer from the broker");
	}
	if (clock_ms() >= s->teach_at_ms)
		s->teach_tries = 0;
	close(l->fd);
	free(l);
	json_decref(reply);
	lesson_tick(s);
}

/* Who votes, in the trainer's words (trainer.c, weight_of). */
static const char *
source_of(const struct index_rcpt *r)
{
	if (strncmp(r->actor, "policyctl", 9) == 0)
		return "cli";
	return strcmp(r->actor, r->address) == 0 ? "user" : "admin";
}

static bool
ask(struct store *s, const char *id, const struct index_rcpt *r, enum entry_vote before)
{
	enum entry_vote class = r->vote != VOTE_NONE ? r->vote : before;
	struct arena_mark mark = arena_mark(s->arena);
	struct lesson_asked *l = calloc(1, sizeof *l);
	struct store_request request;
	struct seg_place place;
	struct index_rcpt *rcpts = NULL;
	struct buf mail = { 0 }, body = { 0 };
	size_t count;
	char why[256] = "no memory";
	bool good = l && index_find(s->index, id, &place, &rcpts, &count) && store_read(s, &place, s->arena, &request, &mail, why, sizeof why);

	free(rcpts);
	if (good) {
		json_t *json = json_pack("{s:s, s:s, s:s, s:s?, s:s?}", "cmd", r->vote != VOTE_NONE ? "learn" : "unlearn", "class", entry_vote_names[class],
		    "source", source_of(r), "who", r->actor, "for", r->customer[0] ? r->address : "");
		char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

		*l = (struct lesson_asked){ .store = s, .n = r->n, .vote = r->vote, .fd = memfd_sealed("policyd-lesson", buf_span(&mail)) };
		snprintf(l->id, sizeof l->id, "%s", id);
		pack_text(&body, text ? text : "{}");
		good = text && l->fd >= 0 && link_ask(s->broker, W_REQUEST, &body, &l->fd, 1, LESSON_MS, taught, l);
		if (!good && l->fd >= 0)
			close(l->fd);
		free(text);
		json_decref(json);
	} else {
		log_error("vote on %s cannot be learnt: %s", id, why);
	}
	if (!good)
		free(l);
	arena_rewind(s->arena, mark);
	buf_free(&mail);
	buf_free(&body);
	return good;
}

void
lesson_tick(struct store *s)
{
	struct index_rcpt rcpt;
	enum entry_vote before;
	char id[ID_ROOM];

	while (!s->teaching && clock_ms() >= s->teach_at_ms && index_untaught(s->index, id, &rcpt, &before)) {
		bool never = strcmp(rcpt.class_name, "virus") == 0;

		if (!never && ask(s, id, &rcpt, before)) {
			s->teaching = true;
			return;
		}
		if (never)
			log_info("vote on %s of <%s> is noted, not learnt: viruses are not learnt", id, rcpt.address);
		settled(s, id, rcpt.n, rcpt.vote);
	}
}
