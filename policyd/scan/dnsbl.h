/* dnsbl.h - what DNS lists say of a client address: names to ask, answers judged, points.
 *
 * Shape   one question per list: octets (v4) or nibbles (v6) reversed, then the zone
 * Units   points
 * Errors  a list that stays silent is DNSBL_UNKNOWN: it weighs nothing, and is counted and shown
 * Source  RFC 5782; refusal codes 127.255.255.0/24 by the lists' own documentation
 */
#ifndef POLICYD_SCAN_DNSBL_H
#define POLICYD_SCAN_DNSBL_H

#include "policyd/scan/session.h"

enum dnsbl_answer { DNSBL_CLEAR, DNSBL_LISTED, DNSBL_UNKNOWN, DNSBL_REFUSED };

struct dnsbl_code {                          /* answers first..last weigh points */
	uint32_t first, last;                /* host byte order */
	double points;
};

enum { DNSBL_MAX_CODES = 16 };

struct dnsbl_list {                          /* one list by config; flat */
	char name[48];                       /* symbol "DNSBL_<NAME>": from `name`, else from the zone's first label */
	char zone[MAX_HOST_NAME + 1];
	double points;                       /* of a listing by no own code weight */
	struct dnsbl_code codes[DNSBL_MAX_CODES];      /* which answers are listings; none: all of 127/8 */
	struct dnsbl_code refused[DNSBL_MAX_CODES];    /* never listings: the list says it will not answer us */
	uint8_t code_count, refused_count;
	uint8_t ipv4, ipv6;                  /* which families are asked */
	uint8_t probe;                       /* health by 127.0.0.1 (absent) and 127.0.0.2 (present) */
};

/* "2.0.0.127.zen.example"; false if the list is not asked for that family. */
bool dnsbl_question(const struct dnsbl_list *list, const struct ip *client, char name[MAX_HOST_NAME + 1]);

/* Judge the A records of one answer (host byte order). Outside 127/8 is never a listing. `*points` on LISTED. */
enum dnsbl_answer dnsbl_judge(const struct dnsbl_list *list, const uint32_t *a, size_t count, double *points);

struct dnsbl_result {                        /* of all lists, for one client */
	double points;                       /* sum */
	size_t count;
	struct {
		uint8_t list;                /* index in config */
		enum dnsbl_answer answer;
		double points;
		uint32_t code;               /* the A record that counted */
	} at[MAX_DNSBL];
};

#endif
