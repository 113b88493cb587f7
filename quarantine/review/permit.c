#include "quarantine/review/permit.h"

#include <string.h>

const char *const role_names[ROLE__COUNT] = {
	[ROLE_NONE] = "", [ROLE_OWNER] = "owner", [ROLE_ADMIN] = "admin", [ROLE_SUPPORT] = "support", [ROLE_ABUSE] = "abuse",
};

enum { LOOK = MAY_SEE | MAY_HEADERS, READ = LOOK | MAY_PREVIEW, ALL = READ | MAY_DOWNLOAD | MAY_DELETE | MAY_BLOCK | MAY_RELEASE | MAY_ALLOW };

static const struct row {
	const char *class_name;
	unsigned rights[ROLE__COUNT];
} matrix[] = {
	/* The last row is also that of classes it does not know. */
	{ "spam",        { 0, ALL, LOOK | MAY_DELETE | MAY_BLOCK | MAY_RELEASE | MAY_ALLOW, LOOK | MAY_RELEASE | MAY_UNSEAL, ALL } },
	{ "bulk",        { 0, ALL, LOOK | MAY_DELETE | MAY_BLOCK | MAY_RELEASE | MAY_ALLOW, LOOK | MAY_RELEASE | MAY_UNSEAL, ALL } },
	{ "phish",       { 0, READ | MAY_DELETE | MAY_BLOCK | MAY_REQUEST, LOOK | MAY_DELETE | MAY_BLOCK | MAY_RELEASE, LOOK | MAY_UNSEAL,
	                   READ | MAY_DOWNLOAD | MAY_DELETE | MAY_BLOCK | MAY_RELEASE } },
	{ "banned",      { 0, READ | MAY_DELETE | MAY_BLOCK | MAY_REQUEST, LOOK | MAY_DELETE | MAY_BLOCK | MAY_RELEASE, LOOK | MAY_RELEASE | MAY_UNSEAL, ALL } },
	{ "unscannable", { 0, LOOK | MAY_DELETE | MAY_REQUEST, LOOK | MAY_DELETE | MAY_RELEASE, LOOK | MAY_UNSEAL,
	                   READ | MAY_DOWNLOAD | MAY_DELETE | MAY_RELEASE } },
	{ "virus",       { 0, LOOK | MAY_DELETE | MAY_REQUEST, LOOK | MAY_DELETE, LOOK, READ | MAY_DOWNLOAD | MAY_DELETE } },
};

enum role
role_of(const char *name)
{
	for (int i = ROLE_OWNER; i < ROLE__COUNT; i++)
		if (strcmp(name, role_names[i]) == 0)
			return (enum role)i;
	return ROLE_NONE;
}

unsigned
permit_rights(enum role role, const char *class_name, bool admin_reads)
{
	size_t i = 0, last = sizeof matrix / sizeof *matrix - 1;

	while (i < last && strcmp(class_name, matrix[i].class_name) != 0)
		i++;
	unsigned rights = matrix[i].rights[role];

	/* The customer's own switch: may his admin read what his people get? Not what is dangerous. */
	if (role == ROLE_ADMIN && admin_reads && i < last)
		rights |= MAY_PREVIEW;
	return rights;
}

bool
permit_needs_reason(enum role role)
{
	return role == ROLE_SUPPORT;
}
