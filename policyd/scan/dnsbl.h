/* dnsbl.h - what DNS lists say of a client address, or of the names in a mail: names to ask, answers judged, points.
 *
 * Shape   of an address one question per list: octets (v4) or nibbles (v6) reversed, then the zone. Of a name: the name, or its
 *         registrable domain, then the zone
 * Units   points
 * Errors  a list that stays silent is DNSBL_UNKNOWN: it weighs nothing, and is counted and shown
 * Source  RFC 5782, 2 and 3; refusal codes 127.255.255.0/24 by the lists' own documentation
 */
#ifndef POLICYD_SCAN_DNSBL_H
#define POLICYD_SCAN_DNSBL_H

#include "policyd/scan/session.h"

enum dnsbl_answer { DNSBL_CLEAR, DNSBL_LISTED, DNSBL_UNKNOWN, DNSBL_REFUSED };

struct dnsbl_code {                          /* answers first..last weigh points */
	uint32_t first, last;                /* host byte order */
	uint32_t mask;                       /* and have all these bits; 0: any */
	char suffix[20];                     /* of the symbol: "PHISH"; may be empty */
	double points;
};

/* Where in a mail a name stands that lists of names are asked about. */
enum name_place { NAME_LINK, NAME_FROM, NAME_REPLY, NAME_SENDER, NAME_HELO, NAME_RDNS, NAME__COUNT };
extern const char *const name_place_names[NAME__COUNT];      /* as in the settings: "links", "from", "reply_to", ... */

enum { DNSBL_MAX_CODES = 16 };

struct dnsbl_list {                          /* one list by config; flat */
	char name[48];                       /* symbol "DNSBL_<NAME>": from `name`, else from the zone's first label */
	char zone[MAX_HOST_NAME + 1];
	double points;                       /* of a listing by no own code weight */
	struct dnsbl_code codes[DNSBL_MAX_CODES];      /* which answers are listings; none: all of 127/8 */
	struct dnsbl_code refused[DNSBL_MAX_CODES];    /* never listings: the list says it will not answer us */
	uint8_t code_count, refused_count;
	uint8_t ipv4, ipv6;                  /* which families are asked */
	uint8_t probe;                       /* health by 127.0.0.1 (absent) and 127.0.0.2 (present); by "invalid" and `test` */

	/* a list of names, asked about those in a mail */
	uint8_t names;                       /* it is one */
	uint8_t ask;                         /* bits by enum name_place */
	uint8_t full;                        /* of whole host names; else of registrable domains */
	uint8_t addresses;                   /* of links that lead to an address, too, octets reversed */
	char test[64];                       /* always listed: "test" by RFC 5782, 3 */
	char local[256];                     /* a copy of the zone (nameset.h), asked instead of DNS; empty: none */
};

/* "2.0.0.127.zen.example"; false if the list is not asked for that family. */
bool dnsbl_question(const struct dnsbl_list *list, const struct ip *client, char name[MAX_HOST_NAME + 1]);

/* "shop.example.dbl.example"; of an address (a link to it) its octets reversed. False if it does not fit. */
bool dnsbl_name_question(const struct dnsbl_list *list, struct span name, char to[MAX_HOST_NAME + 1]);

/* Judge the A records of one answer (host byte order). Outside 127/8 is never a listing. `*points` on LISTED. */
enum dnsbl_answer dnsbl_judge(const struct dnsbl_list *list, const uint32_t *a, size_t count, double *points);

/* The same of a list of names, whose answers may say several things at once: each symbol suffix that was found, with its points. */
struct dnsbl_hit {
	const char *suffix;                  /* "" for listings by no code, or by one without a suffix */
	double points;
	uint32_t code;
};
enum dnsbl_answer dnsbl_judge_all(const struct dnsbl_list *list, const uint32_t *a, size_t count, struct dnsbl_hit hits[DNSBL_MAX_CODES],
    size_t *hit_count);
/* The suffix of the code that such an answer weighs by. */
const char *dnsbl_suffix(const struct dnsbl_list *list, uint32_t a);

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
