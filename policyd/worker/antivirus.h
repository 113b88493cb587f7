/* antivirus.h - ClamAV behind one door: libclamav in the worker, or a clamd connection lent to it.
 *
 * Shape   the engine is loaded once in the zygote and shared by fork; it is never freed in a child
 * Errors  any answer but clean and infected is "could not be scanned", never clean: AV_UNSCANNABLE when the mail
 *         is to blame (a limit was met), AV_FAILED when we are (no database, no clamd, time)
 */
#ifndef POLICYD_WORKER_ANTIVIRUS_H
#define POLICYD_WORKER_ANTIVIRUS_H

#include "policyd/config.h"

struct antivirus;

enum av_result { AV_CLEAN, AV_INFECTED, AV_UNSCANNABLE, AV_FAILED };

struct av_status {
	bool loaded;
	unsigned signatures;
	int64_t database_time_s;             /* newest part's build time; 0: unknown */
	unsigned database_version;
	int64_t changed_s;                   /* newest change of its files when it was loaded */
};

/* Loads the engine. False and `why` when there is none to load: the caller decides whether to go on without
 * (every mail is then deferred, never called clean). `*av` is NULL when the config says "off". */
bool antivirus_open(const struct config *config, const char *scratch, struct antivirus **av, char *why, size_t room);
struct av_status antivirus_status(const struct antivirus *av);
void antivirus_close(struct antivirus *av);                 /* in the process that opened it */

/* Is what was loaded still what a new load would find? (path, and the newest change in it) */
bool antivirus_current(const struct antivirus *av, const struct config *config);

/* The newest change in the database of the settings, in ns; 0: nothing there. */
int64_t antivirus_newest_ns(const struct config *config);
/* Log (once an hour) and metric when a database built then is older than the settings allow. */
void antivirus_alarm(int64_t built_s, const struct config *config);

/* clamd's connection for the mail at hand; the worker owns it, -1: none. */
void antivirus_lend(struct antivirus *av, int clamd_fd);

#endif
