/* Processes that serve the daemon: forked before there is a thread, a secret or a mount. */
#pragma once

#include <stdbool.h>

/* In the child, which has no descriptor from here on but `in` and `out` (stdin and stdout; -1:
 * none), no terminal, and another name. Signals that end the daemon do not end it. `death`: what
 * comes when the daemon's main thread ends. Nothing that allocates or locks. */
bool child_settle(const char *name, int in, int out, int death);
