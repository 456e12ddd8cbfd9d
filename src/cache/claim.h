/* One daemon at a time uses an account's cache directory. */
#pragma once

#include <glib.h>

/* A descriptor that holds the claim until it is closed (also by the process's end), or -1.
 * ERROR_BUSY names the process that has it and its mountpoint. ERROR_IO. */
int claim_take(const char *dir, const char *mountpoint, GError **error);
