/* What one mounted account needs of the machine, for the sandbox. */
#pragma once

#include "config/options.h"

#include <sys/types.h>

/* Before threads that shall be held by it. `dirs`: ours, to do what we like in; ends with NULL.
 * `helper`: that is killed at the end. What holds us then, for the status; free with g_free(). */
char *confine(const struct options *options, char *const *dirs, pid_t helper);
