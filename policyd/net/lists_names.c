#include "policyd/net/lists_names.h"

#include <stdio.h>
#include <stdlib.h>

#include "policyd/base/metrics.h"
#include "policyd/net/lists_inside.h"

struct key {                                 /* a name that a list is asked about, whole host or registrable domain */
	uint64_t hash;
	char name[MAX_HOST_NAME + 1];
	bool address;
};

struct one {                                 /* one list's question about one name */
	struct names_wait *wait;
	uint8_t list, places;
	uint16_t key;
	struct dns_wait *dns_wait;
};

struct names_wait {
	struct lists *lists;
	struct names_result result;
	uint32_t unanswered[MAX_DNSBL];
	struct key *keys;
	size_t key_count;
	struct one *ones;                    /* one_count of them have been asked */
	size_t one_count;
	int open, timeout_ms;
	bool starting, over;
	names_callback done;
	void *arg;
};

static void
wait_free(struct names_wait *w)
{
	free(w->keys);
	free(w->ones);
	free(w);
}

/* ---- findings ---- */

static const char *const place_suffixes[NAME__COUNT] = {
	[NAME_LINK] = "", [NAME_FROM] = "_FROM", [NAME_REPLY] = "_REPLY", [NAME_SENDER] = "_SENDER", [NAME_HELO] = "_HELO",
	[NAME_RDNS] = "_RDNS",
};

static void
found(struct names_result *r, const char *symbol, double points, const char *evidence)
{
	size_t i = 0;

	while (i < r->count && strcmp(r->at[i].symbol, symbol) != 0)
		i++;
	if (i == NAMES_FINDINGS)
		return;
	if (i == r->count) {
		r->count++;
		snprintf(r->at[i].symbol, sizeof r->at[i].symbol, "%s", symbol);
		r->at[i].points = points;
		r->at[i].evidence[0] = '\0';
	}
	size_t n = strlen(r->at[i].evidence), more = strlen(evidence) + 2;

	if (points > 0 ? points > r->at[i].points : points < r->at[i].points)
		r->at[i].points = points;
	if (n + more < sizeof r->at[i].evidence)
		snprintf(r->at[i].evidence + n, sizeof r->at[i].evidence - n, "%s%s", n ? ", " : "", evidence);
}

static void
listed(struct names_wait *w, const struct one *one, const struct dnsbl_hit *hit)
{
	const struct dnsbl_list *list = &w->lists->list[one->list];
	char symbol[NAMES_SYMBOL_ROOM], evidence[MAX_EVIDENCE + 1];
	uint32_t a = hit->code;

	snprintf(evidence, sizeof evidence, "%.120s %u.%u.%u.%u", w->keys[one->key].name, a >> 24, a >> 16 & 255, a >> 8 & 255, a & 255);
	for (int place = 0; place < NAME__COUNT; place++) {
		if (!(one->places >> place & 1))
			continue;
		snprintf(symbol, sizeof symbol, "URIBL_%s%s%s%s", list->name, hit->suffix[0] ? "_" : "", hit->suffix, place_suffixes[place]);
		found(&w->result, symbol, hit->points, evidence);
	}
}

static void
judge(struct names_wait *w, const struct one *one, const uint32_t *a, size_t count)
{
	struct list_state *s = &w->lists->states[one->list];
	struct dnsbl_hit hits[DNSBL_MAX_CODES];
	size_t n;
	enum dnsbl_answer answer = dnsbl_judge_all(&w->lists->list[one->list], a, count, hits, &n);

	if (answer == DNSBL_REFUSED) {
		list_refused(w->lists, s);
		w->unanswered[one->list]++;
		return;
	}
	s->listed += answer == DNSBL_LISTED;
	metrics_add(M_NAMES_LISTED, answer == DNSBL_LISTED);
	for (size_t i = 0; answer == DNSBL_LISTED && i < n; i++)
		listed(w, one, &hits[i]);
}

static void
finish(struct names_wait *w)
{
	if (--w->open > 0 || w->starting)
		return;
	for (uint32_t i = 0; i < w->lists->count; i++) {
		char symbol[NAMES_SYMBOL_ROOM], evidence[64];

		if (w->unanswered[i] == 0)
			continue;
		snprintf(symbol, sizeof symbol, "URIBL_%s_UNKNOWN", w->lists->list[i].name);
		snprintf(evidence, sizeof evidence, "no answer about %u names", w->unanswered[i]);
		found(&w->result, symbol, 0, evidence);
		w->lists->states[i].unknown += w->unanswered[i];
		metrics_add(M_NAMES_UNKNOWN, w->unanswered[i]);
	}
	if (w->over) {
		metrics_add(M_NAMES_OVER, 1);
		found(&w->result, "URIBL_OVER", 0, "more names than may be asked about");
	}
	w->done(w->arg, &w->result);
	wait_free(w);
}

static void
on_answer(void *arg, const struct dns_answer *answer)
{
	struct one *one = arg;
	struct names_wait *w = one->wait;
	uint32_t a[MAX_DNS_ANSWERS];
	size_t count = dns_addresses(answer, a);

	one->dns_wait = NULL;
	if (answer->status == RR_UNKNOWN)
		w->unanswered[one->list]++;
	else
		judge(w, one, a, count);
	finish(w);
}

/* ---- asking ---- */

/* The place of a name among the keys; SIZE_MAX: there is no room for one more. */
static size_t
key_of(struct names_wait *w, struct span name, size_t room)
{
	uint64_t hash = span_hash(name, 23);
	struct ip ip;

	for (size_t i = 0; i < w->key_count; i++)
		if (w->keys[i].hash == hash && span_eq(span_of(w->keys[i].name), name))
			return i;
	if (w->key_count == room || name.n > MAX_HOST_NAME)
		return SIZE_MAX;
	snprintf(w->keys[w->key_count].name, sizeof w->keys[0].name, SPAN_FMT, SPAN_ARG(name));
	w->keys[w->key_count].hash = hash;
	w->keys[w->key_count].address = ip_parse(name, &ip);
	return w->key_count++;
}

static bool
excluded(const struct lists *lists, struct span name)
{
	const struct nameset *set = lists->excluded ? nameset_file_set(lists->excluded) : NULL;
	uint32_t a[MAX_DNS_ANSWERS];

	return set && nameset_find(set, name, a) > 0;
}

static void
ask_dns(struct names_wait *w, uint32_t list, size_t key, unsigned places)
{
	struct one *one = &w->ones[w->one_count];
	char name[MAX_HOST_NAME + 1];

	if (!dnsbl_name_question(&w->lists->list[list], span_of(w->keys[key].name), name))
		return;
	*one = (struct one){ .wait = w, .list = (uint8_t)list, .key = (uint16_t)key, .places = (uint8_t)places };
	w->one_count++;
	w->open++;
	w->lists->states[list].asked++;
	metrics_add(M_NAMES_ASKED, 1);

	/* The answer may come from inside the call: then there is nothing to wait for. */
	struct dns_wait *wait = dns_ask(w->lists->dns, RR_A, name, w->timeout_ms, on_answer, one);

	if (wait)
		one->dns_wait = wait;
}

static void
ask_local(struct names_wait *w, uint32_t list, size_t key, unsigned places)
{
	const struct nameset *set = nameset_file_set(w->lists->states[list].local);
	const struct one one = { .wait = w, .list = (uint8_t)list, .key = (uint16_t)key, .places = (uint8_t)places };
	uint32_t a[MAX_DNS_ANSWERS];

	w->lists->states[list].asked++;
	judge(w, &one, a, nameset_find(set, span_of(w->keys[key].name), a));
}

/* What one list wants to hear of, each name once. */
static void
ask_list(struct names_wait *w, uint32_t i, const struct name_asked *names, size_t count)
{
	const struct dnsbl_list *list = &w->lists->list[i];
	struct list_state *s = &w->lists->states[i];
	size_t room = s->local ? 2 * count : MAX_HOSTS_ASKED;
	uint8_t *places = calloc(2 * count, 1);

	for (size_t k = 0; places && k < count; k++) {
		struct span name = list->full ? names[k].name : names[k].domain;
		unsigned wanted = names[k].places & list->ask;

		if (wanted == 0 || excluded(w->lists, names[k].name) || excluded(w->lists, name))
			continue;
		size_t key = key_of(w, name, room);

		if (key == SIZE_MAX || (!s->local && key >= MAX_HOSTS_ASKED))
			w->over = true;
		else if (!w->keys[key].address || list->addresses)
			places[key] |= (uint8_t)wanted;
	}
	for (size_t key = 0; places && key < w->key_count; key++) {
		if (places[key] && s->local)
			ask_local(w, i, key, places[key]);
		else if (places[key])
			ask_dns(w, i, key, places[key]);
	}
	free(places);
}

struct names_wait *
names_ask(struct lists *lists, const struct name_asked *names, size_t count, int timeout_ms, names_callback done, void *arg)
{
	static const struct names_result nothing;
	struct names_wait *w = count > 0 ? calloc(1, sizeof *w) : NULL;

	if (w) {
		*w = (struct names_wait){ .lists = lists, .open = 1, .starting = true, .timeout_ms = timeout_ms, .done = done, .arg = arg };
		w->keys = calloc(2 * count, sizeof *w->keys);
		w->ones = calloc((size_t)MAX_DNSBL * MAX_HOSTS_ASKED, sizeof *w->ones);
	}
	if (w == NULL || w->keys == NULL || w->ones == NULL) {
		if (w)
			wait_free(w);
		done(arg, &nothing);
		return NULL;
	}
	/* Lists in DNS first: their names are the first MAX_HOSTS_ASKED, whatever local copies hear of beside them. */
	for (int local = 0; local < 2; local++)
		for (uint32_t i = 0; i < lists->count; i++)
			if (lists->list[i].names && !lists->states[i].sick && (lists->states[i].local != NULL) == local)
				ask_list(w, i, names, count);
	w->starting = false;
	if (w->open > 1) {
		w->open--;
		return w;
	}
	finish(w);
	return NULL;
}

void
names_cancel(struct names_wait *w)
{
	for (size_t i = 0; i < w->one_count; i++)
		if (w->ones[i].dns_wait)
			dns_cancel(w->ones[i].dns_wait);
	wait_free(w);
}
