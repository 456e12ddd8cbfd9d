/* Lines for -d that show neither a password nor mail. Pure functions; free results with g_free().
 */
#pragma once

#include <glib.h>
#include <stddef.h>

/* A response as the frame gave it: its first line (what stands in or behind a literal is not
 * shown), without quoted strings if it is a FETCH. */
char *imap_trace_response(const char *text, size_t len);
/* What was sent, with secrets already left out. */
char *imap_trace_clean(const char *line, size_t len);
