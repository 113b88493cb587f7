/* config.h - the settings, as one checked flat struct.
 *
 * Shape   no pointers: the master parses the file, checks it, and hands the bytes to every process as a sealed memfd
 * Errors  config_load answers false and one line: "policyd.conf:12: unknown setting "milters"; did you mean "milter"?"
 * Source  libconfig syntax; every setting with kind, default and range stands in the table of config.c
 */
#ifndef POLICYD_CONFIG_H
#define POLICYD_CONFIG_H

#include "policyd/auth/results.h"
#include "policyd/base/limits.h"
#include "policyd/scan/dnsbl.h"
#include "policyd/scan/policy.h"
#include "policyd/scan/session.h"

enum { PATH_ROOM = 256, URL_ROOM = 320, MAX_NETS = 64, MAX_DNS_SERVERS = 4, MAX_RULE_DIRS = 8, MAX_BULK_SENDERS = 64, MAX_ARC_SEALERS = 32 };

struct listener {
	char socket[PATH_ROOM];              /* "unix:/path" or "inet:8890@127.0.0.1" */
	char context[32];                    /* "mx", "submission", "bulk": a name; submission skips DNS lists */
	char group[64];                      /* group that owns a unix socket; empty: policyd's own */
	uint32_t mode;                       /* of a unix socket, default 0660 */
};

/* Policies that a table of the site has, asked by Postfix' own protocols. */
struct policy_source {
	char socket[PATH_ROOM];              /* "unix:/path" or "inet:port@address" */
	char map[64];                        /* socketmap: the map's name; empty: tcp_table */
	uint32_t timeout_ms, fresh_s, absent_s, stale_s;     /* how long an answer holds; one of "not there"; at most, while it is away */
};

enum clamav_engine { CLAMAV_OFF, CLAMAV_LIB, CLAMAV_CLAMD };

struct config {
	uint32_t size;                       /* sizeof(struct config): a guard */
	uint64_t generation;                 /* counts reloads */
	char file[PATH_ROOM];
	char state[PATH_ROOM];               /* state directory, absolute */
	char run[PATH_ROOM];                 /* sockets of our own; default <state>/run */
	char user[64];                       /* to become when started as root; empty: stay */
	char worker_user[64];                /* of workers when root; default "nobody" */

	/* listen */
	struct listener milter[MAX_LISTENERS];
	uint32_t milter_count;
	char policy[PATH_ROOM];              /* policy delegation, "inet:8891@127.0.0.1" or "unix:..."; empty: off */
	uint32_t policy_mode;
	char control_group[64];              /* group that may use policyctl; empty: owner only */
	char report_group[64];               /* group that may report mail for mailboxes (report.sock); empty: nobody */

	/* redis */
	char redis_url[URL_ROOM];            /* empty: embedded */
	uint32_t redis_command_ms, redis_mail_ms;

	/* dns and lists */
	struct sockaddr_storage dns_server[MAX_DNS_SERVERS];
	uint32_t dns_server_count;           /* 0: /etc/resolv.conf */
	uint32_t dns_timeout_ms;
	struct dnsbl_list dnsbl[MAX_DNSBL];
	uint32_t dnsbl_count;
	uint32_t dnsbl_probe_s;              /* health probe interval */
	char names_excluded[PATH_ROOM];      /* names that lists of names are never asked about (nameset.h); empty: none */
	struct net own_networks[MAX_NETS];   /* never asked about, e.g. 127.0.0.0/8 */
	uint32_t own_network_count;
	struct net trusted_relays[MAX_NETS]; /* the client before them is asked about */
	uint32_t trusted_relay_count;

	/* content */
	enum clamav_engine clamav;
	char clamav_database[PATH_ROOM];
	char clamd_socket[PATH_ROOM];
	uint32_t clamav_timeout_ms, clamav_max_age_days;
	uint8_t clamav_cache;                /* what was clean is not scanned again until the database changes */
	uint64_t message_limit_bytes;        /* above: headers and first part only, marked OVERSIZE */
	uint64_t memory_budget_bytes;        /* of all mails held at once */
	char rules[MAX_RULE_DIRS][PATH_ROOM];
	uint32_t rule_dir_count;
	char score_script[PATH_ROOM];        /* lua/score.lua */
	char lua_dir[PATH_ROOM];             /* where prelude.lua lives */

	/* workers */
	uint32_t workers_min, workers_max;

	/* bulk mail: who sends it, what share of the workers it may have, in percent; what the policy port says of it */
	char bulk_senders[MAX_BULK_SENDERS][128];
	uint32_t bulk_sender_count, bulk_share;
	char bulk_filter[128];               /* "bulk:", a transport: "FILTER bulk:"; empty: nothing */
	uint8_t bulk_header;                 /* X-Policyd-Lane: bulk, for milter_header_checks */
	uint8_t reputation, campaigns;       /* what mail of the same origin, and mail alike, was like counts */
	uint8_t bulk_reserved[1];
	uint32_t scan_timeout_ms;            /* outer watchdog of one scan */
	uint32_t message_timeout_ms;         /* end of message, all told */
	uint32_t poison_action;              /* enum outcome: quarantine, defer, reject, deliver */

	/* quarantine: 0 is no limit */
	uint32_t customer_entries, campaign_entries;
	uint64_t customer_bytes;

	/* deliver */
	char reinject[PATH_ROOM];            /* "127.0.0.1:10026"; empty: releases are refused with a clear error */
	char deliver_lmtp[PATH_ROOM];        /* where the MTA's queue brings variants, "inet:8893@127.0.0.1"; empty: off */
	char deliver_domain[128];            /* the reserved domain of their token addresses, "variant.internal" */

	/* review */
	char review[PATH_ROOM];              /* "http://127.0.0.1:8892" or "https://..."; empty: no such process */
	char review_url[URL_ROOM];           /* how people reach it, for links in mails; default: as it listens */
	char review_node_url[URL_ROOM];      /* how other nodes of the pool reach it; default: the same */
	char review_certificate[PATH_ROOM], review_key[PATH_ROOM];       /* PEM; with https */
	struct net review_proxies[MAX_NETS]; /* their X-Forwarded-For is believed */
	uint32_t review_proxy_count;
	char review_from[MAX_ADDRESS + 1];   /* sender of digests and sign-in mails */
	char web_dir[PATH_ROOM];             /* the pages' files */

	struct policy_source policy_source;  /* socket empty: none */

	/* alarms */
	char alarm_mail[MAX_ADDRESS + 1];    /* by deliver.reinject; empty: none */
	char alarm_webhook[URL_ROOM];        /* "https://..."; empty: none */
	char alarm_command[MAX_ALARM_ARGS][PATH_ROOM];       /* an absolute path, and arguments */
	uint32_t alarm_command_count;
	uint32_t alarms_an_hour;             /* at most; more are in the log only */
	uint32_t alarms_least;               /* recipients a minute below which nothing is an attack */
	uint32_t alarms_again_s;             /* the same again after so long */

	char login_domain[128];              /* of logins without one, for their limits and policies; empty: they have the default's */

	/* tag */
	struct policy policy_default;
	char host_name[128];                 /* in headers and replies; default: gethostname */
	char authserv_id[128];               /* incoming Authentication-Results of that name are forged; default: host_name */
	uint8_t authserv_guarded;            /* they are not: a milter before us writes them, and removes forged ones itself */

	/* auth */
	uint8_t auth;                        /* SPF, DKIM, DMARC, ARC, names of the client are looked at */
	uint8_t auth_results;                /* bit per enum auth_method: what our Authentication-Results tells; 0: none is written */
	char arc_sealers[MAX_ARC_SEALERS][128];      /* whose ARC seal excuses a failed DMARC */
	uint32_t arc_sealer_count;

	/* log */
	uint8_t log_syslog, log_json, log_debug;
	uint8_t reserved[5];
};

/* Parse and check. `why` gets one or more lines. */
bool config_load(const char *path, struct config *config, char *why, size_t room);

/* Into and out of the sealed memfd. NULL when it is not a config of this binary. */
int config_seal(const struct config *config);
const struct config *config_map(int fd);
void config_unmap(const struct config *config);

#endif
