/* keys.h - the Redis keys of the project, and who writes them. Every key has a hash tag, so that Cluster works.
 *
 * {p:NN}:policy    hash     "tier:ID" | "customer:ID" | "domain:NAME" | "mailbox:LOCAL@DOMAIN" -> JSON of what is set there
 * {p:NN}:changes   stream   n (version), then k (a field of the hash), v (its new JSON, empty: removed) for all written together
 * {p:NN}:version   string   counts the changes of that partition; NN is 00..15, by the tier's, customer's or domain's name
 * {p:NN}:log:<ID>  list     JSON of the last POLICY_LOG_KEPT changes of a customer's records there ("-": nobody's), newest
 *                           first: n, time_ms, who, note, changes: [[key, old JSON, new JSON], ...]
 *                           all four written by the broker, for policyctl and the API (customers_write.c)
 * {m:<ID>}:<day>, :days     what a customer has used (meter.h), written by the broker
 * {c:<key>}:report, :changes   hash, list   of the last canary at that record (customers_canary.c), written by the broker
 * {m:<ID>}:recent           what was found in its recent mail (recent.h), written by the broker
 * {alike:b<band>}, {alike:<id>}, and r c s h behind it    campaigns of mails alike (campaigns.h), written by the broker
 * {rep:...}                 reputations, who knows whom (reputations.h), written by the broker
 * {l:<kind><hash>}, ..r  what is left of a limit, and whom it counted (buckets_script.h); {l:nodes}, {l:over}; by the broker
 * {o:<hash>}, {o:contained}, ..v   accounts: what is usual, which are contained (broker/outbound.h);  {a:..}: alarms told; by the broker
 * {h:<hash>}e, i, a  list, set, list   history of a mail (history.h), written by the broker
 * {q:<hash>}:l     zset     what a mailbox has in quarantine, on all nodes: "NODE ID N" by time (s); each has
 * {q:<hash>}:NODE ID N  string  JSON for a list, expiring with the entry
 * {q:nodes}        hash     NODE -> JSON: mark of what it has written, url of its review; all three by the stores
 *                           (quarantine/store/nodes.c)
 * {r:}KEY, {r:<ID>}KEY      what rules may read (redis.get and its like): everybody's rules the first, a customer's the
 *                           second; written by whoever runs the site, never by policyd (broker/questions.c)
 */
#ifndef POLICYD_STORE_KEYS_H
#define POLICYD_STORE_KEYS_H

enum { POLICY_PARTITIONS = 16, POLICY_CHANGES_KEPT = 10000, POLICY_LOG_KEPT = 100 };

#endif
