/* config.c - the settings file: one table says every setting, its kind, its range; the rest is reading. */
#include "policyd/config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "policyd/base/ipc.h"
#include "policyd/base/nearest.h"
#include "policyd/config_reader.h"

#ifndef POLICYD_SHARE
#define POLICYD_SHARE "/usr/local/share/policyd"
#endif

void
config_complain(struct reader *r, const config_setting_t *at, const char *format, ...)
{
	va_list args;
	size_t n = 0;

	if (r->failed)
		return;
	r->failed = true;
	if (at)
		n = (size_t)snprintf(r->why, r->room, "%s:%u: ",
		    config_setting_source_file(at) ? config_setting_source_file(at) : r->c->file, config_setting_source_line(at));
	if (n >= r->room)
		return;
	va_start(args, format);
	vsnprintf(r->why + n, r->room - n, format, args);
	va_end(args);
}

enum kind { TEXT, NUMBER, BYTES, FLAG, ENUM, PATH, SOCKET, REDIS, SERVER, USER, GROUP, DOMAIN, HTTP };

static const enum value_kind value_kinds[] = {       /* of the texts that have a form */
	[PATH] = VALUE_PATH, [SOCKET] = VALUE_SOCKET, [REDIS] = VALUE_REDIS, [SERVER] = VALUE_SERVER,
	[USER] = VALUE_USER, [GROUP] = VALUE_GROUP, [DOMAIN] = VALUE_DOMAIN,
	[HTTP] = VALUE_HTTP,
};

struct setting {
	const char *group, *name;
	enum kind kind;
	size_t offset, size;
	int64_t least, most;                 /* NUMBER and BYTES */
	const char *const *names;            /* ENUM: the values 0, 1, ..., NULL at the end */
};

enum { MAX_RUN = 80 };                      /* bytes; a socket's path has 108 */

#define F(field) offsetof(struct config, field), sizeof(((struct config *)0)->field)

static const char *const engines[] = { "off", "libclamav", "clamd", NULL };
static const char *const log_targets[] = { "stderr", "syslog", NULL };

static const struct setting settings[] = {
	{ "", "state", TEXT, F(state), 0, 0, NULL },
	{ "", "run", TEXT, F(run), 0, 0, NULL },
	{ "", "user", USER, F(user), 0, 0, NULL },
	{ "", "worker_user", USER, F(worker_user), 0, 0, NULL },
	{ "", "host_name", DOMAIN, F(host_name), 0, 0, NULL },
	{ "alarms", "mail", TEXT, F(alarm_mail), 0, 0, NULL },
	{ "alarms", "webhook", TEXT, F(alarm_webhook), 0, 0, NULL },
	{ "alarms", "most_an_hour", NUMBER, F(alarms_an_hour), 0, 1000, NULL },
	{ "alarms", "least", NUMBER, F(alarms_least), 1, 1000000, NULL },
	{ "alarms", "again_s", NUMBER, F(alarms_again_s), 60, 7 * 86400, NULL },
	{ "", "login_domain", DOMAIN, F(login_domain), 0, 0, NULL },
	{ "", "authserv_id", TEXT, F(authserv_id), 0, 0, NULL },
	{ "", "authserv_guarded", FLAG, F(authserv_guarded), 0, 0, NULL },
	{ "auth", "check", FLAG, F(auth), 0, 0, NULL },
	{ "", "score", PATH, F(score_script), 0, 0, NULL },
	{ "", "lua_dir", PATH, F(lua_dir), 0, 0, NULL },
	{ "listen", "policy", SOCKET, F(policy), 0, 0, NULL },
	{ "listen", "policy_mode", NUMBER, F(policy_mode), 0, 0777, NULL },
	{ "control", "group", GROUP, F(control_group), 0, 0, NULL },
	{ "report", "group", GROUP, F(report_group), 0, 0, NULL },
	{ "redis", "url", REDIS, F(redis_url), 0, 0, NULL },
	{ "redis", "command_ms", NUMBER, F(redis_command_ms), 10, 10000, NULL },
	{ "redis", "mail_ms", NUMBER, F(redis_mail_ms), 10, 30000, NULL },
	{ "dns", "timeout_ms", NUMBER, F(dns_timeout_ms), 50, 10000, NULL },
	{ "dns", "probe_s", NUMBER, F(dnsbl_probe_s), 1, 86400, NULL },
	{ "", "names_excluded", PATH, F(names_excluded), 0, 0, NULL },
	{ "clamav", "engine", ENUM, F(clamav), 0, 0, engines },
	{ "clamav", "database", PATH, F(clamav_database), 0, 0, NULL },
	{ "clamav", "socket", TEXT, F(clamd_socket), 0, 0, NULL },
	{ "clamav", "timeout_ms", NUMBER, F(clamav_timeout_ms), 100, 300000, NULL },
	{ "clamav", "cache", FLAG, F(clamav_cache), 0, 0, NULL },
	{ "clamav", "max_age_days", NUMBER, F(clamav_max_age_days), 1, 365, NULL },
	{ "quarantine", "customer_entries", NUMBER, F(customer_entries), 0, UINT32_MAX, NULL },
	{ "quarantine", "campaign_entries", NUMBER, F(campaign_entries), 0, UINT32_MAX, NULL },
	{ "quarantine", "customer_bytes", BYTES, F(customer_bytes), 0, INT64_MAX, NULL },
	{ "deliver", "reinject", SERVER, F(reinject), 0, 0, NULL },
	{ "listen", "review", HTTP, F(review), 0, 0, NULL },
	{ "review", "url", TEXT, F(review_url), 0, 0, NULL },
	{ "review", "node_url", TEXT, F(review_node_url), 0, 0, NULL },
	{ "review", "certificate", PATH, F(review_certificate), 0, 0, NULL },
	{ "review", "key", PATH, F(review_key), 0, 0, NULL },
	{ "review", "from", TEXT, F(review_from), 0, 0, NULL },
	{ "", "web_dir", PATH, F(web_dir), 0, 0, NULL },
	{ "deliver", "lmtp", SOCKET, F(deliver_lmtp), 0, 0, NULL },
	{ "deliver", "domain", DOMAIN, F(deliver_domain), 0, 0, NULL },
	{ "policy_source", "socket", SOCKET, F(policy_source.socket), 0, 0, NULL },
	{ "policy_source", "map", TEXT, F(policy_source.map), 0, 0, NULL },
	{ "policy_source", "timeout_ms", NUMBER, F(policy_source.timeout_ms), 10, 10000, NULL },
	{ "policy_source", "fresh_s", NUMBER, F(policy_source.fresh_s), 1, 86400, NULL },
	{ "policy_source", "absent_s", NUMBER, F(policy_source.absent_s), 1, 86400, NULL },
	{ "policy_source", "stale_s", NUMBER, F(policy_source.stale_s), 1, 30 * 86400, NULL },
	{ "", "reputation", FLAG, F(reputation), 0, 0, NULL },
	{ "", "campaigns", FLAG, F(campaigns), 0, 0, NULL },
	{ "bulk", "share", NUMBER, F(bulk_share), 1, 100, NULL },
	{ "bulk", "filter", TEXT, F(bulk_filter), 0, 0, NULL },
	{ "bulk", "header", FLAG, F(bulk_header), 0, 0, NULL },
	{ "workers", "min", NUMBER, F(workers_min), 1, MAX_WORKERS, NULL },
	{ "workers", "max", NUMBER, F(workers_max), 1, MAX_WORKERS, NULL },
	{ "limits", "message_bytes", BYTES, F(message_limit_bytes), 65536, 1 << 30, NULL },
	{ "limits", "memory_bytes", BYTES, F(memory_budget_bytes), 1 << 20, (int64_t)1 << 40, NULL },
	{ "limits", "scan_timeout_ms", NUMBER, F(scan_timeout_ms), 1000, 290000, NULL },
	{ "limits", "message_timeout_ms", NUMBER, F(message_timeout_ms), 10000, 300000, NULL },
	{ "", "poison", ENUM, F(poison_action), 0, 0, outcome_names },
	{ "log", "target", ENUM, F(log_syslog), 0, 0, log_targets },
	{ "log", "json", FLAG, F(log_json), 0, 0, NULL },
	{ "log", "debug", FLAG, F(log_debug), 0, 0, NULL },
};

/* Settings that are lists or hold other things, by the group they stand in. */
static const struct { const char *group, *name; } compounds[] = {
	{ "", "listen" }, { "", "control" }, { "", "redis" }, { "", "dns" }, { "", "dnsbl" }, { "", "clamav" },
	{ "", "deliver" }, { "", "quarantine" }, { "", "policy" }, { "", "rules" }, { "", "workers" }, { "", "limits" }, { "", "log" },
	{ "", "own_networks" }, { "", "trusted_relays" }, { "", "policy_source" }, { "", "alarms" }, { "alarms", "command" }, { "listen", "milter" }, { "dns", "servers" },
	{ "", "review" }, { "review", "proxies" }, { "", "auth" }, { "auth", "results" }, { "auth", "trusted_sealers" },
	{ "", "report" }, { "", "bulk" }, { "bulk", "senders" },
};

const char *
kind_of(const config_setting_t *s)
{
	switch (config_setting_type(s)) {
	case CONFIG_TYPE_GROUP: return "a group { ... }";
	case CONFIG_TYPE_LIST: case CONFIG_TYPE_ARRAY: return "a list";
	case CONFIG_TYPE_STRING: return "a text";
	case CONFIG_TYPE_INT: case CONFIG_TYPE_INT64: return "a number";
	case CONFIG_TYPE_FLOAT: return "a decimal number";
	case CONFIG_TYPE_BOOL: return "true or false";
	default: return "something else";
	}
}

void
config_unknown(struct reader *r, const config_setting_t *s, const char *group, const char *const *names, size_t count)
{
	const char *name = config_setting_name(s), *near = nearest_name(name, names, count);

	config_complain(r, s, "unknown setting \"%s%s%s\"%s%s%s", group, group[0] ? "." : "", name, near ? "; did you mean \"" : "",
	    near ? near : "", near ? "\"?" : "");
}

bool
text_of(struct reader *r, const config_setting_t *s, char *to, size_t room)
{
	const char *text = config_setting_get_string(s);

	if (text == NULL)
		config_complain(r, s, "%s is %s; expected a text in quotes", config_setting_name(s) ? config_setting_name(s) : "element",
		    kind_of(s));
	else if (strlen(text) >= room)
		config_complain(r, s, "\"%.40s...\" is too long; expected at most %zu bytes", text, room - 1);
	else
		memcpy(to, text, strlen(text) + 1);
	return !r->failed;
}

bool
checked_text(struct reader *r, const config_setting_t *s, enum value_kind kind, char *to, size_t room)
{
	char why[PATH_ROOM + 200];

	if (text_of(r, s, to, room) && to[0] && !value_check(kind, to, why, sizeof why))
		config_complain(r, s, "%s: %s", config_setting_name(s), why);
	return !r->failed;
}

static void
read_enum(struct reader *r, const config_setting_t *s, const struct setting *def, void *to)
{
	const char *text = config_setting_get_string(s);
	char expected[160] = "";
	size_t n = 0;

	for (size_t i = 0; def->names[i] && (def->names != outcome_names || i < OUT__COUNT); i++) {
		if (text && strcmp(text, def->names[i]) == 0) {
			if (def->size == 1)
				*(uint8_t *)to = (uint8_t)i;
			else
				*(uint32_t *)to = (uint32_t)i;
			return;
		}
		n += (size_t)snprintf(expected + n, sizeof expected - n, "%s\"%s\"", n ? ", " : "", def->names[i]);
		if (def->names == outcome_names && i + 1 == OUT__COUNT)
			break;
	}
	config_complain(r, s, "%s is %s%s%s; expected one of %s", def->name, text ? "\"" : "", text ? text : kind_of(s),
	    text ? "\"" : "", expected);
}

static void
read_simple(struct reader *r, const config_setting_t *s, const struct setting *def)
{
	char *to = (char *)r->c + def->offset;
	int type = config_setting_type(s);

	switch (def->kind) {
	case TEXT:
		text_of(r, s, to, def->size);
		break;
	case PATH: case SOCKET: case REDIS: case SERVER: case USER: case GROUP: case DOMAIN: case HTTP:
		checked_text(r, s, value_kinds[def->kind], to, def->size);
		break;
	case NUMBER:
	case BYTES: {
		if (type != CONFIG_TYPE_INT && type != CONFIG_TYPE_INT64) {
			config_complain(r, s, "%s is %s; expected a whole number", def->name, kind_of(s));
			return;
		}
		int64_t value = config_setting_get_int64(s);

		if (value < def->least || value > def->most)
			config_complain(r, s, "%s is %lld; expected %lld to %lld", def->name, (long long)value, (long long)def->least,
			    (long long)def->most);
		else if (def->size == 4)
			*(uint32_t *)(void *)to = (uint32_t)value;
		else
			*(uint64_t *)(void *)to = (uint64_t)value;
		break;
	}
	case FLAG:
		if (type != CONFIG_TYPE_BOOL)
			config_complain(r, s, "%s is %s; expected true or false", def->name, kind_of(s));
		else
			*(uint8_t *)to = (uint8_t)config_setting_get_bool(s);
		break;
	case ENUM:
		read_enum(r, s, def, to);
		break;
	}
}

bool
number_of(struct reader *r, const config_setting_t *s, double *to)
{
	int type = config_setting_type(s);

	if (type == CONFIG_TYPE_FLOAT)
		*to = config_setting_get_float(s);
	else if (type == CONFIG_TYPE_INT || type == CONFIG_TYPE_INT64)
		*to = (double)config_setting_get_int64(s);
	else
		config_complain(r, s, "%s is %s; expected a number", config_setting_name(s), kind_of(s));
	return !r->failed;
}

bool
is_list(struct reader *r, const config_setting_t *s, size_t most)
{
	int type = config_setting_type(s);

	if (type != CONFIG_TYPE_LIST && type != CONFIG_TYPE_ARRAY)
		config_complain(r, s, "%s is %s; expected a list ( ... )", config_setting_name(s), kind_of(s));
	else if ((size_t)config_setting_length(s) > most)
		config_complain(r, s, "%s has %d elements; expected at most %zu", config_setting_name(s), config_setting_length(s), most);
	return !r->failed;
}

static void
read_rules(struct reader *r, const config_setting_t *s)
{
	if (!is_list(r, s, MAX_RULE_DIRS))
		return;
	r->c->rule_dir_count = 0;
	for (int i = 0; i < config_setting_length(s) && !r->failed; i++) {
		const config_setting_t *e = config_setting_get_elem(s, (unsigned)i);
		char *to = r->c->rules[r->c->rule_dir_count++];

		if (text_of(r, e, to, PATH_ROOM) && access(to, R_OK) < 0)
			config_complain(r, e, "rules: %s: %s", to, strerror(errno));
	}
}

static void
read_policy(struct reader *r, const config_setting_t *s)
{
	const char *names[64];
	char value[256], why[320];

	for (size_t i = 0; i < policy_field_count; i++)
		names[i] = policy_fields[i].name;
	for (int i = 0; i < config_setting_length(s) && !r->failed; i++) {
		const config_setting_t *e = config_setting_get_elem(s, (unsigned)i);
		const struct policy_field *field = policy_field_find(span_of(config_setting_name(e)));

		if (field == NULL) {
			config_unknown(r, e, "policy", names, policy_field_count);
			return;
		}
		switch (config_setting_type(e)) {
		case CONFIG_TYPE_STRING:
			snprintf(value, sizeof value, "%s", config_setting_get_string(e));
			break;
		case CONFIG_TYPE_FLOAT:
			snprintf(value, sizeof value, "%.10g", config_setting_get_float(e));
			break;
		case CONFIG_TYPE_BOOL:
			snprintf(value, sizeof value, "%s", config_setting_get_bool(e) ? "true" : "false");
			break;
		case CONFIG_TYPE_INT:
		case CONFIG_TYPE_INT64:
			snprintf(value, sizeof value, "%lld", config_setting_get_int64(e));
			break;
		default:
			config_complain(r, e, "policy.%s is %s; expected a value", field->name, kind_of(e));
			return;
		}
		struct policy one = r->c->policy_default;

		if (!policy_field_parse(&one, field, span_of(value), why, sizeof why))
			config_complain(r, e, "policy.%s", why);
		else if (field->kind == FIELD_LIMITS)        /* measure by measure, as at every level */
			policy_field_merge(&r->c->policy_default, field, &one);
		else
			r->c->policy_default = one;
	}
	if (!r->failed && !policy_check(&r->c->policy_default, why, sizeof why))
		config_complain(r, s, "policy: %s", why);
}

static void
read_alarm_command(struct reader *r, const config_setting_t *s)
{
	struct config *c = r->c;

	if (!is_list(r, s, MAX_ALARM_ARGS))
		return;
	for (int i = 0; i < config_setting_length(s) && !r->failed; i++)
		text_of(r, config_setting_get_elem(s, (unsigned)i), c->alarm_command[c->alarm_command_count++], PATH_ROOM);
	if (!r->failed && c->alarm_command_count > 0 && (c->alarm_command[0][0] != '/' || access(c->alarm_command[0], X_OK) < 0))
		config_complain(r, s, "alarms.command: \"%s\" is no program; expected an absolute path, and its arguments apart from it: "
		    "( \"/usr/local/bin/page\", \"noc\" )", c->alarm_command[0]);
}

/* An alarm that goes nowhere is none. */
static void
finish_alarms(struct reader *r, const config_t *file)
{
	const struct config *c = r->c;

	if (c->alarm_mail[0] && (strchr(c->alarm_mail, '@') == NULL || strpbrk(c->alarm_mail, " <>\r\n\t")))
		config_complain(r, config_lookup(file, "alarms.mail"), "alarms.mail: \"%s\" is no address; expected \"noc@isp.example\"", c->alarm_mail);
	if (c->alarm_mail[0] && c->reinject[0] == '\0')
		config_complain(r, config_lookup(file, "alarms.mail"), "alarms.mail needs deliver.reinject, by which it is sent");
	if (c->alarm_webhook[0] && ((strncmp(c->alarm_webhook, "http://", 7) != 0 && strncmp(c->alarm_webhook, "https://", 8) != 0) ||
	    strpbrk(c->alarm_webhook, " <>\r\n\t")))
		config_complain(r, config_lookup(file, "alarms.webhook"), "alarms.webhook: \"%s\"; expected \"https://host/path\"", c->alarm_webhook);
}

static void read_group(struct reader *r, const config_setting_t *s, const char *group);

static void
read_compound(struct reader *r, const config_setting_t *s, const char *group, const char *name)
{
	struct config *c = r->c;

	if (strcmp(name, "dnsbl") == 0) {
		if (is_list(r, s, MAX_DNSBL))
			for (int i = 0; i < config_setting_length(s) && !r->failed; i++)
				read_dnsbl(r, config_setting_get_elem(s, (unsigned)i));
	} else if (strcmp(name, "milter") == 0) {
		c->milter_count = 0;
		if (is_list(r, s, MAX_LISTENERS))
			for (int i = 0; i < config_setting_length(s) && !r->failed; i++)
				read_milter(r, config_setting_get_elem(s, (unsigned)i));
	} else if (strcmp(name, "servers") == 0) {
		read_servers(r, s);
	} else if (strcmp(name, "rules") == 0) {
		read_rules(r, s);
	} else if (strcmp(name, "command") == 0) {
		read_alarm_command(r, s);
	} else if (strcmp(name, "senders") == 0) {
		read_bulk_senders(r, s);
	} else if (strcmp(name, "own_networks") == 0) {
		read_nets(r, s, c->own_networks, &c->own_network_count);
	} else if (strcmp(name, "trusted_relays") == 0) {
		read_nets(r, s, c->trusted_relays, &c->trusted_relay_count);
	} else if (strcmp(name, "proxies") == 0) {
		read_nets(r, s, c->review_proxies, &c->review_proxy_count);
	} else if (strcmp(name, "results") == 0) {
		read_methods(r, s);
	} else if (strcmp(name, "trusted_sealers") == 0) {
		read_sealers(r, s);
	} else if (!config_setting_is_group(s)) {
		config_complain(r, s, "%s%s%s is %s; expected a group { ... }", group, group[0] ? "." : "", name, kind_of(s));
	} else if (strcmp(name, "policy") == 0) {
		read_policy(r, s);
	} else {
		read_group(r, s, name);
	}
}

static void
read_group(struct reader *r, const config_setting_t *s, const char *group)
{
	const char *names[64];
	size_t count = 0;

	for (size_t k = 0; k < sizeof settings / sizeof *settings; k++)
		if (strcmp(settings[k].group, group) == 0)
			names[count++] = settings[k].name;
	size_t simple = count;

	for (size_t k = 0; k < sizeof compounds / sizeof *compounds; k++)
		if (strcmp(compounds[k].group, group) == 0)
			names[count++] = compounds[k].name;
	for (int i = 0; i < config_setting_length(s) && !r->failed; i++) {
		const config_setting_t *e = config_setting_get_elem(s, (unsigned)i);
		size_t k = 0;

		while (k < count && strcmp(names[k], config_setting_name(e)) != 0)
			k++;
		if (k == count) {
			config_unknown(r, e, group, names, count);
		} else if (k >= simple) {
			read_compound(r, e, group, names[k]);
		} else {
			for (size_t d = 0; d < sizeof settings / sizeof *settings; d++)
				if (strcmp(settings[d].group, group) == 0 && strcmp(settings[d].name, names[k]) == 0)
					read_simple(r, e, &settings[d]);
		}
	}
}

static void
defaults(struct config *c)
{
	static const struct { const char *net; } own[] = { { "127.0.0.0/8" }, { "::1" }, { "10.0.0.0/8" },
	    { "172.16.0.0/12" }, { "192.168.0.0/16" }, { "fe80::/10" }, { "fc00::/7" } };
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	memset(c, 0, sizeof *c);
	c->size = sizeof *c;
	c->generation = 1;
	snprintf(c->state, sizeof c->state, "/var/lib/policyd");
	snprintf(c->worker_user, sizeof c->worker_user, "nobody");
	c->policy_mode = 0660;
	c->redis_command_ms = 100;
	c->redis_mail_ms = 300;
	c->dns_timeout_ms = 1500;
	c->bulk_share = 50;
	c->reputation = c->campaigns = 1;
	c->dnsbl_probe_s = 600;
	for (size_t i = 0; i < sizeof own / sizeof *own; i++)
		net_parse(span_of(own[i].net), &c->own_networks[c->own_network_count++]);
	c->clamav = CLAMAV_LIB;
	snprintf(c->clamav_database, sizeof c->clamav_database, "/var/lib/clamav");
	snprintf(c->clamd_socket, sizeof c->clamd_socket, "/run/clamav/clamd.ctl");
	c->clamav_timeout_ms = 20000;
	c->clamav_max_age_days = 3;
	c->clamav_cache = true;
	c->message_limit_bytes = 100u << 20;
	c->memory_budget_bytes = 256u << 20;
	snprintf(c->rules[0], PATH_ROOM, "%s/rules", POLICYD_SHARE);
	c->rule_dir_count = 1;
	snprintf(c->lua_dir, sizeof c->lua_dir, "%s/lua", POLICYD_SHARE);
	snprintf(c->web_dir, sizeof c->web_dir, "%s/web", POLICYD_SHARE);
	c->policy_source = (struct policy_source){ .timeout_ms = 500, .fresh_s = 300, .absent_s = 60, .stale_s = 86400 };
	c->alarms_an_hour = 20;
	c->alarms_least = 100;
	c->alarms_again_s = 3600;
	c->workers_min = 2;
	c->workers_max = cores > 0 && cores * 4 < MAX_WORKERS ? (uint32_t)cores * 4 : MAX_WORKERS;
	c->scan_timeout_ms = 25000;
	c->message_timeout_ms = 60000;
	c->poison_action = OUT_QUARANTINE;
	c->auth = 1;
	c->auth_results = METHOD__ALL;
	policy_default(&c->policy_default);
	if (gethostname(c->host_name, sizeof c->host_name) < 0)
		snprintf(c->host_name, sizeof c->host_name, "localhost");
	c->host_name[sizeof c->host_name - 1] = '\0';
}

/* Processes change their directory; files are meant from where policyd was started. */
static void
make_absolute(struct reader *r, char path[PATH_ROOM])
{
	char whole[2 * PATH_ROOM];
	size_t n;

	if (path[0] == '/' || path[0] == '\0' || getcwd(whole, PATH_ROOM) == NULL)
		return;
	n = strlen(whole);
	snprintf(whole + n, sizeof whole - n, "/%s", path);
	if (strlen(whole) >= PATH_ROOM)
		config_complain(r, NULL, "%s: \"%s\" is too long a path", r->c->file, path);
	else
		snprintf(path, PATH_ROOM, "%s", whole);
}

/* Where review listens, how people reach it, and what it signs its mails with. */
static void
finish_review(struct reader *r, const config_t *file)
{
	struct config *c = r->c;
	bool https = strncmp(c->review, "https://", 8) == 0;

	if (c->review[0] == '\0')
		return;
	if (https && (c->review_certificate[0] == '\0' || c->review_key[0] == '\0'))
		config_complain(r, config_lookup(file, "listen.review"), "listen.review is https, so review.certificate and review.key are needed");
	if (!https)
		c->review_certificate[0] = '\0';
	if (c->review_url[0] == '\0')
		snprintf(c->review_url, sizeof c->review_url, "%s", c->review);
	while (c->review_url[0] && c->review_url[strlen(c->review_url) - 1] == '/')
		c->review_url[strlen(c->review_url) - 1] = '\0';
	if (c->review_node_url[0] == '\0')
		snprintf(c->review_node_url, sizeof c->review_node_url, "%s", c->review_url);
	while (c->review_node_url[0] && c->review_node_url[strlen(c->review_node_url) - 1] == '/')
		c->review_node_url[strlen(c->review_node_url) - 1] = '\0';
	if (c->review_from[0] == '\0')
		snprintf(c->review_from, sizeof c->review_from, "quarantine@%s", c->host_name);
	make_absolute(r, c->review_certificate);
	make_absolute(r, c->review_key);
	make_absolute(r, c->web_dir);
	if (!r->failed && access(c->web_dir, R_OK) < 0)
		config_complain(r, NULL, "%s: web_dir: %s: %s", c->file, c->web_dir, strerror(errno));
}

/* What depends on other settings, and what only makes sense together. */
static void
finish(struct reader *r, const config_t *file)
{
	struct config *c = r->c;

	if (c->state[0] != '/')
		config_complain(r, config_lookup(file, "state"), "state is \"%s\"; expected an absolute path", c->state);
	if (strlen(c->run) > MAX_RUN)
		config_complain(r, config_lookup(file, "run"), "%s: \"%s\" is too long for socket paths; set run to a shorter one", c->file, c->run);
	if (c->milter_count == 0) {
		c->milter[0] = (struct listener){ .context = "mx", .mode = 0660 };
		snprintf(c->milter[0].socket, sizeof c->milter[0].socket, "unix:%.80s/milter.sock", c->run);
		c->milter_count = 1;
	}
	if (c->score_script[0] == '\0')
		snprintf(c->score_script, sizeof c->score_script, "%.*s/score.lua", PATH_ROOM - 16, c->lua_dir);
	make_absolute(r, c->score_script);
	make_absolute(r, c->lua_dir);
	make_absolute(r, c->clamav_database);
	for (uint32_t i = 0; i < c->rule_dir_count; i++)
		make_absolute(r, c->rules[i]);
	if (c->workers_min > c->workers_max)
		config_complain(r, config_lookup(file, "workers"), "workers.min is %u and workers.max %u; expected min <= max", c->workers_min, c->workers_max);
	if (c->scan_timeout_ms + 5000 > c->message_timeout_ms)
		config_complain(r, config_lookup(file, "limits"), "limits: message_timeout_ms is %u and scan_timeout_ms %u; expected 5000 between them",
		    c->message_timeout_ms, c->scan_timeout_ms);
	for (uint32_t i = 0; i < c->rule_dir_count && !r->failed; i++)
		if (access(c->rules[i], R_OK) < 0)
			config_complain(r, NULL, "%s: rules: %s: %s", c->file, c->rules[i], strerror(errno));
	if (!r->failed && access(c->score_script, R_OK) < 0)
		config_complain(r, NULL, "%s: score: %s: %s", c->file, c->score_script, strerror(errno));
	if ((c->deliver_lmtp[0] == '\0') != (c->deliver_domain[0] == '\0') || (c->deliver_lmtp[0] && c->reinject[0] == '\0'))
		config_complain(r, config_lookup(file, "deliver"), "deliver: lmtp, domain and reinject belong together; expected all three, or reinject alone");
	for (char *p = c->deliver_domain; *p; p++)
		*p = ascii_lower(*p);
	if (c->authserv_id[0] == '\0')
		snprintf(c->authserv_id, sizeof c->authserv_id, "%s", c->host_name);
	finish_review(r, file);
	finish_alarms(r, file);
}

/* The parser names a line; what stands before its "=" is said too, never what stands behind it. */
static void
syntax_error(config_t *file, const char *path, char *why, size_t room)
{
	const char *name = config_error_file(file) ? config_error_file(file) : path;
	char line[256] = "";
	FILE *f = fopen(name, "re");

	for (int i = 0; f && i < config_error_line(file) && fgets(line, sizeof line, f);)
		i += strchr(line, '\n') != NULL;
	if (f)
		fclose(f);
	struct span rest = span_of(line), shown = span_trim(span_cut(&rest, '='));

	snprintf(why, room, "%s:%d: %s%s" SPAN_FMT "%s", name, config_error_line(file), config_error_text(file), shown.n ? ", at \"" : "",
	    SPAN_ARG(shown), shown.n ? "\"" : "");
}

bool
config_load(const char *path, struct config *config, char *why, size_t room)
{
	struct reader r = { config, why, room, false };
	config_t file;

	why[0] = '\0';
	defaults(config);
	snprintf(config->file, sizeof config->file, "%s", path);
	config_init(&file);
	config_set_options(&file, 0);        /* duplicates are errors, semicolons optional */
	if (config_read_file(&file, path) != CONFIG_TRUE) {
		if (config_error_type(&file) == CONFIG_ERR_FILE_IO)
			snprintf(why, room, "%s: %s", path, strerror(errno ? errno : EIO));
		else
			syntax_error(&file, path, why, room);
		r.failed = true;
	} else {
		read_group(&r, config_root_setting(&file), "");
		if (config->run[0] == '\0')   /* also of a broken file: policyctl finds the policyd that runs */
			snprintf(config->run, sizeof config->run, "%.*s/run", PATH_ROOM - 8, config->state);
		if (!r.failed)
			finish(&r, &file);
	}
	config_destroy(&file);
	return !r.failed;
}

int
config_seal(const struct config *config)
{
	return memfd_sealed("policyd-config", span_make(config, sizeof *config));
}

const struct config *
config_map(int fd)
{
	struct span mapped = map_fd(fd);
	const struct config *config = (const void *)mapped.p;

	if (mapped.n != sizeof *config || config->size != sizeof *config) {
		unmap(mapped);
		return NULL;
	}
	return config;
}

void
config_unmap(const struct config *config)
{
	if (config)
		munmap((void *)config, sizeof *config);
}
