#include "quarantine/review/audit.h"

bool
audit_add(struct review *r, const char *actor, const char *role, const char *from, const char *action, const char *target,
    const char *customer, const char *note)
{
	const struct audit_entry entry = { .time_s = review_time_s(r), .actor = actor, .role = role, .from = from, .action = action,
	    .target = target, .customer = customer, .note = note };

	return audit_write(r->audit, &entry, 1);
}

bool
audit_call(struct call *c, const char *action, const char *target, const char *customer, const char *note)
{
	char from[INET6_ADDRSTRLEN];

	ip_print(&c->http->client, from);
	return audit_add(c->review, c->who.role == ROLE_NONE ? target : c->who.name, role_names[c->who.role], from, action, target,
	    customer[0] ? customer : c->who.customer, note);
}
