/* The system calls of the sandbox: what is refused, as seccomp shall do it. */
#pragma once

#include "base/sandbox.h"

/* False: not in force, which is said at debug or as a warning. */
bool sandbox_calls_enter(const struct sandbox_rules *rules);
