/* Built without libseccomp. */
#include "base/sandbox_calls.h"

#include "base/log.h"

bool sandbox_calls_enter(const struct sandbox_rules *rules)
{
	(void)rules;
	log_debug("sandbox: built without seccomp");
	return false;
}
