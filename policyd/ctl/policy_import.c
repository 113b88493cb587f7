/* policy_import.c - policyctl policy import, diff and export: many records at once.
 *
 * Formats  jsonl   {"key": K, "values": {...}} a line; values null: the record goes
 *          csv     first line: key, then fields; an empty cell is not set
 *          amavis, spamassassin, rspamd, proxmox: policy_foreign.c
 * All records of one customer are written together or not at all: they go in one request, which the broker checks as a whole
 * before anything is written. Several requests are on their way at once. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "policyd/base/map.h"
#include "policyd/base/span.h"
#include "policyd/ctl/client.h"
#include "policyd/ctl/policy_inside.h"
#include "policyd/ctl/progress.h"

enum { BATCH = 1000, BATCH_MOST = 100000, IN_FLIGHT = 4, MAX_CELLS = 64, SHOWN_ERRORS = 20 };

static void
complain(const struct import *in, const char *before, const char *format, va_list args)
{
	if (in->say == NULL)
		return;
	fprintf(in->say, "%s: %s:%u: ", before, in->file, in->line);
	vfprintf(in->say, format, args);
	fputs("\n", in->say);
}

void
import_bad(struct import *in, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	complain(in, "policyctl", format, args);
	va_end(args);
	in->failed = true;
}

void
import_untranslated(struct import *in, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	complain(in, "not translated", format, args);
	va_end(args);
	in->untranslated++;
}

void
import_add(struct import *in, const char *key, json_t *values)
{
	if (in->count == in->room) {
		size_t room = in->room ? in->room * 2 : 1024;
		struct import_record *more = realloc(in->at, room * sizeof *more);

		if (more == NULL) {
			import_bad(in, "no memory");
			json_decref(values);
			return;
		}
		in->at = more;
		in->room = room;
	}
	in->at[in->count++] = (struct import_record){ .key = strdup(key), .line = in->line,
	    .values = values && !json_is_null(values) ? json_dumps(values, JSON_COMPACT) : NULL };
	json_decref(values);
}

/* ---- our own formats ---- */

static void
read_jsonl(struct import *in, FILE *file)
{
	char *line = NULL;
	size_t room = 0;
	ssize_t n;

	for (; (n = getline(&line, &room, file)) > 0 && !in->failed;) {
		json_error_t bad;

		in->line++;
		if (span_trim(span_make(line, (size_t)n)).n == 0)
			continue;
		json_t *record = json_loadb(line, (size_t)n, 0, &bad);
		const char *key = json_string_value(json_object_get(record, "key"));
		json_t *values = json_object_get(record, "values");

		if (record == NULL)
			import_bad(in, "no JSON: %s", bad.text);
		else if (key == NULL || !(json_is_object(values) || json_is_null(values)))
			import_bad(in, "expected {\"key\": \"...\", \"values\": {...}}");
		else
			import_add(in, key, json_incref(values));
		json_decref(record);
	}
	free(line);
}

/* RFC 4180: cells by commas, quotes around what has one, two quotes for a quote. Cells end in place. */
static size_t
split_cells(char *line, char *cells[MAX_CELLS])
{
	char *from = line, *to = line;
	size_t n = 0;
	bool quoted = false;

	cells[n++] = to;
	for (; *from && (quoted || (*from != '\r' && *from != '\n')); from++) {
		if (*from == '"' && quoted && from[1] == '"')
			*to++ = *from++;
		else if (*from == '"')
			quoted = !quoted;
		else if (*from == ',' && !quoted && n < MAX_CELLS) {
			*to++ = '\0';
			cells[n++] = to;
		} else {
			*to++ = *from;
		}
	}
	*to = '\0';
	return n;
}

static void
read_csv(struct import *in, FILE *file)
{
	char *line = NULL, *head = NULL, *names[MAX_CELLS], *cells[MAX_CELLS];
	size_t room = 0, columns = 0;

	for (; getline(&line, &room, file) > 0 && !in->failed;) {
		in->line++;
		if (columns == 0) {
			head = line;
			line = NULL;
			room = 0;
			columns = split_cells(head, names);
			if (strcmp(names[0], "key") != 0)
				import_bad(in, "\"%.40s\": expected key as the first column", names[0]);
			continue;
		}
		size_t n = split_cells(line, cells);
		json_t *values = json_object();

		if (n == 1 && cells[0][0] == '\0') {
			json_decref(values);
			continue;
		}
		if (n != columns)
			import_bad(in, "%zu cells; expected %zu", n, columns);
		for (size_t i = 1; i < n && i < columns; i++)
			if (cells[i][0])
				json_object_set_new(values, names[i], json_string(cells[i]));
		import_add(in, cells[0], values);
	}
	free(line);
	free(head);
}

/* ---- groups ---- */

/* The number of a text, from 1: equal texts, equal numbers. */
static uint32_t
number_of(struct map *numbers, const char *text)
{
	uint64_t hash = span_hash(span_of(text), 31);
	void *number = map_get(numbers, hash);

	if (number == NULL) {
		number = (void *)(uintptr_t)(numbers->count + 1);
		map_put(numbers, hash, number);
	}
	return (uint32_t)(uintptr_t)number;
}

/* Whose record: the customer that it, or its domain in this file, names; else its domain. */
static void
group_records(struct import *in)
{
	struct map names = { 0 }, owners = { 0 };

	for (int pass = 0; pass < 2; pass++)
		for (size_t i = 0; i < in->count; i++) {
			struct import_record *r = &in->at[i];
			const char *at = strrchr(r->key, '@'), *colon = strchr(r->key, ':'), *domain = at ? at + 1 : colon ? colon + 1 : r->key;
			const char *customer = r->values && !at ? strstr(r->values, "\"customer\":\"") : NULL;
			char id[80];

			if (pass == 0) {
				if (customer == NULL)
					continue;
				snprintf(id, sizeof id, "%.*s", (int)strcspn(customer + 12, "\""), customer + 12);
				map_put(&owners, number_of(&names, domain), (void *)(uintptr_t)number_of(&names, id));
			} else if (strncmp(r->key, "customer:", 9) == 0) {
				r->group = number_of(&names, r->key + 9);
			} else {
				void *owner = map_get(&owners, number_of(&names, domain));

				r->group = owner ? (uint32_t)(uintptr_t)owner : number_of(&names, domain);
			}
		}
	map_free(&names);
	map_free(&owners);
}

static int
by_group(const void *a, const void *b)
{
	const struct import_record *x = a, *y = b;

	return x->group != y->group ? (x->group > y->group) - (x->group < y->group) : (x->line > y->line) - (x->line < y->line);
}

/* ---- sending ---- */

struct transfer {
	struct import *in;
	int sock, in_flight;
	bool dry_run, diff, merge;
	size_t done, changed, refused;
	struct { uint32_t id; size_t from, to; } batches[IN_FLIGHT];
};

static void
show_change(const json_t *change)
{
	json_t *old = json_loads(ctl_text(change, "old"), 0, NULL), *fresh = json_loads(ctl_text(change, "new"), 0, NULL), *value;
	const char *name;
	char *text;

	printf("%s%s\n", ctl_text(change, "key"), fresh == NULL ? ": removed" : old == NULL ? ": new" : "");
	json_object_foreach(old, name, value)
		if (!json_object_get(fresh, name) || !json_equal(json_object_get(fresh, name), value)) {
			printf("  - %s=%s\n", name, text = json_dumps(value, JSON_ENCODE_ANY));
			free(text);
		}
	json_object_foreach(fresh, name, value)
		if (!json_object_get(old, name) || !json_equal(json_object_get(old, name), value)) {
			printf("  + %s=%s\n", name, text = json_dumps(value, JSON_ENCODE_ANY));
			free(text);
		}
	json_decref(old);
	json_decref(fresh);
}

static bool
take_answer(struct transfer *t)
{
	uint32_t id = 0;
	json_t *reply = ctl_receive(t->sock, &id, ctl_answer_ms), *change;
	const char *error = json_string_value(json_object_get(reply, "error"));
	size_t k, i = 0;

	if (reply == NULL)
		return false;
	while (i < IN_FLIGHT && t->batches[i].id != id)
		i++;
	if (i == IN_FLIGHT) {
		json_decref(reply);
		return false;
	}
	if (error) {
		size_t at = t->batches[i].from + (size_t)ctl_number(reply, "record");

		if (t->refused++ < SHOWN_ERRORS)
			fprintf(stderr, "policyctl: %s:%u: %s; of this customer nothing is changed (%zu records)\n", t->in->file,
			    at < t->in->count ? t->in->at[at].line : 0, error, t->batches[i].to - t->batches[i].from);
	}
	t->changed += (size_t)ctl_number(reply, "changed");
	json_array_foreach(json_object_get(reply, "changes"), k, change)
		show_change(change);
	t->done += t->batches[i].to - t->batches[i].from;
	t->batches[i].id = 0;
	t->in_flight--;
	progress(t->dry_run ? "checking" : "importing", t->done, t->in->count);
	json_decref(reply);
	return true;
}

static bool
send_batch(struct transfer *t, size_t from, size_t to)
{
	json_t *records = json_array();
	size_t i = 0;

	while (t->batches[i].id)
		i++;
	for (size_t k = from; k < to; k++) {
		json_t *values = t->in->at[k].values ? json_loads(t->in->at[k].values, 0, NULL) : json_null();

		json_array_append_new(records, json_pack("{s:s, s:o}", "key", t->in->at[k].key, "values", values));
	}
	json_t *request = json_pack("{s:s, s:o, s:b, s:b, s:b, s:s, s:s}", "cmd", "policy.import", "records", records, "dry_run", t->dry_run, "diff",
	    t->diff, "merge", t->merge, "who", policy_who(), "note", t->in->file);

	t->batches[i].id = (uint32_t)from + 1;
	t->batches[i].from = from;
	t->batches[i].to = to;
	t->in_flight++;
	return ctl_send(t->sock, (uint32_t)from + 1, request, -1) == 0;
}

/* Whole groups, about BATCH records together. */
static size_t
batch_end(const struct import *in, size_t from)
{
	size_t to = from;

	do {
		size_t group = to;

		while (group < in->count && in->at[group].group == in->at[to].group && group - to < BATCH_MOST)
			group++;
		if (to > from && group - from > BATCH)
			break;
		to = group;
	} while (to < in->count && to - from < BATCH);
	return to;
}

static int
transfer_all(struct transfer *t)
{
	bool good = (t->sock = ctl_open()) >= 0;

	for (size_t from = 0, to; good && from < t->in->count; from = to) {
		to = batch_end(t->in, from);
		while (good && t->in_flight == IN_FLIGHT)
			good = take_answer(t);
		good = good && send_batch(t, from, to);
	}
	while (good && t->in_flight > 0)
		good = take_answer(t);
	progress_end();
	if (t->sock >= 0)
		close(t->sock);
	if (!good)
		fprintf(stderr, "policyctl: after %zu of %zu records; running it again goes on from there\n", t->done, t->in->count);
	return good ? t->refused ? 2 : 0 : 1;
}

static const char *
format_by_name(const char *file)
{
	const char *dot = strrchr(file, '.');

	return dot && strcmp(dot, ".csv") == 0 ? "csv" : "jsonl";
}

static bool
read_file(struct import *in, const char *format, const char *key, FILE *file)
{
	if (strcmp(format, "jsonl") == 0)
		read_jsonl(in, file);
	else if (strcmp(format, "csv") == 0)
		read_csv(in, file);
	else if (strcmp(format, "amavis") == 0)
		read_amavis(in, file);
	else if (strcmp(format, "spamassassin") == 0 && key)
		read_spamassassin(in, file, key);
	else if (strcmp(format, "rspamd") == 0)
		read_rspamd(in, file);
	else if (strcmp(format, "proxmox") == 0)
		read_proxmox(in, file);
	else {
		fprintf(stderr, "policyctl: --format %s%s; expected jsonl, csv, amavis, spamassassin (with --key), rspamd or proxmox\n", format,
		    strcmp(format, "spamassassin") == 0 ? " without --key KEY" : "");
		in->failed = true;
	}
	return !in->failed;
}

int
policy_import(int argc, char **argv, bool only_diff)
{
	const char *format = NULL, *key = NULL, *path = NULL;
	struct import in = { .say = stderr };
	struct transfer t = { .in = &in, .sock = -1, .dry_run = only_diff, .diff = only_diff };
	int code = 2;

	for (int i = 0; i < argc; i++) {
		if (strcmp(argv[i], "--dry-run") == 0)
			t.dry_run = true;
		else if (strcmp(argv[i], "--diff") == 0)
			t.diff = true;
		else if (strcmp(argv[i], "--merge") == 0)
			t.merge = true;
		else if (strcmp(argv[i], "--format") == 0 && i + 1 < argc)
			format = argv[++i];
		else if (strcmp(argv[i], "--key") == 0 && i + 1 < argc)
			key = argv[++i];
		else if (path == NULL && argv[i][0] != '-')
			path = argv[i];
		else {
			fprintf(stderr, "policyctl: \"%s\" is not understood; see policyctl policy --help\n", argv[i]);
			return 2;
		}
	}
	FILE *file = path ? fopen(path, "re") : NULL;

	if (file == NULL) {
		perror(path ? path : "policyctl policy import: a file is needed");
		return 2;
	}
	in.file = path;
	if (read_file(&in, format ? format : format_by_name(path), key, file)) {
		group_records(&in);
		qsort(in.at, in.count, sizeof *in.at, by_group);
		code = in.count ? transfer_all(&t) : 0;
		fprintf(stderr, "%zu records, %zu %s", in.count, t.changed, t.dry_run ? "would change" : "changed");
		if (t.refused)
			fprintf(stderr, ", %zu requests refused", t.refused);
		if (in.untranslated)
			fprintf(stderr, ", %zu settings not translated (above)", in.untranslated);
		fputs("\n", stderr);
	}
	fclose(file);
	for (size_t i = 0; i < in.count; i++) {
		free(in.at[i].key);
		free(in.at[i].values);
	}
	free(in.at);
	return code;
}

/* ---- export ---- */

/* In the order of customers? As the broker has them: import sorts them itself. */
int
policy_export(int argc, char **argv)
{
	const char *customer = "", *prefix = "";
	json_t *after = NULL, *reply = NULL, *record;
	int sock = ctl_open(), code = sock < 0 ? 1 : 0;
	bool more = code == 0;
	size_t i;

	for (int k = 0; k < argc; k++) {
		if (strcmp(argv[k], "--customer") == 0 && k + 1 < argc)
			customer = argv[++k];
		else
			prefix = argv[k];
	}
	while (more) {
		json_t *request = json_pack("{s:s, s:s, s:s, s:i}", "cmd", "policy.list", "customer", customer, "prefix", prefix, "limit", 10000);

		if (after)
			json_object_set(request, "after", after);
		json_decref(reply);
		reply = ctl_ask(sock, request, -1, NULL);
		if ((code = ctl_check(reply)) != 0)
			break;
		json_array_foreach(json_object_get(reply, "records"), i, record) {
			json_t *line = json_pack("{s:O, s:O}", "key", json_object_get(record, "key"), "values", json_object_get(record, "values"));

			json_dumpf(line, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER);
			puts("");
			json_decref(line);
		}
		after = json_object_get(reply, "next");
		more = after != NULL;
	}
	json_decref(reply);
	if (sock >= 0)
		close(sock);
	return code;
}
