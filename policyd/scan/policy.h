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

#define THRESHOLD_OFF HUGE_VAL

enum outcome { OUT_DELIVER, OUT_TAG, OUT_QUARANTINE, OUT_DISCARD, OUT_REJECT, OUT_DEFER, OUT__COUNT };
extern const char *const outcome_names[OUT__COUNT];         /* "deliver" ... */

enum dnsbl_mode { DNSBL_MODE_OFF, DNSBL_MODE_SCORE, DNSBL_MODE_REJECT, DNSBL_MODE__COUNT };
extern const char *const dnsbl_mode_names[DNSBL_MODE__COUNT];

struct policy {
	double tag, quarantine, discard;     /* points, or THRESHOLD_OFF */
	double dnsbl_threshold;              /* DNSBL points at which mode "reject" refuses at RCPT */
	uint8_t filter;                      /* 0: no filtering at all for this recipient */
	uint8_t top_action;                  /* OUT_DISCARD or OUT_REJECT, at `discard` */
	uint8_t reject_fallback;             /* OUT_QUARANTINE or OUT_DISCARD: when not all agree to reject */
	uint8_t virus, phish, banned, bulk, unscannable;    /* enum outcome by class; OUT_DELIVER: no action */
	uint8_t dnsbl;                       /* enum dnsbl_mode */
	uint8_t own_model;                   /* the customer's own Bayes on top of the global one */
	uint8_t reserved[6];                 /* zero, so that memcmp compares policies */
	char subject_tag[64];                /* "[SPAM] ", or empty: leave the subject alone; UTF-8 */
	char customer[64];                   /* customer id; empty: none */
	uint32_t retention_days;             /* of his quarantine */
	uint32_t reserved2;
};

/* Where an effective value came from, for `policyctl policy explain`. */
enum policy_level { LEVEL_DEFAULT, LEVEL_CUSTOMER, LEVEL_DOMAIN, LEVEL_MAILBOX, LEVEL__COUNT };
extern const char *const policy_level_names[LEVEL__COUNT];

enum field_kind { FIELD_POINTS, FIELD_BOOL, FIELD_OUTCOME, FIELD_DNSBL, FIELD_TEXT, FIELD_DAYS };
struct policy_field {
	const char *name;                    /* "tag", "quarantine", ... */
	enum field_kind kind;
	size_t offset, size;                 /* in struct policy */
	unsigned outcomes;                   /* FIELD_OUTCOME: bit per allowed enum outcome */
	const char *help;
};
extern const struct policy_field policy_fields[];
extern const size_t policy_field_count;

const struct policy_field *policy_field_find(struct span name);
/* Parse one value into `p`; on error false and a sentence in `why` ("tag: \"abc\" is not a number or off"). */
bool policy_field_parse(struct policy *p, const struct policy_field *field, struct span value, char *why, size_t room);
void policy_field_print(const struct policy *p, const struct policy_field *field, char *to, size_t room);
/* Thresholds ordered, actions allowed; false and a sentence otherwise. */
bool policy_check(const struct policy *p, char *why, size_t room);
/* The built-in default: tag 4, quarantine 7, discard 15, DNSBL reject at 6, virus and unscannable quarantine. */
void policy_default(struct policy *p);

#endif
