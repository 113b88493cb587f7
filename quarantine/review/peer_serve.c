/* peer_serve.c - questions of other nodes, about what this one holds. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "policyd/base/clock.h"
#include "policyd/base/log.h"
#include "policyd/base/metrics.h"
#include "policyd/wire.h"
#include "quarantine/review/audit.h"
#include "quarantine/review/pages.h"
#include "quarantine/review/peer_seal.h"
#include "quarantine/review/peers.h"

/* c->kept[0]: what was asked, {"from", "to", ..., "request"}; c->nonce: of the question */

/* Takes `reply`. */
static void
send_reply(struct call *c, json_t *reply, struct span mail)
{
	buf_clear(&c->out);
	bool good = peer_seal_reply(c->review->peers->key, c->nonce, reply, mail, &c->out);

	json_decref(reply);
	call_bare(c, &(struct http_reply){ .status = good ? 200 : 503, .type = "application/octet-stream" });
}

static void
refuse(struct call *c, const char *why)
{
	log_warning("review: a question of node %s is refused: %s", json_word(c->kept[0], "from"), why);
	send_reply(c, json_pack("{s:s, s:i}", "error", why, "exit", 1), SPAN(""));
}

/* Who did what from where, in the log of the node that holds the mail. */
static void
write_down(struct call *c, const json_t *results)
{
	const json_t *request = json_object_get(c->kept[0], "request");
	char from[160];
	size_t i;
	json_t *result;

	snprintf(from, sizeof from, "node %.140s", json_word(c->kept[0], "from"));
	json_array_foreach(results, i, result) {
		char target[700], action[48];
		bool done = json_is_true(json_object_get(result, "done"));

		snprintf(target, sizeof target, "%s %s", json_word(result, "id"), json_word(result, "recipient"));
		snprintf(action, sizeof action, "mail.%.20s%s", json_word(request, "op"), done ? "" : ".failed");
		audit_add(c->review, json_word(c->kept[0], "actor"), json_word(c->kept[0], "role"), from, action, target, json_word(result, "customer"),
		    json_word(request, "note"));
	}
}

static void
answered(struct call *c, json_t *reply, int fd)
{
	struct span mail = fd >= 0 ? map_fd(fd) : SPAN("");

	if (fd >= 0)
		close(fd);
	write_down(c, json_object_get(reply, "results"));
	send_reply(c, reply, mail.p ? mail : SPAN(""));
	unmap(fd >= 0 ? mail : (struct span){ NULL, 0 });
}

/* True, and remembered: this question was not served before. */
static bool
is_first(struct peers *p, const uint8_t nonce[CRYPT_NONCE], int64_t now_s)
{
	for (size_t i = 0; i < PEERS_SEEN; i++)
		if (memcmp(p->seen[i].nonce, nonce, CRYPT_NONCE) == 0 && now_s - p->seen[i].time_s <= 2 * PEER_FRESH_S)
			return false;
	if (now_s - p->seen[p->next].time_s <= 2 * PEER_FRESH_S)
		return false;                /* so many in so short a time: the oldest may not be forgotten yet */
	memcpy(p->seen[p->next].nonce, nonce, CRYPT_NONCE);
	p->seen[p->next].time_s = now_s;
	p->next = (p->next + 1) % PEERS_SEEN;
	return true;
}

void
post_peer(struct call *c)
{
	static const char *const served[] = { "quarantine.list", "quarantine.show", "quarantine.change" };
	struct peers *p = c->review->peers;
	size_t i = 0;

	if (p == NULL || !peer_open_request(p->key, c->http->body, c->nonce, &c->kept[0])) {
		metrics_add(M_PEER_REFUSED, 1);
		call_error(c, 404, T_NOT_THERE);
		return;
	}
	json_int_t age = wall_s() - json_integer_value(json_object_get(c->kept[0], "time"));
	json_t *request = json_object_get(c->kept[0], "request");

	while (i < sizeof served / sizeof *served && strcmp(json_word(request, "cmd"), served[i]) != 0)
		i++;
	if (strcmp(json_word(c->kept[0], "to"), c->review->self->config->host_name) != 0) {
		refuse(c, "it is for another node");
	} else if (age > PEER_FRESH_S || age < -PEER_FRESH_S) {
		refuse(c, "the clocks of the two nodes are a minute apart, or it is an old question");
	} else if (!is_first(p, c->nonce, wall_s())) {
		refuse(c, "it was asked before, or too much is asked");
	} else if (i == sizeof served / sizeof *served) {
		refuse(c, "that is not served to nodes");
	} else {
		json_object_del(request, "pool");
		json_object_del(request, "node");
		ask_store(c, json_incref(request), answered);
	}
}
