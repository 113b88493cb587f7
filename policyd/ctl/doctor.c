/* doctor.c - policyctl doctor: each thing that can be wrong, one line: OK, WARN or FAIL, what, and what to do. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "policyd/base/clock.h"
#include "policyd/base/span.h"
#include "policyd/ctl/client.h"
#include "policyd/ctl/commands.h"
#include "policyd/net/clamd.h"
#include "policyd/net/smtp_client.h"
#include "policyd/store/redis.h"
#include "policyd/worker/antivirus.h"

static const char usage[] =
	"usage: policyctl doctor [--postfix DIR] [--json]\n"
	"  Checks the running system. --postfix DIR: look at main.cf and master.cf there too.\n"
	"  Exit code 0: all well, 1: warnings, 2: something is broken.\n";

enum level { GOOD, WARN, BROKEN };
enum { CONNECT_MS = 2000, DAY_S = 86400, MIN_FILES = 4096, SILENT_MS = 5000 };

struct exam {
	json_t *lines;
	enum level worst;
	struct config config;
	json_t *status, *broker, *store, *model, *stats;
};

static void __attribute__((format(printf, 4, 5)))
say(struct exam *x, enum level level, const char *name, const char *format, ...)
{
	static const char *const words[] = { "OK", "WARN", "FAIL" };
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	json_array_append_new(x->lines, json_pack("{s:s, s:s, s:s}", "level", words[level], "name", name, "text", text));
	if (level > x->worst)
		x->worst = level;
}

static json_t *
ask(const char *cmd)
{
	json_t *reply = ctl_once(json_pack("{s:s}", "cmd", cmd), NULL);

	if (reply && json_object_get(reply, "error")) {
		json_decref(reply);
		return NULL;
	}
	return reply;
}

static void
check_processes(struct exam *x)
{
	size_t i;
	json_t *p;

	json_array_foreach(json_object_get(x->status, "processes"), i, p) {
		const char *name = ctl_text(p, "name");

		if (!json_is_true(json_object_get(p, "ready")))
			say(x, BROKEN, name, "is not ready; its reason is in the log (grep 'policyd/%s')", name);
		else if (ctl_number(p, "restarts") > 0)
			say(x, WARN, name, "has been started again %d times; its reason is in the log", (int)ctl_number(p, "restarts"));
		else
			say(x, GOOD, name, "runs");
	}
}

static void
check_sockets(struct exam *x)
{
	for (uint32_t i = 0; i < x->config.milter_count; i++) {
		const struct listener *l = &x->config.milter[i];
		struct stat st;

		if (strncmp(l->socket, "unix:", 5) != 0)
			say(x, GOOD, "milter", "%s (context %s)", l->socket, l->context);
		else if (stat(l->socket + 5, &st) < 0 || !S_ISSOCK(st.st_mode))
			say(x, BROKEN, "milter", "%s: %s; somebody removed it: restart policyd", l->socket + 5, strerror(errno));
		else if ((st.st_mode & 022) == 0)
			say(x, WARN, "milter", "%s: only its owner may write there (mode %04o): the MTA cannot; set group = \"postfix\"",
			    l->socket + 5, st.st_mode & 07777);
		else
			say(x, GOOD, "milter", "%s (context %s, mode %04o)", l->socket + 5, l->context, st.st_mode & 07777);
	}
	if (x->config.policy[0])
		say(x, GOOD, "policy", "delegation on %s", x->config.policy);
}

static void
check_redis(struct exam *x)
{
	struct redis *r = redis_open(&x->config, CONNECT_MS);
	redisReply *pong = r ? redis_say(r, 1, (const char *const[]){ "PING" }) : NULL, *info;

	if (pong == NULL || pong->type == REDIS_REPLY_ERROR) {
		say(x, BROKEN, "redis", "%s: no answer (%s); filtering goes on with what is known, learning and policy changes do not",
		    x->config.redis_url[0] ? "redis.url" : "the embedded Redis", r ? redis_why(r) : "bad url");
	} else {
		say(x, GOOD, "redis", "answers");
		info = redis_say(r, 1, (const char *const[]){ "INFO" });
		if (info && info->type == REDIS_REPLY_STRING) {
			if (strstr(info->str, "aof_enabled:0") && strstr(info->str, "role:master"))
				say(x, WARN, "redis", "append-only file is off: a restart of Redis forgets what changed since its last dump; set appendonly yes");
			if (!strstr(info->str, "maxmemory_policy:noeviction"))
				say(x, WARN, "redis", "maxmemory-policy is not noeviction: policies and lessons may be thrown out; set it");
			if (strstr(info->str, "aof_last_write_status:err") || strstr(info->str, "rdb_last_bgsave_status:err"))
				say(x, BROKEN, "redis", "cannot write its files; look at its disk");
			if (strstr(info->str, "role:slave"))
				say(x, BROKEN, "redis", "is a replica: nothing can be written; point redis.url at the master");
		}
		if (info)
			freeReplyObject(info);
	}
	if (pong)
		freeReplyObject(pong);
	redis_close(r);
	if (x->broker && !json_is_true(json_object_get(x->broker, "redis_up")))
		say(x, BROKEN, "redis", "the broker is not connected to it");
}

static void
check_limits(struct exam *x)
{
	const json_t *l = json_object_get(x->broker, "limits");

	if (l == NULL)
		return;
	if (json_is_true(json_object_get(l, "alone")))
		say(x, WARN, "limits", "counted on this node alone (a share of 1/%d of each) until Redis is back", (int)ctl_number(l, "nodes"));
	else
		say(x, GOOD, "limits", "counted in Redis with %d node%s; %d buckets in use", (int)ctl_number(l, "nodes"),
		    ctl_number(l, "nodes") == 1 ? "" : "s", (int)ctl_number(l, "buckets"));
}

static void
check_alarms(struct exam *x)
{
	const json_t *a = json_object_get(x->broker, "alarms");
	double learning = ctl_number(a, "learning_s"), contained = ctl_number(x->stats, "accounts_contained_now");

	if (a == NULL)
		return;
	if (contained > 0)
		say(x, WARN, "outbound", "%.0f account%s contained, for somebody else seems to use them: policyctl outbound list", contained,
		    contained == 1 ? " is" : "s are");
	if (ctl_number(x->stats, "alarms_failed") > 0)
		say(x, WARN, "alarms", "%.0f notices could not be delivered; the log has why (grep alarms:)", ctl_number(x->stats, "alarms_failed"));
	if (!json_is_true(json_object_get(a, "tells")))
		say(x, GOOD, "alarms", "go to the log; alarms.mail, alarms.webhook or alarms.command would tell people");
	else if (learning > 0)
		say(x, GOOD, "alarms", "of attacks begin in %.1f days, when a week is known; of stolen accounts at once", learning / DAY_S);
	else
		say(x, GOOD, "alarms", "what is usual is known");
}

static void
check_lists(struct exam *x)
{
	const json_t *dns = json_object_get(x->broker, "dns");
	size_t i;
	json_t *l;

	json_array_foreach(json_object_get(x->broker, "lists"), i, l) {
		double asked = ctl_number(l, "asked"), unknown = ctl_number(l, "unknown");

		if (!json_is_true(json_object_get(l, "healthy")))
			say(x, BROKEN, "dnsbl", "%s is switched off: %s", ctl_text(l, "zone"), ctl_text(l, "why"));
		else if (asked >= 20 && unknown * 5 > asked)
			say(x, WARN, "dnsbl", "%s leaves %.0f %% of questions unanswered; is the resolver well?", ctl_text(l, "zone"), 100 * unknown / asked);
		else
			say(x, GOOD, "dnsbl", "%s: %.0f asked, %.0f listed", ctl_text(l, "zone"), asked, ctl_number(l, "listed"));
	}
	if (x->broker && ctl_number(dns, "asked") >= 20 && ctl_number(dns, "failed") * 2 > ctl_number(dns, "asked"))
		say(x, BROKEN, "dns", "most questions fail (%.0f of %.0f); check dns.servers", ctl_number(dns, "failed"), ctl_number(dns, "asked"));
	if (x->broker && x->config.dnsbl_count == 0)
		say(x, WARN, "dnsbl", "no DNS list is set: reputation stops most spam before it is read; see dnsbl in policyd.conf(5)");
}

static void
check_clamd(struct exam *x)
{
	struct clamd clamd = { .fd = clamd_connect(x->config.clamd_socket) };
	int64_t built_s = 0;

	if (clamd.fd < 0) {
		say(x, BROKEN, "clamav", "%s: %s; is clamd running? mail is deferred", x->config.clamd_socket, strerror(errno));
		return;
	}
	bool told = clamd_built(&clamd, clock_ms() + 2000, &built_s);
	double age = (double)(wall_s() - built_s);

	close(clamd.fd);
	if (!told)
		say(x, WARN, "clamav", "clamd at %s does not say how old its database is", x->config.clamd_socket);
	else if (age > (double)x->config.clamav_max_age_days * DAY_S)
		say(x, WARN, "clamav", "clamd's virus database is %.0f days old; is freshclam running?", age / DAY_S);
	else
		say(x, GOOD, "clamav", "clamd at %s, its database %.1f days old", x->config.clamd_socket, age / DAY_S);
}

/* A database lies there that is newer than the one in use: it has been refused, or nobody has looked yet. */
static void
check_swap(struct exam *x, const json_t *av)
{
	double newest = (double)(antivirus_newest_ns(&x->config) / 1000000000), loaded = ctl_number(av, "database_changed");

	if (newest > loaded && (double)wall_s() - newest > 300)
		say(x, BROKEN, "clamav", "the database in %s is newer than the one in use and was not taken: damaged? The log has why (grep \"reload refused\")",
		    x->config.clamav_database);
}

static void
check_clamav(struct exam *x)
{
	const json_t *av = json_object_get(x->broker, "clamav");
	double age = (double)time(NULL) - ctl_number(av, "database_time");

	if (x->broker && x->config.clamav == CLAMAV_LIB && json_is_true(json_object_get(av, "loaded")))
		check_swap(x, av);
	if (x->config.clamav == CLAMAV_OFF)
		say(x, WARN, "clamav", "is off: mail is not scanned for viruses");
	else if (x->config.clamav == CLAMAV_CLAMD)
		check_clamd(x);
	else if (x->broker && !json_is_true(json_object_get(av, "loaded")))
		say(x, BROKEN, "clamav", "no virus database is loaded from %s: mail is deferred; run freshclam, then policyctl reload",
		    x->config.clamav_database);
	else if (x->broker && age > (double)x->config.clamav_max_age_days * DAY_S)
		say(x, WARN, "clamav", "the virus database is %.0f days old; is freshclam running?", age / DAY_S);
	else if (x->broker)
		say(x, GOOD, "clamav", "%.0f signatures, %.1f days old", ctl_number(av, "signatures"), age / DAY_S);
}

static void
check_workers(struct exam *x)
{
	size_t i;
	json_t *m;

	if (!json_is_true(json_object_get(x->broker, "ready")))
		say(x, BROKEN, "workers", "there is no zygote to fork them: rules or virus database cannot be loaded, see the log");
	json_array_foreach(json_object_get(x->broker, "cage"), i, m) {
		bool holds = json_is_true(json_object_get(m, "holds"));

		say(x, holds ? GOOD : WARN, "cage", "%s: %s%s", ctl_text(m, "measure"), ctl_text(m, "what"),
		    holds ? "" : " - does not hold here; start policyd as root, or allow user namespaces");
	}
	if (ctl_number(x->broker, "queued") > 50)
		say(x, WARN, "workers", "%.0f mails wait for a worker; raise workers.max (%u) or add a node", ctl_number(x->broker, "queued"), x->config.workers_max);
	if (x->stats && ctl_number(x->stats, "poison_messages") > 0)
		say(x, WARN, "workers", "%.0f mails ended two workers and were handled as unscannable: policyctl quarantine list --class unscannable",
		    ctl_number(x->stats, "poison_messages"));
	if (x->stats && ctl_number(x->stats, "rules_switched_off") > 0)
		say(x, WARN, "rules", "switched off for a minute, %.0f times, after failing again and again; the log has which and why"
		    " (grep \"it is off\")", ctl_number(x->stats, "rules_switched_off"));
	if (x->stats && ctl_number(x->stats, "rules_failed") > 0)
		say(x, WARN, "rules", "%.0f failures of rules; the log has file and line (grep RULE)", ctl_number(x->stats, "rules_failed"));
	if (x->stats && ctl_number(x->stats, "variant_fallbacks") > 0)
		say(x, GOOD, "variants", "%.0f mails had recipients who wanted different edits: all got the score headers", ctl_number(x->stats, "variant_fallbacks"));
}

static void
check_store(struct exam *x)
{
	struct statvfs st;
	char server[PATH_ROOM];

	if (x->store == NULL) {
		say(x, BROKEN, "quarantine", "the store does not answer: what should be quarantined is deferred");
		return;
	}
	if (json_is_true(json_object_get(x->store, "full")))
		say(x, BROKEN, "quarantine", "the disk is nearly full: what should be quarantined is deferred; make room at %s", x->config.state);
	else if (statvfs(x->config.state, &st) == 0 && st.f_bavail * 20 < st.f_blocks)
		say(x, WARN, "quarantine", "less than 5 %% of the disk is free at %s", x->config.state);
	else
		say(x, GOOD, "quarantine", "%.0f mails, %.1f MB", ctl_number(x->store, "mails"), ctl_number(x->store, "bytes") / 1e6);
	if (ctl_number(x->store, "damaged") > 0)
		say(x, BROKEN, "quarantine", "%.0f damaged records; the disk may be failing", ctl_number(x->store, "damaged"));
	if (json_is_true(json_object_get(x->store, "behind")))
		say(x, WARN, "quarantine", "the index could not be written: lists lack what came last; it catches up by itself once the disk takes it");
	if (x->config.reinject[0] == '\0') {
		say(x, WARN, "release", "deliver.reinject is not set: nothing can be released; give the MTA a listener without this milter");
		return;
	}
	snprintf(server, sizeof server, "%s", x->config.reinject);
	struct smtp *smtp = smtp_open("doctor");
	struct smtp_reply reply;

	if (smtp && smtp_probe(smtp, server, CONNECT_MS, &reply))
		say(x, GOOD, "release", "%s answers", server);
	else
		say(x, BROKEN, "release", "%s; releases wait until it does", smtp ? reply.text : "no memory");
	smtp_close(smtp);
}

/* Nodes that share a Redis: are the others there, and do they know our key? */
static void
check_pool(struct exam *x)
{
	json_t *reply = x->store && x->config.redis_url[0] ? ask("quarantine.nodes") : NULL, *node;
	const char *name;
	size_t away = 0;

	json_object_foreach(json_object_get(reply, "nodes"), name, node)
		if (json_is_true(json_object_get(node, "away"))) {
			say(x, WARN, "pool", "%s was last seen %.0f s ago: what it holds is listed, but cannot be opened", name,
			    (double)wall_s() - ctl_number(node, "seen"));
			away++;
		}
	if (json_object_size(json_object_get(reply, "nodes")) > 1 && away == 0)
		say(x, GOOD, "pool", "%zu nodes", json_object_size(json_object_get(reply, "nodes")));
	if (ctl_number(x->stats, "pool_questions_refused") > 0)
		say(x, WARN, "pool", "%.0f questions of other nodes were sealed with another key: %s/pool.key must be the same on all of them",
		    ctl_number(x->stats, "pool_questions_refused"), x->config.state);
	json_decref(reply);
}

static void
check_variants(struct exam *x)
{
	const json_t *route = json_object_get(x->broker, "variants");

	if (route == NULL || !json_is_true(json_object_get(route, "configured")))
		return;
	if (json_is_true(json_object_get(route, "up")))
		say(x, GOOD, "variants", "a probe came back through the MTA's queue; %.0f recipients got copies of their own",
		    ctl_number(x->stats, "variant_recipients_routed"));
	else
		say(x, WARN, "variants", "%s: recipients of one mail who want different edits get the same, %.0f mails so far; does %s go to %s "
		    "in the MTA (transport_maps, or mailertable)?", ctl_text(route, "why"), ctl_number(x->stats, "variant_fallbacks"),
		    x->config.deliver_domain, x->config.deliver_lmtp);
}

static void
check_source(struct exam *x)
{
	const json_t *source = json_object_get(x->broker, "policy_source");

	if (source == NULL || !json_is_true(json_object_get(source, "configured")))
		return;
	if (json_is_true(json_object_get(source, "away")))
		say(x, BROKEN, "policy source", "%s does not answer; its last answers go on, others have the policies that are here", ctl_text(source, "socket"));
	else if (ctl_number(x->stats, "policy_source_bad_values") > 0)
		say(x, WARN, "policy source", "%s has said %.0f times what is no policy; the log says which", ctl_text(source, "socket"),
		    ctl_number(x->stats, "policy_source_bad_values"));
	else
		say(x, GOOD, "policy source", "%s, %.0f answers known", ctl_text(source, "socket"), ctl_number(source, "cached"));
}

static void
check_model(struct exam *x)
{
	if (x->model == NULL)
		say(x, BROKEN, "model", "the trainer does not answer: nothing can be learnt");
	else if (!json_is_true(json_object_get(x->model, "caught_up")))
		say(x, WARN, "model", "lessons in Redis are not all in the model yet");
	else if (ctl_number(x->model, "spam") < 20 || ctl_number(x->model, "ham") < 20)
		say(x, WARN, "model", "it has learnt %.0f spam and %.0f ham, and says nothing below 20 of each: policyctl learn", ctl_number(x->model, "spam"),
		    ctl_number(x->model, "ham"));
	else
		say(x, GOOD, "model", "%.0f spam and %.0f ham learnt", ctl_number(x->model, "spam"), ctl_number(x->model, "ham"));
}

static void
check_system(struct exam *x)
{
	struct stat st;
	struct rlimit files;
	pid_t pid = x->status ? (pid_t)ctl_number(x->status, "pid") : 0;

	if (stat(x->config.state, &st) == 0 && (st.st_mode & 0022))
		say(x, BROKEN, "state", "%s: others can write there (mode %04o); chmod 711", x->config.state, st.st_mode & 07777);
	if (pid > 0 && prlimit(pid, RLIMIT_NOFILE, NULL, &files) == 0 && files.rlim_cur < MIN_FILES)
		say(x, WARN, "files", "policyd may open only %llu files; let it have %d (LimitNOFILE of its service)", (unsigned long long)files.rlim_cur,
		    MIN_FILES);
	if (time(NULL) < 1700000000)
		say(x, BROKEN, "clock", "the clock is before 2023: dates, expiry and signatures are wrong; is NTP running?");
	for (uint32_t i = 0; i < x->config.rule_dir_count; i++)
		if (access(x->config.rules[i], R_OK) < 0)
			say(x, BROKEN, "rules", "%s: %s; a reload would be refused", x->config.rules[i], strerror(errno));
	if (x->stats && ctl_number(x->stats, "log_lines_dropped") > 0)
		say(x, WARN, "log", "%.0f lines could not be written", ctl_number(x->stats, "log_lines_dropped"));
	if (x->stats && ctl_number(x->stats, "milter_connections") == 0)
		say(x, WARN, "milter", "no MTA has connected yet; smtpd_milters in main.cf, or INPUT_MAIL_FILTER");
	if (x->stats && ctl_number(x->stats, "reloads_refused") > 0)
		say(x, WARN, "reload", "%.0f reloads were refused; policyd -t -c %s says why", ctl_number(x->stats, "reloads_refused"), x->config.file);
}

/* "name = value" of a main.cf, the last one; continuation lines are joined by Postfix, here the first line will do. */
static bool
main_cf(const char *dir, const char *name, char *to, size_t room)
{
	char path[512], line[2048];
	bool found = false;
	FILE *f;

	snprintf(path, sizeof path, "%s/main.cf", dir);
	if ((f = fopen(path, "re")) == NULL)
		return false;
	while (fgets(line, sizeof line, f)) {
		struct span value = span_of(line), key = span_trim(span_cut(&value, '='));

		if (line[0] != '#' && line[0] != ' ' && span_eq(key, span_of(name))) {
			value = span_trim(value);
			snprintf(to, room, SPAN_FMT, SPAN_ARG(value));
			found = true;
		}
	}
	fclose(f);
	return found;
}

/* The chain of limits: smtpd processes -> gate (no limit of its own) -> queue -> workers. */
static void
check_postfix(struct exam *x, const char *dir)
{
	char value[512];
	int processes = 100;

	snprintf(value, sizeof value, "%s/main.cf", dir);
	if (access(value, R_OK) < 0) {
		say(x, BROKEN, "postfix", "%s: %s", value, strerror(errno));
		return;
	}
	if (main_cf(dir, "default_process_limit", value, sizeof value))
		processes = atoi(value);
	if (processes > MAX_QUEUED_MAILS + (int)x->config.workers_max)
		say(x, WARN, "postfix", "%d smtpd processes, but only %d mails may wait here: the rest gets 451 4.3.2; lower default_process_limit", processes,
		    MAX_QUEUED_MAILS);
	else
		say(x, GOOD, "postfix", "chain of limits: %d smtpd -> gate (no limit) -> queue %d -> %u workers", processes, MAX_QUEUED_MAILS, x->config.workers_max);
	if (!main_cf(dir, "smtpd_milters", value, sizeof value) || value[0] == '\0')
		say(x, WARN, "postfix", "smtpd_milters is not set in main.cf: Postfix does not ask us");
	else
		say(x, GOOD, "postfix", "smtpd_milters = %s", value);
	if (!main_cf(dir, "milter_default_action", value, sizeof value))
		snprintf(value, sizeof value, "tempfail");
	if (strcmp(value, "accept") == 0)
		say(x, BROKEN, "postfix", "milter_default_action = accept lets mail through unscanned whenever we are away; set tempfail");
	if (main_cf(dir, "milter_content_timeout", value, sizeof value) && atoi(value) > 0 && atoi(value) * 1000 < (int)x->config.message_timeout_ms &&
	    value[strlen(value) - 1] == 's')
		say(x, WARN, "postfix", "milter_content_timeout = %s is shorter than limits.message_timeout_ms", value);
}

static void
print(const struct exam *x, int json)
{
	size_t i;
	json_t *l;

	if (json) {
		ctl_print_json(x->lines);
		return;
	}
	json_array_foreach(x->lines, i, l)
		printf("%-4s  %-12s %s\n", ctl_text(l, "level"), ctl_text(l, "name"), ctl_text(l, "text"));
}

int
cmd_doctor(int argc, char **argv)
{
	static struct exam x;
	const char *postfix = NULL, *file;
	int json = ctl_json;
	char why[1024];

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0)
			json = 1;
		else if (strcmp(argv[i], "--postfix") == 0 && i + 1 < argc)
			postfix = argv[++i];
		else {
			bool help = strcmp(argv[i], "--help") == 0;

			fputs(usage, help ? stdout : stderr);
			return help ? 0 : 2;
		}
	}
	ctl_answer_ms = SILENT_MS;           /* who does not answer by then is a finding */
	x.lines = json_array();
	x.status = ask("status");
	file = ctl_config_path ? ctl_config_path : x.status ? ctl_text(x.status, "config") : "/etc/policyd/policyd.conf";
	if (!config_load(file, &x.config, why, sizeof why))
		say(&x, BROKEN, "settings", "%s; a restart or reload would be refused", why);
	else
		say(&x, GOOD, "settings", "%s", file);
	if (x.status == NULL) {
		say(&x, BROKEN, "policyd", "is not running, or its control socket is out of reach");
	} else {
		x.broker = ask("broker.status");
		x.store = ask("store.status");
		x.model = ask("model.status");
		x.stats = ask("stats");
		check_processes(&x);
		check_sockets(&x);
		check_redis(&x);
		check_lists(&x);
		check_limits(&x);
		check_alarms(&x);
		check_clamav(&x);
		check_workers(&x);
		check_store(&x);
		check_pool(&x);
		check_variants(&x);
		check_source(&x);
		check_model(&x);
	}
	check_system(&x);
	if (postfix)
		check_postfix(&x, postfix);
	print(&x, json);
	json_decref(x.lines);
	json_decref(x.status);
	json_decref(x.broker);
	json_decref(x.store);
	json_decref(x.model);
	json_decref(x.stats);
	return x.worst;
}
