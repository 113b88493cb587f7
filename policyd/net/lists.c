#include "policyd/net/lists.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "policyd/base/clock.h"
#include "policyd/base/log.h"
#include "policyd/base/metrics.h"
#include "policyd/net/lists_inside.h"

enum { TICK_MS = 250, REFUSED_OFF_MS = 10 * 60 * 1000, PROBE_RETRY_MS = 10 * 1000 };

struct one {                                 /* one list's question for one client */
	struct lists_wait *wait;
	uint8_t list;
	struct dns_wait *dns_wait;
};

struct lists_wait {
	struct lists *lists;
	struct dnsbl_result result;
	struct one ones[MAX_DNSBL];
	int open;
	bool starting;
	lists_callback done;
	void *arg;
};

static void
count_sick(const struct lists *lists)
{
	int sick = 0;

	for (uint32_t i = 0; i < lists->count; i++)
		sick += lists->states[i].sick;
	metrics_set(M_DNSBL_SICK_NOW, sick);
}

static void
mark(struct lists *lists, struct list_state *s, const char *why)
{
	if (why && !s->sick)
		log_warning("DNS list %s is switched off: %s", s->zone, why);
	if (!why && s->sick)
		log_info("DNS list %s is well again", s->zone);
	s->sick = why != NULL;
	snprintf(s->why, sizeof s->why, "%s", why ? why : "");
	count_sick(lists);
}

void
list_refused(struct lists *lists, struct list_state *s)
{
	mark(lists, s, "it refuses our queries (over its limit, or by way of a public resolver); ask it from a resolver of your own");
	s->off_until_ms = clock_ms() + REFUSED_OFF_MS;
	s->probe_at_ms = s->off_until_ms;
}

static void
finish(struct lists_wait *w)
{
	if (--w->open > 0 || w->starting)
		return;
	w->done(w->arg, &w->result);
	free(w);
}

static void
judge(struct lists_wait *w, uint8_t i, const struct dns_answer *answer)
{
	struct lists *lists = w->lists;
	struct list_state *s = &lists->states[i];
	double points = 0;
	enum dnsbl_answer judged = DNSBL_UNKNOWN;

	uint32_t a[MAX_DNS_ANSWERS];
	size_t count = dns_addresses(answer, a);

	if (answer->status != RR_UNKNOWN)
		judged = dnsbl_judge(&lists->list[i], a, count, &points);
	if (judged == DNSBL_REFUSED) {
		list_refused(lists, s);
		judged = DNSBL_UNKNOWN;
	}
	size_t at = w->result.count++;

	w->result.at[at].list = i;
	w->result.at[at].answer = judged;
	w->result.at[at].points = points;
	w->result.at[at].code = 0;
	for (size_t k = 0; judged == DNSBL_LISTED && k < count && w->result.at[at].code == 0; k++) {
		double alone;

		if (dnsbl_judge(&lists->list[i], &a[k], 1, &alone) == DNSBL_LISTED && alone == points)
			w->result.at[at].code = a[k];
	}
	w->result.points += points;
	s->listed += judged == DNSBL_LISTED;
	s->unknown += judged == DNSBL_UNKNOWN;
	metrics_add(judged == DNSBL_LISTED ? M_DNSBL_LISTED : M_DNSBL_UNKNOWN, judged != DNSBL_CLEAR);
}

static void
on_answer(void *arg, const struct dns_answer *answer)
{
	struct one *one = arg;
	struct lists_wait *w = one->wait;

	one->dns_wait = NULL;
	judge(w, one->list, answer);
	finish(w);
}

struct lists_wait *
lists_ask(struct lists *lists, const struct ip *client, int timeout_ms, lists_callback done, void *arg)
{
	struct lists_wait *w = calloc(1, sizeof *w);
	struct dnsbl_result nothing = { 0 };

	if (w == NULL) {
		done(arg, &nothing);
		return NULL;
	}
	*w = (struct lists_wait){ .lists = lists, .open = 1, .starting = true, .done = done, .arg = arg };
	for (uint8_t i = 0; i < lists->count; i++) {
		char name[MAX_HOST_NAME + 1];
		struct list_state *s = &lists->states[i];

		if (s->sick || lists->list[i].names || !dnsbl_question(&lists->list[i], client, name))
			continue;
		s->asked++;
		w->open++;
		w->ones[i] = (struct one){ .wait = w, .list = i };
		w->ones[i].dns_wait = dns_ask(lists->dns, RR_A, name, timeout_ms, on_answer, &w->ones[i]);
	}
	w->starting = false;
	if (w->open > 1) {
		w->open--;
		return w;
	}
	w->done(w->arg, &w->result);
	free(w);
	return NULL;
}

void
lists_cancel(struct lists_wait *w)
{
	for (size_t i = 0; i < MAX_DNSBL; i++)
		if (w->ones[i].dns_wait)
			dns_cancel(w->ones[i].dns_wait);
	free(w);
}

/* ---- health: RFC 5782, 5: 127.0.0.2 must be listed, 127.0.0.1 must not; of names "test" must, "invalid" must not ---- */

static void
probe_end(struct list_state *s)
{
	struct lists *lists = s->lists;

	if (--s->probes_open > 0)
		return;
	s->probe_at_ms = clock_ms() + (s->sick ? PROBE_RETRY_MS : lists->probe_ms);
	if (!s->probe_bad && s->off_until_ms < clock_ms())
		mark(lists, s, NULL);
}

static void
probe(struct list_state *s, const struct dns_answer *answer, bool must_be_listed)
{
	struct lists *lists = s->lists;
	struct dnsbl_list bare, *list = &bare;
	double points;
	enum dnsbl_answer judged;

	bare = lists->list[s - lists->states];
	if (bare.names)
		bare.code_count = 0;         /* any answer will do: test names have codes of their own */
	uint32_t a[MAX_DNS_ANSWERS];
	size_t count = dns_addresses(answer, a);

	if (answer->status == RR_UNKNOWN) {
		s->probe_bad = true;         /* silence is no proof of sickness: leave it as it is */
		return;
	}
	judged = dnsbl_judge(list, a, count, &points);
	if (judged == DNSBL_REFUSED) {
		s->probe_bad = true;
		list_refused(lists, s);
	} else if (must_be_listed && judged != DNSBL_LISTED) {
		s->probe_bad = true;
		mark(lists, s, list->names ? "it does not list its test name: is the zone right, is `test` its own, is it still alive?" :
		    "it does not list its test address 127.0.0.2: is the zone right, is it still alive?");
	} else if (!must_be_listed && judged == DNSBL_LISTED) {
		s->probe_bad = true;
		mark(lists, s, list->names ? "it lists the name \"invalid\", so it may list the world" :
		    "it lists 127.0.0.1, so it may list the world");
	}
}

static void
on_probe_absent(void *arg, const struct dns_answer *answer)
{
	probe(arg, answer, false);
	probe_end(arg);
}

static void
on_probe_present(void *arg, const struct dns_answer *answer)
{
	probe(arg, answer, true);
	probe_end(arg);
}

static bool
probe_names(struct dnsbl_list list, char absent[MAX_HOST_NAME + 1], char present[MAX_HOST_NAME + 1])
{
	static const struct ip one = { .family = AF_INET, .bytes = { 127, 0, 0, 1 } }, two = { .family = AF_INET, .bytes = { 127, 0, 0, 2 } };

	if (list.names)
		return dnsbl_name_question(&list, SPAN("invalid"), absent) && dnsbl_name_question(&list, span_of(list.test), present);
	list.ipv4 = 1;
	return dnsbl_question(&list, &one, absent) && dnsbl_question(&list, &two, present);
}

static void
start_probe(struct lists *lists, uint32_t i)
{
	struct list_state *s = &lists->states[i];
	char name[2][MAX_HOST_NAME + 1];

	s->probe_bad = false;
	s->probes_open = 2;
	if (!probe_names(lists->list[i], name[0], name[1])) {
		s->probes_open = 0;
		s->probe_at_ms = INT64_MAX;
		return;
	}
	dns_ask(lists->dns, RR_A, name[0], TICK_MS * 20, on_probe_absent, s);
	dns_ask(lists->dns, RR_A, name[1], TICK_MS * 20, on_probe_present, s);
}

/* A list with a copy of ours is as well as the copy is. */
static void
watch_copy(struct lists *lists, struct list_state *s)
{
	char why[sizeof s->why];

	nameset_file_tick(s->local);
	snprintf(why, sizeof why, "%s: %s", nameset_file_path(s->local), nameset_file_why(s->local));
	mark(lists, s, nameset_file_set(s->local) ? NULL : why);
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct lists *lists = arg;
	int64_t now = clock_ms();

	(void)fd;
	(void)what;
	if (lists->excluded)
		nameset_file_tick(lists->excluded);
	for (uint32_t i = 0; i < lists->count; i++) {
		struct list_state *s = &lists->states[i];

		if (s->local) {
			watch_copy(lists, s);
		} else if (!lists->list[i].probe) {
			if (s->sick && s->off_until_ms < now)
				mark(lists, s, NULL);
		} else if (s->probes_open == 0 && s->probe_at_ms <= now) {
			start_probe(lists, i);
		}
	}
}

/* Keeps a copy that is read already as long as its path stays. */
static struct nameset_file *
copy_of(struct nameset_file *old, const char *path)
{
	if (old && path[0] && strcmp(nameset_file_path(old), path) == 0)
		return old;
	nameset_file_close(old);
	return path[0] ? nameset_file_open(path) : NULL;
}

void
lists_config(struct lists *lists, const struct config *config)
{
	struct dnsbl_list *copy = calloc(MAX_DNSBL, sizeof *copy);

	if (copy == NULL)
		return;
	memcpy(copy, config->dnsbl, config->dnsbl_count * sizeof *copy);
	lists->probe_ms = (int64_t)config->dnsbl_probe_s * 1000;
	for (uint32_t i = 0; i < config->dnsbl_count; i++) {
		struct list_state *s = &lists->states[i];

		s->local = copy_of(s->local, copy[i].local);
		if (i >= lists->count || strcmp(s->zone, copy[i].zone) != 0) {
			int open = s->probes_open;   /* a probe of the old zone may still come back here */

			*s = (struct list_state){ .lists = lists, .probes_open = open, .local = s->local };
			snprintf(s->zone, sizeof s->zone, "%s", copy[i].zone);
		}
		if (s->local)
			watch_copy(lists, s);
	}
	for (uint32_t i = config->dnsbl_count; i < MAX_DNSBL; i++)
		lists->states[i].local = copy_of(lists->states[i].local, "");
	lists->excluded = copy_of(lists->excluded, config->names_excluded);
	free((void *)lists->list);
	lists->list = copy;
	lists->count = config->dnsbl_count;
	count_sick(lists);
}

struct lists *
lists_open(struct event_base *base, struct dns *dns, const struct config *config)
{
	struct lists *lists = calloc(1, sizeof *lists);
	struct timeval tick = { 0, TICK_MS * 1000 };

	if (lists == NULL)
		return NULL;
	lists->base = base;
	lists->dns = dns;
	lists_config(lists, config);
	lists->tick = event_new(base, -1, EV_PERSIST, on_tick, lists);
	if (lists->list == NULL || lists->tick == NULL || event_add(lists->tick, &tick) < 0)
		return NULL;
	return lists;
}

void
lists_close(struct lists *lists)
{
	event_free(lists->tick);
	for (uint32_t i = 0; i < MAX_DNSBL; i++)
		nameset_file_close(lists->states[i].local);
	nameset_file_close(lists->excluded);
	free((void *)lists->list);
	free(lists);
}

json_t *
lists_status(const struct lists *lists)
{
	json_t *all = json_array();

	for (uint32_t i = 0; i < lists->count; i++) {
		const struct list_state *s = &lists->states[i];

		json_array_append_new(all, json_pack("{s:s, s:s, s:s, s:b, s:s, s:I, s:I, s:I}", "name", lists->list[i].name, "zone",
		    s->zone, "type", lists->list[i].names ? "domain" : "address", "healthy", !s->sick, "why", s->why, "asked", (json_int_t)s->asked, "listed",
		    (json_int_t)s->listed, "unknown", (json_int_t)s->unknown));
	}
	return all;
}
