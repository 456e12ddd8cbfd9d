/* The command line. Every long option is also an -o key=value, '-' and '_' alike. */
#pragma once

#include "config/account.h"

struct options {
	struct account account;
	char *source;
	char *mountpoint; /* absolute */
	bool foreground;  /* -f, implied by -d */
	bool debug;	  /* -d */
	bool single;	  /* -s */
	bool nonempty;
	bool allow_other;
	GPtrArray
		*fuse_options; /* of char *: passed on to libfuse, e.g. "allow_other", "noatime" */
};

enum options_result { OPTIONS_RUN, OPTIONS_HELP, OPTIONS_VERSION, OPTIONS_ERROR };

/* Fills `options`, whatever was in it; all but OPTIONS_RUN leave it empty.
 * OPTIONS_ERROR sets `error` (ERROR_USAGE or ERROR_CONFIG); an unknown option gets a suggestion.
 * Options that mount(8) hands through (noauto, user, _netdev, x-*, ...) are swallowed, and those of
 * its helpers (-n, -s, -v, -t TYPE) if that is what argv[0] says we are: "mount.mailfs". */
enum options_result options_parse(struct options *options, int argc, char **argv, GError **error);
void options_clear(struct options *options);

/* The text of --help. Made from the same table as the parser. Free with g_free(). */
char *options_help(void);
