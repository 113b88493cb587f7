/* customers_snapshot.c - the table as a file, so that a node starts in a second, and without Redis.
 *
 *   "policyd policies 3\n" | u32 sizeof(struct record) | u32 records | u64 bytes of names | u32 fieldsets
 *   | POLICY_PARTITIONS x (i64 version, last id of the stream (48)) | records [1..] | names | fieldsets: JSON, NUL
 *   | SHA-256 of all before
 *
 * Host byte order: it is this machine's own, and what cannot be read is loaded from Redis again. It is written by a process of
 * its own, forked for that (80 MB take half a second), and put in place when it is on the disk. */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "policyd/base/clock.h"
#include "policyd/base/ipc.h"
#include "policyd/base/log.h"
#include "policyd/store/customers_table.h"

enum { SAVE_EVERY_MS = 2000, DIGEST = 32, SOME = 1024 };

static const char magic[] = "policyd policies 3\n";

struct out {
	FILE *file;
	EVP_MD_CTX *hash;
	bool failed;
};

static void
put(struct out *o, const void *p, size_t n)
{
	if (n > 0 && (fwrite(p, 1, n, o->file) != n || EVP_DigestUpdate(o->hash, p, n) != 1))
		o->failed = true;
}

/* Sets of fields that no record has any more do not come along: the others are numbered anew. NULL: no memory. */
static uint32_t *
renumber(const struct customers *c, uint32_t *count)
{
	uint32_t *numbers = calloc(c->by_fields.count + 1, sizeof *numbers);

	*count = 0;
	for (size_t r = 1; numbers && r <= c->by_key.count; r++)
		if (c->records[r].fields)
			numbers[c->records[r].fields] = 1;
	for (size_t i = 1; numbers && i <= c->by_fields.count; i++)
		if (numbers[i])
			numbers[i] = ++*count;
	return numbers;
}

static void
put_records(struct out *o, const struct customers *c, const uint32_t *numbers)
{
	struct record some[SOME];
	size_t n = 0;

	for (size_t r = 1; r <= c->by_key.count; r++) {
		some[n] = c->records[r];
		some[n].fields = numbers[some[n].fields];
		if (++n == SOME || r == c->by_key.count) {
			put(o, some, n * sizeof *some);
			n = 0;
		}
	}
}

static void
put_all(struct out *o, const struct customers *c)
{
	uint32_t size = sizeof(struct record), records = (uint32_t)c->by_key.count, fieldsets, *numbers = renumber(c, &fieldsets);
	uint64_t names = c->names_n;

	if (numbers == NULL) {
		o->failed = true;
		return;
	}
	put(o, magic, sizeof magic - 1);
	put(o, &size, sizeof size);
	put(o, &records, sizeof records);
	put(o, &names, sizeof names);
	put(o, &fieldsets, sizeof fieldsets);
	for (int i = 0; i < POLICY_PARTITIONS; i++) {
		put(o, &c->partitions[i].version, sizeof c->partitions[i].version);
		put(o, c->partitions[i].last_id, sizeof c->partitions[i].last_id);
	}
	put_records(o, c, numbers);
	put(o, c->names, c->names_n);
	for (size_t i = 1; i <= c->by_fields.count; i++)
		if (numbers[i])
			put(o, c->fieldsets[i].json, strlen(c->fieldsets[i].json) + 1);
	free(numbers);
}

static bool
write_file(const struct customers *c)
{
	char path[sizeof c->snapshot + 4];
	unsigned char digest[DIGEST];
	struct out o = { .hash = EVP_MD_CTX_new() };

	snprintf(path, sizeof path, "%s.new", c->snapshot);
	if (o.hash == NULL || EVP_DigestInit_ex(o.hash, EVP_sha256(), NULL) != 1 || (o.file = fopen(path, "we")) == NULL) {
		EVP_MD_CTX_free(o.hash);
		return false;
	}
	put_all(&o, c);
	bool good = !o.failed && EVP_DigestFinal_ex(o.hash, digest, NULL) == 1 && fwrite(digest, 1, DIGEST, o.file) == DIGEST &&
	    fflush(o.file) == 0 && fsync(fileno(o.file)) == 0;

	EVP_MD_CTX_free(o.hash);
	good = fclose(o.file) == 0 && good;
	if (good && rename(path, c->snapshot) == 0)
		return true;
	unlink(path);
	return false;
}

void
snapshot_save(struct customers *c)
{
	if (c->saver > 0)
		waitpid(c->saver, NULL, 0);
	c->saver = 0;
	c->dirty = !write_file(c);
}

void
snapshot_tick(struct customers *c)
{
	int status;

	if (c->saver > 0 && waitpid(c->saver, &status, WNOHANG) == c->saver) {
		c->saver = 0;
		if (status != 0) {
			static int64_t complained;

			log_seldom(&complained, 60, "policies: %s cannot be written: a start without Redis would know an older state", c->snapshot);
			c->dirty = true;
		}
	}
	if (!c->dirty || c->saver > 0 || clock_ms() - c->saved_ms < SAVE_EVERY_MS)
		return;
	c->saved_ms = clock_ms();
	pid_t pid = fork();

	if (pid == 0)
		_exit(write_file(c) ? 0 : 1);
	if (pid > 0) {
		c->saver = pid;
		c->dirty = false;
	}
}

/* ---- reading ---- */

static bool
take(struct span *from, void *to, size_t n)
{
	if (from->n < n)
		return false;
	if (n > 0)
		memcpy(to, from->p, n);
	*from = span_from(*from, n);
	return true;
}

static bool
read_fieldsets(struct customers *c, uint32_t count, struct span *from)
{
	for (uint32_t i = 1; i <= count; i++) {
		struct span json = span_cut(from, '\0');
		char why[256];
		struct draft d;
		bool failed = true;
		json_t *fields = json_loadb(json.p, json.n, 0, NULL);

		/* As a mailbox's, a domain's or a customer's: only the places where a field may stand differ. */
		for (int kind = RECORD_MAILBOX; fields && kind <= RECORD_CUSTOMER && failed; kind++) {
			static const char *const keys[] = { "mailbox:?", "domain:?", "customer:?" };

			failed = !draft_read(keys[kind], fields, &d, why, sizeof why);
		}
		if (!failed)
			failed = fieldset_intern(c, json, &d, d.above, &failed) != i;
		json_decref(fields);
		if (failed)
			return false;
	}
	return true;
}

static bool
index_records(struct customers *c, uint32_t count)
{
	if (!intern_room(&c->by_key, count))
		return false;
	for (uint32_t r = 1; r <= count; r++) {
		struct record *record = &c->records[r];

		if (record->key >= c->names_n || record->kind >= RECORD__KINDS || record->parent > count || record->child > count ||
		    record->next > count || record->target > count || record->fields > c->by_fields.count)
			return false;
		record->stamp = 0;
		c->present_count += record->present;
		c->canaries += record->fields && c->fieldsets[record->fields].canary;
		intern_add(&c->by_key, customers_hash(span_of(record_name(c, r))));
	}
	return true;
}

static bool
read_all(struct customers *c, struct span from)
{
	uint32_t size = 0, records = 0, fieldsets = 0;
	char head[sizeof magic - 1];
	uint64_t names = 0;

	if (!take(&from, head, sizeof head) || memcmp(head, magic, sizeof head) != 0 || !take(&from, &size, sizeof size) ||
	    size != sizeof(struct record) || !take(&from, &records, sizeof records) || !take(&from, &names, sizeof names) ||
	    !take(&from, &fieldsets, sizeof fieldsets))
		return false;
	for (int i = 0; i < POLICY_PARTITIONS; i++)
		if (!take(&from, &c->partitions[i].version, sizeof c->partitions[i].version) ||
		    !take(&from, c->partitions[i].last_id, sizeof c->partitions[i].last_id))
			return false;
	if (from.n < (size_t)records * size || from.n - (size_t)records * size < names)
		return false;
	c->record_room = (size_t)records + 1;
	c->names_room = names + 1;
	if ((c->records = calloc(c->record_room, size)) == NULL || (c->names = malloc(c->names_room)) == NULL)
		return false;
	take(&from, c->records + 1, (size_t)records * size);
	take(&from, c->names, names);
	c->names_n = names;
	c->names[names] = '\0';
	return read_fieldsets(c, fieldsets, &from) && index_records(c, records);
}

/* Forget what was read of a file that turned out bad; fieldsets may stay, nothing points at them. */
static void
forget(struct customers *c)
{
	free(c->records);
	free(c->names);
	free(c->by_key.slots);
	c->records = NULL;
	c->names = NULL;
	c->by_key = (struct intern){ 0 };
	c->record_room = c->names_room = c->names_n = c->present_count = c->canaries = 0;
	for (int i = 0; i < POLICY_PARTITIONS; i++) {
		c->partitions[i].version = 0;
		snprintf(c->partitions[i].last_id, sizeof c->partitions[i].last_id, "0-0");
	}
}

bool
snapshot_load(struct customers *c)
{
	FILE *f = fopen(c->snapshot, "re");
	unsigned char digest[DIGEST];
	unsigned int length = 0;

	if (f) {
		struct span file = map_fd(fileno(f)), body = span_head(file, file.n > DIGEST ? file.n - DIGEST : 0);
		bool good = body.n > 0 && EVP_Digest(body.p, body.n, digest, &length, EVP_sha256(), NULL) == 1 &&
		    memcmp(digest, body.p + body.n, DIGEST) == 0 && read_all(c, body);

		unmap(file);
		fclose(f);
		if (!good) {
			log_warning("policies: %s cannot be read; they come from Redis", c->snapshot);
			forget(c);
		}
	}
	c->dirty = false;
	/* [0] of each array is nobody and nothing, also before the first write. */
	if (c->records == NULL && (c->records = calloc(c->record_room = 1, sizeof *c->records)) == NULL)
		return false;
	if (c->fieldsets == NULL && (c->fieldsets = calloc(c->fieldset_room = 1, sizeof *c->fieldsets)) == NULL)
		return false;
	return true;
}
