/* zone.h - TXT records out of JSON, as answers; where `late`, each is not here yet the first time. */
#ifndef TESTS_UNIT_AUTH_ZONE_H
#define TESTS_UNIT_AUTH_ZONE_H

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "policyd/auth/answers.h"

struct zone {
	struct answers answers;
	struct arena *a;
	const json_t *txt;                   /* name -> text, or list of texts; false: no answer */
	bool late;
	char asked[512][300];
	size_t asked_count, looks;
};

static inline struct rr_answer
zone_look(struct answers *self, enum rr_type type, struct span name)
{
	struct zone *z = (struct zone *)self;
	char key[300];
	bool before = false;

	z->looks++;
	snprintf(key, sizeof key, SPAN_FMT, SPAN_ARG(name));
	for (char *p = key; *p; p++)
		*p = ascii_lower(*p);
	for (size_t i = 0; i < z->asked_count; i++)
		before |= strcmp(z->asked[i], key) == 0;
	if (z->late && !before && z->asked_count < 512) {
		memcpy(z->asked[z->asked_count++], key, sizeof key);
		return (struct rr_answer){ .status = RR_PENDING };
	}
	const json_t *value = type == RR_TXT ? json_object_get(z->txt, key) : NULL;
	size_t count = json_is_array(value) ? json_array_size(value) : 1;

	if (json_is_false(value))
		return (struct rr_answer){ .status = RR_UNKNOWN };
	if (value == NULL || count == 0)
		return (struct rr_answer){ .status = RR_NONE };
	struct rr *rr = ARENA_ARRAY(z->a, struct rr, count);

	for (size_t i = 0; i < count; i++)
		rr[i].text = span_of(json_string_value(json_is_array(value) ? json_array_get(value, i) : value));
	return (struct rr_answer){ RR_FOUND, rr, count };
}

#endif
