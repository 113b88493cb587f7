/* lists_inside.h - what lists.c and lists_names.c share: every list's state. Not for others. */
#ifndef POLICYD_NET_LISTS_INSIDE_H
#define POLICYD_NET_LISTS_INSIDE_H

#include "policyd/net/dns.h"
#include "policyd/net/lists.h"
#include "policyd/net/nameset_file.h"

struct list_state {                          /* of one list, over reloads as long as its zone stays */
	char zone[MAX_HOST_NAME + 1];
	bool sick;
	char why[200];
	int64_t off_until_ms;                /* it refused us: not asked, not even probed, until then */
	int64_t probe_at_ms;
	int probes_open;
	bool probe_bad;
	uint64_t asked, listed, unknown;
	struct nameset_file *local;          /* its copy; NULL: asked in DNS */
	struct lists *lists;
};

struct lists {
	struct event_base *base;
	struct dns *dns;
	const struct dnsbl_list *list;       /* a copy of the settings' */
	uint32_t count;
	int64_t probe_ms;
	struct list_state states[MAX_DNSBL];
	struct nameset_file *excluded;       /* names that lists of names are not asked about; NULL: none */
	struct event *tick;
};

/* It says that it will not answer us: believing anything it says now would refuse the world's mail. */
void list_refused(struct lists *lists, struct list_state *s);

#endif
