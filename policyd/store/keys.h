/* keys.h - the Redis keys of the project, and who writes them. Every key has a hash tag, so that Cluster works.
 *
 * {p:NN}:policy    hash     "customer:ID" | "domain:NAME" | "mailbox:LOCAL@DOMAIN" -> JSON of the fields set there
 * {p:NN}:changes   stream   n (version), k (the hash field), v (its new JSON, empty: removed)
 * {p:NN}:version   string   counts the changes of that partition; NN is 00..15, by the customer's or the domain's name
 *                           written by the broker, for policyctl (customers_request.c)
 * {h:<hash>}e, i   list, set   history of a mail (history.h), written by the broker
 */
#ifndef POLICYD_STORE_KEYS_H
#define POLICYD_STORE_KEYS_H

enum { POLICY_PARTITIONS = 16, POLICY_CHANGES_KEPT = 10000 };

#endif
