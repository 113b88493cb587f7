#include "lua/patterns.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <hs.h>
#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lua/loosen.h"
#include "policyd/base/buf.h"
#include "policyd/base/clock.h"
#include "policyd/base/log.h"

enum {
	CACHE_LEAST = 8,                     /* patterns of a view from which on its database is worth a file */
	MAX_CACHED = 1 << 30,
	CACHE_DAYS = 7,                      /* a file that nobody asked for so long goes */
	MAX_TAKEN = 2048,                    /* bytes of a pattern's text: some longer ones take half a minute to compile */
	KEY_BYTES = 32,
	MAC_BYTES = SHA256_DIGEST_LENGTH,
};

enum way { WAY_EXACT, WAY_PREFILTER, WAY_ALONE };
static const char *const way_names[] = { [WAY_EXACT] = "exact", [WAY_PREFILTER] = "prefilter", [WAY_ALONE] = "pcre" };

struct pattern {
	const struct regex *re;
	char *loose;                         /* its text as Vectorscan gets it */
	int view;
	enum way way;
	uint32_t mail;                       /* the mail (patterns.mail) it may match in */
};

struct set {                                 /* the patterns of one view */
	struct view view;
	int *at;
	size_t count, room;
	hs_database_t *db;
	struct span *values;                 /* of mail `made_for` */
	size_t value_count;
	uint32_t made_for;
};

struct patterns {
	struct pattern *at;
	size_t count, room;
	struct set *sets;
	size_t set_count, set_room;
	hs_scratch_t *scratch;
	uint32_t mail;
	bool alone;
	size_t from_cache, bytes;
	int64_t build_us;
};

struct patterns *
patterns_open(void)
{
	return calloc(1, sizeof(struct patterns));
}

void
patterns_close(struct patterns *p)
{
	if (p == NULL)
		return;
	for (size_t i = 0; i < p->set_count; i++) {
		hs_free_database(p->sets[i].db);
		free(p->sets[i].at);
	}
	for (size_t i = 0; i < p->count; i++)
		free(p->at[i].loose);
	hs_free_scratch(p->scratch);
	free(p->sets);
	free(p->at);
	free(p);
}

/* Room for one more in an array of `size` bytes an element. */
static bool
grow(void **at, size_t count, size_t *room, size_t size)
{
	if (count < *room)
		return true;
	size_t more = *room ? *room * 2 : 16;
	void *p = realloc(*at, more * size);

	if (p == NULL)
		return false;
	*at = p;
	*room = more;
	return true;
}

int
patterns_view(struct patterns *p, const struct view *view)
{
	for (size_t i = 0; i < p->set_count; i++)
		if (view_same(&p->sets[i].view, view))
			return (int)i;
	if (!grow((void **)&p->sets, p->set_count, &p->set_room, sizeof *p->sets))
		return -1;
	p->sets[p->set_count] = (struct set){ .view = *view };
	return (int)p->set_count++;
}

int
patterns_add(struct patterns *p, int view, const struct regex *re)
{
	struct set *set = &p->sets[view];
	char *loose;

	if (!grow((void **)&p->at, p->count, &p->room, sizeof *p->at) ||
	    !grow((void **)&set->at, set->count, &set->room, sizeof *set->at) || (loose = pattern_loosen(regex_source(re))) == NULL)
		return -1;
	p->at[p->count] = (struct pattern){ .re = re, .loose = loose, .view = view, .way = WAY_ALONE };
	set->at[set->count++] = (int)p->count;
	return (int)p->count++;
}

/* --- building --- */

static unsigned
hs_flags_of(const struct pattern *pattern)
{
	unsigned flags = regex_flags(pattern->re), out = HS_FLAG_SINGLEMATCH;

	out |= flags & REGEX_CASELESS ? HS_FLAG_CASELESS : 0;
	out |= flags & REGEX_MULTILINE ? HS_FLAG_MULTILINE : 0;
	out |= flags & REGEX_DOTALL ? HS_FLAG_DOTALL : 0;
	out |= pattern->way == WAY_PREFILTER ? HS_FLAG_PREFILTER : 0;
	return out;
}

/* How it can be run. Left to PCRE2 alone: characters of UTF-8 (Vectorscan would need valid UTF-8, which mail does not
 * promise), free spacing (its comments differ), and what matches nothing. */
static enum way
way_of(const struct pattern *pattern)
{
	struct pattern trial = *pattern;

	if (regex_flags(pattern->re) & (REGEX_UTF | REGEX_EXTENDED | REGEX_MATCHES_EMPTY))
		return WAY_ALONE;
	if (regex_source(pattern->re).n > MAX_TAKEN || regex_source(pattern->re).n != strlen(regex_source(pattern->re).p))
		return WAY_ALONE;
	for (trial.way = WAY_EXACT; trial.way < WAY_ALONE; trial.way++) {
		hs_expr_info_t *info = NULL;
		hs_compile_error_t *error = NULL;
		hs_error_t result = hs_expression_info(pattern->loose, hs_flags_of(&trial), &info, &error);

		free(info);
		hs_free_compile_error(error);
		if (result == HS_SUCCESS)
			return trial.way;
	}
	return WAY_ALONE;
}

/* Compile the set's patterns that Vectorscan takes. One that is too much for it is left to PCRE2, and the rest tried again. */
static hs_database_t *
compile(struct patterns *p, const struct set *set)
{
	const char **sources = calloc(set->count + 1, sizeof *sources);
	unsigned *flags = calloc(set->count + 1, sizeof *flags), *ids = calloc(set->count + 1, sizeof *ids);
	hs_database_t *db = NULL;

	for (bool again = sources && flags && ids; again;) {
		hs_compile_error_t *error = NULL;
		unsigned n = 0;

		again = false;
		for (size_t i = 0; i < set->count; i++) {
			const struct pattern *pattern = &p->at[set->at[i]];

			if (pattern->way == WAY_ALONE)
				continue;
			sources[n] = pattern->loose;
			flags[n] = hs_flags_of(pattern);
			ids[n++] = (unsigned)set->at[i];
		}
		if (n == 0 || hs_compile_multi(sources, flags, ids, n, HS_MODE_BLOCK, NULL, &db, &error) == HS_SUCCESS)
			break;
		if (error->expression >= 0 && (unsigned)error->expression < n) {
			p->at[ids[error->expression]].way = WAY_ALONE;
			again = true;
		} else {
			log_error("patterns: %s: %s; PCRE2 does its work, slower", view_names[set->view.kind], error->message);
		}
		hs_free_compile_error(error);
	}
	free(sources);
	free(flags);
	free(ids);
	return db;
}

/* What the database is made of: another library, processor or pattern is another name. */
static void
digest_set(const struct patterns *p, const struct set *set, char name[2 * MAC_BYTES + 1])
{
	struct buf b = { 0 };
	hs_platform_info_t platform = { 0 };
	unsigned char digest[MAC_BYTES];

	hs_populate_platform(&platform);
	buf_printf(&b, "policyd 3|%s|%u %llu|", hs_version(), platform.tune, platform.cpu_features);
	for (size_t i = 0; i < set->count; i++) {
		const struct pattern *pattern = &p->at[set->at[i]];

		buf_printf(&b, "%d %u %u ", set->at[i], (unsigned)pattern->way, hs_flags_of(pattern));
		buf_add_span(&b, span_of(pattern->loose));
		buf_add_char(&b, '\0');
	}
	SHA256((const unsigned char *)b.p, b.n, digest);
	for (size_t i = 0; i < sizeof digest; i++)
		snprintf(name + 2 * i, 3, "%02x", digest[i]);
	buf_free(&b);
}

/* A file is   mac[32] | u32 count | u32 pattern ... | database   - the patterns that the library took for a moment and then
 * could not compile, places in the set. */
static hs_database_t *
unpack_cached(struct patterns *p, const struct set *set, const char *bytes, size_t n)
{
	uint32_t left_out, at;
	hs_database_t *db = NULL;

	memcpy(&left_out, bytes, sizeof left_out);
	bytes += sizeof left_out;
	n -= sizeof left_out;
	if (left_out > set->count || n < left_out * sizeof at ||
	    hs_deserialize_database(bytes + left_out * sizeof at, n - left_out * sizeof at, &db) != HS_SUCCESS)
		return NULL;
	for (uint32_t i = 0; i < left_out; i++) {
		memcpy(&at, bytes + i * sizeof at, sizeof at);
		if (at < set->count)
			p->at[set->at[at]].way = WAY_ALONE;
	}
	return db;
}

static hs_database_t *
read_cached(struct patterns *p, const struct set *set, const char *path, const unsigned char key[KEY_BYTES])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;
	hs_database_t *db = NULL;
	unsigned char mac[MAC_BYTES];
	char *map;

	if (fd < 0 || fstat(fd, &st) < 0 || st.st_size <= MAC_BYTES + 4 || st.st_size > MAX_CACHED) {
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	/* A copy, not a mapping: who could write the file must not change it between the check and the reading. */
	map = malloc((size_t)st.st_size);
	size_t n = 0;

	for (ssize_t got; map && n < (size_t)st.st_size && (got = read(fd, map + n, (size_t)st.st_size - n)) > 0;)
		n += (size_t)got;
	close(fd);
	if (map && n == (size_t)st.st_size) {
		HMAC(EVP_sha256(), key, KEY_BYTES, (const unsigned char *)map + MAC_BYTES, n - MAC_BYTES, mac, NULL);
		if (CRYPTO_memcmp(mac, map, MAC_BYTES) != 0)
			log_warning("patterns: %s is not what was written there; it is compiled anew", path);
		else if ((db = unpack_cached(p, set, map + MAC_BYTES, n - MAC_BYTES)) != NULL) {
			p->bytes += n;
			utimensat(AT_FDCWD, path, NULL, 0);      /* still in use */
		}
	}
	free(map);
	return db;
}

static bool
write_all(int fd, const void *p, size_t n)
{
	for (size_t done = 0; done < n;) {
		ssize_t m = write(fd, (const char *)p + done, n - done);

		if (m <= 0)
			return false;
		done += (size_t)m;
	}
	return true;
}

/* `before`: how each pattern was to be run before the compiler had its say. */
static void
write_cached(const struct patterns *p, const struct set *set, const enum way *before, const char *path, const unsigned char key[KEY_BYTES])
{
	char *bytes = NULL, temporary[300];
	size_t n = 0;
	unsigned char mac[MAC_BYTES];
	struct buf body = { 0 };
	uint32_t left_out = 0;
	int fd;

	if (hs_serialize_database(set->db, &bytes, &n) != HS_SUCCESS)
		return;
	for (size_t i = 0; i < set->count; i++)
		left_out += p->at[set->at[i]].way != before[i];
	buf_add(&body, &left_out, sizeof left_out);
	for (uint32_t i = 0; i < set->count; i++)
		if (p->at[set->at[i]].way != before[i])
			buf_add(&body, &i, sizeof i);
	buf_add(&body, bytes, n);
	free(bytes);
	snprintf(temporary, sizeof temporary, "%s.%d", path, (int)getpid());
	fd = body.failed ? -1 : open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	HMAC(EVP_sha256(), key, KEY_BYTES, (const unsigned char *)body.p, body.n, mac, NULL);
	bool ok = fd >= 0 && write_all(fd, mac, sizeof mac) && write_all(fd, body.p, body.n);

	if (fd >= 0)
		ok = close(fd) == 0 && ok;
	if (!ok || rename(temporary, path) < 0) {
		log_warning("patterns: %s: cannot keep a database: %s; the next start compiles it again", path, strerror(errno));
		unlink(temporary);
	}
	buf_free(&body);
}

static bool
read_key(const char *path, unsigned char key[KEY_BYTES])
{
	int fd = path[0] ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	bool ok = fd >= 0 && read(fd, key, KEY_BYTES) == KEY_BYTES;

	if (fd >= 0)
		close(fd);
	return ok;
}

static void
build_set(struct patterns *p, struct set *set, const char *dir, const unsigned char *key)
{
	char name[2 * MAC_BYTES + 1], path[256];
	bool cached = key && set->count >= CACHE_LEAST;
	enum way *before = calloc(set->count + 1, sizeof *before);

	for (size_t i = 0; i < set->count; i++) {
		p->at[set->at[i]].way = way_of(&p->at[set->at[i]]);
		if (before)
			before[i] = p->at[set->at[i]].way;
	}
	digest_set(p, set, name);
	snprintf(path, sizeof path, "%s/%s.hs", dir, name);
	if (cached && (set->db = read_cached(p, set, path, key)) != NULL) {
		p->from_cache++;
	} else {
		size_t bytes = 0;

		set->db = compile(p, set);
		if (set->db && hs_database_size(set->db, &bytes) == HS_SUCCESS)
			p->bytes += bytes;
		if (set->db && cached && before)
			write_cached(p, set, before, path, key);
	}
	free(before);
	if (set->db && hs_alloc_scratch(set->db, &p->scratch) != HS_SUCCESS) {
		hs_free_database(set->db);
		set->db = NULL;
	}
	if (set->db == NULL)
		for (size_t i = 0; i < set->count; i++)
			p->at[set->at[i]].way = WAY_ALONE;
}

/* Databases of patterns that are no more. */
static void
sweep_cache(const char *dir)
{
	DIR *d = opendir(dir);
	char path[600];
	struct stat st;

	for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
		snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
		if (strstr(e->d_name, ".hs") && lstat(path, &st) == 0 && st.st_mtime < time(NULL) - CACHE_DAYS * 86400)
			unlink(path);
	}
	if (d)
		closedir(d);
}

bool
patterns_prepare(const char *dir, const char *key_path, unsigned user, unsigned group)
{
	unsigned char key[KEY_BYTES];
	int fd;

	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return false;
	if (geteuid() == 0 && chown(dir, user, group) < 0)
		return false;
	fd = open(key_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno == EEXIST;
	bool ok = getrandom(key, sizeof key, 0) == (ssize_t)sizeof key && write(fd, key, sizeof key) == (ssize_t)sizeof key;

	OPENSSL_cleanse(key, sizeof key);
	ok = close(fd) == 0 && ok;
	if (!ok)
		unlink(key_path);
	return ok;
}

void
patterns_build(struct patterns *p, const char *dir, const char *key_path)
{
	int64_t start_us = clock_us();
	unsigned char key[KEY_BYTES];
	bool cached = dir[0] && read_key(key_path, key);

	for (size_t i = 0; i < p->set_count; i++)
		build_set(p, &p->sets[i], dir, cached ? key : NULL);
	OPENSSL_cleanse(key, sizeof key);
	if (cached)
		sweep_cache(dir);
	p->build_us = clock_us() - start_us;
}

struct patterns_info
patterns_info(const struct patterns *p)
{
	struct patterns_info info = { .patterns = p->count, .from_cache = p->from_cache, .bytes = p->bytes, .build_us = p->build_us };

	for (size_t i = 0; i < p->count; i++) {
		info.exact += p->at[i].way == WAY_EXACT;
		info.prefilter += p->at[i].way == WAY_PREFILTER;
		info.alone += p->at[i].way == WAY_ALONE;
	}
	for (size_t i = 0; i < p->set_count; i++)
		info.views += p->sets[i].count > 0;
	return info;
}

const char *
patterns_way(const struct patterns *p, int pattern)
{
	return way_names[p->at[pattern].way];
}

/* --- a mail --- */

struct going {
	struct patterns *p;
	void (*may)(void *arg, int pattern);
	void *arg;
};

static int
matched(unsigned id, unsigned long long from, unsigned long long to, unsigned flags, void *arg)
{
	struct going *g = arg;
	struct pattern *pattern = &g->p->at[id];

	(void)from;
	(void)to;
	(void)flags;
	if (pattern->mail != g->p->mail) {
		pattern->mail = g->p->mail;
		g->may(g->arg, (int)id);
	}
	return 0;
}

const struct view *
patterns_view_of(const struct patterns *p, int view)
{
	return &p->sets[view].view;
}

size_t
patterns_values(struct patterns *p, int view, const struct scan *scan, struct span **values)
{
	struct set *set = &p->sets[view];

	if (set->made_for != p->mail) {
		set->made_for = p->mail;
		set->value_count = view_values(&set->view, scan, &set->values);
	}
	*values = set->values;
	return set->value_count;
}

void
patterns_scan(struct patterns *p, const struct scan *scan, void (*may)(void *arg, int pattern), void *arg)
{
	struct going g = { p, may, arg };

	p->mail++;
	for (size_t i = 0; i < p->set_count; i++) {
		struct set *set = &p->sets[i];
		struct span *values;
		size_t n = set->count ? patterns_values(p, (int)i, scan, &values) : 0;

		if (n == 0)
			continue;
		for (size_t k = 0; set->db && !p->alone && k < n; k++)
			if (values[k].n > 0)
				hs_scan(set->db, values[k].p, (unsigned)span_head(values[k], MAX_RULE_SUBJECT).n, 0, p->scratch, matched, &g);
		for (size_t k = 0; k < set->count; k++)
			if (p->alone || p->at[set->at[k]].way == WAY_ALONE)
				matched((unsigned)set->at[k], 0, 0, 0, &g);
	}
}

void
patterns_alone(struct patterns *p, bool alone)
{
	p->alone = alone;
}

bool
patterns_may(const struct patterns *p, int pattern)
{
	return p->at[pattern].mail == p->mail;
}
