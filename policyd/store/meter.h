/* meter.h - what each customer has used, by day: for billing.
 *
 * Shape   {m:<customer>}:<day>   hash   counts, below; expires after METER_DAYS       ("-": recipients of no customer)
 *         {m:<customer>}:days    set    days there are, "2026-11-25" (UTC)
 * Counts  messages (one per mail and customer), recipients, bytes (of those messages), cpu_us (of their scan, shared out by
 *         recipients), byte_days (booked when a copy is stored: its bytes times the days it is kept), refused (recipients
 *         at RCPT), out.<outcome>, class.<class> (recipients)
 * Errors  Redis away: counted on here, written when it is back; at most METER_WRITE_MS of counts go with a killed broker
 */
#ifndef POLICYD_STORE_METER_H
#define POLICYD_STORE_METER_H

#include <jansson.h>

#include "policyd/scan/decide.h"

enum { METER_DAYS = 400, METER_WRITE_MS = 500 };

struct meter;
struct event_base;
struct redis_async;

struct meter_use {                           /* one recipient of one mail */
	uint64_t mail;                       /* any number that names the mail: a customer's second recipient adds no message */
	enum outcome outcome;
	const char *class_name;              /* "clean", "spam", "virus", ... */
	uint64_t bytes, cpu_us, byte_days;
};

struct meter *meter_open(struct event_base *base, struct redis_async *redis);      /* NULL: no memory */
void meter_close(struct meter *m);           /* what is not written yet goes out first */
void meter_recipient(struct meter *m, const char *customer, const struct meter_use *use);
void meter_refused(struct meter *m, const char *customer);

/* {"customer": ID, "from": DAY, "to": DAY} -> {"days": [{"day", counts...}, ...]}; `done` once, the reply is the callee's. */
typedef void (*meter_reply)(void *arg, json_t *reply);
void meter_request(struct meter *m, const json_t *request, meter_reply done, void *arg);
/* All counts of a customer go. */
void meter_forget(struct meter *m, const char *customer, meter_reply done, void *arg);

#endif
