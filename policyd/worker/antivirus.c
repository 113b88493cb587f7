#include "policyd/worker/antivirus.h"

#include <clamav.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "policyd/base/clock.h"
#include "policyd/base/log.h"
#include "policyd/base/metrics.h"
#include "policyd/net/clamd.h"
#include "policyd/scan/stage.h"
#include "policyd/worker/avcache.h"
#include "policyd/worker/layers.h"

/* Nothing is left to a default that another version may change. Past a limit libclamav says CLEAN unless
 * CL_SCAN_HEURISTIC_EXCEEDS_MAX is set; so every limit is set here, large enough that honest mail does not meet it. */
static const struct { enum cl_engine_field field; long long value; } limits[] = {
	{ CL_ENGINE_MAX_SCANSIZE, 400 * 1024 * 1024 },         /* all layers of one mail */
	{ CL_ENGINE_MAX_FILESIZE, 100 * 1024 * 1024 },         /* one layer */
	{ CL_ENGINE_MAX_RECURSION, 17 },
	{ CL_ENGINE_MAX_FILES, 10000 },
	{ CL_ENGINE_MAX_EMBEDDEDPE, 40 * 1024 * 1024 },
	{ CL_ENGINE_MAX_HTMLNORMALIZE, 40 * 1024 * 1024 }, { CL_ENGINE_MAX_HTMLNOTAGS, 8 * 1024 * 1024 },
	{ CL_ENGINE_MAX_SCRIPTNORMALIZE, 20 * 1024 * 1024 }, { CL_ENGINE_MAX_ZIPTYPERCG, 1024 * 1024 },
	{ CL_ENGINE_MAX_PARTITIONS, 50 }, { CL_ENGINE_MAX_ICONSPE, 100 }, { CL_ENGINE_MAX_RECHWP3, 16 },
	{ CL_ENGINE_PCRE_MATCH_LIMIT, 100000 }, { CL_ENGINE_PCRE_RECMATCH_LIMIT, 2000 },
	{ CL_ENGINE_PCRE_MAX_FILESIZE, 100 * 1024 * 1024 },
	{ CL_ENGINE_DISABLE_PE_STATS, 1 },
};

/* Every format is opened. Of the heuristics: limits, as above. Encrypted archives and macros are findings of our own
 * (mail/archive.c, mail/office.c), with points; ClamAV would call them viruses. */
static const uint32_t formats = CL_SCAN_PARSE_ARCHIVE | CL_SCAN_PARSE_ELF | CL_SCAN_PARSE_PDF | CL_SCAN_PARSE_SWF | CL_SCAN_PARSE_HWP3 |
    CL_SCAN_PARSE_XMLDOCS | CL_SCAN_PARSE_OLE2 | CL_SCAN_PARSE_HTML | CL_SCAN_PARSE_PE | CL_SCAN_PARSE_ONENOTE | CL_SCAN_PARSE_IMAGE |
    CL_SCAN_PARSE_IMAGE_FUZZY_HASH;

enum { OVER_BOUNDS_MS = 2000 };              /* for a mail that our own bounds have called unscannable already */

struct antivirus {
	struct cl_engine *engine;            /* NULL: clamd */
	struct avcache *known;               /* NULL: off, or no memory */
	struct clamd clamd;
	bool clamd_asked;                    /* how old its database is */
	struct av_status status;
	uint32_t timeout_ms;
	enum clamav_engine kind;
	bool cache;
	char database[PATH_ROOM];
	int64_t changed_ns;                  /* newest change in the database when it was loaded */
};

/* libclamav is about to scan these bytes, at the depth that they lie in the mail: the mail itself is always scanned. */
static cl_error_t
on_layer(int fd, const char *type, const char **ancestors, size_t parent_size, const char *name, size_t size, const char *bytes,
    uint32_t depth, uint32_t attributes, void *context)
{
	(void)fd, (void)type, (void)ancestors, (void)parent_size, (void)name, (void)attributes;
	return context && layers_add(context, span_make(bytes, size)) && depth > 0 ? CL_BREAK : CL_CLEAN;
}

static bool
set_limits(struct cl_engine *engine, const struct config *config, const char *scratch)
{
	cl_engine_set_clcb_file_inspection(engine, on_layer);
	for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
		if (cl_engine_set_num(engine, limits[i].field, limits[i].value) != CL_SUCCESS)
			return false;
	if (cl_engine_set_num(engine, CL_ENGINE_MAX_SCANTIME, config->clamav_timeout_ms) != CL_SUCCESS ||
	    cl_engine_set_num(engine, CL_ENGINE_DISABLE_CACHE, !config->clamav_cache) != CL_SUCCESS)
		return false;
	return cl_engine_set_str(engine, CL_ENGINE_TMPDIR, scratch) == CL_SUCCESS;
}

static int64_t
changed_at(const struct stat *st)
{
	return (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

/* The newest change among the database's files and of their directory, in nanoseconds. */
static int64_t
newest_file(const char *path)
{
	struct stat st;
	int64_t newest;

	if (stat(path, &st) < 0)
		return 0;
	newest = changed_at(&st);
	if (!S_ISDIR(st.st_mode))
		return newest;
	DIR *dir = opendir(path);

	for (struct dirent *e; dir && (e = readdir(dir)) != NULL;)
		if (e->d_name[0] != '.' && fstatat(dirfd(dir), e->d_name, &st, 0) == 0 && S_ISREG(st.st_mode) &&
		    changed_at(&st) > newest)
			newest = changed_at(&st);
	if (dir)
		closedir(dir);
	return newest;
}

static bool
load_engine(struct antivirus *av, const struct config *config, const char *scratch, char *why, size_t room)
{
	static bool initialised;
	const char *path = config->clamav_database;
	cl_error_t error;

	if (!initialised && (error = cl_init(CL_INIT_DEFAULT)) != CL_SUCCESS) {
		snprintf(why, room, "libclamav: %s", cl_strerror(error));
		return false;
	}
	initialised = true;
	if ((av->engine = cl_engine_new()) == NULL || !set_limits(av->engine, config, scratch)) {
		snprintf(why, room, "libclamav: cannot make an engine");
		return false;
	}
	error = cl_load(path, av->engine, &av->status.signatures, CL_DB_STDOPT);
	if (error != CL_SUCCESS) {
		snprintf(why, room, "%s: the virus database cannot be loaded: %s; is freshclam running?", path, cl_strerror(error));
		return false;
	}
	if (av->status.signatures == 0) {
		snprintf(why, room, "%s: no virus signatures there; run freshclam, or set clamav = { engine = \"off\"; }", path);
		return false;
	}
	if ((error = cl_engine_compile(av->engine)) != CL_SUCCESS) {
		snprintf(why, room, "%s: %s", path, cl_strerror(error));
		return false;
	}
	int err = 0;
	long long built = cl_engine_get_num(av->engine, CL_ENGINE_DB_TIME, &err);

	av->status.database_time_s = err == 0 && built > 0 ? built : newest_file(path) / 1000000000;
	av->status.database_version = (unsigned)cl_engine_get_num(av->engine, CL_ENGINE_DB_VERSION, &err);
	av->status.changed_s = av->changed_ns / 1000000000;
	av->status.loaded = true;
	return true;
}

bool
antivirus_open(const struct config *config, const char *scratch, struct antivirus **av, char *why, size_t room)
{
	*av = NULL;
	if (config->clamav == CLAMAV_OFF)
		return true;
	if ((*av = calloc(1, sizeof **av)) == NULL) {
		snprintf(why, room, "no memory");
		return false;
	}
	(*av)->clamd.fd = -1;
	(*av)->timeout_ms = config->clamav_timeout_ms;
	(*av)->kind = config->clamav;
	(*av)->cache = config->clamav_cache;
	snprintf((*av)->database, sizeof (*av)->database, "%s", config->clamav_database);
	(*av)->changed_ns = newest_file(config->clamav_database);
	if (config->clamav_cache)
		(*av)->known = avcache_open();
	if (config->clamav == CLAMAV_CLAMD)
		return true;
	if (load_engine(*av, config, scratch, why, room))
		return true;
	if ((*av)->engine)
		cl_engine_free((*av)->engine);
	(*av)->engine = NULL;
	return false;
}

void
antivirus_alarm(int64_t built_s, const struct config *config)
{
	static int64_t said_s;
	int64_t days = built_s > 0 ? (wall_s() - built_s) / 86400 : 0;
	bool old = days >= config->clamav_max_age_days;

	metrics_set(M_CLAMAV_OLD_NOW, old);
	if (old)
		log_seldom(&said_s, 3600, "clamav: the virus database is %lld days old (clamav.max_age_days is %u); is freshclam running?",
		    (long long)days, config->clamav_max_age_days);
}

int64_t
antivirus_newest_ns(const struct config *config)
{
	return newest_file(config->clamav_database);
}

struct av_status
antivirus_status(const struct antivirus *av)
{
	return av ? av->status : (struct av_status){ 0 };
}

bool
antivirus_current(const struct antivirus *av, const struct config *config)
{
	if (av == NULL || config->clamav == CLAMAV_OFF)
		return av == NULL && config->clamav == CLAMAV_OFF;
	if (av->kind != config->clamav || av->timeout_ms != config->clamav_timeout_ms || av->cache != config->clamav_cache)
		return false;
	return config->clamav == CLAMAV_CLAMD ||
	       (av->engine && strcmp(av->database, config->clamav_database) == 0 && av->changed_ns == newest_file(config->clamav_database));
}

void
antivirus_close(struct antivirus *av)
{
	if (av && av->engine)
		cl_engine_free(av->engine);
	if (av)
		avcache_close(av->known);
	free(av);
}

void
antivirus_lend(struct antivirus *av, int clamd_fd)
{
	if (av)
		av->clamd = (struct clamd){ .fd = clamd_fd };
}

static enum av_result
scan_clamd(struct antivirus *av, struct span bytes, struct layers *layers, int64_t deadline_ms, char *text, size_t room)
{
	static const enum av_result results[] = {
		[CLAMD_CLEAN] = AV_CLEAN, [CLAMD_FOUND] = AV_INFECTED, [CLAMD_LIMIT] = AV_UNSCANNABLE, [CLAMD_FAILED] = AV_FAILED,
	};

	if (av->clamd.fd < 0) {
		snprintf(text, room, "no connection to clamd");
		return AV_FAILED;
	}
	size_t first = layers->count;
	enum av_result result;

	if (layers_add(layers, bytes) && first > 0)          /* the first is the mail itself */
		return AV_CLEAN;
	result = results[clamd_scan(&av->clamd, bytes, deadline_ms, text, room)];
	if (result == AV_CLEAN)
		layers_clean(layers, first);
	return result;
}

/* clamd's own database, once in a worker's life. */
static void
check_clamd_age(struct antivirus *av, const struct config *config, int64_t deadline_ms)
{
	int64_t built_s;

	if (av->clamd_asked || av->clamd.fd < 0)
		return;
	av->clamd_asked = true;
	if (clamd_built(&av->clamd, deadline_ms, &built_s))
		antivirus_alarm(built_s, config);
}

static enum av_result
scan_engine(struct antivirus *av, struct span bytes, bool as_mail, struct layers *layers, int64_t deadline_ms, char *text, size_t room)
{
	struct cl_scan_options options = {
		.general = CL_SCAN_GENERAL_HEURISTICS,
		.parse = as_mail ? formats | CL_SCAN_PARSE_MAIL : formats,
		.heuristic = CL_SCAN_HEURISTIC_EXCEEDS_MAX,
	};
	const char *name = NULL;
	unsigned long scanned = 0;
	cl_fmap_t *map = cl_fmap_open_memory(bytes.p, bytes.n);

	if (map == NULL) {
		snprintf(text, room, "no memory");
		return AV_FAILED;
	}
	size_t first = layers->count;
	int left = clock_left_ms(deadline_ms);

	cl_engine_set_num(av->engine, CL_ENGINE_MAX_SCANTIME, left > 0 ? left : 1);
	cl_error_t result = cl_scanmap_callback(map, NULL, &name, &scanned, av->engine, &options, layers);

	cl_fmap_close(map);
	snprintf(text, room, "%s", result == CL_VIRUS && name ? name : cl_strerror(result));
	switch (result) {
	case CL_CLEAN:
		layers_clean(layers, first);
		return AV_CLEAN;
	case CL_VIRUS:
		return AV_INFECTED;
	case CL_EMEM: case CL_EOPEN: case CL_ECREAT: case CL_EUNLINK: case CL_ESTAT: case CL_EWRITE: case CL_ETMPFILE:
	case CL_ETMPDIR: case CL_EMAP: case CL_ENULLARG: case CL_EARG: case CL_ESTATE:
		return AV_FAILED;            /* ours: the same mail may well be scanned later */
	default:
		return AV_UNSCANNABLE;       /* limits, time, formats it cannot read */
	}
}

static enum av_result
scan_bytes(struct antivirus *av, struct span bytes, bool as_mail, struct layers *layers, int64_t deadline_ms, char *text, size_t room)
{
	enum av_result result;

	text[0] = '\0';
	if (bytes.n == 0)
		return AV_CLEAN;
	if (av->engine)
		result = scan_engine(av, bytes, as_mail, layers, deadline_ms, text, room);
	else
		result = scan_clamd(av, bytes, layers, deadline_ms, text, room);
	metrics_add(M_CLAMAV_SCANNED, 1);
	if (result == AV_INFECTED && strncmp(text, "Heuristics.Limits.Exceeded", 26) == 0)
		return AV_UNSCANNABLE;
	return result;
}

static void
found(struct scan *scan, const char *name)
{
	bool phish = strncmp(name, "Heuristics.Phishing", 19) == 0;

	verdict_add(scan->arena, &scan->verdict, phish ? SPAN("CLAMAV_PHISH") : SPAN("VIRUS"), 0, span_of(name));
	scan->verdict.classes |= phish ? CLASS_PHISH : CLASS_VIRUS;
	metrics_add(M_VIRUSES, 1);
}

/* Every run of bytes once: readings share most of their parts. */
static bool
seen_before(const struct message *msg, size_t at)
{
	const struct span data = msg->parts[at].data;

	for (size_t i = 0; i < at; i++)
		if (msg->parts[i].data.p == data.p && msg->parts[i].data.n == data.n)
			return true;
	return data.p == msg->raw.p && data.n == msg->raw.n;
}

static bool
is_unencoded_text(const struct part *part)
{
	return (part->kind == PART_TEXT || part->kind == PART_HTML) && !span_eq(part->encoding, SPAN("base64"));
}

enum stage_result
stage_clamav(struct scan *scan)
{
	struct antivirus *av = scan->kit->antivirus;
	const struct message *msg = &scan->message;
	char text[128];

	if (av == NULL)
		return STAGE_DONE;
	if (av->engine == NULL && scan->kit->config->clamav != CLAMAV_CLAMD) {
		metrics_add(M_CLAMAV_FAILED, 1);
		verdict_unknown(scan->arena, &scan->verdict, SPAN("CLAMAV"), SPAN("no virus database is loaded"));
		return STAGE_UNKNOWN;
	}
	bool over_bounds = message_noted(msg, NOTE_LIMIT) || message_noted(msg, NOTE_ARCHIVE_BOMB);
	int64_t deadline = clock_ms() + (over_bounds && av->timeout_ms > OVER_BOUNDS_MS ? OVER_BOUNDS_MS : av->timeout_ms);
	struct layers layers;
	/* Its own reader of mails is quadratic in parameters and parts: a mail over our bounds it gets as mere bytes. */
	bool as_mail = !message_noted(msg, NOTE_LIMIT);

	layers_start(&layers, scan->arena, av->known);
	check_clamd_age(av, scan->kit->config, deadline);

	for (size_t i = 0; i <= msg->part_count; i++) {       /* the whole mail first, then what we make of it */
		bool whole = i == 0;
		enum av_result result;

		if (!whole && (msg->parts[i - 1].kind == PART_MULTIPART || seen_before(msg, i - 1)))
			continue;
		const struct part *part = whole ? NULL : &msg->parts[i - 1];
		struct span bytes = whole ? msg->raw : part->data;

		if (!whole && layers_have(&layers, bytes, is_unencoded_text(part)))
			continue;
		result = scan_bytes(av, bytes, as_mail, &layers, deadline, text, sizeof text);
		if (result != AV_CLEAN)
			layers.count = 0;            /* it has named what it may not have finished */
		if (result == AV_INFECTED) {
			found(scan, text);
			return STAGE_DONE;           /* one is enough */
		}
		if (result == AV_UNSCANNABLE || (result == AV_CLEAN && clock_ms() > deadline)) {
			verdict_add(scan->arena, &scan->verdict, SPAN("CLAMAV_LIMIT"), 0, span_of(text));
			scan->verdict.classes |= CLASS_UNSCANNABLE;
			metrics_add(M_UNSCANNABLE, 1);
			if (clock_ms() > deadline)
				return STAGE_DONE;
		}
		if (result == AV_FAILED) {
			metrics_add(M_CLAMAV_FAILED, 1);
			verdict_unknown(scan->arena, &scan->verdict, SPAN("CLAMAV"), span_of(text));
			return STAGE_UNKNOWN;
		}
	}
	return STAGE_DONE;
}
