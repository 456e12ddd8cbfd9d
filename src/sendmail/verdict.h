/* What became of a message that was handed over. */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* Waits for it. EX_NOUSER, EX_DATAERR, EX_UNAVAILABLE: refused, and kept in failed/; EX_TEMPFAIL:
 * still in the queue; EX_IOERR: neither. Closes `reader`. */
bool verdict_wait(int reader, const char *outbox, const char *name, GError **error);
/* The same, when fsync() has given `number`. */
bool verdict_judge(int number, const char *outbox, const char *name, GError **error);
