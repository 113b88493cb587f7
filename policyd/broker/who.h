/* who.h - who the client and the envelope's sender are: FCrDNS, HELO, SPF for both, asked side by side through the DNS cache.
 * Milter, policy port and a worker behind a relay ask by the same code, so that they hear the same.
 *
 * Shape   one struct who for one client, HELO and sender. Opened at CONNECT without the latter two it only warms the cache
 * Errors  what DNS does not tell in time is temperror. NULL: no memory, then nobody is asked
 */
#ifndef POLICYD_BROKER_WHO_H
#define POLICYD_BROKER_WHO_H

#include "policyd/auth/auth.h"
#include "policyd/broker/broker.h"

/* SPF's questions come one after the other: twice what one may take. */
#define WHO_MS(config) (2 * (int)(config)->dns_timeout_ms)

struct who;
typedef void (*who_callback)(void *arg, const struct auth_sender *sender);

/* Nobody asks about his own users, his own networks, or a relay of his (the client before that one is asked about). */
bool who_wanted(const struct config *config, const struct ip *client, struct span login, struct span context);

/* The questions are under way when it returns; `mail` false: HELO and sender are not known yet. */
struct who *who_open(struct broker *b, const struct ip *client, bool mail, struct span helo, struct span sender, int timeout_ms);
void who_close(struct who *who);             /* NULL is fine */
const struct auth_sender *who_known(const struct who *who);  /* NULL: not yet */
/* Called once, when it is known: not for one that is known already. One hearer at a time; NULL: nobody. */
void who_then(struct who *who, who_callback done, void *arg);

#endif
