/* lists_names.h - all lists of names (URIBL, DBL) asked at once about the names in one mail.
 *
 * Shape   names in the order of their weight: of those who say they sent it, of the client, of links. Each list hears of the
 *         places it asks for, as whole hosts or registrable domains. Findings are
 *             URIBL_<LIST>[_<SUFFIX of the code>][_FROM | _REPLY | _SENDER | _HELO | _RDNS]       ("": in a link)
 *         each once, whatever number of names it was found for: the evidence names them
 *         URIBL_<LIST>_UNKNOWN  it left questions unanswered;  URIBL_OVER  there were more names than may be asked about
 * Bounds  MAX_HOSTS_ASKED distinct names of a mail in DNS, after those that are excluded; local copies hear of all
 * Units   points; milliseconds, one deadline for all
 * Errors  as of lists.h: silence is shown and weighs nothing, a list that refuses us or fails its probe is off
 */
#ifndef POLICYD_NET_LISTS_NAMES_H
#define POLICYD_NET_LISTS_NAMES_H

#include "policyd/net/lists.h"

enum { NAMES_FINDINGS = 64, NAMES_SYMBOL_ROOM = 96 };

struct name_asked {
	unsigned places;                     /* bits of enum name_place */
	struct span name, domain;            /* lower case; its registrable domain */
};

struct names_result {
	size_t count;
	struct {
		char symbol[NAMES_SYMBOL_ROOM], evidence[MAX_EVIDENCE + 1];
		double points;
	} at[NAMES_FINDINGS];
};

struct names_wait;
typedef void (*names_callback)(void *arg, const struct names_result *result);

/* `names` need not outlive the call. The callback comes once, maybe from inside the call (then NULL is returned). */
struct names_wait *names_ask(struct lists *lists, const struct name_asked *names, size_t count, int timeout_ms, names_callback done,
    void *arg);
void names_cancel(struct names_wait *wait);

#endif
