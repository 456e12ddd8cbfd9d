/* The log: stderr while in the foreground (with priorities, if that is the journal), syslog after,
 * and always a ring in memory that .mailfs/log shows. Any thread may call. Text is one line, without a secret; server text in it has
 * passed text_clean(). */
#pragma once

#include <glib.h>
#include <stdbool.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* `ident` stands before each line, here and there. From main, before any thread; the last call
 * counts. */
void log_open(const char *ident, enum log_level level);
/* Only warnings and errors to stderr, for who is on the way to the background. From main, before any
 * thread. */
void log_quiet_stderr(void);
/* From now on to syslog instead of stderr. */
void log_to_syslog(void);
enum log_level log_level_get(void);

void log_error(const char *format, ...) G_GNUC_PRINTF(1, 2);
void log_warning(const char *format, ...) G_GNUC_PRINTF(1, 2);
void log_info(const char *format, ...) G_GNUC_PRINTF(1, 2);
/* Only with -d: protocol and request traces. Does no work if debugging is off. */
void log_debug(const char *format, ...) G_GNUC_PRINTF(1, 2);

/* A copy of the ring (LIMIT_LOG_RING at most, whole lines, each "YYYY-MM-DDTHH:MM:SS level: text").
 * Free with g_free(). */
char *log_ring_copy(gsize *ret_len);
