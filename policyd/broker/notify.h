/* notify.h - tells people: a mail, an HTTP request, a command. Each notice is a child process of its own with a deadline, so that
 * nothing here waits for anybody.
 *
 * Mail     to alarms.mail, by deliver.reinject;  webhook: POST of the evidence as JSON to alarms.webhook, 2yz is success
 * Command  alarms.command: a program by its absolute path and fixed arguments, no shell; the evidence as JSON on its standard input
 * Bounds   alarms.most_an_hour notices; more are logged and counted (alarms_held_back). NOTIFY_MS each
 * Errors   what could not be told is an error in the log, and alarms_failed
 */
#ifndef POLICYD_BROKER_NOTIFY_H
#define POLICYD_BROKER_NOTIFY_H

#include <jansson.h>

#include "policyd/config.h"

struct event_base;
struct notify;
enum { NOTIFY_MS = 20 * 1000, NOTIFY_CHILDREN = 8 };

struct notify *notify_open(struct event_base *base);
void notify_close(struct notify *n);
/* `subject` is one line. Takes `evidence`. It is in the log in any case. */
void notify_people(struct notify *n, const struct config *config, const char *subject, json_t *evidence);

#endif
