/* log.h - one record a line, to stderr or syslog's mail facility.
 *
 * Shape   "policyd/<process>[pid]: <text>"; on stderr with a timestamp before it
 * Errors  a log that blocks or is gone costs lines (counted in M_LOG_DROPPED), never mail
 *
 * Everything but printable UTF-8 is written as \xNN, so no remote text can end a line or move a terminal.
 */
#ifndef POLICYD_BASE_LOG_H
#define POLICYD_BASE_LOG_H

#include "policyd/base/span.h"

enum log_target { LOG_TO_STDERR, LOG_TO_SYSLOG };
enum log_level { LOG_LEVEL_NONE = -1, LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* `process` is kept, not copied: "broker", "gate mx". Lines above `most` are not written. */
void log_open(enum log_target target, enum log_level most, const char *process);

void log_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* log_warning, at most once in `every_s` seconds for the same call site's `*last` (wall-independent, start at 0). */
void log_seldom(int64_t *last, int every_s, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
