/* Errors of mailfs-sendmail: their code is the exit status (sysexits.h). One line, for
 * "mailfs-sendmail: %s"; they never repeat a mail. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <sysexits.h>

#define FAILURE failure_quark()
GQuark failure_quark(void);

/* Both are always false. */
bool failure_set(GError **error, int status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* "cannot VERB 'PATH': " and what errno says. */
bool failure_errno(GError **error, int status, const char *verb, const char *path);
