#include "policyd/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "policyd/base/clock.h"
#include "policyd/base/metrics.h"
#include "policyd/base/utf8.h"

enum { LINE = 16 * 1024 };

static enum log_target log_target = LOG_TO_STDERR;
static enum log_level log_most = LOG_LEVEL_INFO;
static const char *log_process = "policyd";

static const struct { const char *name; int priority; } levels[] = {
	[LOG_LEVEL_ERROR] = { "error: ", LOG_ERR },
	[LOG_LEVEL_WARNING] = { "warning: ", LOG_WARNING },
	[LOG_LEVEL_INFO] = { "", LOG_INFO },
	[LOG_LEVEL_DEBUG] = { "debug: ", LOG_DEBUG },
};

void
log_open(enum log_target target, enum log_level most, const char *process)
{
	log_target = target;
	log_most = most;
	log_process = process;
	if (target == LOG_TO_SYSLOG)
		openlog("policyd", LOG_PID | LOG_NDELAY, LOG_MAIL);
}

/* The line as it may be shown: one line, no control characters, no broken UTF-8. */
static size_t
escape(char *to, size_t room, struct span text)
{
	size_t n = 0;

	for (size_t i = 0; i < text.n && n + 5 < room;) {
		size_t len = utf8_length(span_from(text, i));
		unsigned char c = (unsigned char)text.p[i];

		if (len > 0 && c >= 0x20 && c != 0x7f && !(len == 2 && c == 0xc2 && (unsigned char)text.p[i + 1] < 0xa0)) {
			memcpy(to + n, text.p + i, len);
			n += len;
			i += len;
		} else {
			n += (size_t)snprintf(to + n, room - n, "\\x%02x", c);
			i++;
		}
	}
	to[n] = '\0';
	return n;
}

__attribute__((format(printf, 2, 0))) static void
write_line(enum log_level level, const char *format, va_list args)
{
	char raw[LINE], safe[LINE], line[LINE + 128], stamp[32];
	int saved = errno, n = vsnprintf(raw, sizeof raw, format, args);

	if (n < 0)
		return;
	escape(safe, sizeof safe, span_make(raw, (size_t)n < sizeof raw ? (size_t)n : sizeof raw - 1));
	if (log_target == LOG_TO_SYSLOG) {
		syslog(levels[level].priority, "%s: %s%s", log_process, levels[level].name, safe);
		errno = saved;
		return;
	}
	struct tm tm;
	time_t now = (time_t)wall_s();

	localtime_r(&now, &tm);
	strftime(stamp, sizeof stamp, "%b %e %H:%M:%S", &tm);
	n = snprintf(line, sizeof line, "%s policyd/%s[%d]: %s%s\n", stamp, log_process, (int)getpid(),
	    levels[level].name, safe);
	if (n > 0 && write(STDERR_FILENO, line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1) < 0)
		metrics_add(M_LOG_DROPPED, 1);
	errno = saved;
}

#define LOG_FUNCTION(name, level)                \
	void name(const char *format, ...)       \
	{                                        \
		va_list args;                    \
		if (level > log_most)            \
			return;                  \
		va_start(args, format);          \
		write_line(level, format, args); \
		va_end(args);                    \
	}

LOG_FUNCTION(log_error, LOG_LEVEL_ERROR)
LOG_FUNCTION(log_warning, LOG_LEVEL_WARNING)
LOG_FUNCTION(log_info, LOG_LEVEL_INFO)
LOG_FUNCTION(log_debug, LOG_LEVEL_DEBUG)

void
log_seldom(int64_t *last, int every_s, const char *format, ...)
{
	int64_t now = clock_ms();
	va_list args;

	if (*last != 0 && now - *last < (int64_t)every_s * 1000)
		return;
	*last = now;
	va_start(args, format);
	write_line(LOG_LEVEL_WARNING, format, args);
	va_end(args);
}
