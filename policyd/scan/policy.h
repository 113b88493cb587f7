/* policy.h - one compiled policy: what a recipient wants done, as a small flat struct.
 *
 * Shape   fixed size, no pointers: equal policies are equal bytes and share a class id
 * Units   thresholds in points; THRESHOLD_OFF is never reached
 * Source  design.md "Policy"; names are the ones `policyctl policy set` takes (policy_fields)
 *
 * A mail with points >= quarantine is quarantined, and so on: tag < quarantine < discard where they are on.
 */
#ifndef POLICYD_SCAN_POLICY_H
#define POLICYD_SCAN_POLICY_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policyd/base/span.h"
#include "policyd/scan/limit.h"

#define THRESHOLD_OFF HUGE_VAL

enum outcome { OUT_DELIVER, OUT_TAG, OUT_QUARANTINE, OUT_DISCARD, OUT_REJECT, OUT_DEFER, OUT__COUNT };
extern const char *const outcome_names[OUT__COUNT];         /* "deliver" ... */

enum dnsbl_mode { DNSBL_MODE_OFF, DNSBL_MODE_SCORE, DNSBL_MODE_REJECT, DNSBL_MODE__COUNT };
extern const char *const dnsbl_mode_names[DNSBL_MODE__COUNT];

/* Where an effective value came from, for `policyctl policy explain`; later ones are nearer. */
enum policy_level {
	LEVEL_DEFAULT, LEVEL_TIER, LEVEL_CUSTOMER, LEVEL_WILDCARD, LEVEL_DOMAIN, LEVEL_MAILBOX, LEVEL_EXTENSION, LEVEL__COUNT
};
extern const char *const policy_level_names[LEVEL__COUNT];

struct policy {
	double tag, quarantine, discard;     /* points, or THRESHOLD_OFF */
	double dnsbl_threshold;              /* DNSBL points at which mode "reject" refuses at RCPT */
	uint8_t filter;                      /* 0: no filtering at all for this recipient */
	uint8_t top_action;                  /* OUT_DISCARD or OUT_REJECT, at `discard` */
	uint8_t reject_fallback;             /* OUT_QUARANTINE or OUT_DISCARD: when not all agree to reject */
	uint8_t virus, phish, banned, bulk, unscannable;    /* enum outcome by class; OUT_DELIVER: no action */
	uint8_t dnsbl;                       /* enum dnsbl_mode */
	uint8_t own_model;                   /* the customer's own Bayes on top of the global one */
	uint8_t blocked;                     /* enum outcome for senders on his block lists */
	uint8_t outbound;                    /* enum outcome for what his own users send out and would be quarantined here */
	uint8_t scan_failed;                 /* enum outcome when a stage that must not be missed could not tell */
	uint8_t keep_rejected;               /* a copy of what was rejected goes to his quarantine */
	uint8_t release_link;                /* the rejection tells the sender where to ask for that copy */
	uint8_t spf_fail;                    /* enum outcome at RCPT: OUT_REJECT, or OUT_DELIVER: points only */
	uint8_t dmarc_reject, dmarc_quarantine;      /* enum outcome for what fails DMARC, by what its domain asks for */
	uint8_t strip;                       /* banned files are replaced by a note where a variant can be made, instead of `banned` */
	uint8_t mailbox_model;               /* his mailbox' own Bayes on top of these */
	uint8_t reserved[4];                 /* zero, so that memcmp compares policies */
	char subject_tag[64];                /* "[SPAM] ", or empty: leave the subject alone; UTF-8 */
	char folder[32];                     /* tagged mail goes to user+folder@domain; empty: where it was sent */
	char banned_types[256];              /* "exe zip application/x-dosexec": banned.h */
	char customer[64];                   /* customer id; empty: none */
	uint32_t retention_days;             /* of his quarantine */
	/* limits (limit.h), by measure: what one of his accounts, his whole domain, his customer sends; what comes to his mailbox;
	   what comes from one client network */
	struct limit limit_account[MEASURE__COUNT], limit_domain[MEASURE__COUNT], limit_customer[MEASURE__COUNT],
	    limit_mailbox[MEASURE__COUNT], limit_network[MEASURE__COUNT];
	uint32_t created_day;                /* when the account was made, days since 1970; 0: when it was first seen */
	uint32_t warmup_days;                /* until its limits are whole; 0: from the start */
	uint32_t contain_hours;              /* until a containment ends by itself; 0: never */
	uint8_t limit_action;                /* enum outcome over a limit: OUT_DEFER, OUT_REJECT, OUT_QUARANTINE */
	uint8_t contain;                     /* enum outcome for the mail of an account that somebody else uses */
	uint8_t bulk_sender;                 /* declared: volume alone is no sign that somebody else uses the account */
	uint8_t reserved3;                   /* zero */
	uint32_t lists[LEVEL__COUNT];        /* numbers of his allow and block lists (store/entries.h), by level; 0: none */
	uint32_t reserved2[2];               /* zero; no padding behind */
};

enum field_kind { FIELD_POINTS, FIELD_BOOL, FIELD_OUTCOME, FIELD_DNSBL, FIELD_TEXT, FIELD_DAYS, FIELD_TYPES, FIELD_LIMITS,
                  FIELD_NUMBER, FIELD_DATE };
/* How a level's value meets that of the level above: it replaces it (of limits: each measure that it speaks of), or (words of
 * a text) is added to it. */
enum field_merge { MERGE_NEAREST, MERGE_ADD };
struct policy_field {
	const char *name;                    /* "tag", "quarantine", ... */
	enum field_kind kind;
	size_t offset, size;                 /* in struct policy */
	unsigned outcomes;                   /* FIELD_OUTCOME: bit per allowed enum outcome; FIELD_NUMBER: the most it may be */
	const char *help;
	enum field_merge merge;
};
extern const struct policy_field policy_fields[];
extern const size_t policy_field_count;

const struct policy_field *policy_field_find(struct span name);
/* Parse one value into `p`; on error false and a sentence in `why` ("tag: \"abc\" is not a number or off"). */
bool policy_field_parse(struct policy *p, const struct policy_field *field, struct span value, char *why, size_t room);
void policy_field_print(const struct policy *p, const struct policy_field *field, char *to, size_t room);
/* Take over one field of `from`, by its merge rule. */
void policy_field_merge(struct policy *p, const struct policy_field *field, const struct policy *from);
/* Which of two values of a field is more: points, days, the more careful outcome; 0: alike, or a text. */
int policy_field_compare(const struct policy_field *field, const struct policy *a, const struct policy *b);
/* Not less than `least` and not more than `most` have it (NULL: no bound). True: the value was cut. */
bool policy_field_bound(struct policy *p, const struct policy_field *field, const struct policy *least, const struct policy *most);
/* The more careful of two policies, field by field: for an alias whose members do not agree. */
void policy_strictest(struct policy *p, const struct policy *other);
/* What holds for mail that this policy's users send out: nobody's subject, folder, lists or DNS lists; from the quarantine
 * threshold on (discard's, where that is off) and for what would be quarantined by its class: `outbound`. */
void policy_outbound(struct policy *p);
/* Which of two outcomes prevails: the more careful one for the recipient; a reject before a discard, for then the
 * sender learns of it. */
int outcome_rank(enum outcome outcome);
/* Thresholds ordered, actions allowed; false and a sentence otherwise. */
bool policy_check(const struct policy *p, char *why, size_t room);
/* The built-in default: tag 4, quarantine 7, discard 15, DNSBL reject at 6, virus and unscannable quarantine. */
void policy_default(struct policy *p);

#endif
