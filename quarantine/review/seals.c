#include "quarantine/review/seals.h"

#include <stdio.h>
#include <stdlib.h>

#include "policyd/base/log.h"
#include "quarantine/review/pages.h"

static void
seals_path(const struct review *r, char path[REVIEW_PATH_ROOM])
{
	snprintf(path, REVIEW_PATH_ROOM, "%s/review/seals.json", r->self->config->state);
}

bool
seals_load(struct review *r)
{
	char path[REVIEW_PATH_ROOM];

	seals_path(r, path);
	r->seals = file_json(path);
	if (r->seals == NULL)
		r->seals = json_array();
	return json_is_array(r->seals);
}

static json_int_t
number(const json_t *seal, const char *name)
{
	return json_integer_value(json_object_get(seal, name));
}

/* What time makes of it. */
static const char *
state_now(const struct review *r, const json_t *seal)
{
	const char *state = json_word(seal, "state");

	if (strcmp(state, "asked") == 0 && review_time_s(r) - number(seal, "asked_s") > SEAL_ASKED_S)
		return "refused";
	if (strcmp(state, "open") == 0 && review_time_s(r) > number(seal, "until_s"))
		return "closed";
	return state;
}

/* Written before it counts. `seals` is taken. */
static bool
replace(struct review *r, json_t *seals)
{
	char path[REVIEW_PATH_ROOM], *text = json_dumps(seals, JSON_INDENT(1) | JSON_SORT_KEYS);

	seals_path(r, path);
	bool good = text && file_replace(path, text, strlen(text));

	free(text);
	if (!good) {
		log_error("review: %s cannot be written", path);
		json_decref(seals);
		return false;
	}
	json_decref(r->seals);
	r->seals = seals;
	return true;
}

const char *
seal_state(struct review *r, const char *reader, const char *id, const json_t **seal)
{
	*seal = NULL;
	for (size_t i = json_array_size(r->seals); i-- > 0;) {
		const json_t *s = json_array_get(r->seals, i);

		if (strcmp(json_word(s, "id"), id) == 0 && strcmp(json_word(s, "asker"), reader) == 0) {
			*seal = s;
			return state_now(r, s);
		}
	}
	return "";
}

bool
seal_ask(struct review *r, const struct viewer *who, const char *id, const char *customer, const char *reason)
{
	const json_t *seal;
	const char *state = seal_state(r, who->name, id, &seal);
	char key[17];
	json_t *kept = json_array();

	if (strcmp(state, "asked") == 0 || strcmp(state, "open") == 0) {
		json_decref(kept);
		return true;
	}
	random_hex(key, 8);
	for (size_t i = 0; i < json_array_size(r->seals); i++) {
		json_t *old = json_array_get(r->seals, i);

		if (review_time_s(r) - number(old, "asked_s") < SEAL_KEPT_S && json_array_size(r->seals) - i < SEALS_MOST)
			json_array_append_new(kept, json_deep_copy(old));
	}
	json_array_append_new(kept, json_pack("{s:s, s:s, s:s, s:o, s:s, s:I, s:s}", "key", key, "id", id, "customer", customer, "reason",
	    json_safe(reason), "asker", who->name, "asked_s", (json_int_t)review_time_s(r), "state", "asked"));
	return replace(r, kept);
}

/* Is that customer's mail his to look after? */
static bool
looks_after(const struct viewer *who, const json_t *seal)
{
	bool provider = who->role == ROLE_SUPPORT || who->role == ROLE_ABUSE;

	if (provider && who->customer[0] == '\0')
		return true;
	return (provider || who->role == ROLE_ADMIN) && who->customer[0] && strcmp(json_word(seal, "customer"), who->customer) == 0;
}

enum text
seal_answer(struct review *r, const struct viewer *who, const char *key, const char *op, const json_t **what)
{
	json_t *seals = json_deep_copy(r->seals), *s = NULL;
	const char *state = "";
	enum text why = T_NOT_THERE;

	for (size_t i = 0; i < json_array_size(seals); i++)
		if (strcmp(json_word(json_array_get(seals, i), "key"), key) == 0 && looks_after(who, json_array_get(seals, i)))
			s = json_array_get(seals, i);
	bool his_own = s && strcmp(json_word(s, "asker"), who->name) == 0, close = strcmp(op, "close") == 0;

	if (s) {
		state = state_now(r, s);
		why = strcmp(op, "open") != 0 && strcmp(op, "refuse") != 0 && !close ? T_BAD_REQUEST : his_own && !close ? T_SEAL_SECOND :
		    strcmp(state, close ? "open" : "asked") != 0 ? T_SEAL_OVER : T_NOTHING;
	}
	if (why == T_NOTHING) {
		json_object_set_new(s, "state", json_string(close ? "closed" : op[0] == 'o' ? "open" : "refused"));
		json_object_set_new(s, "by", json_string(who->name));
		json_object_set_new(s, "by_s", json_integer(review_time_s(r)));
		if (op[0] == 'o')
			json_object_set_new(s, "until_s", json_integer(review_time_s(r) + SEAL_OPEN_S));
		if (what)
			*what = s;
		return replace(r, seals) ? T_NOTHING : T_TRY_LATER;
	}
	json_decref(seals);
	return why;
}

json_t *
seals_list(struct review *r, const struct viewer *who)
{
	json_t *list = json_array();

	for (size_t i = json_array_size(r->seals); i-- > 0;) {
		const json_t *s = json_array_get(r->seals, i);

		if (!looks_after(who, s))
			continue;
		json_t *copy = json_deep_copy(s);

		json_object_set_new(copy, "state", json_string(state_now(r, s)));
		json_array_append_new(list, copy);
	}
	return list;
}

size_t
seals_waiting(struct review *r, const struct viewer *who)
{
	size_t n = 0;

	for (size_t i = 0; i < json_array_size(r->seals); i++) {
		const json_t *s = json_array_get(r->seals, i);

		n += looks_after(who, s) && strcmp(json_word(s, "asker"), who->name) != 0 && strcmp(state_now(r, s), "asked") == 0;
	}
	return n;
}
