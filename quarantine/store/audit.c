/* audit.c - what policyctl does to held mail, in the log that review keeps of its pages (policyd/base/audit.h). Who it was is
 * the kernel's word on his connection; the name beside it is what policyctl says. */
#include <stdio.h>
#include <stdlib.h>

#include "policyd/base/clock.h"
#include "policyd/base/log.h"
#include "quarantine/store/asker.h"

enum { TARGET_ROOM = ID_ROOM + MAX_ADDRESS + 2, ACTION_ROOM = 40 };

static const char *
word(const json_t *object, const char *name)
{
	const char *value = json_string_value(json_object_get(object, name));

	return value ? value : "";
}

static bool
write_down(struct asker *a, const struct audit_entry *entries, size_t count)
{
	return a->store->audit && audit_write(a->store->audit, entries, count);
}

bool
asker_audit(struct asker *a, const json_t *request, const char *action, const char *target, const char *customer)
{
	const struct audit_entry entry = { .time_s = wall_s(), .actor = word(request, "actor"), .role = "", .from = a->from, .action = action,
	    .target = target, .customer = customer, .note = word(request, "note") };

	return a->from[0] == '\0' || write_down(a, &entry, 1);
}

/* One entry for each result of a change; what was not done, too, with why. */
void
asker_audit_change(struct asker *a, const json_t *request, const char *op, const json_t *results)
{
	size_t count = a->from[0] ? json_array_size(results) : 0;
	struct audit_entry *entries = calloc(count + 1, sizeof *entries);
	char (*targets)[TARGET_ROOM] = calloc(count + 1, sizeof *targets), (*actions)[ACTION_ROOM] = calloc(count + 1, sizeof *actions);
	int64_t now = wall_s();

	for (size_t i = 0; entries && targets && actions && i < count; i++) {
		const json_t *result = json_array_get(results, i);
		bool done = json_is_true(json_object_get(result, "done")), under_way = strcmp(word(result, "state"), "releasing") == 0;
		const char *note = word(request, "note");

		snprintf(targets[i], sizeof targets[i], "%s %s", word(result, "id"), word(result, "recipient"));
		snprintf(actions[i], sizeof actions[i], "mail.%s%s", op, done || under_way ? "" : ".failed");
		entries[i] = (struct audit_entry){ .time_s = now, .actor = word(request, "actor"), .role = "", .from = a->from,
		    .action = actions[i], .target = targets[i], .customer = word(result, "customer"),
		    .note = note[0] || done ? note : word(result, "reply") };
	}
	if (count > 0 && (!entries || !targets || !actions || !write_down(a, entries, count)))
		log_error("quarantine: %zu changes by policyctl (%s) are not in the audit log", count, a->from);
	free(entries);
	free(targets);
	free(actions);
}
