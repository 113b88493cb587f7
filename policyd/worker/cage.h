/* cage.h - a process that parses outside mail has no network, no secrets and no files but its scratch.
 *
 * Two steps: cage_zygote once (namespaces, tmpfs scratch, own user: needs what a fresh process may still do),
 * cage_worker in every fork (Landlock, seccomp, limits). A measure the kernel refuses is noted, not fatal:
 * policyctl doctor prints which hold.
 */
#ifndef POLICYD_WORKER_CAGE_H
#define POLICYD_WORKER_CAGE_H

#include "policyd/config.h"

#define CAGE_LIST(X)                                            \
	X(CAGE_USER, "user", "an unprivileged user of its own") \
	X(CAGE_NETWORK, "network", "no network (namespace)")    \
	X(CAGE_MOUNTS, "scratch", "private tmpfs scratch")      \
	X(CAGE_LANDLOCK, "landlock", "no files but the scratch")\
	X(CAGE_SECCOMP, "seccomp", "no system calls but those of parsing") \
	X(CAGE_LIMITS, "limits", "memory and file limits")

#define CAGE_ENUM(id, name, what) id,
enum cage_measure { CAGE_LIST(CAGE_ENUM) CAGE__COUNT };
#undef CAGE_ENUM
extern const char *const cage_names[CAGE__COUNT], *const cage_texts[CAGE__COUNT];

struct cage {
	unsigned holds;                      /* bit per enum cage_measure */
	char scratch[PATH_ROOM];             /* directory for temporary files: the current one from cage_zygote on */
	int scratch_fd;                      /* the way there past directories that only root may enter */
};

/* Before anything is loaded. Leaves the process unprivileged. False and `why` only when it may not go on:
 * started as root with a worker user that does not exist. */
bool cage_zygote(struct cage *cage, const struct config *config, char *why, size_t room);

/* Which measures a worker will have: tried in a child that ends at once. Adds to `holds`. */
void cage_probe(struct cage *cage);

/* In a fresh worker. Never fails: what does not hold is missing from `holds`. */
void cage_worker(struct cage *cage);

#endif
