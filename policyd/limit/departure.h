/* departure.h - what usually comes in a minute, by what it is, and when it is far from that. Pure, given the time.
 *
 * Kinds   customers, client networks, sender domains, subjects, bodies: of each a table of those seen lately
 * Usual   of each the most that came in one minute, by hour of the day, on working days and at weekends: records that fade.
 *         What comes today is learnt from tomorrow on. Of those never seen before, as most subjects are, the usual is what
 *         newcomers of their kind have brought at most
 * Alarm   more than TIMES the usual of this hour (and of its neighbours), and more than `least`; not before a week is known:
 *         the weekly rhythm is none until it has been seen
 * Bounds  DEPARTURE_KEYS of each kind, who never brought much and was not seen for long goes first
 */
#ifndef POLICYD_LIMIT_DEPARTURE_H
#define POLICYD_LIMIT_DEPARTURE_H

#include <stdbool.h>
#include <stdint.h>

enum departure_kind { DEPARTURE_CUSTOMER, DEPARTURE_NETWORK, DEPARTURE_DOMAIN, DEPARTURE_SUBJECT, DEPARTURE_BODY, DEPARTURE__KINDS };
extern const char *const departure_kind_names[DEPARTURE__KINDS];
enum { DEPARTURE_VERSION = 1, DEPARTURE_KEYS = 4096, DEPARTURE_WAYS = 8, DEPARTURE_SLOTS = 48, DEPARTURE_TIMES = 3, DEPARTURE_LEARN_S = 7 * 86400 };

struct departure_key {
	uint64_t key;                        /* 0: free */
	int64_t last_s, first_s, alarm_s;
	float minute, ever;                  /* came in the last minute, fading; the most that ever came in one, fading slowly */
	float usual[DEPARTURE_SLOTS];        /* by hour of a working day, then of a day of the weekend */
	float learnt[24];                    /* today's, by hour: usual from tomorrow on */
};

struct departures {
	uint32_t version, size;
	int64_t since_s;                     /* 0: nothing has been seen */
	uint32_t day;
	float newcomer[DEPARTURE__KINDS], newcomer_today[DEPARTURE__KINDS];      /* most that one never seen before brought in a minute */
	struct departure_key keys[DEPARTURE__KINDS][DEPARTURE_KEYS];
};

struct departure {
	double minute, usual;                /* what came in the last minute; what comes at most, usually, at such an hour */
	bool newcomer;
};

void departures_start(struct departures *d);
/* So many more at `now_s`. `zone_s`: seconds east of UTC, for days and hours are people's. True: an alarm, once in `again_s`. */
bool departures_count(struct departures *d, enum departure_kind kind, uint64_t key, double count, int64_t now_s, int zone_s, double least,
    int again_s, struct departure *what);

#endif
