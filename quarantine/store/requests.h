/* requests.h - what can be asked of the store: JSON in W_REQUEST, JSON back in W_REPLY (wire.h).
 *
 * Where   <run>/store.sock (link.h: many questions in flight, answered in any order) or policyctl's control.sock
 * Errors  {"error": sentence, "exit": 1 | 2}: 2 when the question is wrong. An entry that is not there and one out of
 *         scope get the same answer
 * Units   time: seconds since 1970; points: null when a threshold is off; addresses canonical (lower case, no brackets)
 * Entry   one mail for one recipient: "id" names the mail, "n" the recipient in it. A mail for two customers has two ids
 *
 * Scope   any request may carry who is asking: "scope": {"customer": C, "domains": [D..], "rcpts": [A..]}; what is not
 *         left out must match. Without "scope" all is seen: so whoever serves people sets it on every request
 *
 * list    {"cmd": "quarantine.list", FILTERS, "sort": S, "limit": 1..1000 (50), "cursor": text of the page before}
 *         FILTERS  "rcpt" "domain" "class" "state" (each a text or a list of texts), "customer", "sender", "from_domain",
 *                  "since", "until" (time < until), "search" (each word of it in From, sender or subject; case does not
 *                  matter), "symbol" (a rule's name), "message_id", "queue_id", "digest", "body", "points_min", "points_max"
 *         S        "newest" (default), "oldest"; "closest" (to the own threshold: likely false positives first), "points" (highest
 *                  first), "size" (largest first): these three order the newest SORT_MOST that match, or as many of them as
 *                  can be looked at in LOOK_MS
 *      -> {"entries": [ENTRY..], "more": bool, "cursor": text, "looked": n}
 *         A page ends when it is full or enough rows were looked at (LOOK_MOST, LOOK_MS): then it may be short, even
 *         empty, with "more": true; the cursor goes on from there
 *         ENTRY    {id, n, time, sender, from, recipient, customer, subject, class, points, tag, quarantine, discard,
 *                  state, before, changed, actor, note, vote ("", "ham", "spam"), mode ("hold", "copy"), size, count
 *                  (arrivals), client, helo, message_id, queue_id, digest (hex), body (hex; the same for mails that share
 *                  it, "" for short ones), symbols ("NAME=points ..."), allow (what "release and always allow" puts on the
 *                  list: entry_for in policyd/store/entries.h; "": nobody can be named), expires, undo_until (0: nothing to undo)}
 *
 *         "pool": true: of all nodes that share a Redis (redis.url), for "rcpt" (or the scope's "rcpts", 16 at most), newest
 *         first, with "class", "state", "search", "limit", "cursor": ENTRY as short as a list needs it, "node": where it is
 *         held, "nodes": {node: url of its review}, and "away": nodes that have said nothing for a while. A cache: a second or
 *         so behind. What another node holds is asked of that one, through review (quarantine/review/peer.h)
 * nodes   {"cmd": "quarantine.nodes"} -> {"nodes": {node: {"url", "node_url", "seen", "away": bool}}, "here": node}
 *
 * show    {"cmd": "quarantine.show", "id", "n" or "rcpt" (else all recipients in scope), "raw": bool}
 *      -> {"entries": [ENTRY..], "symbols": [{"name", "points", "evidence"}..], "damaged": bool, "why", "segment", "offset"};
 *         with "raw" the exact bytes come beside it as a sealed memfd, unless damaged
 *
 * change  {"cmd": "quarantine.change", "op": OP, "ids": ["id" | {"id", "n"} | {"id", "rcpt"}..] or "id" with "n" or "rcpt",
 *         "actor": who, "note": why, "again": bool, "risky": bool, "allow": ALLOW}; at most CHANGE_MOST entries at once; durable when answered
 *         OP       "seen" "unseen" "request" (ask for release) "deny" (a request) "release" "approve" (release what was
 *                  requested) "delete" "undo" (the last change but a release, within UNDO_S) "ham" "spam" "unvote"
 *                  (votes become lessons within seconds, and are taken back again: lesson.c)
 *      -> {"results": [{"id", "n", "recipient", "state", "done": bool, "reply": sentence, "queue_id"}..]}
 *         release answers when the MTA has: done with its queue id; "releasing" with the reply when it is to be tried
 *         again; not done when it refused. "again": also what was released before. What was held for a virus, phish,
 *         banned parts or as unscannable, or for an hour and more, is scanned once more: a virus found then is not released
 *         unless "risky"
 *         ALLOW    with release and approve: true, or {"until": s, "comment": text}: and the ENTRY's "allow" goes onto the
 *                  list of the mailbox. Each result that was released or is on its way has "allow": {"entry", "done",
 *                  "reply": why not} then
 *         "quarantine.release" and "quarantine.delete" are the same with that OP
 *
 * stats   {"cmd": "quarantine.stats", "by": ["day" "customer" "class"..], "since", "until", "customer"}
 *      -> {mails, recipients, states: {..}, bytes, segments, damaged, full, low, behind (the index), deliver_up, reinject,
 *          "rows": [{day ("2025-01-31"), customer, class, stored, released, requested, deleted, expired, ham, spam,
 *          bytes}..]}: counts are of entries by the day they came in; kept for STATS_DAYS
 * rules   {"cmd": "quarantine.rules", "since", "customer"} -> {"rules": [{"symbol", "released", "ham"}..], "looked": n}:
 *         symbols of what was released or voted ham, most released first; the newest LOOK_MOST of them
 * rebuild {"cmd": "quarantine.rebuild"}: the index anew from the segments -> as stats, with "took_ms"
 */
#ifndef QUARANTINE_STORE_REQUESTS_H
#define QUARANTINE_STORE_REQUESTS_H

#include "quarantine/store/store.h"

enum { LIST_DEFAULT = 50, LIST_MOST = 1000, SORT_MOST = 10000, LOOK_MOST = 50000, LOOK_MS = 40, CHANGE_MOST = 1000, UNDO_S = 600,
    STATS_DAYS = 400 };

/* A question on a connection that requests.c or store.c holds; `reply` is taken. Answers may come later. */
struct asker;
struct asker *asker_new(struct store *s, int sock);
void asker_free(struct asker *a);            /* once the connection has gone; waits for what is in work */
void asker_serve(struct asker *a, uint32_t id, struct span json);
void store_request_connection(struct store *s, uint32_t id, struct span json, int *fds, int fd_count);

#endif
