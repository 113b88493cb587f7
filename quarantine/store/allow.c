/* allow.c - "release and always allow": what an entry says of its sender (chosen when the mail came, by who had signed it) goes
 * onto the list of the mailbox that it was for. The broker keeps the lists; here it is only asked. */
#include "quarantine/store/allow.h"

#include <stdio.h>
#include <stdlib.h>

#include "quarantine/store/list.h"

enum { ALLOW_MS = 10 * 1000 };

struct allow_asked {
	allow_done done;
	void *arg;
	char entry[600];
};

static void
answered(void *arg, struct packet *answer)
{
	struct allow_asked *a = arg;
	struct unpack u = { answer ? answer->body : SPAN(""), false };
	struct span text = unpack_span(&u);
	json_t *reply = json_loadb(text.p ? text.p : "", text.n, 0, NULL);
	const char *error = json_string_value(json_object_get(reply, "error"));

	a->done(a->arg, a->entry, error ? error : reply ? NULL : "no answer in time; see policyctl doctor");
	json_decref(reply);
	free(a);
}

/* {"allow": true} or {"allow": {"until": s, "comment": text}} */
bool
allow_wanted(const json_t *request)
{
	const json_t *allow = json_object_get(request, "allow");

	return json_is_true(allow) || json_is_object(allow);
}

static json_t *
question(const json_t *request, const char *id, const char *recipient, const char *customer, const char *entry)
{
	const json_t *wish = json_object_get(request, "allow"), *until = json_object_get(wish, "until");
	const char *comment = request_text(wish, "comment");
	char ours[80];

	snprintf(ours, sizeof ours, "released from the quarantine: %s", id);
	json_t *json = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "cmd", "policy.entry", "address", recipient, "list", "allow", "entry", entry, "who",
	    request_text(request, "actor"), "comment", comment[0] ? comment : ours);

	if (until)
		json_object_set(json, "until", (json_t *)until);
	if (customer[0])
		json_object_set_new(json, "scope", json_string(customer));
	return json;
}

bool
allow_start(struct store *s, const json_t *request, const char *id, const struct index_rcpt *rcpt, allow_done done, void *arg)
{
	struct allow_asked *a = calloc(1, sizeof *a);
	json_t *which = json_pack("{s:i}", "n", (int)rcpt->n), *entries = index_entries(s->index, id, which);
	const char *entry = request_text(json_array_get(entries, 0), "allow");
	struct buf body = { 0 };
	bool asked = false;

	if (a)
		*a = (struct allow_asked){ .done = done, .arg = arg };
	if (a && entry[0] == '\0') {
		done(arg, "", "this mail names no sender that could be put on a list");
		free(a);
		asked = true;
	} else if (a) {
		json_t *json = question(request, id, rcpt->address, rcpt->customer, entry);
		char *text = json_dumps(json, JSON_COMPACT);

		snprintf(a->entry, sizeof a->entry, "%s", entry);
		pack_text(&body, text ? text : "{}");
		asked = link_ask(s->broker, W_REQUEST, &body, NULL, 0, ALLOW_MS, answered, a);
		free(text);
		json_decref(json);
		if (!asked)
			free(a);
	}
	json_decref(entries);
	json_decref(which);
	return asked;
}
