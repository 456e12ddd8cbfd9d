/* Which mounted account sends, if nobody says. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

struct mounted {
	char *account; /* "user@host[:port]" */
	char *path;
};

/* Those of `uid` in the text of /proc/self/mountinfo (proc(5)): of struct mounted *. */
GPtrArray *mounts_parse(const char *text, uid_t uid);
/* The account that sends mail of `sender` (may be NULL): the only one, or the only one that fits.
 * EX_CONFIG. */
const struct mounted *mounts_choose(const GPtrArray *mounts, const char *sender, GError **error);
/* The outbox for `sender`. EX_CONFIG, EX_OSERR. Free with g_free(). */
char *mounts_outbox(const char *sender, GError **error);
