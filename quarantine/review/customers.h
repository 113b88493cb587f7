/* customers.h - what each customer has set for the review of his mail.
 *
 * Shape   <state>/review/customers.json: {"acme": {"brand": "Acme", "admin_reads": true, ...}}; the fields stand in
 *         customers.c's table. The customer "" is the provider's own: what holds where nobody says otherwise
 */
#ifndef QUARANTINE_REVIEW_CUSTOMERS_H
#define QUARANTINE_REVIEW_CUSTOMERS_H

#include "quarantine/review/review.h"

enum { CUSTOMER_VALUE_ROOM = 400 };

bool customers_load(struct review *r);
bool customer_admin_reads(const struct review *r, const char *customer);
const char *customer_brand(const struct review *r, const char *customer);
/* A field's value in force; "" when nobody has set it. */
const char *customer_value(const struct review *r, const char *customer, const char *field);
/* Check and keep. NULL, or what is wrong with it. */
const char *customer_set(struct review *r, const char *customer, const char *field, const char *value);

/* {"cmd": "review.set|get", "customer", "values": {field: value}} for policyctl. */
json_t *customers_control(struct review *r, json_t *request);

#endif
