/* The configuration file: groups of "key = value", of which [defaults] is for all accounts and
 * [account NAME] for one. This reads it and keeps it in order; what the keys mean is decided where
 * options are (config/options.h).
 *
 * A line is blank, a comment ('#' or ';' in front), a group or a key. A value begins behind the
 * first '=' and its blanks, ends before the last ones, and is taken as it stands: no quotes, no
 * escapes, no comment behind it. A key has small letters, digits, '-' and '_', these two alike.
 * Messages begin with the file's path; ERROR_CONFIG throughout. One thread. */
#pragma once

#include "config/secret.h"

#include <glib.h>
#include <stdbool.h>

#define CONF_SIZE_MAX (1024 * 1024)

struct conf_entry {
	const char *key; /* with '_' for '-' */
	const char *value;
	unsigned line;
};

struct conf_group {
	char *account; /* NULL: [defaults] */
	char *title;   /* "[account work]" */
	unsigned line;
	GArray *entries; /* of struct conf_entry */
};

struct conf;

/* Reads the file `path`, or if that is NULL $XDG_CONFIG_HOME/mailfs/mailfs.conf or else
 * /etc/mailfs.conf. Refuses a file that others may write to, or that is neither ours nor root's:
 * it names commands. */
struct conf *conf_read(const char *path, GError **error);
/* Wipes it: there may be passwords in it. */
void conf_free(struct conf **conf);

const char *conf_path(const struct conf *conf);
/* Ours, and nobody else may read it. */
bool conf_is_private(const struct conf *conf);
/* False, with the error that says so. */
bool conf_not_private(const struct conf *conf, GError **error);
/* All of them, as they stand there: of const struct conf_group *. The file's. */
const GPtrArray *conf_groups(const struct conf *conf);
/* NULL: there is none. `account` NULL: [defaults]. */
const struct conf_group *conf_group(const struct conf *conf, const char *account);
/* The names of the accounts. Free with g_strfreev(). */
char **conf_accounts(const struct conf *conf);
const struct conf_entry *conf_entry(const struct conf_group *group, const char *key);

/* Letters, digits, '.', '_' and '-', the first one a letter, a digit or '_'; SUGGESTION_MAX bytes
 * at most. */
bool conf_is_account_name(const char *name);
/* False with ERROR_CONFIG "PATH: no account 'NAME', did you mean ...". */
bool conf_no_account(const struct conf *conf, const char *name, GError **error);

/* Reads the file anew: the value of `key` ("password", "smtp_password") of that account, as it is
 * now. NULL with an error, also if the file is not private. */
struct secret *conf_password(const char *path, const char *account, const char *key,
			     GError **error);
