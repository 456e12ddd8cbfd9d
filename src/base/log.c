#include "base/log.h"

#include "base/limits.h"
#include "base/text.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#define LOG_LINE_MAX 4096

static const struct {
	const char *name;
	int priority; /* syslog's */
} levels[] = {
	[LOG_LEVEL_ERROR] = {"error", LOG_ERR},
	[LOG_LEVEL_WARNING] = {"warning", LOG_WARNING},
	[LOG_LEVEL_INFO] = {"info", LOG_INFO},
	[LOG_LEVEL_DEBUG] = {"debug", LOG_DEBUG},
};

/* Set before any thread starts. */
static enum log_level threshold = LOG_LEVEL_INFO;
static enum log_level stderr_threshold = LOG_LEVEL_DEBUG;
static char *log_ident;
static bool to_journal; /* is what stderr is */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static bool to_syslog; /* under the mutex, as all below */
static char *ring;
static size_t ring_len;

/* systemd says which file the journal reads, as somebody may have sent stderr elsewhere since. */
static bool stderr_is_journal(void)
{
	const char *stream = g_getenv("JOURNAL_STREAM");
	char own[2 * sizeof("18446744073709551615")];
	struct stat attr;

	if (!stream || fstat(STDERR_FILENO, &attr) != 0)
		return false;
	snprintf(own, sizeof(own), "%ju:%ju", (uintmax_t)attr.st_dev, (uintmax_t)attr.st_ino);
	return strcmp(stream, own) == 0;
}

void log_open(const char *ident, enum log_level level)
{
	g_free(log_ident);
	log_ident = g_strdup(ident);
	threshold = level;
	to_journal = stderr_is_journal();
}

void log_quiet_stderr(void)
{
	stderr_threshold = LOG_LEVEL_WARNING;
}

void log_to_syslog(void)
{
	pthread_mutex_lock(&mutex);
	openlog(log_ident ? log_ident : "mailfs", LOG_PID, LOG_MAIL);
	to_syslog = true;
	pthread_mutex_unlock(&mutex);
}

enum log_level log_level_get(void)
{
	return threshold;
}

/* Drops the older half, so that a full ring costs one move in many lines. */
static void ring_halve_locked(void)
{
	char *half = ring + ring_len / 2;
	char *end = memchr(half, '\n', (size_t)(ring + ring_len - half));

	ring_len -= (size_t)(end + 1 - ring);
	memmove(ring, end + 1, ring_len);
}

static bool ring_append_locked(const char *line, size_t len)
{
	if (!ring)
		ring = g_malloc(LIMIT_LOG_RING);
	if (len > LIMIT_LOG_RING - ring_len)
		ring_halve_locked();
	memcpy(ring + ring_len, line, len);
	ring_len += len;
	return to_syslog;
}

static char *log_line_new(enum log_level level, const char *text)
{
	time_t now = time(NULL);
	char stamp[sizeof("YYYY-MM-DDTHH:MM:SS")];
	struct tm tm;

	if (!localtime_r(&now, &tm) || strftime(stamp, sizeof(stamp), "%FT%T", &tm) == 0)
		g_strlcpy(stamp, "-", sizeof(stamp));
	return g_strdup_printf("%s %s: %s\n", stamp, levels[level].name, text);
}

/* One write a line, so that lines of threads do not mix. What a closed or full stderr does not take
 * is lost: there is nobody to tell. The journal wants the priority first, see sd-daemon(3). */
static void log_to_stderr(enum log_level level, const char *text)
{
	g_autofree char *mark =
		to_journal ? g_strdup_printf("<%d>", levels[level].priority) : g_strdup("");
	g_autofree char *line =
		g_strdup_printf("%s%s: %s\n", mark, log_ident ? log_ident : "mailfs", text);
	ssize_t written;

	do
		written = write(STDERR_FILENO, line, strlen(line));
	while (written < 0 && errno == EINTR);
}

static void log_line(enum log_level level, const char *format, va_list args) G_GNUC_PRINTF(2, 0);

static void log_line(enum log_level level, const char *format, va_list args)
{
	g_autofree char *raw = NULL;
	g_autofree char *text = NULL;
	g_autofree char *line = NULL;
	bool syslogged;
	int saved = errno;

	if (level > threshold)
		return;
	raw = g_strdup_vprintf(format, args);
	text = text_clean(raw, -1, LOG_LINE_MAX);
	line = log_line_new(level, text);

	pthread_mutex_lock(&mutex);
	syslogged = ring_append_locked(line, strlen(line));
	pthread_mutex_unlock(&mutex);

	if (syslogged)
		syslog(levels[level].priority, "%s", text);
	else if (level <= stderr_threshold)
		log_to_stderr(level, text);
	errno = saved;
}

void log_error(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_line(LOG_LEVEL_ERROR, format, args);
	va_end(args);
}

void log_warning(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_line(LOG_LEVEL_WARNING, format, args);
	va_end(args);
}

void log_info(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_line(LOG_LEVEL_INFO, format, args);
	va_end(args);
}

void log_debug(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_line(LOG_LEVEL_DEBUG, format, args);
	va_end(args);
}

char *log_ring_copy(gsize *ret_len)
{
	char *copy;

	pthread_mutex_lock(&mutex);
	copy = g_malloc(ring_len + 1);
	if (ring_len > 0)
		memcpy(copy, ring, ring_len);
	copy[ring_len] = '\0';
	*ret_len = ring_len;
	pthread_mutex_unlock(&mutex);
	return copy;
}
