/* metrics.h - counters of all processes on one shared page, so that they can be read when everything else is busy.
 *
 * Shape   one array of 64-bit counters in a memfd the master makes; every process adds atomically
 * Units   counts, or what the name says (_us, _bytes); gauges end in _now
 * Names   METRIC_LIST is the one place: enum, and the name that `policyctl stats` and /metrics print
 */
#ifndef POLICYD_BASE_METRICS_H
#define POLICYD_BASE_METRICS_H

#include <stdint.h>

#define METRIC_LIST(X)                                                        \
	/* milter and policy server */                                        \
	X(M_CONNECTIONS, "milter_connections")                                \
	X(M_MESSAGES, "messages")                                             \
	X(M_RECIPIENTS, "recipients")                                         \
	X(M_ABORTED, "transactions_aborted")                                  \
	X(M_TRANSACTIONS_NOW, "transactions_now")                             \
	X(M_POLICY_REQUESTS, "policy_requests")                               \
	X(M_POLICY_BAD, "policy_requests_bad")                                \
	X(M_POLICY_LATE, "policy_answers_late")                               \
	/* limits */                                                          \
	X(M_LIMITS_ASKED, "limits_asked")                                     \
	X(M_LIMITS_AHEAD, "limits_taken_ahead")                               \
	X(M_LIMITS_OVER, "limits_over")                                       \
	X(M_LIMITS_ALONE, "limits_alone")                                     \
	X(M_LIMITS_UNKNOWN, "limits_unknown")                                 \
	X(M_LIMITS_NOW, "limits_buckets_now")                                 \
	/* outgoing mail, alarms */                                           \
	X(M_CONTAINED, "accounts_contained")                                  \
	X(M_CONTAINED_NOW, "accounts_contained_now")                          \
	X(M_CONTAINED_RECIPIENTS, "recipients_of_contained_accounts")         \
	X(M_OUTBOUND_UNSEEN, "outbound_mails_not_judged")                     \
	X(M_ALARMS, "alarms")                                                 \
	X(M_ALARMS_HELD, "alarms_held_back")                                  \
	X(M_ALARMS_FAILED, "alarms_failed")                                   \
	/* outcomes, per recipient */                                         \
	X(M_DELIVERED, "recipients_delivered")                                \
	X(M_TAGGED, "recipients_tagged")                                      \
	X(M_QUARANTINED, "recipients_quarantined")                            \
	X(M_DISCARDED, "recipients_discarded")                                \
	X(M_REJECTED, "recipients_rejected")                                  \
	X(M_REFUSED_AT_RCPT, "recipients_refused_at_rcpt")                    \
	X(M_DEFERRED, "recipients_deferred")                                  \
	X(M_VARIANT_FALLBACK, "variant_fallbacks")                            \
	X(M_VARIANT_ROUTED, "variant_recipients_routed")                      \
	X(M_VARIANT_DELIVERED, "variant_recipients_delivered")                \
	X(M_VARIANT_LATER, "variant_recipients_to_try_again")                 \
	X(M_VARIANT_REFUSED, "variant_recipients_refused")                    \
	X(M_VARIANT_ROUTE_UP_NOW, "variant_route_up_now")                     \
	/* workers */                                                         \
	X(M_SCANS, "scans")                                                   \
	X(M_SCAN_US, "scan_us")                                               \
	X(M_SCAN_BYTES, "scan_bytes")                                         \
	X(M_WORKER_STARTED, "workers_started")                                \
	X(M_WORKER_CRASHED, "workers_crashed")                                \
	X(M_WORKER_KILLED, "workers_killed_late")                             \
	X(M_POISON, "poison_messages")                                        \
	X(M_OVERLOAD, "messages_refused_overload")                            \
	X(M_WORKERS_NOW, "workers_now")                                       \
	X(M_BULK, "messages_bulk")                                            \
	X(M_BULK_QUEUE_NOW, "queue_bulk_now")                                 \
	X(M_QUEUE_NOW, "queue_now")                                           \
	/* stages */                                                          \
	X(M_VIRUSES, "viruses_found")                                         \
	X(M_UNSCANNABLE, "unscannable")                                       \
	X(M_CLAMAV_FAILED, "clamav_failed")                                   \
	X(M_CLAMAV_SCANNED, "clamav_scans")                                   \
	X(M_CLAMAV_KNOWN, "clamav_known_clean")                               \
	X(M_CLAMAV_OLD_NOW, "clamav_database_too_old_now")                    \
	X(M_CLAMAV_REFUSED, "clamav_databases_refused")                       \
	X(M_RULE_FAILED, "rules_failed")                                      \
	X(M_RULE_OFF, "rules_switched_off")                                   \
	X(M_RULE_DEMOTED, "rules_demoted")                                    \
	X(M_STAGE_UNKNOWN, "stages_unknown")                                  \
	/* DNS */                                                             \
	X(M_DNS_ASKED, "dns_asked")                                           \
	X(M_DNS_CACHED, "dns_cached")                                         \
	X(M_DNS_FAILED, "dns_failed")                                         \
	X(M_DNSBL_LISTED, "dnsbl_listed")                                     \
	X(M_DNSBL_UNKNOWN, "dnsbl_unknown")                                   \
	X(M_NAMES_ASKED, "names_asked")                                       \
	X(M_NAMES_LISTED, "names_listed")                                     \
	X(M_NAMES_UNKNOWN, "names_unknown")                                   \
	X(M_NAMES_OVER, "names_over_the_bound")                               \
	X(M_RELAYED, "dnsbl_clients_behind_relays")                           \
	X(M_QUESTIONS, "worker_questions")                                    \
	/* who sent it, of mails that were scanned */                         \
	X(M_SPF_PASS, "spf_pass")                                             \
	X(M_SPF_FAIL, "spf_fail")                                             \
	X(M_DKIM_PASS, "dkim_pass")                                           \
	X(M_DMARC_PASS, "dmarc_pass")                                         \
	X(M_DMARC_FAIL, "dmarc_fail")                                         \
	X(M_AUTH_UNKNOWN, "auth_unknown")                                     \
	X(M_DNSBL_SICK_NOW, "dnsbl_sick_now")                                 \
	X(M_CAMPAIGN_FOUND, "campaign_mails")                                 \
	X(M_CAMPAIGN_WEIGHED, "campaign_mails_with_points")                   \
	X(M_CAMPAIGN_REPORTS, "campaign_reports")                             \
	X(M_CAMPAIGN_UNKNOWN, "campaign_unknown")                             \
	X(M_REPUTATION_GOOD, "reputation_good_mails")                         \
	X(M_REPUTATION_BAD, "reputation_bad_mails")                           \
	/* Redis */                                                           \
	X(M_REDIS_ASKED, "redis_commands")                                    \
	X(M_REDIS_FAILED, "redis_failed")                                     \
	X(M_REDIS_DOWN_NOW, "redis_down_now")                                 \
	X(M_POLICY_LOOKUPS, "policy_lookups")                                 \
	X(M_POLICY_CANARY_ENDED, "policy_canaries_ended")                     \
	X(M_POLICY_CHANGES, "policy_changes")                                 \
	X(M_SOURCE_ASKED, "policy_source_asked")                              \
	X(M_SOURCE_CACHED, "policy_source_cached")                            \
	X(M_SOURCE_STALE, "policy_source_stale")                              \
	X(M_SOURCE_FAILED, "policy_source_failed")                            \
	X(M_SOURCE_BAD, "policy_source_bad_values")                           \
	/* quarantine */                                                      \
	X(M_STORED, "quarantine_stored")                                      \
	X(M_STORED_AGAIN, "quarantine_retries_merged")                        \
	X(M_STORE_FAILED, "quarantine_failed")                                \
	X(M_STORE_SHORT, "quarantine_deferred_for_room")                      \
	X(M_EVICTED, "quarantine_evicted_by_quota")                           \
	X(M_VOTES_TAUGHT, "quarantine_votes_taught")                          \
	X(M_RELEASED, "quarantine_released")                                  \
	X(M_RELEASE_FAILED, "quarantine_release_failed")                      \
	/* review */                                                          \
	X(M_HTTP_REQUESTS, "http_requests")                                   \
	X(M_HTTP_ANSWERED, "http_answered")                                   \
	X(M_HTTP_FAILED, "http_failed")                                       \
	X(M_HTTP_BAD, "http_unreadable")                                      \
	X(M_HTTP_LATE, "http_too_slow")                                       \
	X(M_HTTP_REFUSED, "http_connections_refused")                         \
	X(M_HTTP_FORGED, "http_forms_forged")                                 \
	X(M_HTTP_NOW, "http_connections_now")                                 \
	X(M_PEER_ASKED, "pool_nodes_asked")                                   \
	X(M_PEER_FAILED, "pool_nodes_away")                                   \
	X(M_PEER_REFUSED, "pool_questions_refused")                           \
	X(M_LINKS_VOID, "links_void")                                         \
	X(M_LINKS_UNPROVEN, "links_without_number")                           \
	X(M_DIGESTS, "digests_sent")                                          \
	X(M_DIGESTS_FAILED, "digests_refused")                                \
	/* learning */                                                        \
	X(M_LESSONS, "lessons")                                               \
	X(M_TRAINED, "lessons_trained")                                       \
	X(M_LESSONS_HELD, "lessons_held")                                     \
	X(M_CUSTOMERS_FETCHED, "model_customers_fetched")                     \
	X(M_CUSTOMERS_UNKNOWN, "model_customers_unknown")                     \
	X(M_MODEL_DISAGREEMENT_NOW, "model_disagreement_percent_now")         \
	X(M_LESSONS_FAILED, "lessons_failed")                                 \
	/* ourselves */                                                       \
	X(M_RELOADS, "reloads")                                               \
	X(M_RELOADS_REFUSED, "reloads_refused")                               \
	X(M_RESTARTS, "process_restarts")                                     \
	X(M_LOG_DROPPED, "log_lines_dropped")

#define METRIC_ENUM(id, name) id,
enum metric { METRIC_LIST(METRIC_ENUM) M__COUNT };
#undef METRIC_ENUM

extern const char *const metric_names[M__COUNT];

int metrics_create(void);                            /* a memfd for metrics_open, or -1 */
int metrics_open(int fd);                            /* map it; without it counting is a no-op on a private page */
void metrics_add(enum metric m, int64_t n);          /* n may be negative for gauges */
void metrics_set(enum metric m, int64_t value);
int64_t metrics_get(enum metric m);

#endif
