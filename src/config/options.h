/* The command line, and what the configuration file says of the accounts that it names. Every long
 * option is also an -o key=value and a key of the file, '-' and '_' alike. What is said on the
 * command line weighs more than an [account], and that more than [defaults]. A URL stands for
 * itself: nothing of the file is for it. */
#pragma once

#include "config/account.h"

/* What the kernel shall refuse us once all is open (base/sandbox.h). */
enum sandbox_mode { SANDBOX_AUTO, SANDBOX_OFF };

struct options {
	struct account account;
	char *source;	  /* URL or name */
	char *mountpoint; /* absolute; of OPTIONS_ALL the directory for all, or NULL: each its own
			   */
	char *config;	  /* absolute; NULL: where it is usually */
	char **accounts; /* of the file: OPTIONS_ALL, OPTIONS_LIST_ACCOUNTS, OPTIONS_CHECK of all */
	bool unattended; /* one of several: nobody is asked for a password */
	char *text;  /* of an account of the file: all that was said, as --print-config has it */
	char **argv; /* likewise: the command line, */
	char *dir;   /* and where we stood then; for options_reread() */
	bool foreground; /* -f, implied by -d */
	bool debug;	 /* -d */
	bool single;	 /* -s */
	bool helper;	 /* of mount(8) */
	bool fake;	 /* its -f: all but the mounting */
	bool nonempty;
	bool allow_other;
	enum sandbox_mode sandbox;
	GPtrArray
		*fuse_options; /* of char *: passed on to libfuse, e.g. "allow_other", "noatime" */
};

enum options_result {
	OPTIONS_RUN,
	OPTIONS_ALL,   /* mount all accounts */
	OPTIONS_CHECK, /* the account, or all if `accounts` is set */
	OPTIONS_LIST_ACCOUNTS,
	OPTIONS_PRINT_CONFIG,
	OPTIONS_HELP,
	OPTIONS_VERSION,
	OPTIONS_ERROR,
};

/* Fills `options`, whatever was in it; the last three leave it empty.
 * OPTIONS_ERROR sets `error` (ERROR_USAGE or ERROR_CONFIG); an unknown option gets a suggestion.
 * Options that mount(8) hands through (noauto, user, _netdev, x-*, ...) are swallowed, and those of
 * its helpers (-f, -n, -s, -v, -t TYPE) if that is what argv[0] says we are. */
enum options_result options_parse(struct options *options, int argc, char **argv, GError **error);
/* The same command line for one of the accounts, which was given by --all or --check. `mountpoint`
 * NULL: the account's. */
bool options_parse_account(struct options *options, int argc, char **argv, const char *account,
			   const char *mountpoint, GError **error);
/* What the same command line and the configuration file say now of the account that has `options`.
 * Of an account of the file alone. */
bool options_reread(const struct options *options, struct options *ret, GError **error);
void options_clear(struct options *options);
/* Whether argv[0] is of a helper of mount(8), such as "mount.mailfs". */
bool options_is_helper(const char *program);

/* The text of --help. Made from the same table as the parser. Free with g_free(). */
char *options_help(void);
