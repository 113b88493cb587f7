#include "policyd/broker/poison.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "policyd/base/clock.h"
#include "policyd/base/log.h"

struct entry {
	uint8_t digest[32];
	int crashes;
	int64_t last_s;
};

struct poison {
	char path[512];
	struct entry at[POISON_ROOM];
	int count;
	int lines;                           /* in the file */
};

static struct entry *
find(const struct poison *p, const uint8_t digest[32])
{
	for (int i = 0; i < p->count; i++)
		if (memcmp(p->at[i].digest, digest, 32) == 0)
			return (struct entry *)&p->at[i];
	return NULL;
}

static int
add(struct poison *p, const uint8_t digest[32], int64_t when_s)
{
	struct entry *e = find(p, digest);

	if (e == NULL) {
		if (p->count < POISON_ROOM) {
			e = &p->at[p->count++];
		} else {
			e = &p->at[0];
			for (int i = 1; i < p->count; i++)
				if (p->at[i].last_s < e->last_s)
					e = &p->at[i];
		}
		*e = (struct entry){ 0 };
		memcpy(e->digest, digest, 32);
	}
	if (e->last_s + POISON_TTL_S < when_s)
		e->crashes = 0;
	e->last_s = when_s;
	return ++e->crashes;
}

static void
print(FILE *f, const uint8_t digest[32], int64_t when_s)
{
	for (int i = 0; i < 32; i++)
		fprintf(f, "%02x", digest[i]);
	fprintf(f, " %lld\n", (long long)when_s);
}

static void
load(struct poison *p)
{
	FILE *f = fopen(p->path, "re");
	char hex[65];
	long long when;

	while (f && fscanf(f, "%64[0-9a-f] %lld\n", hex, &when) == 2) {
		uint8_t digest[32];
		unsigned byte;

		p->lines++;
		if (strlen(hex) != 64 || when + POISON_TTL_S < wall_s())
			continue;
		for (int i = 0; i < 32; i++) {
			sscanf(hex + 2 * i, "%2x", &byte);
			digest[i] = (uint8_t)byte;
		}
		add(p, digest, when);
	}
	if (f)
		fclose(f);
}

struct poison *
poison_open(const char *state_dir)
{
	struct poison *p = calloc(1, sizeof *p);

	if (p == NULL)
		return NULL;
	snprintf(p->path, sizeof p->path, "%s/poison", state_dir);
	load(p);
	return p;
}

void
poison_close(struct poison *p)
{
	free(p);
}

int
poison_count(const struct poison *p, const uint8_t digest[32])
{
	const struct entry *e = find(p, digest);

	return e && e->last_s + POISON_TTL_S >= wall_s() ? e->crashes : 0;
}

/* All that is still known, in one new file: a crash in the middle leaves the old one. */
static void
rewrite(struct poison *p)
{
	char path[sizeof p->path + 4];
	FILE *f;

	snprintf(path, sizeof path, "%s.new", p->path);
	if ((f = fopen(path, "we")) == NULL)
		return;
	p->lines = 0;
	for (int i = 0; i < p->count; i++)
		for (int k = 0; k < p->at[i].crashes && k < POISON_CRASHES; k++, p->lines++)
			print(f, p->at[i].digest, p->at[i].last_s);
	bool written = fflush(f) == 0 && fsync(fileno(f)) == 0;

	fclose(f);
	if (!written || rename(path, p->path) < 0)
		unlink(path);
}

int
poison_note(struct poison *p, const uint8_t digest[32])
{
	int64_t now = wall_s();
	int crashes = add(p, digest, now);
	FILE *f = fopen(p->path, "ae");

	if (f) {
		print(f, digest, now);
		fclose(f);
		p->lines++;
	} else {
		log_warning("poison: %s cannot be written; a crash is forgotten at the next restart", p->path);
	}
	if (p->lines > 4 * POISON_ROOM)
		rewrite(p);
	return crashes;
}
