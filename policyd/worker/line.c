#include "policyd/worker/line.h"

#include <unistd.h>

#include "policyd/base/clock.h"

struct told {                                /* an answer, as it came; in the arena */
	struct told *next;
	uint32_t type;
	struct span body;
};

void
send_or_end(int sock, uint32_t type, uint32_t id, struct buf *body)
{
	struct packet packet = { .type = type, .id = id, .body = buf_span(body) };

	if (body->failed || ipc_send(sock, &packet) != IPC_OK)
		_exit(1);                    /* the broker sees the end and gives the mail to another */
}

bool
line_take_symbols(struct unpack *u, struct scan *scan)
{
	for (uint32_t n = unpack_u32(u); n > 0 && !u->bad; n--) {
		struct symbol found;

		wire_unpack_symbol(u, &found);
		if (!u->bad)
			verdict_add(scan->arena, &scan->verdict, found.name, found.points, found.evidence);
	}
	return !u->bad;
}

static bool
is_answer(const struct told *told, uint32_t type, uint32_t number)
{
	struct unpack u = { told->body, false };

	return told->type == type && unpack_u32(&u) == number;
}

/* What was said in answer to that: kept already, or still to come. A late answer to the mail before is passed over. */
static bool
wait_for(struct line *line, uint32_t type, uint32_t number, int timeout_ms, struct unpack *out)
{
	int64_t deadline = clock_ms() + timeout_ms;
	struct packet packet;

	for (;;) {
		for (struct told **at = &line->told; *at; at = &(*at)->next)
			if (is_answer(*at, type, number)) {
				*out = (struct unpack){ (*at)->body, false };
				*at = (*at)->next;
				return true;
			}
		if (ipc_recv_wait(line->sock, line->inbox, &packet, clock_left_ms(deadline)) != IPC_OK)
			return false;
		packet_close_fds(&packet);
		if (packet.id != line->id)
			continue;
		struct told *told = ARENA_NEW(line->arena, struct told);

		*told = (struct told){ line->told, packet.type, arena_copy(line->arena, packet.body) };
		line->told = told;
	}
}

static void
ask_findings(struct asker *asker, uint32_t question, struct buf *body)
{
	struct line *line = (struct line *)asker;

	send_or_end(line->sock, question, line->id, body);
	buf_free(body);
}

static bool
take_findings(struct asker *asker, struct scan *scan, uint32_t question, int timeout_ms)
{
	struct unpack u;

	if (!wait_for((struct line *)asker, W_FOUND, question, timeout_ms, &u))
		return false;
	unpack_u32(&u);
	return line_take_symbols(&u, scan);
}

static uint32_t
ask(struct asker *asker, const struct question *questions, size_t count)
{
	struct line *line = (struct line *)asker;
	struct buf body = { 0 };

	pack_u32(&body, ++line->batches);
	pack_u32(&body, (uint32_t)count);
	for (size_t i = 0; i < count; i++)
		question_pack(&body, &questions[i]);
	send_or_end(line->sock, W_ASK, line->id, &body);
	buf_free(&body);
	return line->batches;
}

static bool
take(struct asker *asker, uint32_t batch, struct arena *a, struct rr_answer *answers, size_t count, int timeout_ms)
{
	struct unpack u;
	bool told = wait_for((struct line *)asker, W_TOLD, batch, timeout_ms, &u);

	for (size_t i = 0; i < count; i++)
		answers[i] = (struct rr_answer){ .status = RR_UNKNOWN };
	if (!told)
		return false;
	unpack_u32(&u);                      /* the batch's number */
	for (size_t i = 0, n = unpack_u32(&u); i < n && i < count; i++)
		answer_unpack(&u, a, &answers[i]);
	return !u.bad;
}

void
line_open(struct line *line, int sock, uint32_t id, struct inbox *inbox, struct arena *arena)
{
	*line = (struct line){ .asker = { ask_findings, take_findings, ask, take }, .sock = sock, .id = id, .inbox = inbox, .arena = arena };
}
